"""The schedule in force at each moment, from the records that the gateway sealed whenever it changed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator

from data_contract.schedule import Schedule, expected

SNAP_MS = 1_000
"""A schedule that is recorded within this time after a run began is the one that the run began with."""


class Plan:
    """What a gateway was expected to sample. Before its first schedule record nothing is expected."""

    def __init__(self, *, changes: Iterable[tuple[int, Schedule]], starts: Iterable[int] = ()) -> None:
        """`changes`: (ms UTC, the schedule from then on); `starts`: when runs began, each of which recorded its own."""
        ordered = sorted(changes, key=lambda change: change[0])
        self._times = [t_ms for t_ms, _ in ordered]
        self._schedules = [schedule for _, schedule in ordered]
        self._starts = sorted(starts)

    def of_run(self, began_ms: int | None) -> Plan:
        """The plan of the run that began then: putting a clock back does not bring back the schedule of that time."""
        index = None if began_ms is None else self._opening(began_ms)
        if index is None or began_ms is None:
            return self
        changes = [(0, self._schedules[index])]
        for t_ms, schedule in zip(self._times[index + 1 :], self._schedules[index + 1 :], strict=True):
            if not self._opens(t_ms):
                changes.append((t_ms, schedule))
        return Plan(changes=changes)

    def at(self, t_ms: int) -> Schedule | None:
        """The schedule in force at an instant."""
        index = bisect_right(self._times, t_ms) - 1
        return self._schedules[index] if index >= 0 else None

    def seal_ms(self, t_ms: int) -> int:
        """The longest seal interval at an instant; 0 where no schedule is known, as then nothing is expected either."""
        schedule = self.at(t_ms)
        return schedule.seal_every_ms if schedule else 0

    def expected(self, from_ms: int, to_ms: int) -> Counter[str]:
        """How many readings each device is called for in [from, to)."""
        found: Counter[str] = Counter()
        for low_ms, high_ms, schedule in self._pieces(from_ms, to_ms):
            for poll in schedule.polls:
                found[poll.device] += expected(poll, low_ms, high_ms)
        return found

    def _opening(self, began_ms: int) -> int | None:
        """The schedule with which a run began, or None where it is not known."""
        index = bisect_left(self._times, began_ms)
        return index if index < len(self._times) and self._times[index] <= began_ms + SNAP_MS else None

    def _opens(self, t_ms: int) -> bool:
        """Whether some run began just before."""
        index = bisect_right(self._starts, t_ms) - 1
        return index >= 0 and t_ms <= self._starts[index] + SNAP_MS

    def _pieces(self, from_ms: int, to_ms: int) -> Iterator[tuple[int, int, Schedule]]:
        index = max(0, bisect_right(self._times, from_ms) - 1)
        while index < len(self._times) and self._times[index] < to_ms:
            end_ms = self._times[index + 1] if index + 1 < len(self._times) else to_ms
            low_ms, high_ms = max(from_ms, self._times[index]), min(to_ms, end_ms)
            if low_ms < high_ms:
                yield low_ms, high_ms, self._schedules[index]
            index += 1
