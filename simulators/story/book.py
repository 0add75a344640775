"""The file of a story: SQLite, one table for each kind of thing, written a whole day at a time.

A day is one transaction: however the writer ends, a day is there whole or not at all, and the next run goes on after
the last one. Columns of numbers are packed (see `packing`), because a year of rows would be a hundred times slower.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from simulators.sqlite_file import open_for_reading, open_for_writing, transaction
from simulators.story.happenings import Happening
from simulators.story.packing import Column, unpack
from simulators.story.shares import Row

NAME = "story.db"
"""What the file is called in its folder."""
FORMAT = "1"
BOOK_BYTES_MAX = 256 * 1024**3
"""Largest file; a day that would make it larger is refused."""
_SERIES_MAX = 1 << 20
_CALLED = {"from_ms": "--from", "every_ms": "--every", "offset_ms": "utc_offset_h", "what": "--what"}
"""Key of `meta` -> what whoever tells a story knows it by."""

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE series (id INTEGER PRIMARY KEY, device TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (device, name));
CREATE TABLE day (number INTEGER PRIMARY KEY, begin_ms INTEGER NOT NULL);
CREATE TABLE chunk (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE happening (
    t_ms INTEGER NOT NULL, kind TEXT NOT NULL, part TEXT NOT NULL, value REAL NOT NULL, text TEXT NOT NULL
);
CREATE INDEX happening_by_time ON happening (t_ms);
"""


class BookError(Exception):
    """The file of a story cannot be written or read; one line says which, why and what to do."""


class Series(NamedTuple):
    """One row of the table of series; of a quantity of the world `device` is empty."""

    id: int
    device: str
    name: str


class BookWriter:
    """The one writer of a story's file."""

    def __init__(self, *, folder: Path) -> None:
        self.path = folder / NAME
        self._db: sqlite3.Connection | None = None
        self._ids: dict[tuple[str, str], int] = {}

    def open(self, meta: Mapping[str, str], names: Sequence[tuple[str, str]]) -> int:
        """Begin a story, or go on with one of the same `meta`; gives back how many days it holds already."""
        assert len(names) < _SERIES_MAX
        try:
            self._db = db = open_for_writing(self.path, bytes_max=BOOK_BYTES_MAX)
            if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                self._begin(db, meta, names)
            held = dict(db.execute("SELECT key, value FROM meta"))
            days: int = db.execute("SELECT count(*) FROM day").fetchone()[0]
        except (OSError, sqlite3.Error) as error:
            raise BookError(f"{self.path}: cannot keep a story here: {error}; give another folder") from None
        if other := sorted(key for key in {*meta, *held} if meta.get(key) != held.get(key)):
            differ = ", ".join(_CALLED.get(key, key) for key in other)
            raise BookError(f"{self.path}: holds another story: its {differ} differ; give another folder, or delete it")
        self._ids = {(device, name): n for n, (device, name) in enumerate(names)}
        return days

    def _begin(self, db: sqlite3.Connection, meta: Mapping[str, str], names: Sequence[tuple[str, str]]) -> None:
        with transaction(db):
            for statement in _TABLES.split(";"):
                db.execute(statement)
            db.executemany("INSERT INTO meta VALUES (?, ?)", sorted(meta.items()))
            db.executemany("INSERT INTO series VALUES (?, ?, ?)", [(n, *name) for n, name in enumerate(names)])

    def write(self, number: int, begin_ms: int, rows: Iterable[Row], told: Iterable[Happening]) -> None:
        """Add a whole day, whatever the order of its rows."""
        assert self._db is not None, "open it first"
        chunks = sorted((number * _SERIES_MAX + self._ids[row.device, row.name], row.data) for row in rows)
        try:
            with transaction(self._db):
                self._db.executemany("INSERT INTO chunk VALUES (?, ?)", chunks)
                self._db.executemany("INSERT INTO happening VALUES (?, ?, ?, ?, ?)", sorted(told))
                self._db.execute("INSERT INTO day VALUES (?, ?)", (number, begin_ms))
        except sqlite3.Error as error:
            raise BookError(f"{self.path}: takes no more days: {error}; free the disk and run again") from None

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        if self._db is not None:
            self._db.close()
            self._db = None


class Book:
    """A story as a reader sees it, also while it is being written."""

    def __init__(self, *, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self.path = path

    @classmethod
    def open_readonly(cls, path: Path) -> Self:
        """Open the story in a folder, or its file. BookError if there is none."""
        file = path / NAME if path.is_dir() else path
        try:
            db = open_for_reading(file)
            held = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
            db.execute("SELECT count(*) FROM chunk").fetchone()
        except sqlite3.Error as error:
            raise BookError(f"{file}: not a story: {error}; `loopgauge simulate world` writes one") from None
        if held is None or held[0] != FORMAT:
            raise BookError(f"{file}: a story of another version; write it again with `loopgauge simulate world`")
        return cls(db=db, path=file)

    def meta(self) -> dict[str, str]:
        """What the story was begun with: format, scenario (JSON), seed, from_ms, every_ms, offset_ms, what."""
        return dict(self._db.execute("SELECT key, value FROM meta"))

    def days(self) -> int:
        """How many days it holds."""
        number: int = self._db.execute("SELECT count(*) FROM day").fetchone()[0]
        return number

    def series(self, device: str = "*", name: str = "*") -> list[Series]:
        """The series whose device and name match these patterns (* ? [...]), as they are numbered."""
        rows = self._db.execute(
            "SELECT id, device, name FROM series WHERE device GLOB ? AND name GLOB ? ORDER BY id", (device, name)
        )
        return [Series._make(row) for row in rows]

    def column(self, series: int, day: int) -> Column:
        """The values of one series through one day; KeyError if the day is not told."""
        row = self._db.execute("SELECT data FROM chunk WHERE id = ?", (day * _SERIES_MAX + series,)).fetchone()
        if row is None:
            raise KeyError(day)
        return unpack(row[0])

    def happenings(self, from_ms: int, to_ms: int, *, kind: str = "*", part: str = "*") -> Iterator[Happening]:
        """What happened in [from, to), in order of time."""
        rows = self._db.execute(
            "SELECT t_ms, kind, part, value, text FROM happening WHERE t_ms >= ? AND t_ms < ?"
            " AND kind GLOB ? AND part GLOB ? ORDER BY t_ms, rowid",
            (from_ms, to_ms, kind, part),
        )
        return (Happening._make(row) for row in rows)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
