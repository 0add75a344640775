"""A SQLite file that one program writes, whole transactions at a time, and others only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGE_BYTES = 4096
_FOR_READERS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"


def open_for_writing(path: Path, *, bytes_max: int, watched: bool = False) -> sqlite3.Connection:
    """Open or create a file, and the folders above it, that never grows beyond `bytes_max`.

    `watched`: others read while it is written, and a commit need not survive a power cut. OSError, sqlite3.Error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(
        f"PRAGMA page_size={_PAGE_BYTES}; {_FOR_READERS if watched else ''}"
        f" PRAGMA max_page_count={bytes_max // _PAGE_BYTES};"
    )
    return db


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a file that exists, also while it is being written. sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside is there in the end, or, where it raises, nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
