"""What has been sealed and is not yet confirmed: SQL on the disk, one transaction each, and an index in memory.

The index knows of each batch only its place and size, so that deciding what to send reads nothing from the disk.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from data_contract.batch import Previous, Span
from data_contract.message import Row
from edge_agent.errors import Damaged, DiskFull
from edge_agent.keep import beginning, estimate, room, schema
from edge_agent.keep.aside import without
from edge_agent.keep.batch_row import crc_of, is_sound
from edge_agent.keep.dating import Past
from edge_agent.keep.evict import HOUR_MS, Fields, spans_of
from edge_agent.keep.index import Index, Spans
from edge_agent.keep.wreck import BatchRow, Wreck
from edge_agent.ports import Disk

if TYPE_CHECKING:
    import sqlite3

PIECES_PER_EVICTION = 3
"""So many are tried until one is worth giving up."""
PENDING_SPANS_MAX = 500
"""Spans that a batch lists at most; beyond, neighbouring spans are joined across the gap between them."""


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
    """The true base is no less than this; None where it is `base_ms`."""
    high_ms: int | None = None
    """Nor more than this; None while there is no base."""
    memory: Mapping[str, str] = field(default_factory=dict)
    """By device: what it must still know after a power cut."""


class Spool:
    """The batches of this run and of those before it."""

    def __init__(
        self,
        *,
        disk: Disk,
        run: str,
        boot: str,
        wrecks: Sequence[Wreck] = (),
        told: Sequence[str] = (),
        fields: Fields | None = None,
    ) -> None:
        """`wrecks`: damaged spools whose rows are to be carried over, oldest first; `told`: names of those of which the
        first batch tells; `fields`: how those of this run are read, for when they must be given up.
        """
        self._disk = disk
        self._fields = fields or {}
        self._room = room.Store()
        self.leaving: list[Span] = []
        """Batches that are just giving way to a digest: not to be sent."""
        self._boot = boot
        self._wrecks = wrecks
        self._tells = told
        self._adrift = Spans()
        """What can still be read in them and has not been carried over."""
        self.salvaged: dict[str, int] = {}
        """By name of such a file: up to which page that has been done."""
        self.run = run
        self.previous: Previous | None = None
        self.past = Past()
        """What the runs before this one leave behind for civil time."""
        self.held = Index()
        """Batches that are offered, oldest first."""
        self.has_sealed = False
        """This run has a batch, and with it what there was to say at its start."""
        self.oldest_ms: int | None = None
        """Civil ms at which the oldest of them ended; None while there is none. As of the last transaction."""
        self.aside: list[tuple[str, int, int, str]] = []
        self.memory: dict[str, str] = {}
        """By device: what it knew at the last seal."""
        self._ids: dict[str, int] = {}

    async def open(self) -> None:
        """Make or check the schema, load the index, and begin this run. Raises Fatal, DiskFull."""
        self.previous = await self._disk.run(self._open)
        with contextlib.suppress(DiskFull):
            await self._disk.run(schema.add_indexes)

    def _open(self, db: sqlite3.Connection) -> Previous | None:
        with room.reserve(db):
            begun = beginning.begin(db, run=self.run, boot=self._boot, fields=self._fields, wrecks=self._wrecks)
        self._ids, self.salvaged, self._adrift = begun.ids, begun.salvaged, begun.adrift
        self.held = schema.load_index(db)
        self.past = replace(begun.past, undated=bool(self.held.undated))
        self.aside = schema.load_aside(db)
        self.memory = dict(db.execute("SELECT device, text FROM memory"))
        self._date_oldest(db, self._oldest())
        return begun.previous

    async def carry(self, wreck: Wreck, page: int, last_page: int) -> int:
        """Carry over the rows of the next pages of a damaged spool; their number. Raises DiskFull: none was."""

        def work(db: sqlite3.Connection) -> tuple[list[BatchRow], list[BatchRow]]:
            there = "SELECT 1 FROM batch WHERE run_id=? AND seq=?"  # another damaged file may have had it, too
            found = list(wreck.rows(page, last_page))
            new = [row for row in found if db.execute(there, (self._ids[row.run], row.seq)).fetchone() is None]
            for row in new:
                self._insert(db, row)
            db.execute("UPDATE salvage SET page=? WHERE file=?", (last_page, wreck.name))
            return found, new

        found, new = await self._disk.run(work, grows=True)
        self.salvaged[wreck.name] = last_page
        for row in found:
            self._adrift.discard((row.run, row.seq, row.seq))
        for row in new:
            if row.aside is not None:
                self.aside.append((row.run, row.seq, row.seq, row.aside))
            else:
                self.held.add(row.run, row.seq, len(row.body), dated=row.base_ms is not None)
        self.held.sort(self._ids)
        return len(new)

    def _insert(self, db: sqlite3.Connection, row: BatchRow) -> None:
        """Every batch comes into the file by this."""
        crc = crc_of(row.seq, row.base_ms, row.guess_ms, row.unsure_lo, row.unsure_hi, row.body)
        db.execute(
            "INSERT INTO batch (run_id, seq, base_ms, guess_ms, unsure_lo, unsure_hi, aside, body, size, crc)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self._ids[row.run], *row[1:], len(row.body), crc),
        )

    def _oldest(self, *, without: Sequence[Span] = (), else_seq: int = 0) -> tuple[str, int]:
        """(run, seq) of the batch that will be the oldest. To be asked before a transaction: it runs in a thread."""
        run, seq, _ = next(self.held.spans(without=without), (self.run, else_seq, else_seq))
        return run, seq

    def _date_oldest(self, db: sqlite3.Connection, oldest: tuple[str, int]) -> None:
        """One batch is looked into: the index does without the times of all others."""
        run, seq = oldest
        self.oldest_ms = schema.date_of(db, self._ids[run], seq)

    def pending(self, confirmed: Sequence[Span]) -> list[Span]:
        """What is held and not yet confirmed, as spans; never more than PENDING_SPANS_MAX."""
        found = [*self._adrift, *self.held.spans(without=confirmed)]
        if len(found) > PENDING_SPANS_MAX:
            whole: dict[str, tuple[int, int]] = {}
            for run, first, last in found:
                low, high = whole.get(run, (first, last))
                whole[run] = (min(first, low), max(last, high))
            found = [(run, first, last) for run, (first, last) in whole.items()]
        return found[:PENDING_SPANS_MAX]  # more runs than that: a batch of any size would be refused

    async def seal(self, sealed: Sealed, confirmed: Sequence[Span]) -> None:
        """Write a batch and forget what has been confirmed, in one transaction. Raises DiskFull: it was not written."""
        oldest = self._oldest(without=confirmed, else_seq=sealed.seq)

        def insert(db: sqlite3.Connection) -> None:
            run_id = self._ids[self.run]
            at = (sealed.base_ms, sealed.guess_ms, sealed.low_ms, sealed.high_ms)
            self._insert(db, BatchRow(self.run, sealed.seq, *at, None, sealed.body))
            to_ms = None if sealed.base_ms is None else sealed.to_ms
            db.execute(
                "UPDATE run SET last=?, to_ms=?, clean=?, backsteps=? WHERE id=?",
                (sealed.seq, to_ms, sealed.clean, sealed.backsteps, run_id),
            )
            db.executemany("INSERT OR REPLACE INTO memory (device, text) VALUES (?, ?)", sealed.memory.items())
            if not self.has_sealed:
                beginning.told(db, self._tells)
            self._date_oldest(db, oldest)

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
        self.has_sealed = True
        self._drop(confirmed)
        self.held.add(self.run, sealed.seq, len(sealed.body), dated=sealed.base_ms is not None)

    async def evict(self, seq: int, *, before_ms: int, busy: Callable[[], Container[tuple[str, int]]]) -> bool:
        """Let a digest with this seq of this run take the place of an hour of detail, in one transaction.

        False: nothing may go, or nothing worth it; the seq was not used. `before_ms`: only hours that ended before;
        `busy`: what is in flight or confirmed, and must stay as it is. Raises DiskFull (nothing has changed), Damaged.
        """
        for _ in range(PIECES_PER_EVICTION):
            if self._room.fruitless_h == before_ms // HOUR_MS:
                return False
            piece = await self._disk.run(functools.partial(self._piece, busy(), before_ms))
            # What has been sent since must not be digested: the cloud may be storing it now. From here on it is not.
            piece = piece.without(busy())
            if not piece.may_go:
                self._room.fruitless_h = before_ms // HOUR_MS
                return False
            if await self._replace(piece, seq):
                return True
        return False

    def _piece(self, busy: Container[tuple[str, int]], before_ms: int, db: sqlite3.Connection) -> room.Piece:
        return room.piece(db, busy, before_ms, self._room)

    async def _replace(self, piece: room.Piece, seq: int) -> bool:
        """Whether a digest has taken the place of a piece; else it was not worth it, and another may be."""
        going = spans_of(piece.keys)
        oldest = self._oldest(without=going, else_seq=seq)

        def work(db: sqlite3.Connection) -> room.Replaced | None:
            def insert(body: str) -> None:
                self._insert(db, BatchRow(self.run, seq, 0, 0, None, None, None, body))
                db.execute("UPDATE run SET last=? WHERE id=?", (seq, self._ids[self.run]))

            replaced = room.replace(db, piece, insert, self._room)
            if replaced is not None:
                self._date_oldest(db, oldest)
            return replaced

        self.leaving = going
        try:
            replaced = await self._disk.run(work)
        except DiskFull:
            if piece.day is None:
                raise
            self._room.spare(piece)  # where no page is left, a few small digests may set none free
            return False
        finally:
            self.leaving = []
        if replaced is None:
            return False
        self._drop(replaced.spans)
        self.held.add(self.run, seq, replaced.size, dated=True)
        return True

    async def forget(self, confirmed: Sequence[Span]) -> None:
        """Delete what has been confirmed. Raises DiskFull."""
        oldest = self._oldest(without=confirmed)

        def work(db: sqlite3.Connection) -> None:
            self._delete(db, confirmed)
            self._date_oldest(db, oldest)

        await self._disk.run(work)
        self._drop(confirmed)

    def _delete(self, db: sqlite3.Connection, confirmed: Sequence[Span]) -> None:
        for run, first, last in confirmed:
            db.execute("DELETE FROM batch WHERE run_id=? AND seq BETWEEN ? AND ?", (self._ids[run], first, last))

    def _drop(self, confirmed: Sequence[Span]) -> None:
        for span in confirmed:
            self.held.drop(span)

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

    async def offer(self, span: Span) -> None:
        """Offer batches again that were set aside, in their old place. Raises DiskFull."""
        run, first, last = span

        def work(db: sqlite3.Connection) -> list[tuple[int, int, int]]:
            place = (self._ids[run], first, last)
            db.execute("UPDATE batch SET aside=NULL WHERE run_id=? AND seq BETWEEN ? AND ?", place)
            return db.execute(
                "SELECT seq, length(body), base_ms IS NOT NULL FROM batch WHERE run_id=? AND seq BETWEEN ? AND ?", place
            ).fetchall()

        for seq, size, dated in await self._disk.run(work):
            self.held.add(run, seq, size, dated=bool(dated))
        self.held.sort(self._ids)
        self.aside = without(self.aside, span)

    async def date(self, base_ms: int, bounds: tuple[int, int] | None = None) -> None:
        """The clock has become trusted: batches of this boot get this base, those of earlier boots an estimate.

        `bounds`: the base had to be moved on, so that it is an estimate, too.
        """
        await self._set_dates(lambda db: estimate.date(db, self._boot, base_ms, bounds))

    async def guess(self) -> None:
        """The wait for a trusted clock is over: undated batches go with what the clock said, marked as an estimate."""
        await self._set_dates(lambda db: estimate.guess(db, self._boot))

    async def guess_only(self, spans: Sequence[Span]) -> None:
        """These do not wait: they go with what the clock said, where that can be an estimate. Raises DiskFull."""
        for span in await self._disk.run(lambda db: estimate.guess_only(db, spans, self._ids)):
            self.held.date(span)

    async def _set_dates(self, work: Callable[[sqlite3.Connection], None]) -> None:
        await self._disk.run(work)
        self.held.all_dated()

    async def take(self, span: Span) -> list[Row]:
        """The rows of a span, as they are to be sent, without those that are confirmed meanwhile. Raises Damaged.

        Each must be held and dated.
        """
        run, first, last = span

        def work(db: sqlite3.Connection) -> list[Row]:
            rows = db.execute(
                "SELECT seq, base_ms, guess_ms, unsure_lo, unsure_hi, body, crc FROM batch"
                " WHERE run_id=? AND seq BETWEEN ? AND ? ORDER BY seq",
                (self._ids[run], first, last),
            )
            found = []
            for seq, base, guess, lo, hi, body, crc in rows:
                if base is None or not is_sound(seq, base, guess, lo, hi, body, crc):
                    raise Damaged(
                        f"spool: batch {seq} of run {run} is not as it was sealed; the next start sets it aside"
                    )
                found.append(Row(seq, base, body, None if lo is None else (lo, hi)))
            return found

        rows = await self._disk.run(work)
        # An ack and a seal may have come in between; what is gone is then no longer held either.
        there = {row.seq for row in rows}
        if any(seq not in there for _, a, b in self.held.spans(within=[span]) for seq in range(a, b + 1)):
            await self._disk.run(functools.partial(_gone, span))
        return rows

    async def close(self) -> None:
        """Let the disk go."""
        await self._disk.close()


def _gone(span: Span, db: sqlite3.Connection) -> None:
    """Raised where the disk notes that its file is not to be trusted."""
    raise Damaged(f"spool: batches of {span} are gone; the next start sets the file aside")
