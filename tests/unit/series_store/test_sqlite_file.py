"""The files themselves: who may write them, what is refused untouched, and what a full or broken disk does."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from series_store.port import Owned, Unavailable
from series_store.sqlite import database
from series_store.sqlite.store import SqliteFigures, SqliteReader, SqliteWriter
from series_store.table import STORED, SeriesKey, Table
from series_store.vet import RECEIPT_FIELDS

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

KEY = SeriesKey("meter", "g1", "m1", "power_w")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def run() -> Iterator[Run[Any]]:
    """Runs coroutines of one test on one loop."""
    with asyncio.Runner() as runner:
        yield runner.run


def readings(*times: int, rows: int = 0) -> Table:
    stamps = list(times) or list(range(rows))
    tags = (("gateway", "g1"), ("device", "m1"))
    return Table("meter", tags, ("power_w",), stamps, [[float(t) for t in stamps]])


def figure(t: int) -> Table:
    return Table("indicator", (("area", "north"),), ("value",), [t], [[1.0]])


def test_a_second_writer_is_told_who_writes_already(run: Run[Any], tmp_path: Path) -> None:
    first, second = SqliteWriter(folder=tmp_path), SqliteWriter(folder=tmp_path)
    run(first.start())
    with pytest.raises(Unavailable, match=f"process {os.getpid()} writes it"):
        run(second.start())
    outcome = run(second.write([readings(1)]))
    assert not outcome.stored
    assert "only one writer" in outcome.reason
    run(first.close())
    assert run(second.write([readings(1)])) == STORED
    run(second.close())


def test_the_lock_of_a_killed_writer_is_free(run: Run[Any], tmp_path: Path) -> None:
    code = "import sys; from tests.unit.series_store.test_sqlite_file import hold; hold(sys.argv[1])"
    writer = SqliteWriter(folder=tmp_path)
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            with pytest.raises(Unavailable, match=f"process {process.pid} "):
                run(writer.start())
        finally:
            process.kill()
    assert run(writer.write([readings(1)])) == STORED
    run(writer.close())


def hold(folder: str) -> None:
    """Be a writer until killed."""
    writer = SqliteWriter(folder=Path(folder))
    asyncio.run(writer.start())
    print("held", flush=True)
    signal.pause()


def test_ingest_and_rollups_write_side_by_side_and_anyone_reads(run: Run[Any], tmp_path: Path) -> None:
    writer, figures = SqliteWriter(folder=tmp_path), SqliteFigures(folder=tmp_path)
    assert run(writer.write([readings(1, 2)])) == STORED
    assert run(figures.put([figure(5)])) == STORED
    readers = [SqliteReader(folder=tmp_path) for _ in range(3)]
    pages = SqliteFigures(folder=tmp_path, writes=False)
    assert [run(reader.count([KEY], 0, 10)) for reader in readers] == [2, 2, 2]
    assert len(run(pages.figures("indicator", {}, 0, 10))) == 1
    assert run(writer.write([readings(3)])) == STORED
    assert [run(reader.count([KEY], 0, 10)) for reader in readers] == [3, 3, 3]
    closing: list[Owned] = [writer, figures, *readers, pages]
    for store in closing:
        run(store.close())


def test_a_page_that_only_shows_figures_cannot_write_them(run: Run[Any], tmp_path: Path) -> None:
    figures, page = SqliteFigures(folder=tmp_path), SqliteFigures(folder=tmp_path, writes=False)
    run(figures.start())
    outcome = run(page.put([figure(5)]))
    assert not outcome.stored
    assert "readonly" in outcome.reason
    with pytest.raises(Unavailable, match="readonly"):
        run(page.set_cursor("c", 5))
    run(figures.close())
    run(page.close())


def test_a_reader_says_that_nothing_was_stored_and_sees_it_once_it_is(run: Run[Any], tmp_path: Path) -> None:
    reader = SqliteReader(folder=tmp_path / "store")
    with pytest.raises(Unavailable, match="nothing has been stored here yet"):
        run(reader.series())
    assert not (tmp_path / "store").exists(), "a reader makes no files"
    writer = SqliteWriter(folder=tmp_path / "store")
    run(writer.write([readings(1)]))
    assert run(reader.series()) == [KEY]
    run(writer.close())
    run(reader.close())


@pytest.mark.parametrize("content", [b"", None], ids=["empty file", "database without tables"])
def test_a_first_start_that_was_killed_half_way_is_finished(
    run: Run[Any], tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "readings.db"
    if content is None:
        half = sqlite3.connect(path)
        half.execute("PRAGMA journal_mode = WAL")
        half.close()
    else:
        path.write_bytes(content)
    writer = SqliteWriter(folder=tmp_path)
    assert run(writer.write([readings(1)])) == STORED
    run(writer.close())


def prepared(folder: Path, run: Run[Any], pragma: str) -> Path:
    """A store of ours, then changed by a PRAGMA."""
    writer = SqliteWriter(folder=folder)
    run(writer.write([readings(1)]))
    run(writer.close())
    path = folder / "readings.db"
    connection = sqlite3.connect(path)
    connection.execute(pragma)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@pytest.mark.parametrize(
    "pragma, says", [("PRAGMA user_version = 99", "newer loopgauge"), ("PRAGMA application_id = 7", "another program")]
)
def test_a_file_of_a_newer_or_another_program_is_refused_untouched(
    run: Run[Any], tmp_path: Path, pragma: str, says: str
) -> None:
    path = prepared(tmp_path, run, pragma)
    before = path.read_bytes()
    writer, reader = SqliteWriter(folder=tmp_path), SqliteReader(folder=tmp_path)
    outcome = run(writer.write([readings(2)]))
    assert not outcome.stored
    assert says in outcome.reason
    for store in (writer, reader):
        with pytest.raises(Unavailable, match=says):
            run(store.start())
        run(store.close())
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_untouched(run: Run[Any], tmp_path: Path) -> None:
    path = tmp_path / "readings.db"
    path.write_bytes(b"minutes of the meeting\n" * 100)
    writer = SqliteWriter(folder=tmp_path)
    outcome = run(writer.write([readings(2)]))
    assert not outcome.stored
    assert "not a database" in outcome.reason
    assert "backup" in outcome.reason
    run(writer.close())
    assert path.read_bytes() == b"minutes of the meeting\n" * 100


def test_a_folder_that_cannot_be_made_is_a_reason_and_no_exception(run: Run[Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    writer = SqliteWriter(folder=tmp_path / "file" / "store")
    outcome = run(writer.write([readings(1)]))
    assert not outcome.stored
    assert "file" in outcome.reason
    run(writer.close())


def test_a_file_locked_by_another_program_is_tried_again_later(
    run: Run[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    writer = SqliteWriter(folder=tmp_path)
    run(writer.start())
    other = sqlite3.connect(tmp_path / "readings.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outcome = run(writer.write([readings(1)]))
    assert not outcome.stored
    assert "locked" in outcome.reason
    other.execute("ROLLBACK")
    other.close()
    assert run(writer.write([readings(1)])) == STORED
    run(writer.close())


def test_a_failed_write_leaves_nothing_half_done_and_the_next_one_works(run: Run[Any], tmp_path: Path) -> None:
    writer, reader = SqliteWriter(folder=tmp_path), SqliteReader(folder=tmp_path)
    run(writer.start())
    other = sqlite3.connect(tmp_path / "readings.db", isolation_level=None)
    other.execute("CREATE TRIGGER full BEFORE INSERT ON receipt BEGIN SELECT RAISE(ABORT, 'disk on fire'); END")
    columns: list[list[float | str | None]] = [["r"], [1.0], [0.0], [1.0], [1.0], [0.0], ["{}"]]
    receipt = Table("receipt", (("gateway", "g1"), ("worker", "w")), RECEIPT_FIELDS, [5], columns, micros=True)
    outcome = run(writer.write([readings(1), receipt]))
    assert not outcome.stored
    assert "disk on fire" in outcome.reason
    assert run(reader.series()) == []
    other.execute("DROP TRIGGER full")
    other.close()
    assert run(writer.write([readings(1), receipt])) == STORED
    assert run(reader.count([KEY], 0, 10)) == 1
    run(writer.close())
    run(reader.close())


def fill(folder: str) -> None:
    """Write, in a process whose files may not grow beyond 1 MB, until that fails; then print what became of it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    async def story() -> None:
        writer = SqliteWriter(folder=Path(folder))
        confirmed = failures = 0
        # The log reaches the limit first; a failed write opens the file anew, which empties the log once more.
        while failures < 3:
            outcome = await writer.write([readings(*range(confirmed, confirmed + 5000))])
            confirmed += 5000 if outcome.stored else 0
            failures = 0 if outcome.stored else failures + 1
        print(confirmed, outcome.retry_after_s, outcome.reason)

    asyncio.run(story())


def test_a_disk_that_takes_no_more_is_said_and_loses_nothing_that_was_confirmed(run: Run[Any], tmp_path: Path) -> None:
    code = "import sys; from tests.unit.series_store.test_sqlite_file import fill; fill(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    confirmed, retry_after_s, reason = done.stdout.rstrip("\n").split(" ", 2)
    assert int(confirmed) > 0
    assert float(retry_after_s) > 0
    assert "readings.db: " in reason
    assert reason.isprintable()
    reader, writer = SqliteReader(folder=tmp_path), SqliteWriter(folder=tmp_path)
    assert run(reader.count([KEY], 0, 10**9)) == int(confirmed)
    assert run(writer.write([readings(10**6)])) == STORED
    for store in (reader, writer):
        run(store.close())


def confirm_for_ever(folder: str) -> None:
    """Write one batch after the other and print the number of each one that was confirmed."""

    async def story() -> None:
        writer = SqliteWriter(folder=Path(folder))
        number = 0
        while True:
            assert await writer.write([readings(*range(number * 10, number * 10 + 10))]) == STORED
            print(number, flush=True)
            number += 1

    asyncio.run(story())


def test_after_kill_9_everything_that_was_confirmed_is_there(run: Run[Any], tmp_path: Path) -> None:
    code = "import sys; from tests.unit.series_store.test_sqlite_file import confirm_for_ever as w; w(sys.argv[1])"
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        with subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(50 + 37 * attempt):
                process.stdout.readline()
            process.kill()
            confirmed = 50 + 37 * attempt + len(process.stdout.read().splitlines())
        reader = SqliteReader(folder=folder)
        found = run(reader.window([KEY], 0, 10**9))[KEY].t.tolist()
        run(reader.close())
        assert found[: confirmed * 10] == list(range(confirmed * 10))
        assert len(found) in (confirmed * 10, confirmed * 10 + 10), "at most one write was under way"


def test_every_write_is_synchronous_and_in_wal(run: Run[Any], tmp_path: Path) -> None:
    writer = SqliteWriter(folder=tmp_path)
    pragmas = run(
        writer._database.read(
            lambda rows: [
                rows._connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("synchronous", "journal_mode")
            ]
        )
    )
    assert pragmas == [2, "wal"]
    run(writer.close())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_is_said_and_the_write_succeeds_once_there_is_room(run: Run[Any], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (1 << 20))
        writer, reader = SqliteWriter(folder=disk), SqliteReader(folder=disk)
        confirmed = 0
        while (outcome := run(writer.write([readings(*range(confirmed, confirmed + 2000))]))).stored:
            confirmed += 2000
        assert "full" in outcome.reason
        assert run(reader.count([KEY], 0, 10**9)) == confirmed
        ballast.unlink()
        assert run(writer.write([readings(*range(confirmed, confirmed + 2000))])) == STORED
        assert run(reader.count([KEY], 0, 10**9)) == confirmed + 2000
        for store in (writer, reader):
            run(store.close())
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
