"""A total as a line between readings: what rose between two moments, whatever the totaliser did in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Line = list[tuple[int, float]]
"""(ms UTC, total) with strictly rising times."""


@dataclass(frozen=True, slots=True)
class Rise:
    """How far a totaliser rose between two moments (ms UTC): those asked for, if readings lie around them."""

    value: float
    from_ms: int
    to_ms: int


def unbroken(readings: Sequence[tuple[int, float]]) -> Line:
    """The readings as one total that starts at 0 and never falls, each moment once; a fall is a new start at 0."""
    total, line = 0.0, [(readings[0][0], 0.0)] if readings else []
    for (_, last), (t_ms, value) in pairwise(readings):
        total += value - last if value >= last else value
        if t_ms > line[-1][0]:
            line.append((t_ms, total))
    return line


def rise(line: Line, from_ms: int, to_ms: int) -> Rise | None:
    """How far the total rose in [from, to), or in what part of it the line covers; None without two readings there."""
    if len(line) < 2:
        return None
    from_ms, to_ms = max(from_ms, line[0][0]), min(to_ms, line[-1][0])
    if from_ms >= to_ms:
        return None
    return Rise(_on(line, to_ms) - _on(line, from_ms), from_ms, to_ms)


def _on(line: Line, t_ms: int) -> float:
    for (t_0, total_0), (t_1, total_1) in pairwise(line):
        if t_0 <= t_ms <= t_1:
            return total_0 + (total_1 - total_0) * (t_ms - t_0) / (t_1 - t_0)
    raise AssertionError("asked beyond the ends of the line")
