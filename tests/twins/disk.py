"""Twin of the agent's disk: real SQLite on a real file, inline, which can be full or can die around its commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edge_agent.errors import DiskFull
from edge_agent.keep.disk import configure, transact
from tests.twins.death import Life

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch as it was committed: its JSON and its base, None until it was dated."""

    body: str
    base_ms: int | None
    late: bool = False
    """It was dated after its slots had been called, so that these need not fit the civil grid."""
    unsure: tuple[int, int] | None = None
    """Bounds of its base, where that is an estimate."""


class DiskTwin:
    """The file survives the process; the connection does not. While it is full, only reading works."""

    def __init__(self, *, path: Path, life: Life, bytes_max: int = 64_000_000) -> None:
        self._path = path
        self._life = life
        self._bytes_max = bytes_max
        self._connection: sqlite3.Connection | None = None
        self.full = False
        self.sealed: dict[tuple[str, int], Sealed] = {}
        """(run, seq): every batch that was ever committed."""
        self.held: set[tuple[str, int]] = set()
        self.on_delete: Callable[[set[tuple[str, int]]], None] = lambda keys: None
        """Called with the batches that a commit has removed."""
        self.added: set[tuple[str, int]] = set()
        """The batches that the last commit has brought."""
        self.evict_s = 0.0
        """What passes before and after either half of an eviction: what reads an hour, and what replaces it."""
        self._turn = asyncio.Lock()
        self._evicting: tuple[asyncio.Task[object] | None, int] = (None, 0)

    async def evicting(self, work: Awaitable[T]) -> T:
        """Let what this task does meanwhile count as an eviction: it reads and replaces in turn."""
        self._evicting = (asyncio.current_task(), 0)
        try:
            return await work
        finally:
            self._evicting = (None, 0)

    async def run(self, work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> T:
        evicter, halves = self._evicting
        if evicter is None or asyncio.current_task() is not evicter:
            async with self._turn:
                return await self._run(work, "disk")
        self._evicting = (evicter, halves + 1)
        # One thing after the other, as on one thread; what else happens meanwhile finds the eviction half done.
        async with self._turn:
            await asyncio.sleep(self.evict_s)
            done = await self._run(work, "evict" if halves % 2 else "choose")
            await asyncio.sleep(self.evict_s)
            return done

    async def _run(self, work: Callable[[sqlite3.Connection], T], what: str) -> T:
        await self._life.going()
        self._life.step(f"{what}.before")
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            configure(self._connection, self._bytes_max)
            # Only processes die here, never the machine: what is written need not reach a medium.
            self._connection.execute("PRAGMA synchronous=OFF")
        changes = self._connection.total_changes

        def dying(connection: sqlite3.Connection) -> T:
            result = work(connection)
            if self.full and connection.total_changes != changes:
                raise DiskFull("database or disk is full")
            self._life.step(f"{what}.within")
            return result

        result = transact(self._connection, dying)
        self._note(self._connection)
        self._life.step(f"{what}.after")
        return result

    def _note(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(
            "SELECT run, seq, base_ms, unsure_lo, unsure_hi FROM batch JOIN run ON run.id = run_id"
        )
        present = rows.fetchall()
        before, self.held = self.held, {(row[0], row[1]) for row in present}
        self.added = self.held - before
        for run, seq, base_ms, low, high in present:
            known = self.sealed.get((run, seq))
            unsure = None if base_ms is None or low is None else (low, high)
            if known is None:
                body = "SELECT body FROM batch JOIN run ON run.id = run_id WHERE run=? AND seq=?"
                text = connection.execute(body, (run, seq)).fetchone()[0]
                self.sealed[run, seq] = Sealed(text, base_ms, unsure=unsure)
            elif known.base_ms is None:
                self.sealed[run, seq] = replace(known, base_ms=base_ms, late=True, unsure=unsure)
            else:
                assert (known.base_ms, known.unsure) == (base_ms, unsure), f"batch {seq} of run {run} was dated anew"
        if gone := before - self.held:
            self.on_delete(gone)

    async def close(self) -> None:
        """Let the file go. The dead do nothing: they leave file and journal as they lie."""
        if self._connection is None:
            return
        left = files(self._path) if self._life.dead else None
        self._connection.close()
        self._connection = None
        if left is not None:
            put(self._path, left)


def files(path: Path) -> dict[str, bytes]:
    """A spool as it lies on the card: by suffix, its file and its journal."""
    parts = {suffix: path.with_name(path.name + suffix) for suffix in ("", "-wal")}
    return {suffix: part.read_bytes() for suffix, part in parts.items() if part.exists()}


def put(path: Path, left: dict[str, bytes]) -> None:
    """Make a card hold exactly this."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for suffix, data in left.items():
        path.with_name(path.name + suffix).write_bytes(data)
