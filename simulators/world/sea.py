"""The sea at an intake: a year's wave with a slow seeded wander. An assumption: no measured series was at hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators import chance
from simulators.parts.train import Sea
from simulators.world.waves import Column

YEAR_DAYS = 365.2425
_DAY_MS = 86_400_000
_WANDER_MS = 5 * _DAY_MS


def temperature_c(sea: Sea, local_ms: NDArray[np.int64], *, of: int) -> Column:
    """Temperature at the local times `local_ms` (ms since 1970-01-01, local), by the key `of` of the place."""
    year = sea.temperature_swing_c * _year(local_ms, sea.temperature_peak_day)
    return sea.temperature_c + year + sea.temperature_wander_c * chance.drifts(of, local_ms, _WANDER_MS)


def salinity_g_l(sea: Sea, local_ms: NDArray[np.int64], *, of: int) -> Column:
    """Salt in the water, likewise."""
    year = sea.salinity_swing_g_l * _year(local_ms, sea.salinity_peak_day)
    return sea.salinity_g_l + year + sea.salinity_wander_g_l * chance.drifts(of ^ 1, local_ms, _WANDER_MS)


def temperature_span_c(sea: Sea) -> tuple[float, float]:
    """Bounds of the temperature."""
    most = sea.temperature_swing_c + sea.temperature_wander_c
    return sea.temperature_c - most, sea.temperature_c + most


def salinity_span_g_l(sea: Sea) -> tuple[float, float]:
    """Bounds of the salt."""
    most = sea.salinity_swing_g_l + sea.salinity_wander_g_l
    return sea.salinity_g_l - most, sea.salinity_g_l + most


def _year(local_ms: NDArray[np.int64], peak_day: float) -> Column:
    days: Column = local_ms / _DAY_MS - (peak_day - 0.5)
    return np.cos(2.0 * np.pi * days / YEAR_DAYS)
