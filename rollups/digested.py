"""What digests say of readings that a full gateway gave up: of a gauge how it went, of a total or a state that it was
read throughout. Pure, by column.

Detail wins: where readings lie, they are used, however they came, and a digest only fills what they leave. Between two
readings of a span that was read throughout there is no hole; what was given up there was in line (`counter_law`), and
so the step between them is judged as the number of steps that it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rollups.gauges import Course, Ms, Values, course, covered


class Digested(NamedTuple):
    """So many readings from `from_ms` to `to_ms`, both their stamps, with no hole between them.

    `course` is that of a gauge, None where the readings that decide were kept.
    """

    from_ms: int
    to_ms: int
    readings: int
    course: Course | None = None


def clipped(parts: Iterable[Digested], from_ms: int, to_ms: int) -> tuple[Digested, ...]:
    """The parts that touch [from_ms, to_ms), each cut to it with its share of the count."""
    found = []
    for part in parts:
        begin, end = max(part.from_ms, from_ms), min(part.to_ms, to_ms)
        if begin > end or part.from_ms >= to_ms:
            continue
        length = part.to_ms - part.from_ms
        share = (end - begin) / length if length else 1.0
        found.append(part._replace(from_ms=begin, to_ms=end, readings=round(part.readings * share)))
    return tuple(found)


def close(t: Ms, gap_max_ms: int, parts: Sequence[Digested]) -> NDArray[np.bool_]:
    """Between which successive readings there is no hole."""
    near = np.asarray(np.diff(t) <= gap_max_ms)
    for first, last, _ in _throughout(t, parts):
        near[first:last] = True
    return near


def steps(t: Ms, gap_max_ms: int, parts: Sequence[Digested]) -> Ms | None:
    """For how many steps each step stands; None: each for itself. None was given up where no hole would be."""
    found: Ms | None = None
    for first, last, part in _throughout(t, parts):
        if part.readings < 2 or part.to_ms <= part.from_ms:
            continue
        found = np.ones(len(t) - 1, dtype=np.int64) if found is None else found
        usual_ms = (part.to_ms - part.from_ms) / (part.readings - 1)
        apart = np.diff(t[first : last + 1])
        found[first:last] = np.where(apart > gap_max_ms, np.rint(apart / usual_ms), 1).astype(np.int64)
    return found


def given_up(t: Ms, parts: Sequence[Digested], from_ms: int, to_ms: int) -> int:
    """How many readings in [from_ms, to_ms) are known by a digest alone. `t`: the readings that are there."""
    total = 0
    for part in clipped(parts, from_ms, to_ms):
        there = np.searchsorted(t, part.to_ms, side="right") - np.searchsorted(t, part.from_ms)
        total += max(part.readings - int(there), 0)
    return total


def whole_course(
    t: Ms, value: Values, gap_max_ms: int, parts: Sequence[Digested], from_ms: int, to_ms: int
) -> tuple[Course | None, int]:
    """How a gauge went in [from_ms, to_ms), readings and digests together, and the ms of it that they cover."""
    near = close(t, gap_max_ms, parts)
    read = course(t, value, near, from_ms, to_ms)
    near_by = [part for part in parts if part.course is not None]
    known = [part for part in near_by if part.from_ms < to_ms and part.to_ms >= from_ms]
    begin, end = covered(t, near)
    if not near_by:
        return read, length(begin, end, from_ms, to_ms)
    by_readings = length(begin, end, from_ms, to_ms)
    told = [(read, by_readings)] if read is not None else []
    for part in known:
        assert part.course is not None
        first, last = max(part.from_ms, from_ms), min(part.to_ms, to_ms)
        rest = last - first - length(begin, end, first, last)
        if rest > 0 or read is None:
            told.append((part.course, rest))
    bridges = _bridges(t, gap_max_ms, near_by)
    begin = np.concatenate([begin, [part.from_ms for part in known], [one for one, _ in bridges]])
    end = np.concatenate([end, [part.to_ms for part in known], [other for _, other in bridges]])
    return joined(told), length(begin, end, from_ms, to_ms)


def joined(told: Sequence[tuple[Course, int]]) -> Course | None:
    """Courses as one, each weighing as many ms as it covers; where none covers any, all the same."""
    if not told:
        return None
    weights = [time for _, time in told] if any(time for _, time in told) else [1] * len(told)
    total = sum(weights)
    return Course(
        mean=math.fsum(one.mean * time for (one, _), time in zip(told, weights, strict=True)) / total,
        least=min(one.least for one, _ in told),
        greatest=max(one.greatest for one, _ in told),
    )


def length(begin: Ms, end: Ms, from_ms: int, to_ms: int) -> int:
    """How much of [from_ms, to_ms) lies in any of the intervals, in ms."""
    order = np.argsort(begin, kind="stable")
    total, reached = 0, from_ms
    for low, high in zip(begin[order].tolist(), end[order].tolist(), strict=True):
        low, high = max(low, reached), min(high, to_ms)
        if high > low:
            total += high - low
            reached = high
    return int(total)


def _throughout(t: Ms, parts: Sequence[Digested]) -> list[tuple[int, int, Digested]]:
    """Places of the first and the last reading of each span that was read throughout."""
    found = []
    for part in parts:
        if part.course is None:
            first = int(np.searchsorted(t, part.from_ms))
            last = int(np.searchsorted(t, part.to_ms, side="right")) - 1
            if first < last:
                found.append((first, last, part))
    return found


def _bridges(t: Ms, gap_max_ms: int, parts: Sequence[Digested]) -> list[tuple[int, int]]:
    """What lies between a digest and the reading or digest next to it, where that is near."""
    begins = np.sort(np.concatenate([t, [part.from_ms for part in parts]]))
    ends = np.sort(np.concatenate([t, [part.to_ms for part in parts]]))
    found = []
    for part in parts:
        after = int(np.searchsorted(begins, part.to_ms, side="right"))
        if after < len(begins) and begins[after] - part.to_ms <= gap_max_ms:
            found.append((part.to_ms, int(begins[after])))
        before = int(np.searchsorted(ends, part.from_ms)) - 1
        if before >= 0 and part.from_ms - ends[before] <= gap_max_ms:
            found.append((int(ends[before]), part.from_ms))
    return found
