"""How tables become rows of readings.db: SQL on a connection that the caller opened, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING

from series_store import names
from series_store.sqlite import entries
from series_store.table import Cell, SeriesKey, Table
from series_store.vet import RECEIPT_FIELDS

if TYPE_CHECKING:
    import sqlite3

_READING = """INSERT INTO reading (series, t, value) VALUES (?, ?, ?)
    ON CONFLICT (series, t) DO UPDATE SET value = excluded.value"""
_RECEIPT = """INSERT OR REPLACE INTO receipt (at_us, gateway, worker, run, seq, from_ms, to_ms, readings, bad, counts)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


class ReadingRows:
    """Writes vetted tables; remembers the number of each series, so it must be dropped when a transaction fails."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        rows = connection.execute("SELECT measurement, gateway, device, field, id FROM series")
        self._ids = {SeriesKey(*row[:4]): int(row[4]) for row in rows}

    def store(self, tables: Iterable[Table]) -> None:
        """Insert or replace all rows of tables of readings, events or receipts."""
        columns: list[Iterator[tuple[int, int, Cell]]] = []
        for table in tables:
            if table.measurement == names.RECEIPT:
                self._connection.executemany(_RECEIPT, _receipts(table))
            elif table.measurement == names.EVENT:
                entries.put(self._connection, table)
            else:
                columns += self._columns(table)
        # One call for all of them: each has a cost of its own, and live tables are short.
        self._connection.executemany(_READING, chain.from_iterable(columns))

    def _columns(self, table: Table) -> Iterator[Iterator[tuple[int, int, Cell]]]:
        """(series, time, value) of the cells that are there, column by column."""
        tags = dict(table.tags)
        for field, column in zip(table.fields, table.columns, strict=True):
            times: Sequence[int] = table.times
            if None in column:
                times = [time for time, cell in zip(times, column, strict=True) if cell is not None]
                column = [cell for cell in column if cell is not None]
            if times:
                series = self._series(SeriesKey(table.measurement, tags[names.GATEWAY], tags[names.DEVICE], field))
                yield zip(repeat(series), times, column, strict=False)

    def _series(self, key: SeriesKey) -> int:
        if key not in self._ids:
            made = self._connection.execute(
                "INSERT INTO series (measurement, gateway, device, field) VALUES (?, ?, ?, ?)", key
            )
            assert made.lastrowid is not None
            self._ids[key] = made.lastrowid
        return self._ids[key]


def _receipts(table: Table) -> list[tuple[object, ...]]:
    tags = dict(table.tags)
    cells = dict(zip(table.fields, table.columns, strict=True))
    columns = [cells[field] for field in RECEIPT_FIELDS]
    return [
        (time, tags[names.GATEWAY], tags[names.WORKER], *(int(c) if isinstance(c, float) else c for c in row))
        for time, row in zip(table.times, zip(*columns, strict=True), strict=True)
    ]
