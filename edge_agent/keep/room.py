"""Room in a full spool: which rows give way, and the digest that takes their place. SQL on the spool's connection.

Each function is one piece of work for the disk; the spool decides in between what may not go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, NamedTuple

from data_contract.batch import Body, Span, write_body
from edge_agent.errors import Damaged
from edge_agent.keep import plan_row
from edge_agent.keep.batch_row import is_sound
from edge_agent.keep.evict import (
    DAY_MS,
    DIGEST_BYTES_MAX,
    GAIN_MIN,
    HOUR_MS,
    Fields,
    Memory,
    Place,
    Row,
    digest_of,
    merged,
    spans_of,
)

if TYPE_CHECKING:
    import sqlite3

PIECE_BYTES_MAX = 4_000_000
"""Plain JSON that one eviction reads at most: an hour of a large gateway, a second or two of a small board's time."""
DIGESTS_LOOKED_AT_MAX = 64
"""So many of the oldest digests are looked at for two of one day."""

RESERVE_PAGES = 64
"""By so many pages an eviction and the begin of a run may pass the spool's bound: those of the largest digest. A seal
may not."""
MERGED_MIN = 8
"""While there is detail that may go, so many digests are worth the trouble of merging them."""

Key = tuple[str, int]

_PLAIN = """SELECT run, seq, base_ms, length(body), json_extract(body, '$.from'), json_extract(body, '$.to'),
        json_extract(body, '$.prev') FROM batch JOIN run ON run.id = run_id
    WHERE aside IS NULL AND unsure_lo IS NULL AND base_ms > 0 ORDER BY run_id, seq"""
_DIGESTS = """SELECT run, seq, base_ms, length(body), json_extract(body, '$.from'), json_extract(body, '$.to'), NULL
    FROM batch JOIN run ON run.id = run_id
    WHERE aside IS NULL AND base_ms = 0 ORDER BY run_id, seq LIMIT ?"""


class Piece(NamedTuple):
    """Rows that may give way together, in order; `day` (UTC) where they are digests."""

    keys: tuple[Key, ...] = ()
    day: int | None = None

    def without(self, busy: Container[Key]) -> Piece:
        """As far as nothing of it is busy. A piece has no holes, or what is kept would not tell what was between."""
        return self._replace(keys=tuple(takewhile(lambda key: key not in busy, self.keys)))

    @property
    def may_go(self) -> bool:
        """Whether there is anything to give up."""
        return len(self.keys) >= (1 if self.day is None else 2)


@dataclass(slots=True)
class Store:
    """What is remembered between evictions; lost with the process, which costs a few more readings that are kept."""

    memory: Memory = field(default_factory=Memory)
    spared: dict[str, int] = field(default_factory=dict)
    """By run: the seq up to which nothing is worth giving up."""
    spared_days: set[int] = field(default_factory=set)
    """Days (UTC) of which the digests take no less room as one."""
    fruitless_h: int = -1
    """The hour (UTC) in which nothing was found that may go; not before the next one is it looked for again."""

    def spare(self, piece: Piece) -> None:
        """Try it no more."""
        if piece.day is not None:
            self.spared_days.add(piece.day)
        else:
            self.spared |= dict(piece.keys[-1:])


class Replaced(NamedTuple):
    """A digest that has taken the place of others."""

    spans: list[Span]
    size: int


@contextlib.contextmanager
def reserve(db: sqlite3.Connection) -> Iterator[None]:
    """What makes room may itself need some; and an agent that cannot begin would never make any."""
    (bound,) = db.execute("PRAGMA max_page_count").fetchone()
    db.execute(f"PRAGMA max_page_count={bound + RESERVE_PAGES}")
    try:
        yield
    finally:
        db.execute(f"PRAGMA max_page_count={bound}")


def begin(db: sqlite3.Connection, run: str, fields: Fields) -> None:
    """Remember how the fields of a run are read for as long as it has batches: the configuration may forget them."""
    _make(db)
    db.execute("DELETE FROM plan WHERE run NOT IN (SELECT run FROM run)")
    _remember(db, run, plan_row.write(run, fields))


def adopt(db: sqlite3.Connection, plans: Mapping[str, str]) -> None:
    """Remember the same of the runs of a damaged file, as rows of it said it, each by its run."""
    _make(db)
    for run, text in plans.items():
        if db.execute("SELECT 1 FROM plan WHERE run=?", (run,)).fetchone() is None:
            _remember(db, run, text)


def _make(db: sqlite3.Connection) -> None:
    # Three columns and no index: what is read page by page out of a damaged file must not take it for another table.
    db.execute("CREATE TABLE IF NOT EXISTS plan (run TEXT NOT NULL, version INTEGER NOT NULL, fields TEXT NOT NULL)")


def _remember(db: sqlite3.Connection, run: str, text: str) -> None:
    db.execute("INSERT INTO plan (run, version, fields) VALUES (?, ?, ?)", (run, plan_row.PLAN_VERSION, text))


def piece(db: sqlite3.Connection, busy: Container[Key], before_ms: int, store: Store) -> Piece:
    """Many digests of a day that is long past, which as one take less room and lose nothing; else the oldest plain rows
    that may give way, of an hour that is over; else two digests, if nothing else is left.
    """
    for found in (
        _digests(db, busy, before_ms, store, least=MERGED_MIN),
        _plain(db, busy, before_ms, store),
        _digests(db, busy, before_ms, store, least=2),
    ):
        if found.keys:
            return found
    return Piece()


def _plain(db: sqlite3.Connection, busy: Container[Key], before_ms: int, store: Store) -> Piece:
    found: list[Place] = []
    size = 0
    for place in _places(db.execute(_PLAIN)):
        if (place.run, place.seq) in busy or place.seq <= store.spared.get(place.run, 0):
            if found:
                break
            continue
        if found and not place.follows(found[-1]):
            break
        if place.base_ms + place.to > before_ms // HOUR_MS * HOUR_MS or size + place.size > PIECE_BYTES_MAX:
            if found:
                break
            continue
        found.append(place)
        size += place.size
    return Piece(tuple((place.run, place.seq) for place in found))


def _digests(db: sqlite3.Connection, busy: Container[Key], before_ms: int, store: Store, *, least: int) -> Piece:
    places = [p for p in _places(db.execute(_DIGESTS, (DIGESTS_LOOKED_AT_MAX,))) if (p.run, p.seq) not in busy]
    old = sorted((place for place in places if place.to <= before_ms - DAY_MS), key=lambda place: place.from_)
    for number, day in groupby(old, key=lambda place: place.from_ // DAY_MS):
        chosen: list[Place] = []
        for place in day:
            if sum(each.size for each in chosen) + place.size <= DIGEST_BYTES_MAX:
                chosen.append(place)
        if len(chosen) >= least and number not in store.spared_days:
            return Piece(tuple((place.run, place.seq) for place in chosen), number)
    return Piece()


def _places(rows: sqlite3.Cursor) -> Iterator[Place]:
    return (Place(*row) for row in rows)


def replace(db: sqlite3.Connection, piece: Piece, insert: Callable[[str], None], store: Store) -> Replaced | None:
    """Put a digest in the place of a piece, or of its first part if that is all that fits into one.

    None: it is not worth it, and nothing has changed.
    """
    rows = [_row(db, key) for key in piece.keys]
    fields = _fields(db, rows[0].run)
    while True:
        body, memory = (merged(rows), store.memory) if piece.day is not None else digest_of(rows, fields, store.memory)
        text = write_body(body)
        if len(text) <= DIGEST_BYTES_MAX or len(rows) == 1:
            break
        rows = rows[: len(rows) // 2]
    gain = 0 if piece.day is not None else GAIN_MIN
    if len(text) > DIGEST_BYTES_MAX or len(text) >= (1 - gain) * sum(row.size for row in rows):
        store.spare(piece._replace(keys=tuple((row.run, row.seq) for row in rows)))
        return None
    _swap(db, rows, lambda: insert(text))
    store.memory = memory
    return Replaced(spans_of((row.run, row.seq) for row in rows), len(text))


def _swap(db: sqlite3.Connection, rows: Sequence[Row], insert: Callable[[], None]) -> None:
    """Deleted first, so that the digest takes what this sets free; a few rows may not set a whole page free, though."""
    with reserve(db):
        for row in rows:
            db.execute("DELETE FROM batch WHERE run_id=(SELECT id FROM run WHERE run=?) AND seq=?", (row.run, row.seq))
        insert()


def _row(db: sqlite3.Connection, key: Key) -> Row:
    """Raises Damaged: what the card has changed is not made into anything else."""
    found = db.execute(
        "SELECT base_ms, guess_ms, unsure_lo, unsure_hi, body, crc FROM batch JOIN run ON run.id = run_id"
        " WHERE run=? AND seq=?",
        key,
    )
    base_ms, guess_ms, lo, hi, text, crc = found.fetchone()
    if not is_sound(key[1], base_ms, guess_ms, lo, hi, text, crc):
        raise Damaged(f"spool: batch {key[1]} of run {key[0]} is not as it was sealed; the next start sets it aside")
    return Row(*key, base_ms, len(text), Body.model_validate_json(text))


def _fields(db: sqlite3.Connection, run: str) -> Fields:
    """How the fields of a run were read; nothing, where a program that did not yet say so has sealed it."""
    found = db.execute("SELECT version, fields FROM plan WHERE run=? ORDER BY version DESC", (run,)).fetchone()
    return plan_row.read(run, *found) if found else {}
