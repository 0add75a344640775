"""Whatever moment a gateway dies at, its spool holds each batch whole or not at all, and nothing is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from data_contract.batch import Span
from data_contract.reading import FieldKind
from edge_agent.errors import Damaged, DiskFull, Fatal
from edge_agent.keep import recovery
from edge_agent.keep.dating import OFF_MS
from edge_agent.keep.disk import PAGE_BYTES, FileDisk, configure, transact
from edge_agent.keep.estimate import UNKNOWN_MS
from edge_agent.keep.evict import FieldPlan
from edge_agent.keep.room import RESERVE_PAGES
from edge_agent.keep.schema import SCHEMA_VERSION
from edge_agent.keep.spool import PENDING_SPANS_MAX, Sealed, Spool
from tests.twins.death import Life
from tests.twins.disk import DiskTwin

T = TypeVar("T")
RUNS = ("a" * 32, "b" * 32, "c" * 32)
BODY = '{"from":0,"to":10000}'


class Cut(Exception):
    """The power went."""


class CuttingDisk:
    """SQLite whose files are copied, as they lie there, before the nth statement; then nothing works any more."""

    def __init__(self, path: Path, *, at: int, copy: Path) -> None:
        self.statements = 0
        self.armed = False
        self._at, self._path, self._copy = at, path, copy
        disk = self

        class Cutting(sqlite3.Connection):
            def execute(self, *args: Any) -> sqlite3.Cursor:
                if disk.armed:
                    disk.statement()
                return super().execute(*args)

        self.connection = sqlite3.connect(path, isolation_level=None, factory=Cutting)
        configure(self.connection, 64_000_000)
        self.armed = True

    def statement(self) -> None:
        if self.statements == self._at:
            self._copy.mkdir()
            for part in self._path.parent.glob(self._path.name + "*"):
                shutil.copy(part, self._copy / part.name)
        self.statements += 1
        if self.statements > self._at:
            raise Cut

    async def run(self, work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> T:
        return transact(self.connection, work)

    async def close(self) -> None:
        self.connection.close()


def sealed(seq: int, *, base_ms: int | None = 1_000, clean: bool = False, size: int = 0) -> Sealed:
    body = json.dumps({"from": 0, "to": 10_000, "pad": "x" * size}, separators=(",", ":")) if size else BODY
    return Sealed(seq=seq, base_ms=base_ms, guess_ms=7, to_ms=11_000, body=body, clean=clean)


async def reopened(path: Path, run: str = RUNS[2], boot: str = "boot-9") -> Spool:
    spool = Spool(disk=DiskTwin(path=path, life=Life()), run=run, boot=boot)
    await spool.open()
    return spool


def keys(spool: Spool) -> list[tuple[str, int]]:
    return list(spool.held)


def rows(path: Path) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Everything in the file, read without our code."""
    db = sqlite3.connect(path)
    try:
        found = db.execute(
            "SELECT run, seq, base_ms, unsure_lo, unsure_hi, aside, body FROM batch JOIN run ON id = run_id"
        )
        return {(run, seq): tuple(rest) for run, seq, *rest in found}
    finally:
        db.close()


LIFE: list[tuple[str, Any]] = [
    ("seal", (1, [])),
    ("seal", (2, [])),
    ("seal", (3, [(RUNS[0], 1, 1)])),
    ("aside", (RUNS[0], 2, 2)),
    ("date", 5_000),
    ("seal", (4, [(RUNS[0], 3, 3)])),
    ("forget", [(RUNS[0], 4, 4)]),
]
"""What a spool lives through, and below what it must hold after each step."""
STATES = [
    set(),
    {1},
    {1, 2},
    {2, 3},
    {2, 3},
    {2, 3},
    {2, 4},
    {2},
]


async def live(spool: Spool, done: list[int]) -> None:
    await spool.open()
    done.append(0)
    for what, how in LIFE:
        if what == "seal":
            await spool.seal(sealed(how[0]), how[1])
        elif what == "aside":
            await spool.set_aside(how, "unanswered")
        elif what == "date":
            await spool.date(how)
        else:
            await spool.forget(how)
        done.append(len(done))


def test_a_kill_before_any_statement_leaves_all_of_a_step_or_nothing_of_it(tmp_path: Path) -> None:
    async def whole() -> int:
        disk = CuttingDisk(tmp_path / "whole.db", at=10**9, copy=tmp_path / "never")
        await live(Spool(disk=disk, run=RUNS[0], boot="boot-1"), [])
        return disk.statements

    statements = asyncio.run(whole())
    assert statements > 25

    async def cut(at: int) -> None:
        folder = tmp_path / f"cut-{at}"
        folder.mkdir()
        done: list[int] = []
        disk = CuttingDisk(folder / "spool.db", at=at, copy=folder / "copy")
        with pytest.raises(Cut):
            await live(Spool(disk=disk, run=RUNS[0], boot="boot-1"), done)
        copied = folder / "copy" / "spool.db"
        assert recovery.check(copied) is None
        spool = await reopened(copied)
        there = {seq for _, seq in rows(copied)}
        finished = done[-1] if done else 0
        assert there in (STATES[finished], STATES[finished + 1] if finished + 1 < len(STATES) else STATES[finished])
        if finished >= 4:
            assert 2 not in {seq for _, seq in keys(spool)}, "what was set aside is offered again"
        assert all(json.loads(row[-1]) == json.loads(BODY) for row in rows(copied).values())
        previous = spool.previous
        assert previous is None or (previous.last >= max(there, default=0) and not previous.clean)
        await spool.close()

    for at in range(statements):
        asyncio.run(cut(at))


def _keep(folder: Path) -> None:
    for part in list(folder.glob("spool.db*")):
        shutil.copy(part, folder / f"kept-{part.name}")


def test_a_journal_that_is_torn_anywhere_holds_a_prefix_of_what_was_sealed(tmp_path: Path) -> None:
    async def write() -> None:
        disk = DiskTwin(path=tmp_path / "spool.db", life=Life())
        spool = Spool(disk=disk, run=RUNS[0], boot="boot-1")
        await spool.open()
        for seq in range(1, 9):
            await spool.seal(sealed(seq, size=1500), [])
        _keep(tmp_path)
        await spool.close()

    asyncio.run(write())
    journal = (tmp_path / "kept-spool.db-wal").read_bytes()
    assert len(journal) > 30_000
    seen = set()
    for end in [*range(0, len(journal), 1031), len(journal)]:
        torn = tmp_path / f"torn-{end}"
        torn.mkdir()
        shutil.copy(tmp_path / "kept-spool.db", torn / "spool.db")
        (torn / "spool.db-wal").write_bytes(journal[:end])
        assert recovery.check(torn / "spool.db") is None
        spool = asyncio.run(reopened(torn / "spool.db"))
        found = [seq for _, seq in keys(spool)]
        assert found == list(range(1, len(found) + 1))
        assert all(len(json.loads(row[-1])["pad"]) == 1500 for row in rows(torn / "spool.db").values())
        seen.add(len(found))
    assert {0, 8} <= seen


def test_a_run_that_died_before_its_first_seal_does_not_hide_the_one_before_it(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "spool.db"
        first = await reopened(path, RUNS[0])
        await first.seal(sealed(1), [])
        await first.forget([(RUNS[0], 1, 1)])
        await first.close()
        second = await reopened(path, RUNS[1])
        await second.close()
        third = await reopened(path, RUNS[2])
        assert third.previous is not None
        assert (third.previous.run, third.previous.last, third.previous.to_ms) == (RUNS[0], 1, 11_000)

    asyncio.run(main())


def test_a_clean_stop_is_known_to_the_next_run(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "spool.db"
        first = await reopened(path, RUNS[0])
        await first.seal(sealed(1), [])
        await first.seal(sealed(2, clean=True), [])
        await first.close()
        second = await reopened(path, RUNS[1])
        assert second.previous is not None
        assert second.previous.clean
        assert keys(second) == [(RUNS[0], 1), (RUNS[0], 2)]

    asyncio.run(main())


def test_confirming_one_run_deletes_nothing_of_another(tmp_path: Path) -> None:
    async def main() -> None:
        first = await reopened(tmp_path / "spool.db", RUNS[0])
        for seq in (1, 2, 3):
            await first.seal(sealed(seq), [])
        await first.close()
        second = await reopened(tmp_path / "spool.db", RUNS[1])
        await second.seal(sealed(1), [])
        await second.forget([(RUNS[1], 1, 3)])
        assert keys(second) == [(RUNS[0], 1), (RUNS[0], 2), (RUNS[0], 3)]

    asyncio.run(main())


def test_batches_of_this_boot_get_the_trusted_base_and_those_of_an_earlier_boot_an_estimate(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "spool.db"
        first = await reopened(path, RUNS[0], "boot-1")
        await first.seal(sealed(1, base_ms=None), [])
        await first.close()
        second = await reopened(path, RUNS[1], "boot-2")
        await second.seal(sealed(1, base_ms=None), [])
        assert not any(held.dated for held in second.held.values())
        await second.date(900_000)
        assert all(held.dated for held in second.held.values())
        found = rows(path)
        assert found[RUNS[0], 1][:3] == (889_999, 7, 890_000 + OFF_MS), "as late as it can be: nobody lived in 1970"
        assert found[RUNS[1], 1][:3] == (900_000, None, None)
        await second.date(1)
        await second.guess()
        assert rows(path) == found, "what was dated is never dated anew"
        await second.close()
        third = await reopened(path, RUNS[2])
        assert third.previous is not None
        assert third.previous.to_ms == 910_000

    asyncio.run(main())


def test_an_estimate_says_within_which_bounds(tmp_path: Path) -> None:
    async def main() -> None:
        spool = await reopened(tmp_path / "spool.db", RUNS[0])
        await spool.seal(sealed(1, base_ms=None), [])
        await spool.guess()
        (row,) = await spool.take((RUNS[0], 1, 1))
        assert (row.base_ms, row.unsure) == (7, (7, UNKNOWN_MS))

    asyncio.run(main())


def test_what_was_set_aside_stays_so_over_a_restart_and_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "spool.db"
        first = await reopened(path, RUNS[0])
        for seq in (1, 2, 3):
            await first.seal(sealed(seq), [])
        await first.set_aside((RUNS[0], 1, 2), "unanswered")
        assert first.pending([]) == [(RUNS[0], 3, 3)]
        await first.close()
        second = await reopened(path, RUNS[1])
        assert second.aside == [(RUNS[0], 1, 2, "unanswered")]
        assert keys(second) == [(RUNS[0], 3)]

    asyncio.run(main())


def test_the_list_of_what_is_pending_is_bounded_and_leaves_nothing_out() -> None:
    spool = Spool(disk=DiskTwin(path=Path("never"), life=Life()), run=RUNS[0], boot="b")
    for seq in range(1, 4 * PENDING_SPANS_MAX, 2):
        for run in RUNS[:2]:
            spool.held.add(run, seq, 100, dated=True)
    listed: list[Span] = spool.pending([])
    assert len(listed) <= PENDING_SPANS_MAX
    assert {(run, seq) for run, a, b in listed for seq in range(a, b + 1)} >= set(spool.held)
    assert spool.pending([(RUNS[1], 1, 10**4)])[0][0] == RUNS[0]


def test_after_very_many_short_runs_the_list_still_fits_into_a_batch() -> None:
    spool = Spool(disk=DiskTwin(path=Path("never"), life=Life()), run=RUNS[0], boot="b")
    for number in range(3 * PENDING_SPANS_MAX):
        spool.held.add(f"{number:032x}", 1, 100, dated=True)
    assert len(spool.pending([])) == PENDING_SPANS_MAX


def test_a_spool_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE later (x)")
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    db.commit()
    db.close()
    before = path.read_bytes()

    async def main() -> None:
        disk = FileDisk(path=path, bytes_max=10_000_000)
        spool = Spool(disk=disk, run=RUNS[0], boot="b")
        with pytest.raises(Fatal, match="newer version"):
            await spool.open()
        await spool.close()

    asyncio.run(main())
    assert path.read_bytes() == before


def test_a_damaged_file_is_found_and_moved_away_whole(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"

    async def write() -> None:
        spool = await reopened(path, RUNS[0])
        for seq in range(1, 20):
            await spool.seal(sealed(seq, size=500), [])
        await spool.close()

    asyncio.run(write())
    content = bytearray(path.read_bytes())
    content[100:3000] = b"\xa5" * 2900
    path.write_bytes(content)
    assert recovery.check(path) is not None
    kept = recovery.set_aside(path)
    assert not path.exists()
    assert kept.read_bytes() == content
    path.write_bytes(b"no database at all" * 500)
    assert "not a database" in (recovery.check(path) or "")
    assert recovery.set_aside(path) != kept
    assert recovery.check(path) is None


def test_a_spool_at_its_bound_refuses_whole_batches_and_takes_them_again_when_there_is_room(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FileDisk(path=tmp_path / "spool.db", bytes_max=1_000_000)
        spool = Spool(disk=disk, run=RUNS[0], boot="b")
        await spool.open()
        seq = 0
        with contextlib.suppress(DiskFull):
            while seq < 100:
                await spool.seal(sealed(seq + 1, size=60_000), [])
                seq += 1
        assert 10 <= seq <= 20
        assert keys(spool) == [(RUNS[0], n) for n in range(1, seq + 1)]
        with pytest.raises(DiskFull):
            await spool.seal(sealed(seq + 1, size=60_000), [])
        assert len(await spool.take((RUNS[0], 1, seq))) == seq, "what is there can be read on a full disk"
        await spool.seal(sealed(seq + 1, size=60_000), [(RUNS[0], 1, 2)])
        assert keys(spool) == [(RUNS[0], n) for n in range(3, seq + 2)]
        await spool.close()

    asyncio.run(main())
    assert (tmp_path / "spool.db").stat().st_size <= 1_000_000


def test_an_agent_begins_on_a_spool_that_is_full_to_its_bound(tmp_path: Path) -> None:
    async def begin(number: int) -> int:
        disk = DiskTwin(path=tmp_path / "spool.db", life=Life(), bytes_max=100_000)
        fields = {"m1": {f"field_{n}": FieldPlan(FieldKind.GAUGE, 1000) for n in range(200)}}
        spool = Spool(disk=disk, run=f"{number:032x}", boot="b", fields=fields)
        await spool.open()
        sealed_now = 0
        with contextlib.suppress(DiskFull):
            while True:
                await spool.seal(sealed(sealed_now + 1, size=10), [])
                sealed_now += 1
        await spool.close()
        return sealed_now

    async def main() -> None:
        assert await begin(1) > 10
        for number in range(2, 20):
            await begin(number)
        assert (tmp_path / "spool.db").stat().st_size <= 100_000 + RESERVE_PAGES * PAGE_BYTES

    asyncio.run(main())


def test_a_batch_that_is_confirmed_while_it_is_fetched_again_is_no_damage(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FileDisk(path=tmp_path / "spool.db", bytes_max=64_000_000)
        spool = Spool(disk=disk, run=RUNS[0], boot="boot-1")
        await spool.open()
        for seq in (1, 2, 3):
            await spool.seal(sealed(seq), [])
        _, rows = await asyncio.gather(spool.forget([(RUNS[0], 2, 2)]), spool.take((RUNS[0], 1, 3)))
        assert [row.seq for row in rows] == [1, 3]
        await disk.run(lambda db: db.execute("DELETE FROM batch WHERE seq=3").rowcount)
        with pytest.raises(Damaged):
            await spool.take((RUNS[0], 1, 3))
        await spool.close()

    asyncio.run(main())
