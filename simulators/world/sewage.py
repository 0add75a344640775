"""How much sewage arrives at each minute of a day: peaks as high, and a night as low, as the number of people says.

The peak over the mean is Harmon's 1 + 14 / (4 + sqrt(P)), P in thousands (Harmon, Transactions ASCE, 1918; as in Fair
and Geyer). What rises above the night's flow is the exponential of two cosines, never negative whatever the peak.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from simulators.world.tabulated import HOUR_MS, MINUTE_MS, MINUTES
from simulators.world.waves import Column

_STEEPNESS_MAX = 50.0


def harmon(population: float) -> float:
    """The daily peak over the mean."""
    return float(1.0 + 14.0 / (4.0 + np.sqrt(population / 1000.0)))


def night(population: float) -> float:
    """The least flow of a day over its mean: 0.2 P^(1/7), P in thousands, as far as its own peaks leave so much."""
    return float(10.0 ** (0.142 * np.log10(population / 1000.0) - 0.682))


@lru_cache(maxsize=64)
def day_shape(population: float, morning_hour: float, evening_hour: float) -> Column:
    """Flow over its mean for each minute of a day, with equal peaks at both hours; its mean is 1, its most `harmon`."""
    curve, peak, base = _two_peaks(morning_hour, evening_hour), harmon(population), 0.0
    for _ in range(30):  # each round brings the least nearer to `night`; what the peaks rise from matters little to it
        rising = _with_peak(curve, (peak - base) / (1.0 - base))
        base = max(0.0, (night(population) - rising.min()) / (1.0 - rising.min()))
    found = base + (1.0 - base) * _with_peak(curve, (peak - base) / (1.0 - base))
    found.flags.writeable = False
    return found


def _with_peak(curve: Column, peak: float) -> Column:
    """The exponential of so much of `curve` that its most is `peak` times its mean."""
    low, high = 0.0, _STEEPNESS_MAX
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _scaled(curve, middle).max() < peak else (low, middle)
    return _scaled(curve, low)


def _two_peaks(morning_hour: float, evening_hour: float) -> Column:
    """w cos x - cos 2x about the middle of the two hours has its peaks where cos x = w / 4."""
    hours = (np.arange(MINUTES) + 0.5) * MINUTE_MS / HOUR_MS
    half = np.pi * (evening_hour - morning_hour) / 24.0
    x = 2.0 * np.pi * (hours - 0.5 * (morning_hour + evening_hour)) / 24.0
    found: Column = 4.0 * np.cos(half) * np.cos(x) - np.cos(2.0 * x)
    return found


def _scaled(curve: Column, steepness: float) -> Column:
    found: Column = np.exp(steepness * (curve - curve.max()))
    found /= found.mean()
    return found


def infiltration(rain_m3_h: Column, held_m3: float, recession_h: float) -> tuple[Column, float]:
    """What a linear reservoir lets into the sewers, in m3/h by minute, and what it holds after the day, in m3.

    The step is exact for rain that is constant within a minute; what comes out is what went in less what is held.
    """
    hours = MINUTE_MS / HOUR_MS
    left = float(np.exp(-hours / recession_h))
    held = [held_m3]
    for inflow in (rain_m3_h * recession_h * (1.0 - left)).tolist():
        held.append(held[-1] * left + inflow)
    found: Column = rain_m3_h - np.diff(np.asarray(held)) / hours
    return np.maximum(0.0, found), held[-1]
