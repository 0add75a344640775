"""The samples since the last seal, and how they become one immutable batch. Pure: all times are ms since boot.

A slot belongs to the batch in whose [from, to) it falls due, whenever its answer came. So a batch's counts are exactly
what the schedule called for in that span.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from data_contract.batch import Block, Body, Counts, Device, Record, Span
from data_contract.cause import Missing
from data_contract.reading import Quality
from data_contract.schedule import Poll

CELL_BYTES = 12
"""A value in a batch takes about this much; the estimate only decides when to seal early."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one request brought: values that share the stamp of the request (mono ms)."""

    stamp: int
    values: Mapping[str, tuple[float | None, Quality]]


@dataclass(frozen=True, slots=True)
class _Outcome:
    poll: Poll
    due: int
    samples: tuple[Sample, ...]
    missing: Counter[Missing]


@dataclass(slots=True)
class _DeviceParts:
    kind: str
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    blocks: dict[tuple[str, ...], list[Sample]] = field(default_factory=dict)

    def count(self, group: str, called: int, missing: Mapping[Missing, int]) -> None:
        counter = self.counts.setdefault(group, Counter())
        counter["called"] += called
        counter.update({cause.value: n for cause, n in missing.items() if n})


def _counts(counter: Counter[str]) -> Counts:
    missing = {cause: n for cause, n in sorted(counter.items()) if cause != "called" and n}
    return counter["called"], counter["called"] - sum(missing.values()), missing


def _block(fields: tuple[str, ...], samples: list[Sample], from_: int) -> Block:
    steps, before = [], from_
    for sample in samples:
        steps.append(sample.stamp - before)
        before = sample.stamp
    quality = {
        name: marks
        for name in fields
        if (marks := [(i, int(s.values[name][1])) for i, s in enumerate(samples) if s.values[name][1] != Quality.GOOD])
    }
    return Block(t=steps, values={name: [s.values[name][0] for s in samples] for name in fields}, quality=quality)


class Interval:
    """Everything between the last seal and now."""

    def __init__(self, *, from_: int) -> None:
        self.from_ = from_
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

    def add(self, poll: Poll, due: int, samples: list[Sample], missing: Counter[Missing]) -> None:
        """The outcome of one slot. A slot that was sealed already, as given up, is dropped."""
        if due < self.from_:
            return
        self._outcomes.append(_Outcome(poll, due, tuple(samples), missing))
        self._cells += sum(len(sample.values) for sample in samples)

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
        self._records_told = len(self._records)
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
                parts.blocks.setdefault(tuple(sample.values), []).append(sample)
        return Body(
            from_=self.from_,
            to=to,
            prev=prev,
            devices={
                name: Device(
                    kind=parts.kind,
                    counts={group: _counts(counter) for group, counter in parts.counts.items()},
                    blocks=[_block(fields, samples, self.from_) for fields, samples in parts.blocks.items()],
                )
                for name, parts in devices.items()
            },
            records=list(self._records),
            pending=pending,
            aside=aside,
            off_grid=off_grid,
        )

    def sealed(self, to: int) -> None:
        """The batch up to `to` is durable. What happened while it was being written waits for the next."""
        self.from_ = to
        del self._records[: self._records_told]
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
                lost.update(outcome.missing)
                lost[Missing.DISK_FULL] += called - sum(outcome.missing.values())
                self._called_lost[key] += called
        self._drop(to)

    def _drop(self, to: int) -> None:
        self._outcomes = [outcome for outcome in self._outcomes if outcome.due >= to]
        self._cells = sum(len(sample.values) for outcome in self._outcomes for sample in outcome.samples)
