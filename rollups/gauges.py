"""Readings of an instantaneous value, by column, to its time-weighted mean in a window; and how much of a window was
covered.

A mean over readings would weigh a minute with ten readings ten times a minute with one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ms = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Course:
    """How a gauge went in a window: mean over the covered time, least and greatest reading."""

    mean: float
    least: float
    greatest: float


def covered_ms(t: Ms, gap_max_ms: int, from_ms: int, to_ms: int) -> int:
    """The time in [from_ms, to_ms) that lies between successive readings no more than `gap_max_ms` apart."""
    begin, end = _covered(t, gap_max_ms)
    overlap = np.minimum(end, to_ms) - np.maximum(begin, from_ms)
    return int(np.maximum(overlap, 0).sum())


def course(t: Ms, value: Values, gap_max_ms: int, from_ms: int, to_ms: int) -> Course | None:
    """How the gauge went in [from_ms, to_ms), None without a reading in it.

    Between successive readings no more than `gap_max_ms` apart it is taken to go straight; where no two readings are so
    close, the mean is that of the readings.
    """
    inside = value[np.searchsorted(t, from_ms) : np.searchsorted(t, to_ms)]
    if not len(inside):
        return None
    near = np.flatnonzero(np.diff(t) <= gap_max_ms)
    begin, end = t[near], t[near + 1]
    left, right = np.maximum(begin, from_ms), np.minimum(end, to_ms)
    crossing = left < right
    near, begin, end, left, right = near[crossing], begin[crossing], end[crossing], left[crossing], right[crossing]
    slope = (value[near + 1] - value[near]) / (end - begin)
    middle = value[near] + slope * ((left + right) / 2 - begin)
    time = math.fsum((right - left).tolist())
    area = math.fsum((middle * (right - left)).tolist())
    mean = area / time if time else math.fsum(inside.tolist()) / len(inside)
    return Course(mean, float(inside.min()), float(inside.max()))


def _covered(t: Ms, gap_max_ms: int) -> tuple[Ms, Ms]:
    near = np.diff(t) <= gap_max_ms
    return t[:-1][near], t[1:][near]
