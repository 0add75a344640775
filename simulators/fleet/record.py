"""The fleet's own truth: every batch as numbers, noted before it leaves for the first time, for a judge.

SQLite in WAL mode with `synchronous=OFF`: a committed row survives the death of the process, not a power cut.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from simulators.fleet.batches import Made, Sealed
from simulators.fleet.plan import FleetPlan
from simulators.sqlite_file import open_for_reading, open_for_writing, transaction

RECORD_BYTES_MAX = 16 * 1024**3
"""Largest record; a fleet that cannot note what it sends sends nothing more."""

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sent (
    gateway INTEGER NOT NULL, seq INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL,
    lost_ms INTEGER NOT NULL, stop INTEGER NOT NULL, readings INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (gateway, seq)
);
"""


class RecordError(Exception):
    """The record cannot be written or read; one line says which file and why."""


class Sent(NamedTuple):
    """A batch that was sent: stamps (meters, n) in ms UTC and values (meters, fields, n), NaN where there is none."""

    seq: int
    from_ms: int
    to_ms: int
    stop: bool
    readings: int
    stamps: NDArray[np.int64]
    values: NDArray[np.float64]


class FleetRecorder:
    """The one writer of a record."""

    def __init__(self, *, path: Path, plan: FleetPlan) -> None:
        self._path, self._plan = path, plan
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Begin a record. Raises RecordError, also where the file exists: a truth is not written over."""
        if self._path.exists():
            raise RecordError(f"{self._path}: is there already; give another file, or delete this one")
        try:
            self._db = open_for_writing(self._path, bytes_max=RECORD_BYTES_MAX, watched=True)
            self._db.executescript(_TABLES)
            self._db.execute("INSERT INTO meta VALUES ('plan', ?)", (json.dumps(self._plan.as_json()),))
        except (OSError, sqlite3.Error) as error:
            raise RecordError(f"{self._path}: cannot keep a record here: {error}; choose another file") from None

    def note(self, batches: Iterable[tuple[Sealed, Made]]) -> None:
        """Note batches that are about to leave; one that left before stays as it was noted then."""
        assert self._db is not None, "the record is open"
        rows = [
            (
                made.gateway,
                sealed.seq,
                sealed.from_ms,
                sealed.to_ms,
                sealed.lost_ms,
                sealed.stop,
                made.readings,
                zlib.compress(made.stamps.astype("<i8").tobytes() + made.values.astype("<f8").tobytes(), 1),
            )
            for sealed, made in batches
        ]
        try:
            with transaction(self._db):
                self._db.executemany("INSERT OR IGNORE INTO sent VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise RecordError(f"{self._path}: the record takes no more rows: {error}; free the disk") from None

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        if self._db is not None:
            self._db.close()
            self._db = None


class FleetRecord:
    """A record as a judge reads it."""

    def __init__(self, *, db: sqlite3.Connection, plan: FleetPlan) -> None:
        self._db = db
        self.plan = plan

    @classmethod
    def open_readonly(cls, path: Path) -> Self:
        """Open a record. Raises RecordError."""
        try:
            db = open_for_reading(path)
            (plan,) = db.execute("SELECT value FROM meta WHERE key = 'plan'").fetchone()
            return cls(db=db, plan=FleetPlan.from_json(json.loads(plan)))
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise RecordError(
                f"{path}: not a fleet's record: {error}; give the file of `simulate fleet --record`"
            ) from None

    def sent(self, gateway: int) -> Iterator[Sent]:
        """What a gateway sent, by seq."""
        meters, fields = self.plan.meters, self.plan.fields
        for seq, from_ms, to_ms, stop, readings, data in self._db.execute(
            "SELECT seq, from_ms, to_ms, stop, readings, data FROM sent WHERE gateway = ? ORDER BY seq", (gateway,)
        ):
            plain = zlib.decompress(data)
            rows = len(plain) // (8 * meters * (1 + fields))
            cut = 8 * meters * rows
            stamps = np.frombuffer(plain[:cut], dtype="<i8").reshape(meters, rows)
            values = np.frombuffer(plain[cut:], dtype="<f8").reshape(meters, fields, rows)
            yield Sent(seq, from_ms, to_ms, bool(stop), readings, stamps, values)

    def readings(self) -> int:
        """How many readings were sent, each counted once."""
        (number,) = self._db.execute("SELECT coalesce(sum(readings), 0) FROM sent").fetchone()
        return int(number)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
