"""When each step of a reading's way was last seen, so that a kill can be aimed at it and filed under what it hit."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from tests.e2e.servers import PATIENCE_S

SEEN_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """A step, the real time (s, monotonic) at which it was seen, and by whom where there are several."""

    at_s: float
    step: str
    by: str = ""


class Sightings:
    """Filled by taps and watches in their own threads; a test waits for the next one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seen: list[Sighting] = []

    def note(self, step: str, by: str = "") -> None:
        """A step was seen now."""
        with self._changed:
            assert len(self._seen) < SEEN_MAX
            self._seen.append(Sighting(time.monotonic(), step, by))
            self._changed.notify_all()

    def next(self, step: str, *, by: str = "", within_s: float = PATIENCE_S) -> Sighting:
        """Wait for the next sighting of `step`. AssertionError where none comes."""
        with self._changed:
            start = len(self._seen)

            def found() -> Sighting | None:
                return next((s for s in self._seen[start:] if s.step == step and by in ("", s.by)), None)

            self._changed.wait_for(lambda: found() is not None, within_s)
            sighting = found()
        assert sighting is not None, f"no {step} by {by or 'anyone'} within {within_s:g} s"
        return sighting

    def last_before(self, at_s: float, by: Collection[str] = ()) -> Sighting | None:
        """What had been seen last at a time, by anyone or by some of them."""
        with self._changed:
            return next((s for s in reversed(self._seen) if s.at_s <= at_s and (not by or s.by in by)), None)

    def first_after(self, at_s: float, step: str, by: str) -> Sighting | None:
        """The first sighting of a step by somebody since a time."""
        with self._changed:
            return next((s for s in self._seen if s.at_s >= at_s and (s.step, s.by) == (step, by)), None)
