"""The samples since the last seal, and how they become one immutable batch. Pure: all times are ms since boot.

A slot belongs to the batch in whose [from, to) it falls due, whenever its answer came. So a batch's counts are exactly
what the schedule called for in that span.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from data_contract.batch import Block, Body, Counts, Device, Record, Span
from data_contract.cause import Missing
from data_contract.reading import Quality
from data_contract.schedule import Poll
from edge_agent.keep.alarms import Alarms

CELL_BYTES = 12
"""A value in a batch takes about this much; the estimate only decides when to seal early."""
RAISED_TOLD_MAX = 200
"""Alarms of one batch, some 50 kB; the next one, which is sealed at once, goes on with the others."""
RAISED_MAX = 2000
"""Alarms that wait to be told, where the disk takes none for days; the oldest beyond give way."""


Words = Sequence[Any]
"""Registers (int), and behind them numbers that the edge has made of them (float or None)."""

Decode = Callable[[Words], tuple[float | None, Quality]]
"""Words of one field to its value and quality; the value is None where, and only where, the quality is INVALID."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the fields of one request lie in the registers that it brings, and how they become values."""

    parts: tuple[tuple[str, slice, Decode], ...]


class Sample(NamedTuple):
    """What one request brought, under the stamp of the request (mono ms).

    The registers are kept as they came, and become values when the batch is made: by the column, that costs a third.
    """

    stamp: int
    layout: Layout
    words: Words

    def invalid(self) -> int:
        """How many of its fields hold no value."""
        return sum(decode(self.words[part])[0] is None for _, part, decode in self.layout.parts)


class _Outcome(NamedTuple):
    poll: Poll
    due: int
    samples: Sequence[Sample]
    missing: Mapping[Missing, int]


@dataclass(slots=True)
class _DeviceParts:
    kind: str
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    samples: dict[tuple[str, Layout], list[Sample]] = field(default_factory=dict)

    def count(self, group: str, called: int, missing: Mapping[Missing, int]) -> None:
        counter = self.counts.setdefault(group, Counter())
        counter["called"] += called
        for cause, n in missing.items():
            counter[cause.value] += n

    def device(self, from_: int) -> Device:
        blocks = []
        for (group, layout), samples in self.samples.items():
            blocks.append(block := _block(layout, samples, from_))
            self.counts[group][Missing.INVALID.value] += sum(column.count(None) for column in block.values.values())
        return Device(kind=self.kind, counts={group: _counts(n) for group, n in self.counts.items()}, blocks=blocks)


def _counts(counter: Counter[str]) -> Counts:
    missing = {cause: n for cause, n in sorted(counter.items()) if cause != "called" and n}
    return counter["called"], counter["called"] - sum(missing.values()), missing


def _block(layout: Layout, samples: list[Sample], from_: int) -> Block:
    steps, before = [], from_
    for sample in samples:
        steps.append(sample.stamp - before)
        before = sample.stamp
    values, quality, good = {}, {}, Quality.GOOD
    for name, part, decode in layout.parts:
        column = [decode(sample.words[part]) for sample in samples]
        values[name] = [value for value, _ in column]
        if marks := [(i, int(mark)) for i, (_, mark) in enumerate(column) if mark is not good]:
            quality[name] = marks
    return Block(t=steps, values=values, quality=quality)


class Interval:
    """Everything between the last seal and now."""

    def __init__(self, *, from_: int, alarms: Alarms | None = None) -> None:
        self.from_ = from_
        self._alarms = alarms or Alarms({})
        self._raised: list[tuple[int, Record]] = []
        """(stamp, record) of alarms; a batch may begin between the two."""
        self._raised_told = 0
        self._outcomes: list[_Outcome] = []
        self._records: list[Record] = []
        self._records_told = 0
        self._lost: dict[tuple[str, str, str], Counter[Missing]] = {}
        self._called_lost: Counter[tuple[str, str, str]] = Counter()
        self._cells = 0

    @property
    def bytes_about(self) -> int:
        """Roughly how large a batch would be if it were sealed now."""
        return self._cells * CELL_BYTES

    def add(self, poll: Poll, due: int, samples: Sequence[Sample], missing: Mapping[Missing, int]) -> None:
        """The outcome of one slot; `missing` need not count what is INVALID, which the samples tell.

        A slot that was sealed already, as given up, is dropped.
        """
        if due < self.from_:
            return
        self._outcomes.append(_Outcome(poll, due, samples, missing))
        if self._alarms.watches(poll.device):
            for sample in samples:
                values = [(name, *decode(sample.words[part])) for name, part, decode in sample.layout.parts]
                records = self._alarms.look(poll.device, sample.stamp, values)
                self._raised.extend((sample.stamp, record) for record in records)
            self._forget_raised(len(self._raised) - RAISED_MAX)
        self._cells += sum(len(sample.layout.parts) for sample in samples)

    def _forget_raised(self, number: int) -> None:
        """The first so many; where a batch with some of them is being written, it tells of them all the same."""
        if number > 0:
            del self._raised[:number]
            self._raised_told = max(0, self._raised_told - number)

    @property
    def urgent(self) -> bool:
        """Whether it holds an alarm, for which nobody should wait."""
        return bool(self._raised)

    def happened(self, record: Record) -> None:
        """Something to seal with the next batch."""
        self._records.append(record)

    def body(
        self,
        to: int,
        *,
        prev: int | None,
        pending: list[Span],
        aside: list[tuple[str, int, int, str]],
        off_grid: bool = False,
    ) -> Body:
        """The batch of [from, to) as it would be sealed; nothing changes until `sealed` or `refused`.

        `off_grid`: the clock that says when slots are due is not trusted.
        """
        told = self._raised[:RAISED_TOLD_MAX]
        self._records_told, self._raised_told = len(self._records), len(told)
        raised = [record.model_copy(update={"t": stamp - self.from_}) for stamp, record in told]
        devices: dict[str, _DeviceParts] = {}
        for (name, kind, group), lost in self._lost.items():
            parts = devices.setdefault(name, _DeviceParts(kind))
            parts.count(group, self._called_lost[name, kind, group], lost)
        for outcome in self._outcomes:
            if outcome.due >= to:
                continue
            poll = outcome.poll
            parts = devices.setdefault(poll.device, _DeviceParts(poll.kind))
            parts.count(poll.group, len(poll.fields), outcome.missing)
            for sample in outcome.samples:
                parts.samples.setdefault((poll.group, sample.layout), []).append(sample)
        return Body(
            from_=self.from_,
            to=to,
            prev=prev,
            devices={name: parts.device(self.from_) for name, parts in devices.items()},
            records=[*self._records, *raised],
            pending=pending,
            aside=aside,
            off_grid=off_grid,
        )

    def sealed(self, to: int) -> None:
        """The batch up to `to` is durable. What happened while it was being written waits for the next."""
        self.from_ = to
        del self._records[: self._records_told]
        del self._raised[: self._raised_told]
        self._lost.clear()
        self._called_lost.clear()
        self._drop(to)

    def refused(self, to: int) -> None:
        """The disk had no room for the batch up to `to`: its values are given up; the next one begins where it did."""
        for outcome in self._outcomes:
            if outcome.due < to:
                key = (outcome.poll.device, outcome.poll.kind, outcome.poll.group)
                called = len(outcome.poll.fields)
                lost = self._lost.setdefault(key, Counter())
                missing = Counter(outcome.missing)
                missing[Missing.INVALID] += sum(sample.invalid() for sample in outcome.samples)
                lost.update(missing)
                lost[Missing.DISK_FULL] += called - missing.total()
                self._called_lost[key] += called
        self._drop(to)

    def _drop(self, to: int) -> None:
        self._outcomes = [outcome for outcome in self._outcomes if outcome.due >= to]
        self._cells = sum(len(sample.layout.parts) for outcome in self._outcomes for sample in outcome.samples)
