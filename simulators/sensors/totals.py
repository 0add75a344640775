"""What becomes of a total in the device that counts it: registers that are full, and a float32 that stops counting."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from device_profiles.profile import DecodeType
from simulators.sensors.widths import WIDTHS


def rolled(total: float, how: float | Literal["register"] | None, *, kind: DecodeType, scale: float) -> float:
    """`total` as it stands after rolling over at `how`, or by the width of its registers; None: it never does."""
    if how is None:
        return total
    if how != "register":
        return total % how
    bits, signed = WIDTHS[kind]
    span = 2.0**bits * scale
    below = span / 2.0 if signed else 0.0
    return (total + below) % span - below


def float32_total(start: float, pulse: float, pulses: int) -> float:
    """`start` after `pulse` was added `pulses` times in float32: it stands still once a pulse is under half a step.

    Within one power of 2 every addition rounds alike from the second on, so whole runs of them are taken at once.
    """
    x, p, left = np.float32(start), np.float32(pulse), pulses
    while left > 0:
        x, left = np.float32(x + p), left - 1
        step = float(np.float32(x + p)) - float(x)
        if step == 0.0:
            break
        edge = math.ldexp(1.0, math.frexp(float(x))[1])
        run = min(left, int(max(0.0, edge - float(p) - float(x)) // step))
        x, left = np.float32(float(x) + run * step), left - run
    return float(x)
