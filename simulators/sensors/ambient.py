"""The temperature of a meter: a plain curve of day and year, or a quantity of the world."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.parts.meter import Ambient
from simulators.world.world import World

REFERENCE_C = 20.0
"""At which a meter was adjusted: OIML R 60-1 and most data sheets refer to it."""

_DAY_MS = 86_400_000
_YEAR_DAYS = 365.25
_WARMEST_DAY = 205.0
_WARMEST_HOUR = 15.0


def above_reference_c(ambient: Ambient, world: World, t_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    """By how many degrees C a meter is warmer than 20, at a column of times (ms UTC)."""
    if ambient.quantity is not None:
        return world.columns([ambient.quantity], t_ms)[ambient.quantity] - REFERENCE_C
    days = t_ms / _DAY_MS + ambient.utc_offset_h / 24.0
    of_day = ambient.day_swing_c * np.cos(2.0 * np.pi * (days - _WARMEST_HOUR / 24.0))
    of_year = ambient.year_swing_c * np.cos(2.0 * np.pi * (days - _WARMEST_DAY) / _YEAR_DAYS)
    warmer: NDArray[np.float64] = ambient.mean_c - REFERENCE_C + of_day + of_year
    return warmer
