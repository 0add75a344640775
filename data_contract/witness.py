"""Which readings of a total or a state must be kept so that nothing computed from them changes; gateway and rollups
must agree on it, or a month with a long outage in it is wrong.

What rollups take from a series of readings is decided at few of them, and these are kept:

    the frame     the first two and the last; both sides of each quarter of an hour (hours, and days of every time zone,
                  begin at one); both sides of each hole, so that what is left between two of them was covered
    of a state    both sides of each change
    of a total    both sides of each step of which a law could doubt that it is ordinary, the reading since which the
                  value before it was shown, and everything in the time within which a doubt ends

The meter's law (`counter_law`) is not known where readings are given up, so what it might doubt is told by the readings
themselves: a fall, always; and a rise that is out of line with its neighbours. Between two readings that are kept, the
steps in line are such that the steepest is no more than the slowest lets expect, with the same allowance for a late
display that the law gives:

    rise / (elapsed + DISPLAY_MS)  of any step   ≤   rise / elapsed  of any other

So every law that allows the slowest of them calls each of them ordinary, and all of them together, judged as the number
of steps that they are. `elapsed` is counted from when the older value was first shown.

Of a total, two that are kept and farther apart than a hole have others between them that were given up; two that are
nearer have none. What is kept depends on the readings before only as far as `Tail` tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from data_contract.counter_law import DISPLAY_MS, HOLD_MS

EDGE_MS = 900_000
"""Borders of hours and of local days are multiples of it: no zone is off UTC by less than a quarter of an hour."""


LINE_RISES = 2
"""So many rises begin a line before others follow from them: one alone may be a torn reading, or a new meter."""


class Tail(NamedTuple):
    """Where a total stood when the readings before ended, and until when what it did there may be in doubt."""

    value: float
    doubt_to_ms: int


def of_state(t: Sequence[int], value: Sequence[float], gap_ms: int) -> list[int]:
    """Which readings of a state to keep, by their places. `t` in ms UTC, strictly rising."""
    kept = _frame(t, gap_ms)
    for i in range(1, len(t)):
        if value[i] != value[i - 1]:
            kept |= {i - 1, i}
    return sorted(kept)


def of_total(
    t: Sequence[int], value: Sequence[float], gap_ms: int, tail: Tail | None = None
) -> tuple[list[int], Tail | None]:
    """Which readings of a total to keep, by their places, and the tail for those that follow without a break.

    `tail`: of the readings just before; None: nothing is known of them, and so everything may be in doubt at first.
    """
    if not len(t):
        return [], None
    doubted, doubt_to_ms = _doubted(t, value, tail)
    kept = _frame(t, gap_ms) | doubted | _out_of_line(t, value)
    return _dense(t, kept | _since(value, kept), gap_ms), Tail(value[-1], doubt_to_ms)


def spans(t: Sequence[int], gap_ms: int) -> list[tuple[int, int]]:
    """(first, last) places of readings that follow each other without a hole."""
    found: list[tuple[int, int]] = []
    first = 0
    for i in range(1, len(t) + 1):
        if i == len(t) or t[i] - t[i - 1] > gap_ms:
            found.append((first, i - 1))
            first = i
    return found if len(t) else []


def _dense(t: Sequence[int], kept: set[int], gap_ms: int) -> list[int]:
    """In order, and what lies between two that are no farther apart than a hole: there, nothing was given up."""
    places: list[int] = []
    for place in sorted(kept):
        if places and t[place] - t[places[-1]] <= gap_ms:
            places += range(places[-1] + 1, place)
        places.append(place)
    return places


def _frame(t: Sequence[int], gap_ms: int) -> set[int]:
    """Ends, edges and holes. The second reading is kept since the first may have been the end of an odd step."""
    last = len(t) - 1
    kept = {i for i in (0, 1, last) if 0 <= i <= last}
    for i in range(1, len(t)):
        # The later reading may lie on the edge itself.
        if (t[i] // EDGE_MS) != (t[i - 1] // EDGE_MS) or t[i] - t[i - 1] > gap_ms:
            kept |= {i - 1, i}
    return kept


def _doubted(t: Sequence[int], value: Sequence[float], tail: Tail | None) -> tuple[set[int], int]:
    """Everything from each fall until the doubt about it has ended, and two readings more, which end it."""
    doubt_to_ms = t[0] + HOLD_MS if tail is None or value[0] < tail.value else tail.doubt_to_ms
    kept: set[int] = set()
    for i, at_ms in enumerate(t):
        if i and value[i] < value[i - 1]:
            doubt_to_ms = max(doubt_to_ms, at_ms + HOLD_MS)
            kept |= {i - 1}
        if at_ms <= doubt_to_ms:
            kept |= {j for j in (i, i + 1, i + 2) if j < len(t)}
    return kept, doubt_to_ms


def _since(value: Sequence[float], kept: set[int]) -> set[int]:
    """The first readings that showed the values from which the total moved on after a reading that is kept."""
    found: set[int] = set()
    shown, waits = 0, False
    for i in range(1, len(value)):
        waits = waits or i - 1 in kept
        if value[i] != value[i - 1]:
            found |= {shown} if waits else set()
            shown, waits = i, False
    return found | {shown}


def _out_of_line(t: Sequence[int], value: Sequence[float]) -> set[int]:
    """Both sides of each rise that is out of line with those since the last one that was, and where its doubt ends."""
    kept: set[int] = set()
    shown = 0
    told = False  # since when the first value was shown
    line = _NOTHING
    for i in range(1, len(t)):
        rise = value[i] - value[i - 1]
        if rise == 0:
            continue
        follows = False
        if rise > 0 and told:
            elapsed_ms = t[i] - max(t[shown], t[i - 1] - HOLD_MS)
            line, follows = line.with_rise(rise / elapsed_ms, rise / (elapsed_ms + DISPLAY_MS))
        else:
            line = _NOTHING
        if not follows:
            kept |= {j for j in (i - 1, i, i + 1) if j < len(t)}
        shown, told = i, True
    return kept


class _Line(NamedTuple):
    """Rises in line: how many, the rate of the slowest, and the rate that the steepest needs at least."""

    rises: int
    least: float
    most: float

    def with_rise(self, rate: float, needed: float) -> tuple[_Line, bool]:
        """The line with one more rise, and whether that one follows from the others; out of line, it begins its own."""
        if max(self.most, needed) > min(self.least, rate):
            return _Line(1, rate, needed), False
        return _Line(self.rises + 1, min(self.least, rate), max(self.most, needed)), self.rises >= LINE_RISES


_NOTHING = _Line(0, float("inf"), 0.0)
