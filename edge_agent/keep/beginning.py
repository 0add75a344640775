"""What a start does to the spool's tables before anything is sealed: SQL on a connection that is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from data_contract.batch import Previous
from data_contract.reading import GATEWAY_DEVICE
from edge_agent.keep import estimate, room, schema
from edge_agent.keep.dating import Past
from edge_agent.keep.evict import Fields
from edge_agent.keep.index import Spans
from edge_agent.keep.wreck import Wreck

if TYPE_CHECKING:
    import sqlite3


class _Last(NamedTuple):
    """The newest run that has sealed anything."""

    run: str
    last: int
    to_ms: int | None
    clean: int
    boot: str
    id: int


class Begun(NamedTuple):
    """What the file says of the runs in it, this one included."""

    ids: dict[str, int]
    """Row of each run."""
    salvaged: dict[str, int]
    """By damaged file: up to which page it has been carried over."""
    adrift: Spans
    """What can still be read in such files, and has not been carried over."""
    previous: Previous | None
    past: Past
    """What the runs before this one leave behind for civil time, but for batches without a date."""


def begin(db: sqlite3.Connection, *, run: str, boot: str, fields: Fields, wrecks: Sequence[Wreck]) -> Begun:
    """Make or check the schema, know the runs of damaged spools, drop what is done with, and add this run.

    Raises Fatal for a file of a newer version.
    """
    schema.prepare(db)
    salvaged, adrift = _take_over(db, wrecks)
    # A run that died before its first seal left nothing to name; the one before it must still be named.
    row = db.execute(
        "SELECT run, last, to_ms, clean, boot, id FROM run WHERE last > 0 ORDER BY id DESC LIMIT 1"
    ).fetchone()
    _drop_runs(db, keep={of for of, _, _ in adrift})
    backsteps = db.execute("SELECT coalesce(max(backsteps), 0) FROM run").fetchone()[0]
    db.execute("INSERT INTO run (run, boot, last, clean, backsteps) VALUES (?, ?, 0, 0, ?)", (run, boot, backsteps))
    room.begin(db, run, fields)
    ids = dict(db.execute("SELECT run, id FROM run"))
    if row is None:
        return Begun(ids, salvaged, adrift, None, Past())
    last = _Last(*row)
    previous = Previous(run=last.run, last=last.last, to_ms=last.to_ms, clean=bool(last.clean))
    return Begun(ids, salvaged, adrift, previous, _past(db, last, boot, backsteps))


def _take_over(db: sqlite3.Connection, wrecks: Sequence[Wreck]) -> tuple[dict[str, int], Spans]:
    """Know the runs of damaged spools as if they were ours; their batches follow in steps."""
    names = {wreck.name for wreck in wrecks}
    found = dict(db.execute("SELECT file, page FROM salvage"))
    db.executemany("DELETE FROM salvage WHERE file=?", [(file,) for file in found if file not in names])
    _make_told(db)
    db.executemany("DELETE FROM told WHERE file=?", [(file,) for file in told_of(db) if file not in names])
    salvaged = {file: page for file, page in found.items() if file in names}
    # Once each: a run that is done with must not come back as the newest.
    fresh = [wreck for wreck in wrecks if wreck.name not in salvaged]
    for wreck in reversed(fresh):  # of two that know a device, the newer one
        db.executemany("INSERT OR IGNORE INTO memory (device, text) VALUES (?, ?)", wreck.memory.items())
    for wreck in fresh:
        db.executemany(
            "INSERT OR IGNORE INTO run (run, boot, last, to_ms, clean, backsteps) VALUES (?, ?, ?, ?, ?, ?)", wreck.runs
        )
        room.adopt(db, wreck.plans)
        db.execute("INSERT INTO salvage (file, page) VALUES (?, 0)", (wreck.name,))
        salvaged[wreck.name] = 0
    adrift = Spans()
    for wreck in wrecks:
        for span in wreck.readable(salvaged[wreck.name]):
            adrift.add(span)
    return salvaged, adrift


def _make_told(db: sqlite3.Connection) -> None:
    # A single column and no index: what is read page by page out of a damaged file must not take it for another table.
    db.execute("CREATE TABLE IF NOT EXISTS told (file TEXT NOT NULL)")


def told(db: sqlite3.Connection, files: Sequence[str]) -> None:
    """A batch that is being sealed tells of these damaged spools."""
    db.executemany("INSERT INTO told (file) VALUES (?)", [(file,) for file in files])


def told_of(db: sqlite3.Connection) -> frozenset[str]:
    """The damaged spools of which a batch has told."""
    if db.execute("SELECT 1 FROM sqlite_schema WHERE type='table' AND name='told'").fetchone() is None:
        return frozenset()  # of a version that did not note it, or of a start that got no further than the file
    return frozenset(file for (file,) in db.execute("SELECT file FROM told"))


def _drop_runs(db: sqlite3.Connection, *, keep: set[str]) -> None:
    """Runs without a batch are done with, but for the newest and those in `keep`."""
    db.executemany(
        "DELETE FROM run WHERE id=? AND id NOT IN (SELECT run_id FROM batch)"
        " AND id IS NOT (SELECT max(id) FROM run WHERE last > 0)",
        [(run_id,) for run_id, run in db.execute("SELECT id, run FROM run").fetchall() if run not in keep],
    )


def _past(db: sqlite3.Connection, last: _Last, boot: str, backsteps: int) -> Past:
    text = db.execute("SELECT text FROM memory WHERE device=?", (GATEWAY_DEVICE,)).fetchone()
    return Past(
        ended_ms=estimate.end_of(db, last.id) if last.to_ms is None else last.to_ms,
        clean=bool(last.clean),
        rebooted=last.boot != boot,
        backsteps=backsteps,
        text=text[0] if text is not None else "",
    )
