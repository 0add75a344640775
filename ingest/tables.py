"""A batch to tables, by column. Values that cannot be stored are taken out, each with its reason. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import accumulate, chain

from data_contract.batch import Batch, Block, Device, Record
from data_contract.reading import EARLIEST_MS, QUALITY_PREFIX, is_field
from ingest.named import NOTHING, TOO_MANY_FIELDS, Over
from series_store.names import (
    DEVICE,
    EVENT,
    EVENT_TEXT,
    GATEWAY,
    KIND,
    RESERVED,
    SUMMARY,
    SUMMARY_COUNT,
    SUMMARY_COURSE,
    SUMMARY_TO,
    UNSURE,
    UNSURE_FIELDS,
)
from series_store.table import Cell, Table

AHEAD_MAX_MS = 86_400_000
"""A stamp further in the future than a day is refused: the gateway's clock is wrong."""


BadValue = tuple[str, str, int, str, str]
"""(device, field, t_ms, value as text, reason); field "" stands for a row that counts as no reading, as `row_text`."""


@dataclass(slots=True)
class Tables:
    """What one batch brings to the store, and what of it cannot be stored."""

    tables: list[Table] = field(default_factory=list)
    bad: list[BadValue] = field(default_factory=list)
    stored: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """device: (values, first stamp, last stamp)."""

    def count(self, device: str, values: int, first: int, last: int) -> None:
        """Add values of a device that are going to be stored."""
        if values:
            had, low, high = self.stored.get(device, (0, first, last))
            self.stored[device] = (had + values, min(low, first), max(high, last))


def row_text(measurement: str, kind: str, fields: Mapping[str, Cell]) -> str:
    """A record or a summary as a dead letter keeps it: everything that is needed to store it after all."""
    said = {"measurement": measurement, "kind": kind, "fields": dict(fields)}
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False)


def refusal(stamp: int, now_ms: int) -> str | None:
    """Why a stamp cannot be right, or None."""
    if stamp > now_ms + AHEAD_MAX_MS:
        return "stamp lies in the future"
    return "stamp lies before 2010" if stamp < EARLIEST_MS else None


def _sound(values: Iterable[float | None]) -> bool:
    """Whether there are finite numbers only; the common case, decided without a loop of ours."""
    try:
        return math.isfinite(sum(values))  # type: ignore[arg-type]
    except TypeError:
        return False


def _cells(
    out: Tables, device: str, name: str, column: Sequence[float | None], times: Sequence[int]
) -> list[float | None]:
    """The column with everything that is no finite number taken out."""
    cells: list[float | None] = []
    for value, stamp in zip(column, times, strict=True):
        if value is not None and not math.isfinite(value):
            out.bad.append((device, name, stamp, repr(value), "not a finite number"))
            value = None
        cells.append(value)
    return cells


def _uneven(
    out: Tables, name: str, block: Block, times: list[int], fields: list[str], columns: list[Sequence[Cell]]
) -> None:
    """Add the columns of a block in which values are missing or cannot be stored."""
    for field_name, column in block.values.items():
        cells = column if _sound(column) else _cells(out, name, field_name, column, times)
        here = [stamp for stamp, cell in zip(times, cells, strict=True) if cell is not None]
        if here:
            fields.append(field_name)
            columns.append(cells)
            out.count(name, len(here), min(here), max(here))


def _block(out: Tables, gateway: str, name: str, kind: str, block: Block, times: list[int]) -> None:
    fields: list[str] = []
    columns: list[Sequence[Cell]] = []
    if times and _sound(chain.from_iterable(block.values.values())):
        fields += block.values
        columns += block.values.values()
        out.count(name, len(fields) * len(times), min(times), max(times))
    else:
        _uneven(out, name, block, times, fields, columns)
    for field_name, marks in block.quality.items():
        codes: list[Cell] = [None] * len(times)
        for index, code in marks:
            codes[index] = float(code)
        if marks:
            fields.append(QUALITY_PREFIX + field_name)
            columns.append(codes)
    if fields:
        out.tables.append(Table(kind, ((GATEWAY, gateway), (DEVICE, name)), tuple(fields), times, columns))


def _without_refused(out: Tables, name: str, block: Block, times: list[int], now_ms: int) -> tuple[Block, list[int]]:
    """The block without rows whose stamp cannot be right."""
    if not times or (refusal(min(times), now_ms) is None and refusal(max(times), now_ms) is None):
        return block, times
    keep: list[int] = []
    marked: dict[int, list[tuple[str, int]]] = {}
    for f, marks in block.quality.items():
        for at, code in marks:
            marked.setdefault(at, []).append((f, code))
    for index, stamp in enumerate(times):
        reason = refusal(stamp, now_ms)
        if reason is None:
            keep.append(index)
            continue
        out.bad.extend(
            (name, f, stamp, repr(c[index]), reason) for f, c in block.values.items() if c[index] is not None
        )
        out.bad.extend(
            (name, QUALITY_PREFIX + f, stamp, repr(float(code)), reason) for f, code in marked.get(index, ())
        )
    place = {old: new for new, old in enumerate(keep)}
    thinner = Block.model_construct(
        t=[],
        values={f: [c[i] for i in keep] for f, c in block.values.items()},
        quality={f: [(place[i], q) for i, q in marks if i in place] for f, marks in block.quality.items()},
    )
    return thinner, [times[i] for i in keep]


def _bad_columns(out: Tables, name: str, block: Block, times: list[int], fields: Set[str], reason: str) -> None:
    for f, column in block.values.items():
        if f in fields:
            out.bad.extend((name, f, t, repr(v), reason) for t, v in zip(times, column, strict=True) if v is not None)
    for f, marks in block.quality.items():
        if f in fields:
            out.bad.extend((name, QUALITY_PREFIX + f, times[at], repr(float(code)), reason) for at, code in marks)


def _without_fields(out: Tables, name: str, block: Block, times: list[int], gone: Set[str]) -> Block:
    """The block without columns for whose names there is no room."""
    if gone.isdisjoint(block.values):
        return block
    _bad_columns(out, name, block, times, gone, TOO_MANY_FIELDS)
    return Block.model_construct(
        t=block.t,
        values={f: column for f, column in block.values.items() if f not in gone},
        quality={f: marks for f, marks in block.quality.items() if f not in gone},
    )


def _all_bad(out: Tables, name: str, device: Device, from_ms: int, reason: str) -> None:
    """Nothing of this device is stored."""
    for block in device.blocks:
        times = list(accumulate(block.t, initial=from_ms))[1:]
        _bad_columns(out, name, block, times, block.values.keys(), reason)
    for f, spans in device.summary.items():
        out.bad.extend((name, "", span[0], row_text(SUMMARY, "", _summary_of(f, span)), reason) for span in spans)


def _device(out: Tables, gateway: str, name: str, device: Device, from_ms: int, now_ms: int, over: Over) -> None:
    if device.kind in RESERVED:
        _all_bad(out, name, device, from_ms, f"kind {device.kind!r} is reserved")
        return
    gone = over.gone(name, device.kind)
    for block in device.blocks:
        times = list(accumulate(block.t, initial=from_ms))[1:]
        there = _without_fields(out, name, block, times, gone)
        kept, times = _without_refused(out, name, there, times, now_ms)
        _block(out, gateway, name, device.kind, kept, times)
    _summaries(out, gateway, name, device.summary, now_ms, over)
    _summaries(out, gateway, name, device.witnessed, now_ms, over)


def _summaries(
    out: Tables, gateway: str, name: str, told: Mapping[str, Sequence[tuple[float, ...]]], now_ms: int, over: Over
) -> None:
    for field_name, spans in told.items():
        if is_field(field_name):
            why = over.why(name, SUMMARY, names=(field_name,))
            sound = [span for span in spans if _plausible(out, name, field_name, span, now_ms, why)]
            _summary(out, gateway, name, field_name, sound)


def _plausible(
    out: Tables, name: str, field_name: str, span: tuple[float, ...], now_ms: int, reason: str | None
) -> bool:
    """Whether a summary can be stored; it counts as no reading, whether or not. `reason`: why no one of its field."""
    sound = all(map(math.isfinite, span))
    reason = reason or (refusal(int(span[0]), now_ms) if sound else "not a finite number")
    if reason is not None:
        out.bad.append((name, "", int(span[0]), row_text(SUMMARY, "", _summary_of(field_name, span)), reason))
    return reason is None


def _summary_of(field_name: str, span: tuple[float, ...]) -> dict[str, float]:
    """The fields under which a summary is stored at its begin."""
    parts = (SUMMARY_TO, SUMMARY_COUNT, *SUMMARY_COURSE)
    return {f"{field_name}_{part}": float(value) for part, value in zip(parts, span[1:], strict=False)}


def _summary(out: Tables, gateway: str, name: str, field_name: str, spans: Sequence[tuple[float, ...]]) -> None:
    """Rows (from, to, count, …), as a batch's `summary` and `witnessed` have them."""
    if spans:
        fields = tuple(f"{field_name}_{part}" for part in (SUMMARY_TO, SUMMARY_COUNT, *SUMMARY_COURSE))
        columns = [[float(cell) for cell in column] for column in zip(*(span[1:] for span in spans), strict=True)]
        times = [int(span[0]) for span in spans]
        out.tables.append(Table(SUMMARY, ((GATEWAY, gateway), (DEVICE, name)), fields[: len(columns)], times, columns))


def _record(out: Tables, gateway: str, record: Record, stamp: int, now_ms: int, refused: str | None) -> None:
    reason = refused or refusal(stamp, now_ms)
    text = json.dumps(record.data, separators=(",", ":"), ensure_ascii=False)
    values = {name: value for name, value in record.values.items() if is_field(name) and math.isfinite(value)}
    if reason is not None:
        fields: dict[str, Cell] = {EVENT_TEXT: text, **values}
        out.bad.append((record.device, "", stamp, row_text(EVENT, record.kind, fields), reason))
        return
    out.tables.append(
        Table(
            EVENT,
            ((GATEWAY, gateway), (DEVICE, record.device), (KIND, record.kind)),
            (EVENT_TEXT, *values),
            [stamp],
            [[text], *([value] for value in values.values())],
        )
    )


def _unsure(out: Tables, gateway: str, base_ms: int, unsure: tuple[int, int]) -> None:
    """When the readings of each device may have been taken, where the base of their batch is an estimate."""
    early, late = (float(bound - base_ms) for bound in unsure)
    for name, (_, first, last) in out.stored.items():
        columns = [[float(last)], [early], [late]]
        out.tables.append(Table(UNSURE, ((GATEWAY, gateway), (DEVICE, name)), UNSURE_FIELDS, [first], columns))


def tables_of(gateway: str, batch: Batch, now_ms: int, over: Over = NOTHING) -> Tables:
    """Everything that a batch brings, ready to be written. `now_ms`: civil time, against stamps in the future.

    `over`: names for which there is no room.
    """
    out = Tables()
    for name, device in batch.body.devices.items():
        reason = over.why(name, device.kind)
        if reason is not None:
            _all_bad(out, name, device, batch.from_ms, reason)
        else:
            _device(out, gateway, name, device, batch.from_ms, now_ms, over)
    if batch.body.unsure is not None:
        _unsure(out, gateway, batch.base_ms, batch.body.unsure)
    last: dict[tuple[str, str], int] = {}
    for record in sorted(batch.body.records, key=lambda record: record.t):
        # One row holds one event: equal stamps of one kind move by a millisecond.
        key = record.device, record.kind
        last[key] = stamp = max(batch.from_ms + record.t, last.get(key, -(2**62)) + 1)
        reason = over.why(record.device, EVENT, record.kind, (EVENT_TEXT, *record.values))
        _record(out, gateway, record, stamp, now_ms, reason)
    return out
