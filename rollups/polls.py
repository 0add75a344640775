"""Which poll group read a field when, from the schedules that gateways sealed: how many readings to expect, and how far
apart two may lie before there is a hole between them.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from data_contract.schedule import GAP_INTERVALS, Poll, Schedule, slots
from series_store.table import Event


@dataclass(frozen=True, slots=True)
class Timeline:
    """The schedules of one gateway in time order; each holds until the next one."""

    since_ms: tuple[int, ...] = ()
    schedules: tuple[Schedule, ...] = ()

    def expected(self, device: str, field: str, from_ms: int, to_ms: int) -> int | None:
        """How many readings of the field were called for in [from_ms, to_ms); None where no schedule is known at
        all.
        """
        pieces = self._pieces(from_ms, to_ms)
        if not pieces:
            return None
        return sum(
            slots(poll.every_ms, begin, end)
            for begin, end, schedule in pieces
            for poll in _polls(schedule, device, field)
        )

    def gap_max_ms(self, device: str, field: str, from_ms: int, to_ms: int) -> int | None:
        """The longest time between two readings without a hole, by the slowest schedule in force; None if unknown."""
        intervals = [
            poll.every_ms for _, _, schedule in self._pieces(from_ms, to_ms) for poll in _polls(schedule, device, field)
        ]
        return int(GAP_INTERVALS * max(intervals)) if intervals else None

    def until_ms(self, t_ms: int) -> int | None:
        """When the schedule in force at `t_ms` was replaced; None: it still holds."""
        after = bisect.bisect_right(self.since_ms, t_ms)
        return self.since_ms[after] if after < len(self.since_ms) else None

    def _pieces(self, from_ms: int, to_ms: int) -> list[tuple[int, int, Schedule]]:
        ends = (*self.since_ms, to_ms)[1:]
        return [
            (max(begin, from_ms), min(end, to_ms), schedule)
            for begin, end, schedule in zip(self.since_ms, ends, self.schedules, strict=True)
            if max(begin, from_ms) < min(end, to_ms)
        ]


def timeline(events: Iterable[Event]) -> Timeline:
    """The schedules in a gateway's events, oldest first; an event that holds none is left out."""
    found = []
    for event in sorted(events):
        try:
            found.append((event.t_ms, Schedule.model_validate_json(event.text)))
        except ValidationError:
            # Written by a later version, perhaps: completeness is then unknown, and the readings are still good.
            continue
    return Timeline(tuple(t for t, _ in found), tuple(schedule for _, schedule in found))


def _polls(schedule: Schedule, device: str, field: str) -> list[Poll]:
    return [poll for poll in schedule.polls if poll.device == device and field in poll.fields]
