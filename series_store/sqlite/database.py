"""One SQLite file: made, marked and checked, locked against a second writer, and touched by one thread only.

A file of a newer schema or of another program is refused before anything in it is changed.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import IO, Generic, TypeVar
from urllib.parse import quote

from series_store.port import NothingYet, Unavailable

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4C477374
"""Marks a file as ours, so that no other program's database is ever written into."""
BUSY_S = 5.0

T = TypeVar("T")
Rows = TypeVar("Rows")


class Database(Generic[Rows]):
    """One file, opened at first use and again after any failure, and the one thread that touches it."""

    def __init__(self, *, path: Path, writes: bool, rows: Callable[[sqlite3.Connection], Rows]) -> None:
        self._path = path
        self._writes = writes
        self._make_rows = rows
        self._opened: tuple[sqlite3.Connection, Rows] | None = None
        self._lock: IO[str] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite {path.name}")

    async def read(self, work: Callable[[Rows], T]) -> T:
        """What `work` returns. Raises Unavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    async def write(self, work: Callable[[Rows], None]) -> None:
        """Run `work` in one transaction, durable when this returns. Raises Unavailable; then nothing was written."""
        await self.read(lambda rows: self._in_transaction(work, rows))

    async def close(self) -> None:
        """Close the file and let the next writer have it."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        except RuntimeError:
            return  # its thread has ended: closed before
        self._thread.shutdown(wait=False)

    def _read(self, work: Callable[[Rows], T]) -> T:
        try:
            if self._opened is None:
                self._opened = self._open()
            return work(self._opened[1])
        except (sqlite3.Error, OSError) as error:
            self._drop()
            raise Unavailable(self._explain(error)) from error

    def _in_transaction(self, work: Callable[[Rows], None], rows: Rows) -> None:
        assert self._opened is not None
        connection = self._opened[0]
        connection.execute("BEGIN IMMEDIATE")
        try:
            work(rows)
            connection.execute("COMMIT")
        except BaseException:
            # Numbers of series that the transaction made are void with it, so the rows object goes, too.
            self._drop()
            raise

    def _open(self) -> tuple[sqlite3.Connection, Rows]:
        if self._writes:
            self._take_lock()
        _check_head(self._path)
        connection = _connect(self._path, mode="ro") if self._path.exists() else None
        try:
            fresh = connection is None or _is_fresh(connection)
            if connection is not None and not fresh:
                _check_version(connection, self._path)
            if self._writes:
                if connection is not None:
                    connection.close()
                connection = _connect(self._path, mode="rwc")
                _prepare(connection, create=fresh)
                _sync_folder(self._path.parent)
            elif connection is None or fresh:
                raise NothingYet(
                    f"{self._path}: nothing has been stored here yet; `loopgauge store init` makes the file"
                )
            return connection, self._make_rows(connection)
        except BaseException:
            if connection is not None:
                connection.close()
            raise

    def _take_lock(self) -> None:
        """Hold the lock file until `close`; the system lets go of it when the process ends, however it ends."""
        if self._lock is not None:
            return
        path = self._path.with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(64).strip() or "unknown"
            lock.close()
            raise Unavailable(
                f"{self._path}: process {holder} writes it, and there can be only one writer: stop one"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _drop(self) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            opened[0].close()

    def _close(self) -> None:
        self._drop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _explain(self, error: sqlite3.Error | OSError) -> str:
        said = " ".join(str(error).split())
        if "locked" in said:
            return f"{self._path}: locked by another program for more than {BUSY_S:g} s"
        if "malformed" in said or "not a database" in said:
            return f"{self._path}: {said}; restore a backup, or move the file away"
        return f"{self._path}: {said}"


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    # isolation_level None: transactions begin and end where this module says so.
    return sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)


def _is_fresh(connection: sqlite3.Connection) -> bool:
    """Whether the file is empty: a start that was killed before it had made the tables."""
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()[0])


def _check_head(path: Path) -> None:
    """Look into a closed file itself: SQLite would leave two more beside it. Places: sqlite.org/fileformat2.html."""
    if not path.is_file() or path.with_name(path.name + "-wal").exists():
        return
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) == 100 and head.startswith(b"SQLite format 3\0"):
        version, application = (int.from_bytes(head[at : at + 4], "big") for at in (60, 68))
        if application or version:  # else it is empty, or SQLite will say what it is
            _check_marks(application, version, path)


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    application, version = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
    )
    _check_marks(application, version, path)


def _check_marks(application: int, version: int, path: Path) -> None:
    if application != APPLICATION_ID:
        raise Unavailable(f"{path}: the database of another program; choose another folder")
    if version > SCHEMA_VERSION:
        raise Unavailable(
            f"{path}: written by a newer loopgauge (schema {version}, this one knows {SCHEMA_VERSION}); "
            "upgrade, or choose another folder"
        )


def _prepare(connection: sqlite3.Connection, *, create: bool) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if create:
        schema = resources.files("series_store.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {marks} {schema} COMMIT;")


def _sync_folder(path: Path) -> None:
    """Make the names of new files durable, not only their content."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
