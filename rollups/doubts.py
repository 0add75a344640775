"""Readings whose time is an estimate with bounds, and what of a stretch may belong to a neighbour because of it. Pure.

A gateway that did not know the time dates a batch by an estimate, and says between which bounds the true time lies. The
readings are counted where their stamps say. Where the bounds of one reach across an edge of the stretch, it may belong
to the other side; so may each step of a total that begins or ends at such a reading. Both are told per edge, so that
the day that is made of hours knows them of its own edges alone: a period that holds the bounds whole is not touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rollups.counters import Volumes

REACH_MS = 2 * 86_400_000
"""Wider bounds are taken for this wide: the hours of two days on either side are told that they may miss something."""
BATCH_MS_MAX = 3_600_000
"""The stamps of a device in one batch with an estimated time lie within this much."""

Ms = NDArray[np.int64]
Values = NDArray[np.float64]


class Edge(NamedTuple):
    """What may lie on the other side of an edge: volumes counted before and after it, and so many readings.

    The readings may have been taken in [from_ms, to_ms].
    """

    from_ms: int
    to_ms: int
    before: float
    after: float
    readings_before: int
    readings_after: int


class Doubts(NamedTuple):
    """So many readings of a stretch, and so much of what was counted in it, may belong to a neighbour; and what each of
    its edges may part wrongly.
    """

    readings: int = 0
    volume: float = 0.0
    lead: Edge | None = None
    tail: Edge | None = None


@dataclass(frozen=True, slots=True)
class Unsure:
    """When readings of one device were taken whose time is an estimate: stamped in [from_ms[i], to_ms[i]], taken from
    `early_ms[i]` to `late_ms[i]` after their stamps, the first being negative as a rule. By `from_ms`.
    """

    from_ms: Ms
    to_ms: Ms
    early_ms: Ms
    late_ms: Ms

    def __len__(self) -> int:
        return len(self.from_ms)

    def near(self, from_ms: int, to_ms: int) -> Unsure:
        """Those that were stamped in [from_ms, to_ms], or may have been taken there or on both sides of it."""
        first = self.from_ms + np.minimum(self.early_ms, 0)
        return self._only((first <= to_ms) & (self.to_ms + np.maximum(self.late_ms, 0) >= from_ms))

    def meeting(self, from_ms: int, to_ms: int) -> Unsure:
        """Those with stamps in [from_ms, to_ms]."""
        return self._only((self.from_ms <= to_ms) & (self.to_ms >= from_ms))

    def span(self) -> tuple[int, int]:
        """Least and greatest stamp."""
        return int(self.from_ms.min()), int(self.to_ms.max())

    def reach(self) -> tuple[int, int]:
        """The earliest and the latest time at which any of them may have been taken."""
        return int((self.from_ms + self.early_ms).min()), int((self.to_ms + self.late_ms).max())

    def bounds(self, t: Ms) -> tuple[Ms, Ms, NDArray[np.bool_]]:
        """The earliest and the latest true time of each stamp, and whether it is an estimate at all."""
        at = np.searchsorted(self.from_ms, t, side="right") - 1
        inside = (at >= 0) & (t <= self.to_ms[at])
        return t + np.where(inside, self.early_ms[at], 0), t + np.where(inside, self.late_ms[at], 0), inside

    def _only(self, which: NDArray[np.bool_]) -> Unsure:
        return Unsure(self.from_ms[which], self.to_ms[which], self.early_ms[which], self.late_ms[which])


def unsure(rows: list[tuple[int, int, int, int]]) -> Unsure:
    """From rows (from, to, early, late), bounds wider than REACH_MS cut to it."""
    table = np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)
    early, late = (np.clip(column, -REACH_MS, REACH_MS) for column in (table[:, 2], table[:, 3]))
    return Unsure(table[:, 0], table[:, 1], early, late)


NONE = unsure([])
NO_DOUBTS = Doubts()


def doubts_of(
    from_ms: int, to_ms: int, t: Ms, doubted: Unsure, passed: Volumes | None = None, hole_ms: int = 0
) -> Doubts:
    """The doubts of [from_ms, to_ms). `t`: the stamps of all usable readings there, and of those in `doubted`.

    `passed`: of a total, the volumes between them. A hole of more than `hole_ms` across an edge is told of as a gap,
    and not here.
    """
    doubted = doubted.near(from_ms, to_ms)
    if not len(doubted):
        return NO_DOUBTS
    lead, tail = (_at(edge_ms, t, doubted, passed, hole_ms) for edge_ms in (from_ms, to_ms))
    low, high, _ = doubted.bounds(t)
    inside = (t >= from_ms) & (t < to_ms)
    volume = 0.0
    if passed is not None:
        across = _across(from_ms, doubted, passed, hole_ms) | _across(to_ms, doubted, passed, hole_ms)
        begin, end, delta = passed.from_ms[across], passed.to_ms[across], passed.delta[across]
        overlap = np.maximum(np.minimum(end, to_ms) - np.maximum(begin, from_ms), 0)
        volume = math.fsum((delta * (overlap / np.maximum(end - begin, 1))).tolist())
    return Doubts(int((inside & ((low < from_ms) | (high >= to_ms))).sum()), volume, lead, tail)


def joined(parts: Sequence[tuple[int, int, Doubts]], from_ms: int, to_ms: int) -> Doubts:
    """The doubts of [from_ms, to_ms) out of its parts (from, to, doubts) in time order: those that reach beyond it."""
    if all(doubts == NO_DOUBTS for _, _, doubts in parts):
        return NO_DOUBTS
    lead, tail = parts[0][2].lead, parts[-1][2].tail
    lead = lead if lead is not None and lead.from_ms < from_ms else None
    tail = tail if tail is not None and tail.to_ms >= to_ms else None
    readings = (lead.readings_after if lead else 0) + (tail.readings_before if tail else 0)
    volume = (lead.after if lead else 0.0) + (tail.before if tail else 0.0)
    return Doubts(
        # Either end may tell of readings beyond the other end, and each part of what only leaves it for the next one.
        min(readings, sum(doubts.readings for _, _, doubts in parts)),
        min(volume, math.fsum(doubts.volume for _, _, doubts in parts)),
        lead,
        tail,
    )


def _at(edge_ms: int, t: Ms, doubted: Unsure, passed: Volumes | None, hole_ms: int) -> Edge | None:
    """What an edge may part wrongly; None: nothing."""
    low, high, _ = doubted.bounds(t)
    before, after = (t < edge_ms) & (high >= edge_ms), (t >= edge_ms) & (low < edge_ms)
    lows, highs = [low[before | after]], [high[before | after]]
    counted_before = counted_after = 0.0
    if passed is not None:
        across = _across(edge_ms, doubted, passed, hole_ms)
        begin, end, delta = passed.from_ms[across], passed.to_ms[across], passed.delta[across]
        share = np.clip((end - edge_ms) / np.maximum(end - begin, 1), 0.0, 1.0)
        counted_after = math.fsum((delta * share).tolist())
        counted_before = math.fsum((delta * (1 - share)).tolist())
        lows.append(doubted.bounds(begin)[0])
        highs.append(doubted.bounds(end)[1])
    every_low, every_high = np.concatenate(lows), np.concatenate(highs)
    if not len(every_low):
        return None
    reach = int(every_low.min()), int(every_high.max())
    return Edge(*reach, counted_before, counted_after, int(before.sum()), int(after.sum()))


def _across(edge_ms: int, doubted: Unsure, passed: Volumes, hole_ms: int) -> NDArray[np.bool_]:
    """The steps that may have passed on either side of the edge, since an end of theirs is an estimate."""
    low, _, begins = doubted.bounds(passed.from_ms)
    _, high, ends = doubted.bounds(passed.to_ms)
    stamped = (passed.from_ms < edge_ms) & (passed.to_ms > edge_ms)
    hole = stamped & (passed.to_ms - passed.from_ms > hole_ms)
    return (begins | ends) & (low < edge_ms) & (high > edge_ms) & ~hole
