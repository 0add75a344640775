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
Near = NDArray[np.bool_]
"""Of successive readings: whether there is no hole between the two."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a gauge went in a window: mean over the covered time, least and greatest reading."""

    mean: float
    least: float
    greatest: float


def covered_ms(t: Ms, gap_max_ms: int, from_ms: int, to_ms: int) -> int:
    """The time in [from_ms, to_ms) that lies between successive readings no more than `gap_max_ms` apart."""
    return within(t, np.diff(t) <= gap_max_ms, from_ms, to_ms)


def within(t: Ms, near: Near, from_ms: int, to_ms: int) -> int:
    """The time in [from_ms, to_ms) that lies between successive readings without a hole: those that are `near`."""
    begin, end = covered(t, near)
    overlap = np.minimum(end, to_ms) - np.maximum(begin, from_ms)
    return int(np.maximum(overlap, 0).sum())


def course(t: Ms, value: Values, near: Near | int, from_ms: int, to_ms: int) -> Course | None:
    """How the gauge went in [from_ms, to_ms), None without a reading in it.

    Between successive readings that are `near`, or no more than so many ms apart, it is taken to go straight; where no
    two readings are so close, the mean is that of the readings.
    """
    inside = value[np.searchsorted(t, from_ms) : np.searchsorted(t, to_ms)]
    if not len(inside):
        return None
    at = np.flatnonzero(np.diff(t) <= near if isinstance(near, int) else near)
    begin, end = t[at], t[at + 1]
    left, right = np.maximum(begin, from_ms), np.minimum(end, to_ms)
    crossing = left < right
    at, begin, end, left, right = at[crossing], begin[crossing], end[crossing], left[crossing], right[crossing]
    slope = (value[at + 1] - value[at]) / (end - begin)
    middle = value[at] + slope * ((left + right) / 2 - begin)
    time = math.fsum((right - left).tolist())
    area = math.fsum((middle * (right - left)).tolist())
    mean = area / time if time else math.fsum(inside.tolist()) / len(inside)
    return Course(mean, float(inside.min()), float(inside.max()))


def covered(t: Ms, near: Near) -> tuple[Ms, Ms]:
    """Begins and ends of what lies between readings without a hole."""
    return t[:-1][near], t[1:][near]
