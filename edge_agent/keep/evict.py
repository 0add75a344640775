"""What a full spool gives up, and the digest in its place: an ordinary batch with absolute times. Pure.

    spool   │ 08:00 … 09:00 │ 09:00 … 10:00 │ …            │ now
            └──── piece ────┘
    digest  witnesses of totals and states, summaries of gauges, counts by cause, every record, what it replaces

A piece is what lies within one hour of UTC and hangs together: batches of one run, each beginning where the one before
it ended, on one base. What a total did just before matters for what must be kept (`Tail`), so the pieces of an outage
are given up in order, and where one does not follow the last that was given up, more of its begin is kept.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from data_contract import witness
from data_contract.batch import BATCH_BYTES_MAX, Block, Body, Counts, Device, Span, Summary, Witnessed
from data_contract.reading import FieldKind, Quality
from data_contract.schedule import GAP_INTERVALS

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DIGEST_BYTES_MAX = BATCH_BYTES_MAX * 3 // 4
"""Plain JSON of a digest; a piece of which it would be larger is given up in halves."""
GAIN_MIN = 0.2
"""What does not become smaller by this share is not given up: it would cost detail for nothing."""


class FieldPlan(NamedTuple):
    """How a field was to be read."""

    kind: FieldKind
    every_ms: int


Fields = Mapping[str, Mapping[str, FieldPlan]]
"""By device and field; what is not in it is kept as it is."""


class Row(NamedTuple):
    """A batch as the spool holds it."""

    run: str
    seq: int
    base_ms: int
    size: int
    body: Body

    @property
    def from_ms(self) -> int:
        """Begin, ms UTC."""
        return self.base_ms + self.body.from_

    @property
    def to_ms(self) -> int:
        """End, ms UTC, not included."""
        return self.base_ms + self.body.to


class Place(NamedTuple):
    """Where a row lies in time, without its readings. `prev` as in its body."""

    run: str
    seq: int
    base_ms: int
    size: int
    from_: int
    to: int
    prev: int | None

    @property
    def hour(self) -> int:
        """The hour of UTC in which it begins."""
        return (self.base_ms + self.from_) // HOUR_MS

    def follows(self, before: Place) -> bool:
        """Whether it goes on where `before` ended, in the same hour."""
        return (self.run, self.base_ms, self.prev, self.hour) == (before.run, before.base_ms, before.to, before.hour)


class Reading(NamedTuple):
    """A value that counts, under its stamp (ms UTC)."""

    t_ms: int
    value: float
    quality: int


class Memory(NamedTuple):
    """What must be known of the last piece to give up the next one well."""

    run: str = ""
    base_ms: int = 0
    to: int = 0
    tails: Mapping[tuple[str, str], witness.Tail] = {}

    def tails_for(self, first: Row) -> Mapping[tuple[str, str], witness.Tail]:
        """The tails, if the piece that begins with `first` goes on where the last one ended."""
        goes_on = (first.run, first.base_ms, first.body.prev) == (self.run, self.base_ms, self.to)
        return self.tails if goes_on else {}


def digest_of(rows: Sequence[Row], fields: Fields, memory: Memory) -> tuple[Body, Memory]:
    """The digest of a piece, and what to remember for the next."""
    from_ms, last = min(row.from_ms for row in rows), rows[-1]
    before = memory.tails_for(rows[0])
    tails: dict[tuple[str, str], witness.Tail] = {}
    devices = {}
    for name in dict.fromkeys(name for row in rows for name in row.body.devices):
        parts = [row.body.devices[name] for row in rows if name in row.body.devices]
        device = Device(kind=parts[0].kind, counts=_summed(part.counts for part in parts))
        columns: dict[tuple[int, ...], dict[str, list[Reading]]] = {}
        for field, readings in _readings(name, rows).items():
            kept = _given_up(device, field, readings, fields.get(name, {}).get(field), before.get((name, field)))
            if kept.tail is not None:
                tails[name, field] = kept.tail
            if kept.readings:
                columns.setdefault(tuple(each.t_ms for each in kept.readings), {})[field] = kept.readings
        device.blocks.extend(_block(stamps, found, from_ms) for stamps, found in columns.items())
        devices[name] = device
    body = Body(
        from_=from_ms,
        to=max(row.to_ms for row in rows),
        devices=devices,
        records=[
            record.model_copy(update={"t": row.from_ms + record.t - from_ms})
            for row in rows
            for record in row.body.records
        ],
        replaces=spans_of((row.run, row.seq) for row in rows),
        off_grid=any(row.body.off_grid for row in rows),
    )
    return body, Memory(last.run, last.base_ms, last.body.to, tails)


def merged(rows: Sequence[Row]) -> Body:
    """Several digests as one that stands in for all that they do, and for themselves."""
    from_ms = min(row.from_ms for row in rows)
    devices = {}
    for name in dict.fromkeys(name for row in rows for name in row.body.devices):
        parts = [(row, row.body.devices[name]) for row in rows if name in row.body.devices]
        device = Device(kind=parts[0][1].kind, counts=_summed(part.counts for _, part in parts))
        for row, part in parts:
            device.blocks.extend(
                block.model_copy(update={"t": [block.t[0] + row.from_ms - from_ms, *block.t[1:]]})
                for block in part.blocks
                if block.t
            )
            for field, summaries in part.summary.items():
                device.summary.setdefault(field, []).extend(summaries)
            for field, spans in part.witnessed.items():
                device.witnessed.setdefault(field, []).extend(spans)
        device.blocks[:] = _joined(device.blocks)
        devices[name] = device
    replaces = [span for row in rows for span in row.body.replaces]
    by_time = sorted(rows, key=lambda row: row.from_ms)
    return Body(
        from_=from_ms,
        to=max(row.to_ms for row in rows),
        devices=devices,
        records=[
            record.model_copy(update={"t": row.from_ms + record.t - from_ms})
            for row in rows
            for record in row.body.records
        ],
        replaces=_touching([*replaces, *spans_of((row.run, row.seq) for row in rows)]),
        # With a hole in it, its time calls for more than it counts.
        off_grid=any(row.body.off_grid for row in rows) or any(a.to_ms != b.from_ms for a, b in pairwise(by_time)),
    )


def spans_of(keys: Iterable[tuple[str, int]]) -> list[Span]:
    """(run, first, last) of keys."""
    return _touching((run, seq, seq) for run, seq in keys)


class _Kept(NamedTuple):
    readings: list[Reading]
    tail: witness.Tail | None = None


def _given_up(
    device: Device, field: str, readings: list[Reading], plan: FieldPlan | None, tail: witness.Tail | None
) -> _Kept:
    """What is kept of a field's readings; what they leave goes into the device's `summary` or `witnessed`."""
    if plan is None:
        return _Kept(readings)
    gap_ms = int(GAP_INTERVALS * plan.every_ms)
    t, value = [each.t_ms for each in readings], [each.value for each in readings]
    spans = witness.spans(t, gap_ms)
    if plan.kind is FieldKind.GAUGE:
        if spans:
            device.summary[field] = [_summary(readings[first : last + 1]) for first, last in spans]
        return _Kept([])
    after: witness.Tail | None = None
    if plan.kind is FieldKind.COUNTER:
        places, after = witness.of_total(t, value, gap_ms, tail)
    else:
        places = witness.of_state(t, value, gap_ms)
    if spans:
        device.witnessed[field] = [_witnessed(readings[first : last + 1]) for first, last in spans]
    return _Kept([readings[place] for place in places], after)


def _readings(name: str, rows: Sequence[Row]) -> dict[str, list[Reading]]:
    """The readings of a device that figures are made of, by field and in time order."""
    found: dict[str, list[Reading]] = {}
    for row in rows:
        for block in row.body.devices[name].blocks if name in row.body.devices else ():
            stamps, at = [], row.from_ms
            for step in block.t:
                at += step
                stamps.append(at)
            for field, column in block.values.items():
                marks = dict(block.quality.get(field, ()))
                found.setdefault(field, []).extend(
                    Reading(stamp, value, marks.get(i, 0))
                    for i, (stamp, value) in enumerate(zip(stamps, column, strict=True))
                    if value is not None and math.isfinite(value) and marks.get(i, 0) <= Quality.UNCERTAIN
                )
    return {field: sorted(readings) for field, readings in found.items()}


def _summary(readings: Sequence[Reading]) -> Summary:
    """The mean weighs by time; between two readings the gauge is taken to go straight."""
    first, last, values = readings[0].t_ms, readings[-1].t_ms, [each.value for each in readings]
    # Halves of shares of the mean: no sum passes what a float holds, whatever a meter has sent.
    halves = ((a.value / 4 + b.value / 4) * ((b.t_ms - a.t_ms) / (last - first)) for a, b in pairwise(readings))
    mean = min(max(2 * math.fsum(halves), min(values)), max(values)) if last > first else values[0]
    return first, last, len(readings), min(values), max(values), _short(mean)


def _short(value: float) -> float:
    """Nine digits: no gauge has more, and each costs a byte in every hour."""
    return float(f"{value:.9g}")


def _witnessed(readings: Sequence[Reading]) -> Witnessed:
    return readings[0].t_ms, readings[-1].t_ms, len(readings)


def _block(stamps: Sequence[int], columns: Mapping[str, list[Reading]], from_ms: int) -> Block:
    marks = {
        field: [(i, each.quality) for i, each in enumerate(readings) if each.quality]
        for field, readings in columns.items()
    }
    return Block(
        t=[b - a for a, b in pairwise((from_ms, *stamps))],
        values={field: [each.value for each in readings] for field, readings in columns.items()},
        quality={field: found for field, found in marks.items() if found},
    )


def _joined(blocks: Sequence[Block]) -> list[Block]:
    """Blocks of the same fields as one; all times count from the same begin."""
    found: dict[tuple[str, ...], Block] = {}
    ends: dict[tuple[str, ...], int] = {}
    for block in blocks:
        key = tuple(block.values)
        before = found.get(key)
        if before is None:
            found[key], ends[key] = block.model_copy(deep=True), sum(block.t)
            continue
        shift = len(before.t)
        before.t.extend([block.t[0] - ends[key], *block.t[1:]])
        for field, column in block.values.items():
            before.values[field].extend(column)
        for field, marks in block.quality.items():
            before.quality.setdefault(field, []).extend((i + shift, code) for i, code in marks)
        ends[key] = sum(block.t)
    return list(found.values())


def _summed(parts: Iterable[Mapping[str, Counts]]) -> dict[str, Counts]:
    totals: dict[str, tuple[int, int, Counter[str]]] = {}
    for part in parts:
        for group, (called, sampled, missing) in part.items():
            had_called, had_sampled, causes = totals.get(group, (0, 0, Counter()))
            causes.update(missing)
            totals[group] = had_called + called, had_sampled + sampled, causes
    return {
        group: (called, sampled, dict(sorted(causes.items()))) for group, (called, sampled, causes) in totals.items()
    }


def _touching(spans: Iterable[Span]) -> list[Span]:
    """Spans by run, in the order in which the runs first appear, joined where they touch."""
    found: dict[str, list[tuple[int, int]]] = {}
    for run, first, last in spans:
        found.setdefault(run, []).append((first, last))
    joined: list[Span] = []
    for run, ranges in found.items():
        for first, last in sorted(ranges):
            if joined and joined[-1][0] == run and first <= joined[-1][2] + 1:
                joined[-1] = (run, joined[-1][1], max(last, joined[-1][2]))
            else:
                joined.append((run, first, last))
    return joined
