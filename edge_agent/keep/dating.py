"""From milliseconds since boot to civil time, in a way that never re-dates what has been dated.

A gateway may boot without knowing the time. So everything inside the agent is in ms since boot (`mono`), and civil time
is mono + base. The base may change, but only at a seal boundary that lies ahead, so that each batch has exactly one:

    mono     0 ──────────┬──────────────────┬────────────► now
    segment       A      │        B         │
    base       +1000     │     +3601000     │      a change seen during B starts with the next boundary

A clock that can be trusted is followed wherever it goes. One that cannot is only followed forward, and never to a time
before the end of what ran earlier: no gateway boots before its last shutdown, whatever its clock says.
"""

from __future__ import annotations

from dataclasses import dataclass

from data_contract.schedule import next_slot
from edge_agent.keep.passes import GUESSED, STAMP_MS, SURE, Passes, grid, recall
from edge_agent.ports import Civil

DRIFT_MAX_MS = 100
"""A base that is wrong by less is kept: slewing by NTP must not move the slots of every batch."""
OFF_MS = DRIFT_MAX_MS + 2 * STAMP_MS
"""By so much a time that was known may have been late, by that and by its grid and track: bounds leave room for it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """From `start` (mono ms) on, civil time is mono + `base`; `trusted` tells whether that may be sent as it is."""

    start: int
    base: int
    trusted: bool
    backsteps: int
    """How often civil time had been put back before, in this run and those before it."""
    low: int | None = None
    """The true base is no less than this; None where it is `base`."""

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Where it had to be moved on: between which the true base lies, as a clock that is trusted may be off, too."""
        if not self.trusted or self.low is None:
            return None
        return self.low - OFF_MS, max(self.base, self.low + OFF_MS)


@dataclass(frozen=True, slots=True)
class Past:
    """What the runs before this one leave behind."""

    ended_ms: int | None = None
    """Civil ms at which the last batch ended, as it was dated or guessed; None where there was none."""
    clean: bool = True
    """That batch was the end of its run, which said so."""
    rebooted: bool = True
    """Milliseconds have been counted anew since."""
    undated: bool = False
    """Some batches have no base yet."""
    backsteps: int = 0
    text: str = ""
    """What the last batch had the spool remember of `Timeline.remember`."""


class Timeline:
    """Civil time as this run of the agent sees it. Holds the segments since the last seal and at most one to come."""

    def __init__(self, *, mono_ms: int, civil: Civil, past: Past | None = None, late_ms: int = 0) -> None:
        """`late_ms`: how far behind the end of its batch a stamp may lie."""
        past = past or Past()
        self._passes, gap_ms = Passes(), 0
        low = 0
        if past.ended_ms is not None:
            self._passes, gap_ms = recall(past.text, past.ended_ms, 0 if past.clean else late_ms)
            low = past.ended_ms - OFF_MS - gap_ms - (0 if past.rebooted else mono_ms)
        back = past.ended_ms is not None and civil.utc_ms < past.ended_ms
        base = grid(civil.utc_ms - mono_ms)
        if civil.trusted:
            # Batches of this boot that have no base yet are going to have this one, too.
            segment = self._sure(mono_ms, base, 0 if past.undated else mono_ms, past.backsteps + back)
        else:
            segment = self._guess(mono_ms, base, low, past.backsteps + back)
        self._segments = [segment]
        self.changes = 0
        """How often a new base has been set: what was worked out ahead holds while this stays."""

    def _sure(self, start: int, base: int, from_: int, backsteps: int, *, leave: int | None = None) -> Segment:
        """A segment on the time of a trusted clock, on a track that is free from `from_` on."""
        placed = self._passes.place(base, from_, SURE, leave=leave)
        if from_ < start:
            self._passes.reached(placed, placed + start)
        return Segment(start, placed, True, backsteps, base if placed - base >= STAMP_MS else None)

    def _guess(self, start: int, base: int, low: int, backsteps: int) -> Segment:
        least = -(-low // STAMP_MS) * STAMP_MS
        return Segment(start, self._passes.place(max(base, least), start, GUESSED), False, backsteps, low)

    @property
    def forced(self) -> bool:
        """Whether the newest base had to be moved on from what a trusted clock says."""
        return self._segments[-1].trusted and self._segments[-1].low is not None

    @property
    def newest(self) -> Segment:
        """The segment that holds now, or from the next boundary on."""
        return self._segments[-1]

    def at(self, mono_ms: int) -> Segment:
        """The segment that holds an instant."""
        for segment in reversed(self._segments):
            if segment.start <= mono_ms:
                return segment
        return self._segments[0]

    def stamp(self, mono_ms: int, due: int, slot: int | None = None) -> int:
        """The stamp (mono) of a request made at `mono_ms`: less than STAMP_MS off, not before `due`.

        It is for the slot at `slot`, or at `due`.
        """
        kept = mono_ms // STAMP_MS * STAMP_MS
        kept = kept if kept >= due else kept + STAMP_MS
        self._passes.used(self.at(due if slot is None else slot).base + kept)
        return kept

    def next_due(self, every_ms: int, mono_ms: int) -> int:
        """Mono of the first slot of civil time at or after an instant."""
        for index, segment in enumerate(self._segments):
            end = self._segments[index + 1].start if index + 1 < len(self._segments) else None
            if end is not None and mono_ms >= end:
                continue
            start = max(mono_ms, segment.start)
            due = next_slot(every_ms, start + segment.base) - segment.base
            if end is None or due < end:
                return due
        raise AssertionError("the last segment has no end")

    def boundary(self, every_ms: int, mono_ms: int) -> int:
        """Where a batch ends, at or after an instant: at a slot of the seal interval, or where the base changes."""
        changes = (segment.start for segment in self._segments if segment.start >= mono_ms)
        return min([self.next_due(every_ms, mono_ms), *changes])

    def observe(self, *, mono_ms: int, civil: Civil, boundary: int, sealed_to: int) -> bool:
        """Compare with the system's time at `mono_ms`. True if a new base holds from `boundary` (mono, ahead) on.

        `sealed_to`: nothing before it will be asked for.
        """
        assert boundary > mono_ms
        now = self._segments[-1]
        oldest = self.at(sealed_to)
        self._segments = [s for s in self._segments if s.start >= oldest.start]
        fresh = self._changed(now, grid(civil.utc_ms - mono_ms), civil.trusted, boundary)
        if fresh is None:
            return False
        self._segments = [s for s in self._segments if s.start < boundary] + [fresh]
        self.changes += 1
        return True

    def _changed(self, now: Segment, base: int, trusted: bool, boundary: int) -> Segment | None:
        """What holds from `boundary` on, or None where it is what holds now."""
        backsteps = now.backsteps + (base < now.base - DRIFT_MAX_MS)
        if now.trusted and not trusted:
            return None  # it runs on
        if not trusted:
            if base - now.base <= DRIFT_MAX_MS:
                return None
            assert now.low is not None, "what cannot be trusted has a bound"
            return self._guess(boundary, base, now.low, backsteps)
        if not now.trusted:
            # What was sampled in this boot so far gets this base, too.
            return self._sure(boundary, base, 0, backsteps)
        same = abs(base - (now.base if now.low is None else now.low)) <= DRIFT_MAX_MS
        if base >= now.base:
            if same:
                return None
            self._passes.reached(now.base, now.base + boundary)
            return self._sure(boundary, base, boundary, backsteps)
        if same and now.low is None:
            return None
        fresh = self._sure(boundary, base, boundary, backsteps, leave=now.base % STAMP_MS)
        if now.low is None or fresh.low is None:
            return fresh
        # Still no track is free: what goes on without a gap is as good as any other.
        return None if same else Segment(boundary, now.base, True, backsteps, base)

    def remember(self, mono_ms: int) -> str:
        """What the next run must know of the batch that holds an instant. It changes only where a base does."""
        segment = self.at(mono_ms)
        gap_ms = 0 if segment.low is None else segment.base - segment.low
        return self._passes.text(segment.base % STAMP_MS, gap_ms)
