"""The spool's file: one thread, one connection with synchronous=FULL, one transaction per piece of work."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

from edge_agent.errors import Damaged, DiskFull, Fatal

T = TypeVar("T")

PAGE_BYTES = 4096
BALLAST_BYTES = 2_000_000
"""Kept beside the spool and given up when the disk is full, since even a DELETE needs room for its journal."""
SPARE_BYTES = 600_000
"""Free space beyond the ballast without which it is not set aside again: what the journal takes."""
GIVE_BACK_PAGES = 256
"""What a full disk gets back at once of the pages that a delete has freed."""
CACHE_PAGES = 128
"""SQLite keeps so many in memory, half a MB: rows are written once, read once, and in order."""
CHECKPOINT_PAGES = 100
"""The journal goes into the database after so many pages, so that on a full disk little is left to move."""

_NO_ROOM = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNREADABLE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
"""A sector that cannot be read is damage, too: the rest can be carried over, and waiting would mend nothing."""
_SPOILT_TEXT = ("Could not decode to UTF-8", "malformed JSON", "user-defined function raised")
"""What SQLite and its module say of a row that is there, but whose text is no text, or no batch, any more."""
SUSPECT = ".suspect"
"""Ending of the file beside the spool that says why the next start must not trust it."""
LOCK = ".lock"
"""Ending of the file beside the spool that an agent holds a lock on for as long as it lives."""


def configure(connection: sqlite3.Connection, bytes_max: int) -> None:
    """Durable on return from COMMIT, bounded in size."""
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA max_page_count={bytes_max // PAGE_BYTES}")
    connection.execute("PRAGMA journal_size_limit=1000000")
    connection.execute(f"PRAGMA cache_size={CACHE_PAGES}")
    # Debian's SQLite overwrites what it deletes, so that deleting would take as much room as writing did.
    connection.execute("PRAGMA secure_delete=OFF")
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")


def transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run work in one transaction. DiskFull: rolled back for want of room. Fatal, Damaged: the file cannot be used."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = work(connection)
        connection.execute("COMMIT")
        return result
    except sqlite3.Error as error:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        if _no_room(error):
            raise DiskFull(str(error)) from error
        if is_damage(error):
            what = str(error).partition(" with text")[0]  # what follows are readings
            raise Damaged(f"spool: {what}; the next start sets it aside and carries over what can be read") from error
        raise Fatal(f"spool: {error}; check the disk, or move the file away to start an empty one") from error
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _no_room(error: sqlite3.Error) -> bool:
    """Whether it says that the disk is full; errors of the module itself, not of SQLite, bear no code."""
    return getattr(error, "sqlite_errorcode", None) in _NO_ROOM


def is_damage(error: sqlite3.Error) -> bool:
    """Whether it says that the file's content is broken, rather than that it cannot be had."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGED or code in _UNREADABLE or str(error).startswith(_SPOILT_TEXT)


class FileDisk:
    """A spool file on a real disk. Opens nothing until the first `run`.

    Batches are added only while the ballast lies beside the file. So there is always room for deleting what the cloud
    has confirmed, also where nothing but the spool itself has filled the disk.
    """

    def __init__(self, *, path: Path, bytes_max: int) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._ballast = path.with_name(path.name + ".ballast")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._connection: sqlite3.Connection | None = None
        self._lock: IO[bytes] | None = None

    @property
    def path(self) -> Path:
        """Where the spool lies."""
        return self._path

    def take(self) -> None:
        """Have the spool alone, before anything of it is touched. Raises Fatal.

        A second agent would delete what it holds for done with, and give its run the place of the first one's. SQLite
        locks for a transaction only, and what it locks must not be opened beside it.
        """
        if self._lock is not None:
            return
        try:
            self._lock = open(self._path.with_name(self._path.name + LOCK), "ab", opener=_private)  # noqa: SIM115
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._let_go()
            if not isinstance(error, BlockingIOError):
                raise self._not_opened(error) from None
            raise Fatal(
                f"spool.file: another agent works on {self._path}; stop it (systemctl stop loopgauge-edge), or give"
                " this one a file of its own"
            ) from None

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _not_opened(self, error: Exception) -> Fatal:
        return Fatal(f"spool.file: cannot open {self._path}: {error}; create its folder and let the agent write there")

    async def run(self, work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work, grows)

    def _run(self, work: Callable[[sqlite3.Connection], T], grows: bool) -> T:
        try:
            return self._work(work, grows)
        except Damaged as error:
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + SUSPECT).write_text(f"{error}\n", "utf-8")
            raise

    def _work(self, work: Callable[[sqlite3.Connection], T], grows: bool) -> T:
        connection = self._open()
        if grows:
            if not self._set_ballast() and not self._give_back(connection):
                raise DiskFull(f"less than {BALLAST_BYTES + SPARE_BYTES} bytes free beside {self._path}")
            return transact(connection, work)
        try:
            result = transact(connection, work)
        except DiskFull:
            if not self._drop_ballast():
                raise
            result = transact(connection, work)
        if not self._has_ballast():
            self._give_back(connection)
        return result

    def _give_back(self, connection: sqlite3.Connection) -> bool:
        """Return to the disk what deleting has freed; whether there is room for the ballast again."""
        with contextlib.suppress(sqlite3.Error):
            connection.executescript(f"PRAGMA incremental_vacuum({GIVE_BACK_PAGES}); PRAGMA wal_checkpoint(TRUNCATE)")
        return self._set_ballast()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.take()
            old = os.umask(0o077)
            try:
                self._connection = self._connect()
            finally:
                os.umask(old)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        """A connection that is durable and bounded, or none: half a configuration would be neither."""
        connection = None
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            configure(connection, self._bytes_max)
            return connection
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if _no_room(error) and self._drop_ballast():
                return self._connect()  # opening needs room for the journal, and deleting needs an open file
            if _no_room(error):
                raise DiskFull(str(error)) from error
            raise self._not_opened(error) from None

    def _set_ballast(self) -> bool:
        """Whether the ballast is in its place; it is put there where there is room."""
        if self._has_ballast():
            return True
        try:
            if shutil.disk_usage(self._path.parent).free < BALLAST_BYTES + SPARE_BYTES:
                return False
            self._ballast.write_bytes(os.urandom(BALLAST_BYTES))
        except OSError:
            self._drop_ballast()
            return False
        return True

    def _has_ballast(self) -> bool:
        """Whether it is there, and whole: a power cut may leave its name without its bytes."""
        try:
            return self._ballast.stat().st_size >= BALLAST_BYTES
        except OSError:
            return False

    def _drop_ballast(self) -> bool:
        """Whether there was any that could be given up; a card that takes no write any more lets none go."""
        try:
            self._ballast.unlink()
        except OSError:
            return False
        return True

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=True)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._let_go()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
