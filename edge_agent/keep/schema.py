"""The spool's tables: made, upgraded, and read into the index when an agent starts. SQL on a connection that is given.

A start on a full spool must not read half a gigabyte, so it reads an index that holds nothing but each batch's place
and size. Files of version 2 and older lack it; they get it when they are small, since making it reads every row.
"""

from __future__ import annotations

from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING

from edge_agent.errors import Damaged, Fatal
from edge_agent.keep.index import Index, Spans

if TYPE_CHECKING:
    import sqlite3

SCHEMA_VERSION = 3
BLOCK_ROWS = 1000
"""So many are read at once: in larger blocks, what is freed afterwards would stay with the process."""
INDEX_BYTES_MAX = 16_000_000
"""A file of an older version gets the index at a start that finds no more than this in it."""
_UPGRADES = {
    1: ("CREATE TABLE memory (device TEXT PRIMARY KEY, text TEXT NOT NULL)",),
    2: (
        "ALTER TABLE batch ADD COLUMN size INTEGER",
        "ALTER TABLE batch ADD COLUMN crc INTEGER",
        "CREATE TABLE salvage (file TEXT NOT NULL, page INTEGER NOT NULL)",
    ),
}
"""What an older file lacks, by its version."""


def refusal(version: int) -> str | None:
    """Why a file of this version is left alone; None where it can be used."""
    if version <= SCHEMA_VERSION:
        return None
    return f"spool.file: written by a newer version (schema {version}); install that version, nothing was touched"


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables, or bring those of an older version up to this one. Raises Fatal for a newer one."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if refused := refusal(version):
        raise Fatal(refused)
    if version == 0:
        for statement in _statements():
            db.execute(statement)
    for old in range(version or SCHEMA_VERSION, SCHEMA_VERSION):
        for statement in _UPGRADES[old]:
            db.execute(statement)
    if version < SCHEMA_VERSION:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _statements() -> list[str]:
    return resources.files("edge_agent.keep").joinpath("schema.sql").read_text("utf-8").split(";\n")


def _is_indexed(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_schema WHERE name='batch_place'").fetchone() is not None


def add_indexes(db: sqlite3.Connection) -> None:
    """Give an upgraded file the indexes of a new one, if it is small."""
    pages, free, size = (
        db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
    )
    if _is_indexed(db) or (pages - free) * size > INDEX_BYTES_MAX:
        return
    db.execute("UPDATE batch SET size=length(body) WHERE size IS NULL")
    for statement in _statements():
        if " INDEX batch_" in statement:
            db.execute(statement)


def load_index(db: sqlite3.Connection) -> Index:
    """What the file offers. Raises Damaged where nothing says of which run a batch is."""
    try:
        return _load_index(db)
    except KeyError as error:
        raise Damaged(f"spool: run {error} of a batch is gone; the next start sets the file aside") from None


def _load_index(db: sqlite3.Connection) -> Index:
    index = Index()
    names = dict(db.execute("SELECT id, run FROM run"))
    size = "size" if _is_indexed(db) else "length(body)"
    rows = db.execute(f"SELECT run_id, seq, {size} FROM batch ORDER BY run_id, seq")  # noqa: S608  # one of two words
    while block := rows.fetchmany(BLOCK_ROWS):
        if block[0][0] == block[-1][0]:
            _add(index, names[block[0][0]], block)
            continue
        for run, part in groupby(block, lambda row: row[0]):
            _add(index, names[run], list(part))
    for run, seq in db.execute("SELECT run_id, seq FROM batch WHERE base_ms IS NULL"):
        index.undate(names[run], seq)
    for run, first, last, _ in load_aside(db):
        index.drop((run, first, last))
    return index


def _add(index: Index, run: str, rows: list[tuple[int, int, int]]) -> None:
    """(run_id, seq, size): seqs rise by one but for a gap here and there."""
    begin = 0
    while begin < len(rows):
        end = len(rows)
        if rows[-1][1] - rows[begin][1] != end - 1 - begin:
            end = next(i for i in range(begin + 1, end + 1) if i == end or rows[i][1] != rows[i - 1][1] + 1)
        index.add_many(run, rows[begin][1], [row[2] for row in rows[begin:end]])
        begin = end


def load_aside(db: sqlite3.Connection) -> list[tuple[str, int, int, str]]:
    """(run, first, last, why) of what it keeps and does not offer."""
    found: dict[str, Spans] = {}
    rows = db.execute(
        "SELECT run, seq, aside FROM batch JOIN run ON run.id = run_id WHERE aside IS NOT NULL ORDER BY run_id, seq"
    )
    for run, seq, why in rows:
        found.setdefault(why, Spans()).add((run, seq, seq))
    return [(*span, why) for why, spans in found.items() for span in spans]


def date_of(db: sqlite3.Connection, run_id: int, seq: int) -> int | None:
    """Civil ms at which a batch ended, by the best that is known."""
    found = db.execute(
        "SELECT coalesce(base_ms, guess_ms) + json_extract(body, '$.to') FROM batch WHERE run_id=? AND seq=?",
        (run_id, seq),
    ).fetchone()
    return None if found is None or found[0] is None else int(found[0])  # spoilt: it shows when it is sent
