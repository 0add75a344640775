"""Limits that the site file sets on fields, and what crossing one puts on record. Pure.

    within ──── beyond the limit: raised, at once ────► raised
       ▲                                                  │
       └── within by `clear_by`, for CLEAR_AFTER_MS ──────┘

So a value that dances on its limit costs two records a minute, and not a seal with each sample. What a device did not
answer, and what is not good, changes nothing. A limit that is still crossed when the agent starts is told again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from data_contract.batch import Record, Span
from data_contract.reading import Quality
from edge_agent.keep.index import SEQ_MAX

ALARM = "alarm"
"""Kind of the records; a batch that holds one is sealed at once and sent before all others."""
CLEAR_AFTER_MS = 60_000
HELD = "held alarms"
"""What the spool remembers under this name, which no device can have: which of its batches hold alarms."""
HELD_CHARS_MAX = 20_000
"""More than the text of so many alarms as are remembered."""


def write_held(spans: Iterable[Span]) -> str:
    """The text of it: batches with an alarm that are not yet confirmed."""
    return json.dumps(list(spans), separators=(",", ":"))


def read_held(text: str) -> list[Span]:
    """What such a text says; nothing where it cannot be read, and then those alarms go by their age."""
    try:
        spans = [(str(run), int(first), int(last)) for run, first, last in json.loads(text[:HELD_CHARS_MAX])]
    except (ValueError, TypeError, OverflowError):
        return []
    return [span for span in spans if 0 < span[1] <= span[2] <= SEQ_MAX]


@dataclass(frozen=True, slots=True)
class Limit:
    """A good value lies between `low` and `high`; it must come back by `clear_by` to count as good again."""

    low: float | None
    high: float | None
    clear_by: float = 0.0

    def crossed(self, value: float, *, back: float = 0.0) -> float | None:
        """The bound that a value is beyond, or nearer to than `back`."""
        if self.high is not None and value > self.high - back:
            return self.high
        return self.low if self.low is not None and value < self.low + back else None


class Alarms:
    """Watches the fields that have limits: (device, field) → limit."""

    def __init__(self, limits: Mapping[tuple[str, str], Limit]) -> None:
        self._limits = limits
        self._devices = {device for device, _ in limits}
        self._raised: dict[tuple[str, str], int] = {}
        """Since when (mono ms) it would be within again, or the last time that it was not."""

    def watches(self, device: str) -> bool:
        """Whether a field of the device has a limit."""
        return device in self._devices

    def look(self, device: str, stamp: int, values: Sequence[tuple[str, float | None, Quality]]) -> Iterator[Record]:
        """What a sample changes: `values` are its fields, `stamp` its mono ms."""
        for field, value, quality in values:
            limit = self._limits.get((device, field))
            if limit is None or value is None or quality is not Quality.GOOD:
                continue
            key = device, field
            if key not in self._raised:
                bound = limit.crossed(value)
                if bound is not None:
                    self._raised[key] = stamp
                    yield self._record("raised", device, field, value, bound)
            elif limit.crossed(value, back=limit.clear_by) is not None:
                self._raised[key] = stamp
            elif stamp - self._raised[key] >= CLEAR_AFTER_MS:
                del self._raised[key]
                yield self._record("cleared", device, field, value, None)

    @staticmethod
    def _record(state: str, device: str, field: str, value: float, bound: float | None) -> Record:
        values = {"value": value} if bound is None else {"value": value, "limit": bound}
        return Record(kind=ALARM, device=device, values=values, data={"field": field, "state": state})
