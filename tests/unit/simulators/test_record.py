"""The record is the truth of every test and demo: what it loses or bends, nobody can find again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from simulators.truth.record import Record, RecordError, RecordWriter
from simulators.truth.rows import Served, Shown


@pytest.fixture
def writer(tmp_path: Path) -> RecordWriter:
    made = RecordWriter(path=tmp_path / "deep" / "record.db")
    made.open({"scenario": "{}", "origin_ms": "5"})
    return made


def test_a_note_can_be_read_while_the_record_is_still_written(writer: RecordWriter, tmp_path: Path) -> None:
    writer.note(10, "gw-1", "b", [Shown("x_v", 230.2, "4366 3333"), Shown("y_v", None, "7fc0 0000")])
    record = Record.open_readonly(tmp_path / "deep" / "record.db")
    assert record.devices() == ["b"]
    assert record.fields("b") == ["x_v", "y_v"]
    writer.note(20, "gw-1", "a", [Shown("x_v", 0.1, "3dcc cccd")])
    assert record.devices() == ["a", "b"]
    assert record.served("b", "x_v", 0, 11) == [(10, 230.2)]
    assert record.served("b", "y_v", 10, 11) == [(10, None)]
    assert record.served("b", "x_v", 0, 10) == []
    assert record.words("b", "y_v") == [(10, "7fc0 0000")]
    assert list(record.all_served())[-1] == Served(20, "gw-1", "a", "x_v", 0.1)


def test_a_reader_cannot_change_the_truth(writer: RecordWriter) -> None:
    record = Record.open_readonly(writer._path)
    with pytest.raises(sqlite3.OperationalError):
        record._db.execute("DELETE FROM served")


def test_a_record_is_gone_on_with_and_keeps_its_origin(writer: RecordWriter, tmp_path: Path) -> None:
    writer.note(10, "gw-1", "a", [Shown("x_v", 1.0, "3f80 0000")])
    writer.close()
    writer.close()
    again = RecordWriter(path=tmp_path / "deep" / "record.db")
    assert again.open({"scenario": "other", "origin_ms": "99"}) == {"scenario": "{}", "origin_ms": "5"}
    again.note(20, "gw-1", "a", [Shown("x_v", 2.0, "4000 0000")])
    again.close()
    record = Record.open_readonly(tmp_path / "deep" / "record.db")
    assert record.served("a", "x_v", 0, 100) == [(10, 1.0), (20, 2.0)]


def test_readings_around_a_moment_are_found_on_both_sides(writer: RecordWriter) -> None:
    for t_ms, value in ((10, 1.0), (20, None), (30, 3.0)):
        writer.note(t_ms, "gw-1", "a", [Shown("x_m3", value, "")])
    record = Record.open_readonly(writer._path)
    assert record.nearest("a", "x_m3", 25) == ((10, 1.0), (30, 3.0))
    assert record.nearest("a", "x_m3", 30) == ((30, 3.0), (30, 3.0))
    assert record.nearest("a", "x_m3", 5) == (None, (10, 1.0))
    assert record.nearest("a", "x_m3", 31) == ((30, 3.0), None)


def test_a_record_that_is_full_says_so_instead_of_losing_notes(writer: RecordWriter) -> None:
    assert writer._db is not None
    writer._db.execute("PRAGMA max_page_count=1")
    with pytest.raises(RecordError, match="takes no more rows"):
        writer.note(10, "gw-1", "a", [Shown("x_v", 1.0, "3f80 0000")] * 10_000)
    assert not writer._db.in_transaction


@pytest.mark.parametrize("content", [None, b"", b"not a database, but long enough to be looked at" * 20])
def test_what_is_no_record_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "record.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        Record.open_readonly(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_place_where_no_record_can_be_kept_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot keep a record"):
        RecordWriter(path=tmp_path).open({})
