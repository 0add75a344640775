"""What the spool may expect of its disk, on a real file and on the twin: all of a piece of work, or nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import DiskFull, Fatal
from edge_agent.keep.disk import FileDisk
from edge_agent.ports import Disk
from tests.twins.death import Life
from tests.twins.disk import DiskTwin
from tests.twins.loop import run_virtual

BYTES_MAX = 1_000_000
SPOOL = (
    "CREATE TABLE run (id INTEGER PRIMARY KEY, run TEXT)",
    "CREATE TABLE batch (run_id INTEGER, seq INTEGER, base_ms INTEGER, unsure_lo INTEGER, unsure_hi INTEGER,"
    " body TEXT)",
    "INSERT INTO run VALUES (1, 'r')",
)


@dataclass
class Home:
    """A disk that can be opened again, and be filled."""

    run: Callable[[Coroutine[Any, Any, Any]], Any]
    open: Callable[[], Disk]


@pytest.fixture(params=["file", "twin"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    path = tmp_path / "spool.db"
    if request.param == "file":
        return Home(asyncio.run, lambda: FileDisk(path=path, bytes_max=BYTES_MAX))
    return Home(run_virtual, lambda: DiskTwin(path=path, life=Life(), bytes_max=BYTES_MAX))


def make(db: sqlite3.Connection) -> None:
    for statement in SPOOL:
        db.execute(statement)


def add(seq: int, size: int = 10) -> Callable[[sqlite3.Connection], None]:
    def work(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO batch (run_id, seq, base_ms, body) VALUES (1, ?, 0, ?)", (seq, "x" * size))

    return work


def seqs(db: sqlite3.Connection) -> list[int]:
    return [seq for (seq,) in db.execute("SELECT seq FROM batch ORDER BY seq")]


def test_work_that_returned_is_there_after_the_file_is_opened_again(home: Home) -> None:
    async def main() -> None:
        disk = home.open()
        await disk.run(make)
        await disk.run(add(1), grows=True)
        await disk.close()
        again = home.open()
        assert await again.run(seqs) == [1]
        await again.close()

    home.run(main())


def test_work_that_fails_leaves_nothing_behind_and_its_own_error(home: Home) -> None:
    async def main() -> None:
        disk = home.open()
        await disk.run(make)

        def fails(db: sqlite3.Connection) -> None:
            add(1)(db)
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await disk.run(fails)
        assert await disk.run(seqs) == []
        await disk.close()

    home.run(main())


def test_an_error_of_the_database_is_fatal_and_one_line(home: Home) -> None:
    async def main() -> None:
        disk = home.open()
        await disk.run(make)
        with pytest.raises(Fatal) as error:
            await disk.run(lambda db: db.execute("SELECT * FROM nowhere"))
        assert "\n" not in str(error.value)
        assert await disk.run(seqs) == []
        await disk.close()

    home.run(main())


def test_a_file_at_its_bound_refuses_whole_pieces_of_work_and_can_still_be_read_and_emptied(home: Home) -> None:
    async def main() -> None:
        disk = home.open()
        await disk.run(make)
        seq = 0

        def two(db: sqlite3.Connection) -> None:
            add(seq + 1)(db)
            add(seq + 2, size=50_000)(db)

        with pytest.raises(DiskFull):  # noqa: PT012 - it is full after some rounds, not at a known one
            for _ in range(200):
                await disk.run(two, grows=True)
                seq += 2
        assert seq > 10
        assert await disk.run(seqs) == list(range(1, seq + 1))
        await disk.run(lambda db: db.execute("DELETE FROM batch WHERE seq <= 8"))
        await disk.run(add(seq + 1, size=50_000), grows=True)
        assert await disk.run(seqs) == list(range(9, seq + 2))
        await disk.close()

    home.run(main())


def test_a_twin_that_others_have_filled_still_reads(tmp_path: Path) -> None:
    async def main() -> None:
        disk = DiskTwin(path=tmp_path / "spool.db", life=Life(), bytes_max=BYTES_MAX)
        await disk.run(make)
        await disk.run(add(1))
        disk.full = True
        with pytest.raises(DiskFull):
            await disk.run(add(2))
        assert await disk.run(seqs) == [1]
        await disk.close()

    run_virtual(main())


def test_a_folder_that_is_not_there_is_fatal_and_says_how_to_mend_it(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FileDisk(path=tmp_path / "nowhere" / "spool.db", bytes_max=BYTES_MAX)
        with pytest.raises(Fatal, match=r"spool.file: .*create its folder"):
            await disk.run(make)
        await disk.close()

    asyncio.run(main())


def test_the_file_is_for_the_agent_alone(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FileDisk(path=tmp_path / "spool.db", bytes_max=BYTES_MAX)
        await disk.run(make)
        await disk.close()

    asyncio.run(main())
    assert (tmp_path / "spool.db").stat().st_mode & 0o077 == 0


def test_what_is_committed_has_reached_the_medium(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FileDisk(path=tmp_path / "spool.db", bytes_max=BYTES_MAX)
        assert await disk.run(lambda db: db.execute("PRAGMA synchronous").fetchone()[0]) == 2
        assert await disk.run(lambda db: db.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"
        await disk.close()

    asyncio.run(main())
