"""What a worker remembers for its figures alone: whom it heard, how the store answered, what came twice. Pure."""

from __future__ import annotations

from dataclasses import dataclass

GATEWAYS_MAX = 10_000
"""Gateways with figures of their own; further ones are only in the sums."""
REMEMBERED_MAX = 20_000
"""Batches of which a second copy is recognised as such."""


@dataclass(slots=True)
class Heard:
    """Of one gateway: when its last batch was confirmed, and the end of the newest one (ms UTC; 0: none has a time)."""

    at_ms: int = 0
    to_ms: int = 0


class Tally:
    """Counts since the start of this worker. Times are ms of civil time."""

    def __init__(self) -> None:
        self.heard: dict[str, Heard] = {}
        self.redelivered = 0
        """Batches that this worker had confirmed before."""
        self.writes = 0
        self.failed_writes = 0
        self.write_s = 0.0
        """All writes together."""
        self.last_write_s = 0.0
        self._remembered: dict[tuple[str, int], None] = {}

    def confirmed(self, gateway: str, run: str, seq: int, to_ms: int | None, now_ms: int) -> None:
        """A batch has been acknowledged; without `to_ms` it was rejected."""
        if (run, seq) in self._remembered:
            self.redelivered += 1
        else:
            self._remembered[run, seq] = None
            if len(self._remembered) > REMEMBERED_MAX:
                del self._remembered[next(iter(self._remembered))]
        if gateway not in self.heard and len(self.heard) >= GATEWAYS_MAX:
            return
        heard = self.heard.setdefault(gateway, Heard())
        heard.at_ms = now_ms
        heard.to_ms = max(heard.to_ms, to_ms or 0)

    def wrote(self, seconds: float, *, stored: bool) -> None:
        """The store has answered a write, or has not."""
        self.writes += 1
        self.failed_writes += not stored
        self.write_s += seconds
        self.last_write_s = seconds
