"""A store in memory for virtual time: the same port and the same rules for rows, with faults that a test orders.

One object is writer, reader and figure store at once, and stands for the database: it outlives the programs that use
it. Nothing in it uses a thread; what takes time takes it by `asyncio.sleep`.
"""

from __future__ import annotations

import asyncio
import bisect
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from data_contract.reading import QUALITY_PREFIX
from series_store import names, vet
from series_store.port import Figure, Unavailable
from series_store.receipt_rows import furthest, in_batch_order, touches
from series_store.table import STORED, Cell, Event, Outcome, Receipt, Refusal, SeriesKey, Table, Window

Hook = Callable[[Sequence[Table]], Awaitable[None] | None]
"""Called with what is written; may wait, or raise what kills the program that writes."""

Tags = tuple[tuple[str, str], ...]
ReceiptKey = tuple[int, str, str]
"""at_us, gateway, worker."""


@dataclass
class _Fault:
    outcome: Outcome
    stored: bool


@dataclass
class _Series:
    """One field of one device: values by time, and the times in order."""

    times: list[int] = field(default_factory=list)
    values: dict[int, float] = field(default_factory=dict)

    def set(self, time: int, value: float) -> None:
        if time not in self.values:
            bisect.insort(self.times, time)
        self.values[time] = value

    def between(self, from_ms: int, to_ms: int) -> list[int]:
        return self.times[bisect.bisect_left(self.times, from_ms) : bisect.bisect_left(self.times, to_ms)]


class StoreTwin:
    """Writer, Reader and FigureStore in memory.

    `write_latency_s` and `read_latency_s` pass before each call; `before_write` and `after_write` are called before
    anything is stored and after everything is, but before the writer hears of it.
    """

    def __init__(self, *, write_latency_s: float = 0.0, read_latency_s: float = 0.0) -> None:
        self.write_latency_s = write_latency_s
        self.read_latency_s = read_latency_s
        self.before_write: Hook | None = None
        self.after_write: Hook | None = None
        self.writes = 0
        """Calls of `write` and `put` that were carried out."""
        self._faults: deque[_Fault] = deque()
        self._mute: deque[str] = deque()
        self._readings: dict[SeriesKey, _Series] = {}
        self._receipts: dict[ReceiptKey, Receipt] = {}
        self._receipt_keys: list[ReceiptKey] = []
        self._entries: dict[tuple[str, int, Tags], dict[str, float | str]] = {}
        self._cursors: dict[str, int] = {}

    def fail_next(self, n: int, outcome: Outcome, *, stored: bool = False) -> None:
        """Answer the next `n` writes with `outcome`; with `stored` they are carried out nevertheless: a lost answer."""
        self._faults.extend(_Fault(outcome, stored) for _ in range(n))

    def fail_reads_next(self, n: int, reason: str = "the twin was told not to answer") -> None:
        """Raise Unavailable from the next `n` reads."""
        self._mute.extend([reason] * n)

    def holds(self, series: SeriesKey, t_ms: int) -> bool:
        """Whether a value is stored, asked from outside the play."""
        rows = self._readings.get(series)
        return rows is not None and t_ms in rows.values

    def delete_reading(self, series: SeriesKey, t_ms: int) -> None:
        """Lose one stored value behind everyone's back."""
        rows = self._readings[series]
        del rows.values[t_ms]
        rows.times.remove(t_ms)

    def delete_receipt(self, receipt: Receipt) -> None:
        """Lose one receipt behind everyone's back."""
        key = (receipt.at_us, receipt.gateway, receipt.worker)
        del self._receipts[key]
        self._receipt_keys.remove(key)

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to release: what is stored stays."""

    async def write(self, tables: Sequence[Table]) -> Outcome:
        return await self._write(tables, vet.readings(tables), self._store)

    async def put(self, tables: Sequence[Table]) -> Outcome:
        return await self._write(tables, vet.figures(tables), self._store_entries)

    async def _write(
        self,
        tables: Sequence[Table],
        vetted: tuple[Sequence[vet.Sound], Sequence[Refusal]],
        store: Callable[[Table], None],
    ) -> Outcome:
        await asyncio.sleep(self.write_latency_s)
        await _call(self.before_write, tables)
        fault = self._faults.popleft() if self._faults else None
        if fault is None or fault.stored:
            for item in vetted[0]:
                store(item.table)
            self.writes += 1
            await _call(self.after_write, tables)
        if fault is not None:
            return fault.outcome
        return Outcome(refused=tuple(vetted[1])) if vetted[1] else STORED

    def _store(self, table: Table) -> None:
        if table.measurement == names.RECEIPT:
            for row, at_us in enumerate(table.times):
                cells = {name: column[row] for name, column in zip(table.fields, table.columns, strict=True)}
                receipt = _receipt(at_us, dict(table.tags), cells)
                key = (at_us, receipt.gateway, receipt.worker)
                if key not in self._receipts:
                    bisect.insort(self._receipt_keys, key)
                self._receipts[key] = receipt
        elif table.measurement == names.EVENT:
            self._store_entries(table)
        else:
            self._store_readings(table, dict(table.tags))

    def _store_readings(self, table: Table, tags: dict[str, str]) -> None:
        for name, column in zip(table.fields, table.columns, strict=True):
            rows = [(t, cell) for t, cell in zip(table.times, column, strict=True) if isinstance(cell, float)]
            if rows:
                key = SeriesKey(table.measurement, tags[names.GATEWAY], tags[names.DEVICE], name)
                series = self._readings.setdefault(key, _Series())
                for time, cell in rows:
                    series.set(time, cell)

    def _store_entries(self, table: Table) -> None:
        tags = tuple(sorted(table.tags))
        for row, time in enumerate(table.times):
            cells = {name: column[row] for name, column in zip(table.fields, table.columns, strict=True)}
            kept = {name: cell for name, cell in cells.items() if cell is not None}
            if kept:
                self._entries.setdefault((table.measurement, time, tags), {}).update(kept)

    async def _asked(self) -> None:
        await asyncio.sleep(self.read_latency_s)
        if self._mute:
            raise Unavailable(self._mute.popleft())

    async def series(self, own: str | None = None) -> list[SeriesKey]:
        await self._asked()
        return sorted(
            key
            for key, rows in self._readings.items()
            if rows.times
            and (key.measurement == own if own else key.measurement not in names.RESERVED)
            and not key.field.startswith(QUALITY_PREFIX)
        )

    async def window(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> dict[SeriesKey, Window]:
        await self._asked()
        return {key: self._window(key, from_ms, to_ms) for key in series}

    def _window(self, key: SeriesKey, from_ms: int, to_ms: int) -> Window:
        rows = self._readings.get(key, _Series())
        marks = self._readings.get(key._replace(field=QUALITY_PREFIX + key.field), _Series()).values
        times = rows.between(from_ms, to_ms)
        return Window(
            np.array(times, dtype=np.int64),
            np.array([rows.values[t] for t in times], dtype=np.float64),
            np.array([marks.get(t, 0.0) for t in times], dtype=np.float64),
        )

    async def count(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> int:
        await self._asked()
        return sum(len(self._readings.get(key, _Series()).between(from_ms, to_ms)) for key in dict.fromkeys(series))

    async def neighbours(self, series: SeriesKey, from_ms: int, to_ms: int) -> tuple[int | None, int | None]:
        await self._asked()
        times = self._readings.get(series, _Series()).times
        before, since = bisect.bisect_left(times, from_ms), bisect.bisect_left(times, to_ms)
        return times[before - 1] if before else None, times[since] if since < len(times) else None

    async def latest(self, series: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[int, float]]:
        await self._asked()
        known = {key: self._readings[key] for key in series if key in self._readings and self._readings[key].times}
        return {key: (rows.times[-1], rows.values[rows.times[-1]]) for key, rows in known.items()}

    async def receipts(self, after_us: int, limit: int) -> list[Receipt]:
        await self._asked()
        keys = self._receipt_keys
        first = bisect.bisect_left(keys, (after_us + 1, "", ""))
        last = first + limit
        while 0 < last < len(keys) and keys[last][0] == keys[last - 1][0]:
            last += 1
        return [self._receipts[key] for key in keys[first:last]]

    async def receipts_between(self, gateway: str, from_ms: int, to_ms: int) -> list[Receipt]:
        await self._asked()
        mine = (receipt for receipt in self._receipts.values() if receipt.gateway == gateway)
        return in_batch_order(receipt for receipt in mine if touches(receipt, from_ms, to_ms))

    async def gateways(self) -> list[str]:
        await self._asked()
        return sorted({receipt.gateway for receipt in self._receipts.values()})

    async def last_receipts(self) -> list[Receipt]:
        await self._asked()
        return furthest(self._receipts.values())

    async def events(self, kind: str, from_ms: int, to_ms: int, gateway: str | None = None) -> list[Event]:
        tags = {names.KIND: kind} | ({} if gateway is None else {names.GATEWAY: gateway})
        return sorted(_event(*row) for row in await self.figures(names.EVENT, tags, from_ms, to_ms))

    async def figures(self, measurement: str, tags: dict[str, str], from_ms: int, to_ms: int) -> list[Figure]:
        await self._asked()
        found = [
            (time, own, fields)
            for (name, time, own), fields in self._entries.items()
            if name == measurement and from_ms <= time < to_ms and tags.items() <= dict(own).items()
        ]
        return [(time, dict(own), dict(fields)) for time, own, fields in sorted(found, key=lambda row: row[:2])]

    async def cursor(self, name: str) -> int:
        await self._asked()
        return self._cursors.get(name, 0)

    async def set_cursor(self, name: str, value: int) -> None:
        await self._asked()
        self._cursors[name] = value


async def _call(hook: Hook | None, tables: Sequence[Table]) -> None:
    waits = None if hook is None else hook(tables)
    if waits is not None:
        await waits


def _receipt(at_us: int, tags: dict[str, str], cells: dict[str, Cell]) -> Receipt:
    run, counts = cells[names.RUN], cells[names.COUNTS]
    assert isinstance(run, str)
    assert isinstance(counts, str)
    numbers = (cells[name] for name in (names.SEQ, names.FROM, names.TO, names.READINGS, names.BAD))
    seq, from_ms, to_ms, readings, bad = (int(number) for number in numbers if isinstance(number, float))
    return Receipt(at_us, tags[names.GATEWAY], tags[names.WORKER], run, seq, from_ms, to_ms, readings, bad, counts)


def _event(t_ms: int, tags: dict[str, str], fields: dict[str, float | str]) -> Event:
    text = fields.get(names.EVENT_TEXT, "")
    values = tuple(sorted((name, value) for name, value in fields.items() if isinstance(value, float)))
    return Event(t_ms, tags[names.GATEWAY], tags[names.DEVICE], tags[names.KIND], str(text), values)
