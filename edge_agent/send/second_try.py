"""When batches that were set aside as unanswered are offered once more, and which. Pure.

Nothing is given up for good: a later version of ingest may read what this one lets lie. So once a day, and when a
worker of ingest begins, one message after the other goes back among what is offered, until FAILED_MAX of them have been
left unanswered again. What is answered costs nothing, so a mended ingest gets all of it in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data_contract.batch import Span

FIRST_S = 600.0
"""After the agent began, in s: live data and the backlog go first."""
EVERY_S = 86_400.0
READY_EVERY_S = 3_600.0
"""A worker that begins brings the next round forward, but never closer to the one before than this."""
FAILED_MAX = 8
"""Messages of one round that may stay unanswered again: each is sent some twenty times."""
BATCHES_MAX = 8
"""Batches that are offered together; few, so that they never fill the flight."""

Waits = Callable[[Span], bool]
"""Whether any of these is still offered: neither confirmed nor set aside."""


class SecondTry:
    """Times are s of the event loop's clock."""

    def __init__(self, *, reason: str) -> None:
        """`reason`: of the batches that are worth a second try."""
        self._reason = reason
        self._next_s: float | None = None
        self._begun_s = float("-inf")
        self._failed = 0
        self._offered: Span | None = None
        self._tried: set[tuple[str, int]] = set()
        """Batches that this turn through all of them has offered; the next round goes on with the others."""

    def ready(self, now_s: float) -> None:
        """A worker of ingest has begun."""
        if self._next_s is not None:
            self._next_s = min(self._next_s, max(now_s, self._begun_s + READY_EVERY_S))

    def due(self, now_s: float, aside: Sequence[tuple[str, int, int, str]], waits: Waits) -> Span | None:
        """What to offer again now, if anything."""
        if self._next_s is None:
            self._next_s = now_s + FIRST_S
        if now_s < self._next_s or (self._offered and waits(self._offered)):
            return None
        candidates = [(run, first, last) for run, first, last, why in aside if why == self._reason]
        if self._offered:
            self._failed += any(_meet(self._offered, span) for span in candidates)
            self._offered = None
        found = self._untried(candidates) if self._failed < FAILED_MAX else None
        if found is None:
            self._over(now_s, nothing_left=self._failed < FAILED_MAX)
            return None
        self._tried.update((found[0], seq) for seq in range(found[1], found[2] + 1))
        self._offered = found
        return found

    def _untried(self, candidates: Sequence[Span]) -> Span | None:
        for run, first, last in candidates:
            for seq in range(first, last + 1):
                if (run, seq) not in self._tried:
                    end = min(last, seq + BATCHES_MAX - 1)
                    return run, seq, end
        return None

    def _over(self, now_s: float, *, nothing_left: bool) -> None:
        """The round is over; where all have had their turn, the next one begins anew."""
        if nothing_left:
            self._tried.clear()
        self._failed = 0
        self._begun_s, self._next_s = now_s, now_s + EVERY_S


def _meet(a: Span, b: Span) -> bool:
    return a[0] == b[0] and a[1] <= b[2] and b[1] <= a[2]
