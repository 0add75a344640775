"""Which stamps are still free where civil time comes round again. Pure.

A stamp is a multiple of 8 ms of the boot plus a base, so the base modulo 8 decides on which of eight tracks the stamps
of a batch lie, and batches on different tracks share none. Each new base gets a track that has not been used from that
instant on; of several the one that was used last, as two clocks that differ by an hour and win in turn need two tracks,
however often they do.

    track 0   ────────────────►┐             ┌──────────►      put forward by an hour: here nothing was used yet
    track 1                    └ back ──────►┘                 put back: track 0 is used up to an hour from now
              civil time: what matters is how far each track has been used
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

STAMP_MS = 8
"""Stamps are kept to this many ms of the boot."""
SURE, GUESSED, LATEST = range(5), range(5, 7), 7
"""Tracks of times that were known; of estimates, which must never take the place of those; and of estimates of which
nothing is known but when they were over."""
TEXT_CHARS_MAX = 1000


def grid(ms: int) -> int:
    """The nearest multiple of STAMP_MS."""
    return round(ms / STAMP_MS) * STAMP_MS


class Passes:
    """Up to which civil ms each track has been used."""

    def __init__(self, marks: Sequence[int] = (0,) * STAMP_MS) -> None:
        self._marks = list(marks)

    def used(self, stamp_ms: int) -> None:
        """A reading has been stamped with this civil time."""
        self.reached(stamp_ms, stamp_ms + 1)

    def reached(self, base: int, civil_ms: int) -> None:
        """The track of a base counts as used up to here."""
        track = base % STAMP_MS
        self._marks[track] = max(self._marks[track], civil_ms)

    def place(self, base: int, mono_ms: int, tracks: Iterable[int], *, leave: int | None = None) -> int:
        """The base to use from `mono_ms` on: `base`, a multiple of 8, on a free track, none of them being `leave`.

        Where no track is free the base is moved on until one is: later than it should be by 8 ms or more.
        """
        begin = base + mono_ms
        tracks = [track for track in tracks if track != leave]
        free = [track for track in tracks if self._marks[track] <= begin]
        if free:
            return base + max(free, key=lambda track: self._marks[track])
        least = min(tracks, key=lambda track: self._marks[track])
        return base - (begin - self._marks[least]) // STAMP_MS * STAMP_MS + least

    def text(self, now: int, gap_ms: int) -> str:
        """What to remember over a restart while track `now` is in use: its own mark is where the last batch ends."""
        marks = [None if track == now else mark for track, mark in enumerate(self._marks)]
        return json.dumps({"track": now, "gap": gap_ms, "used": marks}, separators=(",", ":"))


def recall(text: str, ended_ms: int, late_ms: int) -> tuple[Passes, int]:
    """What `text` remembers, and its gap. `ended_ms`: end of the last batch; stamps may lie `late_ms` behind it.

    Where nothing can be read, everything up to that end counts as used.
    """
    try:
        said = json.loads(text[:TEXT_CHARS_MAX])
        marks = [ended_ms + late_ms if mark is None else int(mark) for mark in said["used"]]
        if len(marks) != STAMP_MS:
            raise ValueError("not a mark for each track")
        return Passes(marks), max(0, int(said["gap"]))
    except (ValueError, TypeError, KeyError):
        return Passes([ended_ms + late_ms] * STAMP_MS), 0
