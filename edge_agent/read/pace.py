"""What is due on one bus, and how far it has got. Pure: time comes in as ms since boot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_contract.schedule import Poll
from edge_agent.keep.dating import Timeline


class Pace:
    """The poll groups of one bus in the order in which they fall due; equal instants keep the order of the site file.

    Slots are resolved strictly in order of their due time, so everything before `watermark` has its outcome.
    """

    def __init__(self, *, polls: Sequence[Poll], timeline: Timeline, start_mono: int, seal_every_ms: int) -> None:
        self._polls = polls
        self._timeline = timeline
        self._after = [start_mono] * len(polls)
        self._heads: list[tuple[int, int]] = []
        self._worked_out = -1
        self._seal_every_ms = seal_every_ms
        self._stamped: dict[str, tuple[int, int, int]] = {}
        """Per device: the slot that was stamped last, the least stamp that it may have, the largest that it has."""

    def head(self) -> tuple[int, int]:
        """(due, index of the poll) of the earliest slot that has no outcome yet."""
        if self._worked_out != self._timeline.changes:
            self._heads = [self._next(index) for index in range(len(self._polls))]
            self._worked_out = self._timeline.changes
        return min(self._heads)

    def _next(self, index: int) -> tuple[int, int]:
        return self._timeline.next_due(self._polls[index].every_ms, self._after[index]), index

    def watermark(self) -> int:
        """Every slot before this instant has its outcome."""
        return self.head()[0]

    def stamp(self, mono_ms: int, due: int, index: int) -> int:
        """What a request made at `mono_ms` for a slot is stamped with: later than all of the device's earlier slots.

        A slot whose answers come slowly may run into the next one; a stamp that both bore would cost one reading.
        """
        device = self._polls[index].device
        slot, least, newest = self._stamped.get(device, (due, due, due - 1))
        if slot != due:
            least = newest + 1
        stamp = self._timeline.stamp(max(mono_ms, least - 1), max(due, least), due)
        self._stamped[device] = (due, least, max(newest, stamp))
        return stamp

    def too_late(self, due: int, index: int, mono_ms: int) -> bool:
        """Whether a slot has passed: its successor is due, or it would hold up a seal by a whole interval."""
        return mono_ms - due >= min(self._polls[index].every_ms, self._seal_every_ms)

    def resolved(self, due: int, index: int) -> bool:
        """The slot has its outcome. False: it had been given up before."""
        if due < self._after[index]:
            return False
        self._after[index] = due + 1
        if self._heads:
            self._heads[index] = self._next(index)
        return True

    def give_up(self, before: int) -> Iterator[tuple[int, int]]:
        """Resolve every open slot before an instant, and name them: (due, index of the poll)."""
        while (head := self.head())[0] < before:
            self.resolved(*head)
            yield head
