"""The record: what every simulated device answered, noted by the process that answers and before the answer leaves.

SQLite in WAL mode with `synchronous=OFF`: a committed row survives the death of the process (the pages are with the
kernel), not a power cut, which is enough for a truth that is judged on the same machine. A record that cannot take
another row makes the devices silent: nothing is served that is not noted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from simulators.sqlite_file import open_for_reading, open_for_writing, transaction
from simulators.truth.rows import Served, Shown

RECORD_BYTES_MAX = 16 * 1024**3
"""Largest record; beyond it notes fail, and with them the answers."""

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS served (
    t_ms INTEGER NOT NULL, gateway TEXT NOT NULL, device TEXT NOT NULL, field TEXT NOT NULL, value REAL,
    words TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS served_by_field ON served (device, field, t_ms);
CREATE TABLE IF NOT EXISTS refused (
    t_ms INTEGER NOT NULL, device TEXT NOT NULL, request TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS quantity (t_ms INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL);
CREATE INDEX IF NOT EXISTS quantity_by_name ON quantity (name, t_ms);
"""


class RecordError(Exception):
    """The record cannot be written or read; one line says which file and why."""


class RecordWriter:
    """The one writer of a record. Every method is durable against the death of the process when it returns."""

    def __init__(self, *, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def open(self, meta: Mapping[str, str]) -> dict[str, str]:
        """Begin a record with `meta`, or go on with the one that exists; give back the meta that holds."""
        try:
            self._db = open_for_writing(self._path, bytes_max=RECORD_BYTES_MAX, watched=True)
            self._db.executescript(_TABLES)
            self._db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", meta.items())
            return dict(self._db.execute("SELECT key, value FROM meta"))
        except (OSError, sqlite3.Error) as error:
            raise RecordError(f"{self._path}: cannot keep a record here: {error}; choose another file") from None

    def note(self, t_ms: int, gateway: str, device: str, fields: Iterable[Shown]) -> None:
        """Note what `device` is about to answer at `t_ms`. RecordError: it must not answer."""
        rows = [(t_ms, gateway, device, field, value, words) for field, value, words in fields]
        self._insert("INSERT INTO served VALUES (?, ?, ?, ?, ?, ?)", rows)

    def note_refused(self, t_ms: int, device: str, request: str, reason: str) -> None:
        """Note a request that gets no values: because of a fault, or because the device forbids it."""
        self._insert("INSERT INTO refused VALUES (?, ?, ?, ?)", [(t_ms, device, request, reason)])

    def note_quantities(self, t_ms: int, values: Mapping[str, float]) -> None:
        """Note what the world truly was at `t_ms`."""
        self._insert("INSERT INTO quantity VALUES (?, ?, ?)", [(t_ms, name, value) for name, value in values.items()])

    def _insert(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        if self._db is None:
            raise RecordError(f"{self._path}: the record is closed; open it first")
        try:
            with transaction(self._db):
                self._db.executemany(sql, rows)
        except sqlite3.Error as error:
            raise RecordError(f"{self._path}: the record takes no more rows: {error}; free the disk") from None

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        if self._db is not None:
            self._db.close()
            self._db = None


class Record:
    """A record as a judge reads it, also while it is being written."""

    def __init__(self, *, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self.path = path

    @classmethod
    def open_readonly(cls, path: Path | str) -> Self:
        """Open an existing record. RecordError if there is none."""
        path = Path(path)
        try:
            db = open_for_reading(path)
            db.execute("SELECT count(*) FROM meta").fetchone()
        except sqlite3.Error as error:
            raise RecordError(
                f"{path}: not a record: {error}; give the file of `loopgauge simulate --record`"
            ) from None
        return cls(db=db, path=path)

    def meta(self) -> dict[str, str]:
        """What the record was begun with: `scenario` (JSON), `origin_ms`."""
        return dict(self._db.execute("SELECT key, value FROM meta"))

    def devices(self) -> list[str]:
        """Every device that has answered, sorted."""
        return [device for (device,) in self._db.execute("SELECT DISTINCT device FROM served ORDER BY device")]

    def fields(self, device: str) -> list[str]:
        """Every field that `device` has shown, sorted."""
        return [
            field
            for (field,) in self._db.execute(
                "SELECT DISTINCT field FROM served WHERE device = ? ORDER BY field", (device,)
            )
        ]

    def served(self, device: str, field: str, from_ms: int, to_ms: int) -> list[tuple[int, float | None]]:
        """What `device` showed in [from, to): (civil ms UTC, value or None for not a number), in order of time."""
        return list(
            self._db.execute(
                "SELECT t_ms, value FROM served WHERE device = ? AND field = ? AND t_ms >= ? AND t_ms < ?"
                " ORDER BY t_ms, rowid",
                (device, field, from_ms, to_ms),
            )
        )

    def all_served(self) -> Iterator[Served]:
        """Every noted field in the order of its note."""
        for row in self._db.execute("SELECT t_ms, gateway, device, field, value FROM served ORDER BY rowid"):
            yield Served._make(row)

    def span(self) -> tuple[int, int] | None:
        """The first and the last moment at which anything was noted (civil ms UTC), or None."""
        tables = ("served", "refused", "quantity")
        ends = [self._db.execute(f"SELECT min(t_ms), max(t_ms) FROM {table}").fetchone() for table in tables]  # noqa: S608
        found = [end for end in ends if end[0] is not None]
        return (min(begin for begin, _ in found), max(end for _, end in found)) if found else None

    def quantity_names(self) -> list[str]:
        """Every quantity that was noted, sorted."""
        return [name for (name,) in self._db.execute("SELECT DISTINCT name FROM quantity ORDER BY name")]

    def answers(self, device: str, field: str, from_ms: int, to_ms: int) -> Iterator[tuple[int, float | None, str]]:
        """Like `served`, with the registers in hex, and one after the other however many there are."""
        return iter(
            self._db.execute(
                "SELECT t_ms, value, words FROM served WHERE device = ? AND field = ? AND t_ms >= ? AND t_ms < ?"
                " ORDER BY t_ms, rowid",
                (device, field, from_ms, to_ms),
            )
        )

    def words(self, device: str, field: str) -> list[tuple[int, str]]:
        """The registers that `device` showed for `field` as (civil ms UTC, hex words), in order of time."""
        return list(
            self._db.execute(
                "SELECT t_ms, words FROM served WHERE device = ? AND field = ? ORDER BY t_ms, rowid", (device, field)
            )
        )

    def refused(self, device: str) -> list[tuple[int, str, str]]:
        """Requests that `device` did not answer with values: (civil ms UTC, request, reason), in order of time."""
        return list(
            self._db.execute(
                "SELECT t_ms, request, reason FROM refused WHERE device = ? ORDER BY t_ms, rowid", (device,)
            )
        )

    def quantities(self, name: str) -> list[tuple[int, float]]:
        """What the world truly was: (civil ms UTC, value), noted once a civil minute, in order of time."""
        return list(self._db.execute("SELECT t_ms, value FROM quantity WHERE name = ? ORDER BY t_ms, rowid", (name,)))

    def nearest(self, device: str, field: str, t_ms: int) -> tuple[tuple[int, float] | None, tuple[int, float] | None]:
        """The last reading at or before `t_ms` and the first at or after it; not-a-number is passed over."""
        asked = (device, field, t_ms)
        where = "FROM served WHERE device = ? AND field = ? AND value IS NOT NULL AND t_ms"
        before = self._db.execute(f"SELECT t_ms, value {where} <= ? ORDER BY t_ms DESC, rowid DESC LIMIT 1", asked)
        after = self._db.execute(f"SELECT t_ms, value {where} >= ? ORDER BY t_ms, rowid LIMIT 1", asked)
        return before.fetchone(), after.fetchone()

    def close(self) -> None:
        """Close the file."""
        self._db.close()
