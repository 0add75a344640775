"""One field of one device over one stretch of time, an hour or any other: what was counted or how it went, and how
complete.

The result depends on the readings in the stretch and on those near it (`context`), and on nothing else: not on when
they came, nor on which other hours are computed with it. So readings that come thirty days late give what they would
have given on time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_contract.counter_law import HOLD_MS, LOOKBACK_MS, REACH, Law, Span
from data_contract.reading import Quality
from data_contract.schedule import GAP_INTERVALS
from data_contract.witness import EDGE_MS
from rollups import digested as digests
from rollups.counters import Volumes, volumes, within
from rollups.digested import Digested
from rollups.doubts import NO_DOUBTS, NONE, Doubts, Unsure, doubts_of, joined
from rollups.gauges import Course
from rollups.gauges import within as covered_within
from series_store.table import Window

GAP_MAX_UNKNOWN_MS = 150_000
"""The longest time between readings without a hole where neither a schedule nor two readings tell the interval."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Readings too far apart around an edge of a stretch: the volume between them, and no way to tell when it passed.

    Of a total that moves in steps, any two readings between which it moved. None where there is no reading on that side
    at all; `delta` is 0 then.
    """

    from_ms: int | None
    to_ms: int | None
    delta: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """One field over [from_ms, to_ms).

    Of a counter: `delta` (None without two readings to tell it by), the `odd` steps that ended in the stretch, the gaps
    across its begin and end. Of a gauge: its `course`. `expected` is None where no schedule is known.
    """

    from_ms: int
    to_ms: int
    readings: int
    expected: int | None
    covered_ms: int
    first_ms: int | None
    last_ms: int | None
    delta: float | None = None
    odd: tuple[Span, ...] = ()
    lead: Gap | None = None
    tail: Gap | None = None
    course: Course | None = None
    summarised: int = 0
    """Readings beside `readings` that a full gateway gave up, and of which a digest tells."""
    doubts: Doubts = NO_DOUBTS
    """What of it may belong to a neighbour, because its time is an estimate."""


def usable(window: Window) -> Window:
    """The readings that count: those whose quality is good or uncertain."""
    good = window.quality <= Quality.UNCERTAIN
    return window if good.all() else Window(window.t[good], window.value[good], window.quality[good])


def between(window: Window, from_ms: int, to_ms: int) -> Window:
    """The readings in [from_ms, to_ms)."""
    return _slice(window, int(np.searchsorted(window.t, from_ms)), int(np.searchsorted(window.t, to_ms)))


def context(window: Window, from_ms: int, to_ms: int) -> Window:
    """The readings that decide about [from_ms, to_ms): those in it, near it, and REACH of them on either side.

    And the last one before those near it, if it is not far: where readings were given up, it tells what was shown.
    """
    t = window.t
    near = int(np.searchsorted(t, from_ms - LOOKBACK_MS))
    near -= near > 0 and int(t[near - 1]) >= from_ms - LOOKBACK_MS - EDGE_MS
    first = min(near, int(np.searchsorted(t, from_ms)) - REACH)
    last = max(int(np.searchsorted(t, to_ms + HOLD_MS)), int(np.searchsorted(t, to_ms)) + REACH)
    return _slice(window, max(first, 0), last)


def gap_max_ms(window: Window, scheduled: int | None) -> int:
    """The longest time without a hole: by the schedule, else by the usual distance of the readings."""
    if scheduled is not None:
        return scheduled
    if len(window.t) < 2:
        return GAP_MAX_UNKNOWN_MS
    return int(GAP_INTERVALS * float(np.median(np.diff(window.t))))


def counted(
    window: Window,
    law: Law,
    *,
    from_ms: int,
    to_ms: int,
    expected: int | None,
    scheduled_gap_ms: int | None,
    digested: Sequence[Digested] = (),
    doubted: Unsure = NONE,
) -> Stretch | None:
    """A counter over [from_ms, to_ms). `window` holds the usable readings of one meter; None if they say nothing of
    it. `digested`: where readings between them were given up. `doubted`: of which the time is an estimate.
    """
    near = context(window, from_ms, to_ms)
    gap_ms = gap_max_ms(near, scheduled_gap_ms)
    bare = _bare(near, gap_ms, from_ms, to_ms, expected, digested)
    if bare is None:
        return None
    passed = volumes(near.t, near.value, law, digests.steps(near.t, gap_ms, digested))
    if len(doubted.near(from_ms, to_ms)):
        # What may have been taken here may be stamped far away.
        far = volumes(window.t, window.value, law, digests.steps(window.t, gap_ms, digested))
        hole_ms = 0 if law.step_max else gap_ms
        bare = replace(bare, doubts=doubts_of(from_ms, to_ms, window.t, doubted, far, hole_ms))
    return replace(
        bare,
        delta=within(passed, from_ms, to_ms) if len(near.t) > 1 else None,
        odd=tuple(span for span in passed.odd if from_ms <= span.to_ms < to_ms),
        lead=_gap_at(passed, near, from_ms, gap_ms, law),
        tail=_gap_at(passed, near, to_ms, gap_ms, law),
    )


def went(
    window: Window,
    *,
    from_ms: int,
    to_ms: int,
    expected: int | None,
    scheduled_gap_ms: int | None,
    digested: Sequence[Digested] = (),
    doubted: Unsure = NONE,
) -> Stretch | None:
    """A gauge over [from_ms, to_ms), as `counted`; what readings do not cover, digests may tell."""
    near = context(window, from_ms, to_ms)
    gap_ms = gap_max_ms(near, scheduled_gap_ms)
    bare = _bare(near, gap_ms, from_ms, to_ms, expected, digested)
    # Without a reading inside and without two close ones around it there is nothing to say about a gauge.
    if bare is None or not bare.readings + bare.summarised:
        return None
    course, covered_ms = digests.whole_course(near.t, near.value, gap_ms, digested, from_ms, to_ms)
    doubts = doubts_of(from_ms, to_ms, window.t, doubted)
    return replace(bare, course=course, covered_ms=covered_ms, doubts=doubts)


def combine(stretches: Iterable[Stretch], from_ms: int, to_ms: int, *, expected: int | None = None) -> Stretch | None:
    """Stretches that touch or leave out what nothing is known of, in time order, as one over [from_ms, to_ms).

    `expected`: what was called for in all of it; by default the sum.
    """
    parts = list(stretches)
    if not parts:
        return None
    called = [part.expected for part in parts if part.expected is not None]
    deltas = [part.delta for part in parts if part.delta is not None]
    read = [part for part in parts if part.readings]
    return Stretch(
        from_ms=from_ms,
        to_ms=to_ms,
        readings=sum(part.readings for part in parts),
        expected=expected if expected is not None else (sum(called) if len(called) == len(parts) else None),
        covered_ms=sum(part.covered_ms for part in parts),
        first_ms=read[0].first_ms if read else None,
        last_ms=read[-1].last_ms if read else None,
        delta=math.fsum(deltas) if deltas else None,
        odd=tuple(span for part in parts for span in part.odd),
        lead=_lead(parts[0], from_ms),
        tail=_tail(parts[-1], to_ms),
        course=digests.joined([(part.course, part.covered_ms or 1) for part in parts if part.course is not None]),
        summarised=sum(part.summarised for part in parts),
        doubts=joined([(part.from_ms, part.to_ms, part.doubts) for part in parts], from_ms, to_ms),
    )


def _bare(
    near: Window, gap_ms: int, from_ms: int, to_ms: int, expected: int | None, digested: Sequence[Digested]
) -> Stretch | None:
    """How complete the stretch is; None where no reading, no span between readings and no digest lies in it."""
    told = digests.clipped(digested, from_ms, to_ms)
    if not told and (not len(near.t) or near.t[0] >= to_ms or near.t[-1] < from_ms):
        return None
    inside = between(near, from_ms, to_ms).t
    return Stretch(
        from_ms=from_ms,
        to_ms=to_ms,
        readings=len(inside),
        expected=expected,
        covered_ms=covered_within(near.t, digests.close(near.t, gap_ms, digested), from_ms, to_ms),
        first_ms=int(inside[0]) if len(inside) else None,
        last_ms=int(inside[-1]) if len(inside) else None,
        summarised=digests.given_up(inside, told, from_ms, to_ms),
    )


def _gap_at(passed: Volumes, near: Window, edge_ms: int, gap_ms: int, law: Law) -> Gap | None:
    """The gap that lies across an edge, None where readings are close around it and no step lies between them."""
    if not len(near.t):
        return None
    if near.t[-1] < edge_ms:
        return Gap(int(near.t[-1]), None, 0.0) if edge_ms - near.t[-1] > gap_ms else None
    if near.t[0] > edge_ms:
        return Gap(None, int(near.t[0]), 0.0) if near.t[0] - edge_ms > gap_ms else None
    at = int(np.searchsorted(passed.to_ms, edge_ms, side="right"))
    if at >= len(passed.to_ms) or passed.from_ms[at] >= edge_ms:
        return None
    begin, end = int(passed.from_ms[at]), int(passed.to_ms[at])
    delta = float(passed.delta[at])
    return Gap(begin, end, delta) if end - begin > gap_ms or (law.step_max and delta) else None


def _lead(first: Stretch, from_ms: int) -> Gap | None:
    """Where nothing is known of the time before the first part, its first reading is the first of all."""
    if first.from_ms <= from_ms or first.lead is not None or _close(first, first.from_ms - from_ms):
        return first.lead
    return Gap(None, first.from_ms if first.first_ms is None else first.first_ms, 0.0)


def _tail(last: Stretch, to_ms: int) -> Gap | None:
    if last.to_ms >= to_ms or last.tail is not None or _close(last, to_ms - last.to_ms):
        return last.tail
    return Gap(last.to_ms if last.last_ms is None else last.last_ms, None, 0.0)


def _close(part: Stretch, distance_ms: int) -> bool:
    """Whether an edge is no farther away than readings lie apart: what is still open need not have a gap."""
    readings = part.readings + part.summarised
    return readings > 0 and distance_ms <= GAP_INTERVALS * part.covered_ms / readings


def _slice(window: Window, first: int, last: int) -> Window:
    return Window(window.t[first:last], window.value[first:last], window.quality[first:last])
