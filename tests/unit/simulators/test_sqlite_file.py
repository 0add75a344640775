"""What the simulators write is the truth of a test: it must be there whole, or not at all, and never fill a disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.sqlite_file import open_for_reading, open_for_writing, transaction

TABLE = "CREATE TABLE said (text TEXT)"


def _cut_short(end: type[BaseException]) -> Iterator[tuple[str]]:
    yield ("half",)
    raise end


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_of_what_ends_half_way_nothing_stays(tmp_path: Path, end: type[BaseException]) -> None:
    db = open_for_writing(tmp_path / "new" / "file.db", bytes_max=1 << 20)
    db.execute(TABLE)
    with pytest.raises(end), transaction(db):
        db.executemany("INSERT INTO said VALUES (?)", _cut_short(end))
    with transaction(db):
        db.execute("INSERT INTO said VALUES ('whole')")
    assert list(db.execute("SELECT text FROM said")) == [("whole",)]


def test_a_file_that_is_full_keeps_what_it_had_and_takes_again_what_fits(tmp_path: Path) -> None:
    db = open_for_writing(tmp_path / "file.db", bytes_max=40_000)
    db.execute(TABLE)
    with pytest.raises(sqlite3.OperationalError, match="full"), transaction(db):
        db.executemany("INSERT INTO said VALUES (?)", [("x" * 1000,)] * 100)
    with transaction(db):
        db.execute("INSERT INTO said VALUES ('fits')")
    db.close()
    assert (tmp_path / "file.db").stat().st_size <= 40_000
    assert list(open_for_reading(tmp_path / "file.db").execute("SELECT text FROM said")) == [("fits",)]


def test_a_watched_file_is_read_while_it_is_written_and_a_reader_changes_nothing(tmp_path: Path) -> None:
    db = open_for_writing(tmp_path / "file.db", bytes_max=1 << 20, watched=True)
    db.execute(TABLE)
    reader = open_for_reading(tmp_path / "file.db")
    with transaction(db):
        db.execute("INSERT INTO said VALUES ('one')")
        assert list(reader.execute("SELECT text FROM said")) == []
    assert list(reader.execute("SELECT text FROM said")) == [("one",)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM said")
