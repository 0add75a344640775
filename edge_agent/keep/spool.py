"""What has been sealed and is not yet confirmed: SQL on the disk, one transaction each, and an index in memory.

The index knows of each batch only its place and size, so that deciding what to send reads nothing from the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import TYPE_CHECKING

from data_contract.batch import Previous, Span
from data_contract.message import Row
from data_contract.reading import EARLIEST_MS, GATEWAY_DEVICE
from edge_agent.errors import DiskFull, Fatal
from edge_agent.keep.dating import Past
from edge_agent.keep.passes import LATEST, STAMP_MS
from edge_agent.ports import Disk

if TYPE_CHECKING:
    import sqlite3

SCHEMA_VERSION = 2
_UPGRADES = {1: "CREATE TABLE memory (device TEXT PRIMARY KEY, text TEXT NOT NULL)"}
"""What an older file lacks, by its version."""
UNKNOWN_MS = 253_402_300_799_000
"""Upper bound where nothing is known: the end of the year 9999."""
PENDING_SPANS_MAX = 500
"""Spans that a batch lists at most; beyond, neighbouring spans are joined across the gap between them."""


@dataclass(frozen=True, slots=True)
class Held:
    """A batch in the spool."""

    run: str
    seq: int
    size: int
    dated: bool


def spans(keys: Iterable[tuple[str, int]]) -> list[Span]:
    """(run, first, last) of consecutive seqs, in the order in which the runs first appear."""
    found: dict[str, list[list[int]]] = {}
    for run, seq in keys:
        parts = found.setdefault(run, [])
        if parts and parts[-1][1] == seq - 1:
            parts[-1][1] = seq
        else:
            parts.append([seq, seq])
    return [(run, first, last) for run, parts in found.items() for first, last in parts]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch to be written: `base_ms` is None while the clock cannot be trusted, then `guess_ms` is all there is."""

    seq: int
    base_ms: int | None
    guess_ms: int
    to_ms: int
    body: str
    clean: bool = False
    backsteps: int = 0
    low_ms: int | None = None
    """While there is no base: it is going to be no less than this."""
    memory: Mapping[str, str] = field(default_factory=dict)
    """By device: what it must still know after a power cut."""


class Spool:
    """The batches of this run and of those before it."""

    def __init__(self, *, disk: Disk, run: str, boot: str) -> None:
        self._disk = disk
        self._boot = boot
        self.run = run
        self.previous: Previous | None = None
        self.past = Past()
        """What the runs before this one leave behind for civil time."""
        self.held: dict[tuple[str, int], Held] = {}
        """Batches that are offered, oldest first."""
        self.oldest_ms: int | None = None
        """Civil ms at which the oldest of them ended; None while there is none. As of the last transaction."""
        self.aside: list[tuple[str, int, int, str]] = []
        self.memory: dict[str, str] = {}
        """By device: what it knew at the last seal."""
        self._ids: dict[str, int] = {}

    async def open(self) -> None:
        """Make or check the schema, load the index, and begin this run. Raises Fatal, DiskFull."""
        self.previous = await self._disk.run(self._open)

    def _open(self, db: sqlite3.Connection) -> Previous | None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise Fatal(
                f"spool.file: written by a newer version (schema {version}); install that version, nothing was touched"
            )
        if version == 0:
            for statement in resources.files("edge_agent.keep").joinpath("schema.sql").read_text("utf-8").split(";\n"):
                db.execute(statement)
        elif version < SCHEMA_VERSION:
            for old in range(version, SCHEMA_VERSION):
                db.execute(_UPGRADES[old])
        if version < SCHEMA_VERSION:
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._load(db)
        # A run that died before its first seal left nothing to name; the one before it must still be named.
        before = db.execute(
            "SELECT run, last, to_ms, clean, boot, id FROM run WHERE last > 0 ORDER BY id DESC LIMIT 1"
        ).fetchone()
        db.execute(
            "DELETE FROM run WHERE id NOT IN (SELECT run_id FROM batch)"
            " AND id IS NOT (SELECT max(id) FROM run WHERE last > 0)"
        )
        backsteps = db.execute("SELECT coalesce(max(backsteps), 0) FROM run").fetchone()[0]
        db.execute(
            "INSERT INTO run (run, boot, last, clean, backsteps) VALUES (?, ?, 0, 0, ?)",
            (self.run, self._boot, backsteps),
        )
        self._ids = dict(db.execute("SELECT run, id FROM run"))
        if before is None:
            return None
        run, last, to_ms, clean, boot, run_id = before
        self.past = Past(
            ended_ms=_guessed_end(db, run_id, last) if to_ms is None else to_ms,
            clean=bool(clean),
            rebooted=boot != self._boot,
            undated=any(not held.dated for held in self.held.values()),
            backsteps=backsteps,
            text=self.memory.get(GATEWAY_DEVICE, ""),
        )
        return Previous(run=run, last=last, to_ms=to_ms, clean=bool(clean))

    def _load(self, db: sqlite3.Connection) -> None:
        aside: dict[str, list[tuple[str, int]]] = {}
        rows = db.execute(
            "SELECT run, seq, length(body), base_ms IS NOT NULL, aside FROM batch JOIN run ON run.id = run_id"
            " ORDER BY run_id, seq"
        )
        for run, seq, size, dated, reason in rows:
            if reason is None:
                self.held[run, seq] = Held(run, seq, size, bool(dated))
            else:
                aside.setdefault(reason, []).append((run, seq))
        self.aside = [(*span, reason) for reason, keys in aside.items() for span in spans(keys)]
        self.memory = dict(db.execute("SELECT device, text FROM memory"))
        self._date_oldest(db)

    def _date_oldest(self, db: sqlite3.Connection) -> None:
        """One batch is looked into: the index does without the times of all others."""
        found = db.execute(
            "SELECT coalesce(base_ms, guess_ms) + json_extract(body, '$.to') FROM batch WHERE aside IS NULL"
            " ORDER BY run_id, seq LIMIT 1"
        ).fetchone()
        self.oldest_ms = None if found is None else found[0]

    def pending(self, confirmed: Sequence[Span]) -> list[Span]:
        """What is held and not yet confirmed, as spans; never more than PENDING_SPANS_MAX."""
        done = {(run, seq) for run, first, last in confirmed for seq in range(first, last + 1)}
        found = spans(key for key in self.held if key not in done)
        if len(found) > PENDING_SPANS_MAX:
            whole: dict[str, tuple[int, int]] = {}
            for run, first, last in found:
                whole[run] = (min(first, whole.get(run, (first, last))[0]), last)
            found = [(run, first, last) for run, (first, last) in whole.items()]
        return found

    async def seal(self, sealed: Sealed, confirmed: Sequence[Span]) -> None:
        """Write a batch and forget what has been confirmed, in one transaction. Raises DiskFull: it was not written."""

        def insert(db: sqlite3.Connection) -> None:
            run_id = self._ids[self.run]
            db.execute(
                "INSERT INTO batch (run_id, seq, base_ms, guess_ms, unsure_lo, body) VALUES (?, ?, ?, ?, ?, ?)",
                (run_id, sealed.seq, sealed.base_ms, sealed.guess_ms, sealed.low_ms, sealed.body),
            )
            to_ms = None if sealed.base_ms is None else sealed.to_ms
            db.execute(
                "UPDATE run SET last=?, to_ms=?, clean=?, backsteps=? WHERE id=?",
                (sealed.seq, to_ms, sealed.clean, sealed.backsteps, run_id),
            )
            db.executemany("INSERT OR REPLACE INTO memory (device, text) VALUES (?, ?)", sealed.memory.items())
            self._date_oldest(db)

        def work(db: sqlite3.Connection) -> None:
            self._delete(db, confirmed)
            insert(db)

        try:
            await self._disk.run(work, grows=True)
        except DiskFull:
            if not confirmed:
                raise
            await self.forget(confirmed)
            await self._disk.run(insert, grows=True)
        self._drop(confirmed)
        self.held[self.run, sealed.seq] = Held(self.run, sealed.seq, len(sealed.body), sealed.base_ms is not None)

    async def forget(self, confirmed: Sequence[Span]) -> None:
        """Delete what has been confirmed. Raises DiskFull."""

        def work(db: sqlite3.Connection) -> None:
            self._delete(db, confirmed)
            self._date_oldest(db)

        await self._disk.run(work)
        self._drop(confirmed)

    def _delete(self, db: sqlite3.Connection, confirmed: Sequence[Span]) -> None:
        for run, first, last in confirmed:
            db.execute("DELETE FROM batch WHERE run_id=? AND seq BETWEEN ? AND ?", (self._ids[run], first, last))

    def _drop(self, confirmed: Sequence[Span]) -> None:
        for run, first, last in confirmed:
            for seq in range(first, last + 1):
                self.held.pop((run, seq), None)

    async def set_aside(self, span: Span, reason: str) -> None:
        """Keep these batches, but offer them no more."""
        run, first, last = span

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE batch SET aside=? WHERE run_id=? AND seq BETWEEN ? AND ?", (reason, self._ids[run], first, last)
            )

        await self._disk.run(work)
        self._drop([span])
        self.aside.append((run, first, last, reason))

    async def date(self, base_ms: int, low_ms: int | None = None) -> None:
        """The clock has become trusted: batches of this boot get this base, those of earlier boots an estimate.

        `low_ms`: the base had to be moved on from there, so that it is an estimate, too.
        """

        def work(db: sqlite3.Connection) -> None:
            _date_earlier(db, self._boot, base_ms, base_ms)
            db.execute(
                "UPDATE batch SET base_ms=?, unsure_lo=?, unsure_hi=? WHERE base_ms IS NULL",
                (base_ms, low_ms, None if low_ms is None else base_ms),
            )
            _date_ends(db)

        await self._disk.run(work)
        self._all_dated()

    async def guess(self) -> None:
        """The wait for a trusted clock is over: undated batches go with what the clock said, marked as an estimate."""

        def work(db: sqlite3.Connection) -> None:
            begun = "SELECT min(guess_ms) FROM batch WHERE base_ms IS NULL AND guess_ms >= ?"
            if (least_ms := db.execute(begun, (EARLIEST_MS,)).fetchone()[0]) is not None:
                _date_earlier(db, self._boot, least_ms, UNKNOWN_MS)
            db.execute(
                "UPDATE batch SET base_ms=guess_ms, unsure_lo=coalesce(unsure_lo, guess_ms), unsure_hi=?"
                " WHERE base_ms IS NULL",
                (UNKNOWN_MS,),
            )
            _date_ends(db)

        await self._disk.run(work)
        self._all_dated()

    def _all_dated(self) -> None:
        self.held = {key: held if held.dated else replace(held, dated=True) for key, held in self.held.items()}

    async def take(self, span: Span) -> list[Row]:
        """The rows of a span, as they are to be sent. Each must be held and dated."""
        run, first, last = span

        def work(db: sqlite3.Connection) -> list[Row]:
            rows = db.execute(
                "SELECT seq, base_ms, body, unsure_lo, unsure_hi FROM batch"
                " WHERE run_id=? AND seq BETWEEN ? AND ? ORDER BY seq",
                (self._ids[run], first, last),
            )
            return [Row(seq, base, body, None if lo is None else (lo, hi)) for seq, base, body, lo, hi in rows]

        rows = await self._disk.run(work)
        assert [row.seq for row in rows] == list(range(first, last + 1)), f"spool and index differ at {span}"
        return rows

    async def close(self) -> None:
        """Let the disk go."""
        await self._disk.close()


def _date_earlier(db: sqlite3.Connection, boot: str, begun_ms: int, unsure_ms: int) -> None:
    """Estimates for what was sealed in boots that never learnt the time, each of which was over before the next began.

    This boot began at `begun_ms`, or by `unsure_ms` at the latest. What the clock said in an earlier one is kept where
    it can be true; else that boot was as late as possible.
    """
    boots = db.execute(
        "SELECT boot, max(json_extract(body, '$.to')) FROM batch JOIN run ON run.id = run_id"
        " WHERE base_ms IS NULL AND boot <> ? GROUP BY boot ORDER BY max(run.id) DESC",
        (boot,),
    ).fetchall()
    for earlier, to in boots:
        begun_ms = (begun_ms - to) // STAMP_MS * STAMP_MS
        unsure_ms -= to
        latest_ms = begun_ms - STAMP_MS + LATEST
        db.execute(
            "UPDATE batch SET base_ms=CASE WHEN guess_ms BETWEEN ? AND ? THEN guess_ms ELSE ? END,"
            " unsure_lo=min(coalesce(unsure_lo, guess_ms), ?), unsure_hi=?"
            " WHERE base_ms IS NULL AND run_id IN (SELECT id FROM run WHERE boot=?)",
            (EARLIEST_MS, unsure_ms, latest_ms, latest_ms, unsure_ms, earlier),
        )


def _guessed_end(db: sqlite3.Connection, run_id: int, seq: int) -> int | None:
    """Where a batch ended that has not been dated, by what the clock said."""
    found = db.execute(
        "SELECT guess_ms + json_extract(body, '$.to') FROM batch WHERE run_id=? AND seq=?", (run_id, seq)
    ).fetchone()
    return None if found is None else int(found[0])


def _date_ends(db: sqlite3.Connection) -> None:
    """Tell when runs ended whose last batch has just been dated."""
    db.execute(
        "UPDATE run SET to_ms=(SELECT base_ms + json_extract(body, '$.to') FROM batch WHERE run_id=id AND seq=last)"
        " WHERE to_ms IS NULL"
    )
