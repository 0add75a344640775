"""How batches get their base that were sealed without one, in SQL: for good, with bounds where it is an estimate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from data_contract.batch import Span
from data_contract.reading import EARLIEST_MS
from edge_agent.keep.batch_row import crc_when_dated
from edge_agent.keep.dating import OFF_MS
from edge_agent.keep.passes import LATEST, STAMP_MS

if TYPE_CHECKING:
    import sqlite3

UNKNOWN_MS = 253_402_300_799_000
"""Upper bound where nothing is known: the end of the year 9999."""
_LOW = "coalesce(unsure_lo, guess_ms)"
"""The bound that a batch was sealed with; older versions sealed none."""
_OF_BOOT = " AND run_id IN (SELECT id FROM run WHERE boot=:boot)"


def date(db: sqlite3.Connection, boot: str, base_ms: int, bounds: tuple[int, int] | None) -> None:
    """The base of this boot is known, or is known to lie within `bounds`."""
    _earlier(db, boot, base_ms, bounds[1] if bounds else base_ms + OFF_MS)
    low_ms, high_ms = bounds or (None, None)
    _set(db, (":base", ":low", ":high"), {"base": base_ms, "low": low_ms, "high": high_ms})
    _date_ends(db)


def guess(db: sqlite3.Connection, boot: str) -> None:
    """Nothing is known, and no longer waited for: what the clock said has to do."""
    begun = "SELECT min(guess_ms) FROM batch WHERE base_ms IS NULL AND guess_ms >= ?"
    if (least_ms := db.execute(begun, (EARLIEST_MS,)).fetchone()[0]) is not None:
        _earlier(db, boot, least_ms, UNKNOWN_MS)
    _set(db, ("guess_ms", _LOW, ":high"), {"high": UNKNOWN_MS})
    _date_ends(db)


def guess_only(db: sqlite3.Connection, spans: Iterable[Span], ids: Mapping[str, int]) -> list[Span]:
    """Estimates for what does not wait; each batch that got one. What no clock has ever told of has none, and waits.

    An estimate lies on a track of its own, so whatever the time turns out to have been, nothing else has these stamps.
    """
    found: list[Span] = []
    of = " AND run_id=:run_id AND seq BETWEEN :first AND :last AND guess_ms >= :earliest"
    for run, first, last in spans:
        these = {"run_id": ids[run], "first": first, "last": last, "earliest": EARLIEST_MS}
        rows = db.execute(f"SELECT seq FROM batch WHERE base_ms IS NULL{of} ORDER BY seq", these)  # noqa: S608  # ours
        if not (seqs := [seq for (seq,) in rows]):
            continue
        _set(db, ("guess_ms", _LOW, ":high"), {"high": UNKNOWN_MS, **these}, of)
        db.execute(
            "UPDATE run SET to_ms=(SELECT base_ms + json_extract(body, '$.to') FROM batch WHERE run_id=id AND seq=?)"
            " WHERE id=? AND to_ms IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM batch WHERE run_id=id AND base_ms IS NULL AND seq > ?)",
            (seqs[-1], ids[run], seqs[-1]),
        )
        found += [(run, seq, seq) for seq in seqs]
    return found


def end_of(db: sqlite3.Connection, run_id: int) -> int | None:
    """Where the last batch of a run ended that has not been dated, by what the clock said."""
    found = db.execute(
        "SELECT guess_ms + json_extract(body, '$.to') FROM batch WHERE run_id=? AND base_ms IS NULL"
        " ORDER BY seq DESC LIMIT 1",
        (run_id,),
    ).fetchone()
    return None if found is None else int(found[0])


def _earlier(db: sqlite3.Connection, boot: str, begun_ms: int, unsure_ms: int) -> None:
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
        base = "CASE WHEN guess_ms BETWEEN :earliest AND :high THEN guess_ms ELSE :latest END"
        values = {"latest": begun_ms - STAMP_MS + LATEST, "high": unsure_ms, "earliest": EARLIEST_MS}
        _set(db, (base, f"min({_LOW}, :latest)", ":high"), {**values, "boot": earlier}, _OF_BOOT)


def _set(db: sqlite3.Connection, to: tuple[str, str, str], values: Mapping[str, object], of: str = "") -> None:
    """Give undated batches their base and its bounds, `to`: expressions over a row and `values`."""
    db.create_function("crc_when_dated", 8, crc_when_dated, deterministic=True)
    base, low, high = to
    db.execute(
        f"UPDATE batch SET base_ms={base}, unsure_lo={low}, unsure_hi={high},"  # noqa: S608  # expressions of ours
        f" crc=crc_when_dated(seq, guess_ms, body, crc, unsure_lo, {base}, {low}, {high}) WHERE base_ms IS NULL{of}",
        values,
    )


def _date_ends(db: sqlite3.Connection) -> None:
    """Tell when runs ended whose last batch has just been dated."""
    db.execute(
        "UPDATE run SET to_ms=(SELECT base_ms + json_extract(body, '$.to') FROM batch WHERE run_id=id AND base_ms != 0"
        " ORDER BY seq DESC LIMIT 1) WHERE to_ms IS NULL"
    )
