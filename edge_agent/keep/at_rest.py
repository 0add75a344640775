"""The spool's file in the hands of an operator: read beside the agent, changed only while no agent has it open."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from edge_agent.errors import Fatal
from edge_agent.keep.schema import SCHEMA_VERSION

T = TypeVar("T")

WAIT_S = 1.0
"""How long a reader waits for the agent's own transaction, and a writer for another operator."""


def look(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Read, also while an agent runs. Raises Fatal."""
    with _opened(path, "ro") as db:
        db.execute("BEGIN")
        return work(db)


def change(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Change it in one durable transaction. Raises Fatal, also while an agent runs: it knows what it has read."""
    with _opened(path, "rw") as db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=OFF")
        db.execute("BEGIN IMMEDIATE")
        result = work(db)
        db.execute("COMMIT")
        return result


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise Fatal(f"spool.file: {path} is not there; an agent makes it when it runs for the first time")
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAIT_S, isolation_level=None)
        ) as db:
            if mode == "rw":
                # The agent keeps the file open as long as it runs; nobody else can then have it alone.
                db.execute("PRAGMA locking_mode=EXCLUSIVE")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if not 0 < version <= SCHEMA_VERSION:
                raise Fatal(f"spool.file: {path} has schema {version}, which this version does not know; nothing done")
            yield db
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Fatal(
                f"spool.file: the agent has {path} open; stop it (systemctl stop loopgauge-edge), then try again"
            ) from None
        raise Fatal(f"spool.file: {path}: {error}") from None
