"""A spool that was damaged: it is found, set aside whole, and what can be read of it is carried over.

A start looks at the file for a bounded time only. Up to CHECK_BYTES_MAX, which is what a gateway with a working uplink
has, SQLite checks all of it. Of a larger one its size, its head and its small tables are looked at; the rest shows when
it is used, since each row bears a checksum that is compared before it is sent. Whoever finds damage then leaves a note
beside the file and stops, and the next start acts on it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import sqlite3
from pathlib import Path

from edge_agent.errors import Fatal
from edge_agent.keep import schema
from edge_agent.keep.beginning import told_of
from edge_agent.keep.disk import SUSPECT, is_damage
from edge_agent.keep.index import Spans
from edge_agent.keep.pages import PAGE_BYTES, journal_pages
from edge_agent.keep.wreck import Recovered, Wreck, longest

log = logging.getLogger("loopgauge.edge.recovery")

CHECK_BYTES_MAX = 32_000_000
DAMAGED, DONE = ".damaged-", ".done"
"""`<name>.damaged-N` is being carried over; `<name>.damaged-N.done` has been, and is kept until the next one has."""
_PARTS = ("", "-wal", "-shm", "-journal")
_LEFT_BEHIND = sqlite3.SQLITE_READONLY_ROLLBACK
"""Beside the file lies the journal of its very first moments: a cut has ended them, or the card mixes up what it holds.
SQLite would play it into the file, and that would take back whatever has come since."""
_HEAD, _HEAD_MOST = b"SQLite format 3\0", ((18, 1, 2), (19, 1, 2), (44, 4, 4), (60, 4, 10_000))
"""How a file begins (https://www.sqlite.org/fileformat2.html, section 1.3); by place and length, the most that a
program writes there: ways of writing and of reading, the schema format, and more than any version of ours."""


def check(path: Path) -> str | None:
    """None if the file is absent or sound; else what is wrong with it, in a few words.

    Raises Fatal where it is no file, cannot be had, or was written by a newer version; then nothing of it has changed.
    """
    return _inspect(path)[0]


def _inspect(path: Path) -> tuple[str | None, frozenset[str]]:
    """What `check` says, and of which damaged spools a sound file has told."""
    told: frozenset[str] = frozenset()
    if path.exists() and not path.is_file():
        raise Fatal(f"spool.file: {path} is no file; move it away, or name another one")
    if not path.exists() or not path.stat().st_size:
        path.with_name(path.name + SUSPECT).unlink(missing_ok=True)  # of a file that has been set aside
        return None, told
    if spoilt := _spoilt_head(path):
        return spoilt, told
    beside = {part: path.with_name(path.name + part).exists() for part in _PARTS}
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            if refused := schema.refusal(db.execute("PRAGMA user_version").fetchone()[0]):
                raise Fatal(refused)
            wrong = _noted(path) or _look(path, db)
            told = told_of(db) if wrong is None else told
        finally:
            db.close()
    except sqlite3.Error as error:
        left_behind = getattr(error, "sqlite_errorcode", 0) == _LEFT_BEHIND
        if not left_behind and not is_damage(error):
            raise Fatal(f"spool.file: cannot read {path}: {error}; let the agent read and write it") from None
        wrong = "the journal of its first moments lies beside it" if left_behind else str(error)
    finally:
        for part, was_there in beside.items():
            if not was_there:  # reading makes them, and a file that is refused is to stay as it was
                path.with_name(path.name + part).unlink(missing_ok=True)
    return wrong, told


def _spoilt_head(path: Path) -> str | None:
    """Of a head that no program has written; SQLite would take it for that of a file that it must not use, or write."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError:
        return None  # whoever opens it next says why
    if head.startswith(_HEAD) and any(int.from_bytes(head[at : at + n]) > most for at, n, most in _HEAD_MOST):
        return "its head makes no sense"
    return None


def _noted(path: Path) -> str | None:
    note = path.with_name(path.name + SUSPECT)
    return (note.read_text("utf-8", errors="replace").strip() or "suspect") if note.exists() else None


def _look(path: Path, db: sqlite3.Connection) -> str | None:
    journal = path.with_name(path.name + "-wal")
    size = path.stat().st_size + (journal.stat().st_size if journal.exists() else 0)
    pages, page_bytes = (db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    if pages * page_bytes > size:
        return f"cut short: {size} of {pages * page_bytes} bytes"
    if size <= CHECK_BYTES_MAX:
        said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        return None if said == "ok" else str(said)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
    for table in {"run", "memory"} & set(tables):
        db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  # one of two words
    if "batch" in tables:
        db.execute("SELECT max(rowid), min(rowid) FROM batch").fetchall()
    return None


def recover(path: Path) -> Recovered:
    """Set the file aside if it is damaged; what is to be said of that, and all that is to be carried over.

    It is said with the first batch. A start that ends before that one is sealed has said nothing, so the next one does.
    """
    wrong, told = _inspect(path)
    if wrong is not None:
        kept = set_aside(path)
        log.error("spool: %s is damaged (%s); moved to %s, starting an empty one", path, wrong, kept.name)
    found = wrecks(path)
    tells = [wreck.name for wreck in found if wreck.name not in told]
    if not tells:
        return Recovered(wrecks=found, done=functools.partial(done, path.parent))
    carried = Spans(span for wreck in found for span in wreck.readable())
    missing = Spans(part for wreck in found for span in wreck.missing() for part in carried.gaps(span))
    names = ", ".join(wreck.name for wreck in found)
    log.warning("spool: %d batches can be read in %s; they are sent as usual", carried.count, names)
    return Recovered(
        what=wrong or "as an earlier start found, which ended before it could say so",
        missing=longest(list(missing)),
        carried=longest(list(carried)),
        tells=tells,
        wrecks=found,
        done=functools.partial(done, path.parent),
    )


def set_aside(path: Path) -> Path:
    """Rename a damaged spool and its journal to the next `<name>.damaged-N`, and say where it lies now.

    The journal goes first, since SQLite would play one that is left behind into the next spool; and the note is there
    before, so that the next start goes on where a power cut ends this one.
    """
    note = path.with_name(path.name + SUSPECT)
    if not note.exists():
        note.write_text("set aside\n", "utf-8")
    beside = path.parent.glob(f"{path.name}{DAMAGED}*")
    numbers = [re.match(r"\d+", each.name.removeprefix(path.name + DAMAGED)) for each in beside]
    # Behind all others, also where one before them has gone: the number tells which is newer.
    number = 1 + max((int(found[0]) for found in numbers if found), default=0)
    target = path.with_name(f"{path.name}{DAMAGED}{number}")
    for part in reversed(_PARTS):
        if (here := path.with_name(path.name + part)).exists():
            here.rename(target.with_name(target.name + part))
    note.unlink()
    return target


def wrecks(path: Path) -> list[Wreck]:
    """The damaged spools beside this one that still are to be carried over, oldest first. Reads them whole."""
    found = [each for each in path.parent.glob(f"{path.name}{DAMAGED}*") if each.suffix[len(DAMAGED) :].isdigit()]
    return [open_wreck(each) for each in sorted(found, key=lambda each: int(each.suffix[len(DAMAGED) :]))]


def open_wreck(path: Path) -> Wreck:
    """Look through a damaged spool. Its newest pages may lie in its journal, as much of it as is whole."""
    journal = b""
    with contextlib.suppress(OSError):  # it need not be there, and one that cannot be read must not stop every start
        journal = path.with_name(path.name + "-wal").read_bytes()
    newer = journal_pages(journal)

    def read(number: int) -> bytes:
        if number in newer:
            return journal[newer[number] : newer[number] + PAGE_BYTES]
        try:
            with path.open("rb") as file:
                file.seek((number - 1) * PAGE_BYTES)
                return file.read(PAGE_BYTES)
        except OSError:  # a sector that cannot be read is a page that is not there
            return b""

    return Wreck(name=path.name, pages=max([path.stat().st_size // PAGE_BYTES, *newer]), read=read)


def done(folder: Path, name: str) -> None:
    """A damaged spool has been carried over: it is kept for people, and the one before it goes."""
    stem = name.rpartition(DAMAGED)[0]
    for old in folder.glob(f"{stem}{DAMAGED}*{DONE}*"):
        old.unlink()
    for part in _PARTS:
        if (here := folder / f"{name}{part}").exists():
            here.rename(folder / f"{name}{DONE}{part}")
