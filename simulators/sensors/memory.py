"""First-order memory without a state: what follows the past of a quantity with one time constant.

What a first-order element shows is the mean of its input over all ages, weighted by exp(-age/tau)/tau. Here that is the
mean over 256 ages of equal weight, so the answer to a step has 256 stairs, and asking twice gives the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

AGES = 256

_EDGE = np.arange(AGES + 1) / AGES
_LEFT = 1.0 - _EDGE
_TIMES_LOG = np.zeros(AGES + 1)
_TIMES_LOG[:-1] = _LEFT[:-1] * np.log(_LEFT[:-1])
_SHARES = AGES * np.diff(_TIMES_LOG + _EDGE)[::-1]
"""The mean age of each 256th of the weight, in time constants, the oldest first."""


def remembered(
    column: Callable[[NDArray[np.int64]], NDArray[np.float64]], t_ms: int, tau_s: float, *, since_ms: int
) -> float:
    """What follows `column` (of ms UTC) with the time constant `tau_s`; before `since_ms` nothing had ever changed."""
    ages_ms = np.rint(_SHARES * tau_s * 1000.0).astype(np.int64)
    return float(np.mean(column(np.maximum(t_ms - ages_ms, since_ms))))
