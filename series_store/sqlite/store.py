"""The embedded home of readings and figures: two SQLite files in one folder, each with one writing program.

`readings.db` is written by ingest alone, `rollups.db` by rollups alone; a lock file beside each refuses a second
writer. Whoever reads does so in short transactions. All work of an object is done by its one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from series_store import vet
from series_store.port import Figure, Unavailable
from series_store.sqlite import entries, reading
from series_store.sqlite.database import Database
from series_store.sqlite.writing import ReadingRows
from series_store.table import STORED, Event, Outcome, Receipt, Refusal, SeriesKey, Table, Window

READINGS_FILE, FIGURES_FILE = "readings.db", "rollups.db"
RETRY_AFTER_S = 2.0

Rows = TypeVar("Rows")


class SqliteWriter:
    """Readings, events and receipts into `readings.db`. One per folder: a second one is told who holds it."""

    def __init__(self, *, folder: Path) -> None:
        self._database = Database(path=folder / READINGS_FILE, writes=True, rows=ReadingRows)

    async def start(self) -> None:
        """Make or open the file and take the lock. Raises Unavailable."""
        await self._database.read(_nothing)

    async def write(self, tables: Sequence[Table]) -> Outcome:
        """One transaction for all tables, on disk when this returns."""
        sound, refused = vet.readings(tables)

        def work(rows: ReadingRows) -> None:
            rows.store(item.table for item in sound)

        return await _outcome(self._database, work, refused)

    async def close(self) -> None:
        """Close the file and release the lock."""
        await self._database.close()


class SqliteReader:
    """What ingest has stored in a folder. Raises Unavailable while there is no `readings.db` yet."""

    def __init__(self, *, folder: Path) -> None:
        self._database = Database(path=folder / READINGS_FILE, writes=False, rows=_itself)

    async def start(self) -> None:
        """Open the file. Raises Unavailable."""
        await self._database.read(_nothing)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def series(self, own: str | None = None) -> list[SeriesKey]:
        return await self._database.read(lambda c: reading.series(c, own))

    async def window(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> dict[SeriesKey, Window]:
        return await self._database.read(lambda c: reading.window(c, series, from_ms, to_ms))

    async def count(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> int:
        return await self._database.read(lambda c: reading.count(c, series, from_ms, to_ms))

    async def neighbours(self, series: SeriesKey, from_ms: int, to_ms: int) -> tuple[int | None, int | None]:
        return await self._database.read(lambda c: reading.neighbours(c, series, from_ms, to_ms))

    async def latest(self, series: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[int, float]]:
        return await self._database.read(lambda c: reading.latest(c, series))

    async def receipts(self, after_us: int, limit: int) -> list[Receipt]:
        return await self._database.read(lambda c: reading.receipts(c, after_us, limit))

    async def receipts_between(self, gateway: str, from_ms: int, to_ms: int) -> list[Receipt]:
        return await self._database.read(lambda c: reading.receipts_between(c, gateway, from_ms, to_ms))

    async def gateways(self) -> list[str]:
        return await self._database.read(reading.gateways)

    async def last_receipts(self) -> list[Receipt]:
        return await self._database.read(reading.last_receipts)

    async def events(self, kind: str, from_ms: int, to_ms: int, gateway: str | None = None) -> list[Event]:
        return await self._database.read(lambda c: reading.events(c, kind, from_ms, to_ms, gateway))


class SqliteFigures:
    """What rollups computed, in `rollups.db`. Opened with `writes` it takes the lock: one program per folder."""

    def __init__(self, *, folder: Path, writes: bool = True) -> None:
        self._database = Database(path=folder / FIGURES_FILE, writes=writes, rows=_itself)

    async def start(self) -> None:
        """Make or open the file, and take the lock where it is to be written. Raises Unavailable."""
        await self._database.read(_nothing)

    async def close(self) -> None:
        """Close the file and release the lock."""
        await self._database.close()

    async def put(self, tables: Sequence[Table]) -> Outcome:
        """One transaction for all tables, on disk when this returns."""
        sound, refused = vet.figures(tables)

        def work(connection: sqlite3.Connection) -> None:
            for item in sound:
                entries.put(connection, item.table)

        return await _outcome(self._database, work, refused)

    async def figures(self, measurement: str, tags: dict[str, str], from_ms: int, to_ms: int) -> list[Figure]:
        return await self._database.read(lambda c: entries.find(c, measurement, tags, from_ms, to_ms))

    async def cursor(self, name: str) -> int:
        return await self._database.read(lambda c: entries.cursor(c, name))

    async def set_cursor(self, name: str, value: int) -> None:
        await self._database.write(lambda c: entries.set_cursor(c, name, value))


async def _outcome(database: Database[Rows], work: Callable[[Rows], None], refused: Sequence[Refusal]) -> Outcome:
    try:
        await database.write(work)
    except Unavailable as reason:
        return Outcome(retry_after_s=RETRY_AFTER_S, reason=str(reason))
    return Outcome(refused=tuple(refused)) if refused else STORED


def _itself(connection: sqlite3.Connection) -> sqlite3.Connection:
    return connection


def _nothing(rows: object) -> None:
    """Only opens."""
