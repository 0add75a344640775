"""Sets of batch numbers as sorted ranges, both ends included: a day without a link is one range, not 8640 numbers."""

from __future__ import annotations

from collections.abc import Iterable

Range = tuple[int, int]


def union(ranges: Iterable[Range]) -> list[Range]:
    """The same numbers as sorted ranges that neither overlap nor touch."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def without(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """The numbers of `ranges` that are not in `taken`."""
    left: list[Range] = []
    holes = union(taken)
    at = 0
    for first, last in union(ranges):
        while at < len(holes) and holes[at][1] < first:
            at += 1
        next_hole = at
        while next_hole < len(holes) and holes[next_hole][0] <= last:
            low, high = holes[next_hole]
            if first < low:
                left.append((first, low - 1))
            first = high + 1
            next_hole += 1
        if first <= last:
            left.append((first, last))
    return left


def common(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """The numbers that are in both."""
    ranges = union(ranges)
    return without(ranges, without(ranges, others))


def count(ranges: Iterable[Range]) -> int:
    """How many numbers the ranges hold."""
    return sum(last - first + 1 for first, last in union(ranges))
