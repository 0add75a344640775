"""From milliseconds since boot to civil time, in a way that never re-dates what has been dated.

A gateway may boot without knowing the time. So everything inside the agent is in ms since boot (`mono`), and civil time
is mono + base. The base may change, but only at a seal boundary that lies ahead, so that each batch has exactly one:

    mono     0 ──────────┬──────────────────┬────────────► now
    segment       A      │        B         │
    base       +1000     │     +3601000     │      a change seen during B starts with the next boundary
"""

from __future__ import annotations

from dataclasses import dataclass

from data_contract.schedule import next_slot
from edge_agent.ports import Civil

DRIFT_MAX_MS = 100
"""A base that is wrong by less is kept: slewing by NTP must not move the slots of every batch."""

STAMP_MS = 8
"""Stamps are kept to this many ms. What is left over tells how often the clock was put back (modulo STAMP_MS), so that
the stamps of an hour that a clock lives through twice never meet."""


@dataclass(frozen=True, slots=True)
class Segment:
    """From `start` (mono ms) on, civil time is mono + `base`; `trusted` tells whether that may be sent as it is."""

    start: int
    base: int
    trusted: bool
    backsteps: int
    """How often civil time had been put back before, in this run and those before it."""


def _base(civil: Civil, mono_ms: int) -> int:
    """The nearest base that keeps stamps on their grid."""
    return round((civil.utc_ms - mono_ms) / STAMP_MS) * STAMP_MS


class Timeline:
    """Civil time as this run of the agent sees it. Holds the segments since the last seal and at most one to come."""

    def __init__(self, *, mono_ms: int, civil: Civil, backsteps: int = 0, used_to_ms: int | None = None) -> None:
        """`backsteps`: those of earlier runs; `used_to_ms`: civil time up to which these have stamped readings."""
        back = used_to_ms is not None and civil.utc_ms < used_to_ms
        self._segments = [Segment(mono_ms, _base(civil, mono_ms), civil.trusted, backsteps + back)]
        self.changes = 0
        """How often a new base has been set: what was worked out ahead holds while this stays."""

    def at(self, mono_ms: int) -> Segment:
        """The segment that holds an instant."""
        for segment in reversed(self._segments):
            if segment.start <= mono_ms:
                return segment
        return self._segments[0]

    def stamp(self, mono_ms: int, due: int) -> int:
        """The stamp (mono) of a request made at `mono_ms` for the slot `due`: less than STAMP_MS off, not before it."""
        offset = self.at(mono_ms).backsteps % STAMP_MS
        kept = (mono_ms - offset) // STAMP_MS * STAMP_MS + offset
        return kept if kept >= due else kept + STAMP_MS

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
        base = _base(civil, mono_ms)
        if abs(base - now.base) <= DRIFT_MAX_MS and civil.trusted == now.trusted:
            return False
        if now.trusted and not civil.trusted:
            return False
        fresh = Segment(boundary, base, civil.trusted, now.backsteps + (base < now.base))
        self._segments = [s for s in self._segments if s.start < boundary] + [fresh]
        self.changes += 1
        return True
