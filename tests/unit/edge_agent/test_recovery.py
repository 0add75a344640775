"""A card that has spoilt the spool costs what was on the spoilt pages and nothing else; nothing spoilt is sent."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import random
import secrets
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import Damaged, DiskFull, Fatal
from edge_agent.keep import recovery
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.pages import LEAF, PAGE_BYTES, journal_pages
from edge_agent.keep.salvage import Salvage
from edge_agent.keep.spool import Sealed, Spool
from edge_agent.keep.wreck import MISSING_SPANS_MAX, Recovered, Wreck, longest
from tests.twins.loop import run_virtual

OLD, LATER, NOW = "a" * 32, "b" * 32, "c" * 32
BYTES_MAX = 50_000_000
Rows = dict[tuple[str, int], tuple[Any, ...]]


def rows(path: Path) -> Rows:
    """Everything in a file that is sent, read without our code."""
    db = sqlite3.connect(path)
    try:
        found = db.execute(
            "SELECT run, seq, base_ms, guess_ms, unsure_lo, unsure_hi, aside, body FROM batch JOIN run ON id = run_id"
        )
        return {(run, seq): tuple(rest) for run, seq, *rest in found}
    finally:
        db.close()


def sealed(seq: int, chance: random.Random, *, dated: bool = True) -> Sealed:
    pad = "".join(chance.choices("0123456789", k=chance.choice((10, 300, 2500, 30_000))))
    body = json.dumps({"from": 0, "to": 10_000, "pad": pad}, separators=(",", ":"))
    base = 1_790_000_000_000 + seq
    return Sealed(seq, base if dated else None, base - 3, base + 10_000, body, memory={"bin-1": f"after {seq}"})


async def begin(path: Path, run: str, **more: Any) -> Spool:
    spool = Spool(disk=FileDisk(path=path, bytes_max=BYTES_MAX), run=run, boot=f"boot of {run[0]}", **more)
    try:
        await spool.open()
    except Fatal:
        await spool.close()
        raise
    return spool


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, some of it confirmed, some set aside, some without a date; as a clean stop leaves it."""
    path = tmp_path_factory.mktemp("whole") / "spool.db"

    async def main() -> None:
        chance = random.Random(5)
        first = await begin(path, OLD)
        for seq in range(1, 41):
            await first.seal(sealed(seq, chance), [(OLD, 1, 5)] if seq == 30 else [])
        await first.set_aside((OLD, 8, 9), "unanswered")
        await first.close()
        second = await begin(path, LATER)
        for seq in range(1, 31):
            await second.seal(sealed(seq, chance, dated=seq < 28), [])
        await second.close()

    asyncio.run(main())
    assert path.stat().st_size > 80 * PAGE_BYTES
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "spool.db"))


def start(path: Path, *, run: str = NOW) -> tuple[Recovered, Spool]:
    """What a start of the agent does with a spool, until all has been carried over."""
    recovered = recovery.recover(path)

    async def main() -> Spool:
        spool = await begin(path, run, wrecks=recovered.wrecks, told=recovered.tells)
        await Salvage(spool=spool, recovered=recovered, look=lambda: None).run()
        return spool

    return recovered, run_virtual(main())


def named(spans: list[tuple[str, int, int]], last: int = 1000) -> set[tuple[str, int]]:
    return {(run, seq) for run, a, b in spans for seq in range(a, min(b, last) + 1)}


def check(path: Path, before: Rows, *, at_least: int) -> Recovered:
    """Start on a damaged file, and compare what is carried over with what had been sealed."""
    damage, spool = start(path)
    assert damage.what is not None, "the damage was not found"
    after = rows(path)
    assert all(before[key] == row for key, row in after.items()), "something came out that was never sealed"
    assert len(after) >= at_least, f"only {len(after)} of {len(before)} were carried over"
    assert set(spool.held) == {key for key, row in after.items() if row[5 - 1] is None}
    assert {(r, s) for r, a, b, _ in spool.aside for s in range(a, b + 1)} == set(after) - set(spool.held)
    assert spool.held.undated == sum(row[0] is None for row in after.values())
    assert spool.held.bytes == sum(len(row[-1]) for key, row in after.items() if key in spool.held)
    assert named(damage.carried) == set(after)
    if after:
        assert set(before) - set(after) <= named(damage.missing), "the ledger does not name what is lost"
    assert not named(damage.missing) & set(after)
    assert not list(path.parent.glob("spool.db.damaged-1")) and list(path.parent.glob("spool.db.damaged-1.done"))
    asyncio.run(spool.close())
    return damage


def spoil(path: Path, page: int, content: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[page * PAGE_BYTES : page * PAGE_BYTES + len(content)] = content
    path.write_bytes(data)


def note(path: Path) -> None:
    path.with_name("spool.db.suspect").write_text("seen while it ran\n")


def test_each_page_that_is_zeroed_costs_no_more_than_the_rows_on_it(whole: Path, tmp_path: Path) -> None:
    before = rows(whole)
    for page in [*range(12), *range(12, whole.stat().st_size // PAGE_BYTES, 7)]:
        folder = tmp_path / str(page)
        folder.mkdir()
        path = Path(shutil.copy(whole, folder / "spool.db"))
        spoil(path, page, bytes(PAGE_BYTES))
        note(path)  # whether a check finds each is SQLite's business; here it has been found
        check(path, before, at_least=len(before) - 12)


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes_anywhere_never_come_out_as_readings(path: Path, seed: int) -> None:
    before, chance = rows(path), random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(12):
        place = chance.randrange(6 * PAGE_BYTES, len(data))
        data[place] ^= chance.randint(1, 255)
    path.write_bytes(data)
    note(path)
    check(path, before, at_least=len(before) - 12 * 9)


def test_a_file_that_is_cut_at_any_page_keeps_what_lies_before_the_cut(whole: Path, tmp_path: Path) -> None:
    before, size, kept = rows(whole), whole.stat().st_size, []
    for pages in range(14, size // PAGE_BYTES, 17):
        folder = tmp_path / str(pages)
        folder.mkdir()
        path = Path(shutil.copy(whole, folder / "spool.db"))
        os.truncate(path, pages * PAGE_BYTES)
        check(path, before, at_least=0)
        kept.append(len(rows(path)))
    assert kept == sorted(kept) and kept[0] > 0 and kept[-1] > 40


def test_a_spoilt_first_page_costs_nothing(path: Path) -> None:
    before = rows(path)
    spoil(path, 0, b"\xa5" * PAGE_BYTES)
    damage = check(path, before, at_least=len(before))
    assert "not a database" in str(damage.what)


def test_what_devices_must_know_and_which_run_came_before_survive_the_damage(path: Path) -> None:
    spoil(path, 0, bytes(PAGE_BYTES))
    _, spool = start(path)
    assert spool.memory == {"bin-1": "after 30"}
    assert spool.previous is not None
    assert (spool.previous.run, spool.previous.last) == (LATER, 30)
    assert spool.held and list(dict.fromkeys(run for run, _ in spool.held)) == [OLD, LATER], "not oldest first"


def test_what_lay_in_the_journal_only_is_carried_over_as_far_as_it_is_whole(tmp_path: Path) -> None:
    path, kept = tmp_path / "spool.db", tmp_path / "kept"
    kept.mkdir()

    async def write() -> None:
        spool, chance = await begin(path, OLD), random.Random(1)
        for seq in range(1, 12):
            await spool.seal(sealed(seq, chance), [])
        for each in ("spool.db", "spool.db-wal"):
            shutil.copy(tmp_path / each, kept / each)
        await spool.close()

    asyncio.run(write())
    before = rows(path)
    counts = []
    journal = (kept / "spool.db-wal").read_bytes()
    for end in range(len(journal), 0, -len(journal) // 7):
        folder = tmp_path / str(end)
        folder.mkdir()
        torn = Path(shutil.copy(kept / "spool.db", folder / "spool.db"))
        (folder / "spool.db-wal").write_bytes(journal[: end - 100] + b"\xa5" * 100)
        note(torn)
        check(torn, before, at_least=0)
        counts.append(len(rows(torn)))
        assert (folder / "spool.db.damaged-1.done-wal").exists(), "not set aside whole"
    assert counts == sorted(counts, reverse=True) and counts[0] >= 9


def test_a_value_that_the_card_has_changed_is_not_sent_and_found_at_the_next_start(path: Path) -> None:
    before = rows(path)
    place = path.read_bytes().index(before[OLD, 20][-1][10:60].encode())
    data = bytearray(path.read_bytes())
    data[place + 40] = ord("7") if data[place + 40] != ord("7") else ord("3")
    path.write_bytes(data)
    assert recovery.check(path) is None, "only its checksum can tell"

    async def main() -> None:
        spool = await begin(path, NOW)
        assert len(await spool.take((OLD, 10, 19))) == 10
        with pytest.raises(Damaged, match="batch 20"):
            await spool.take((OLD, 10, 25))
        await spool.close()

    asyncio.run(main())
    damage, spool = start(path, run="d" * 32)
    assert "batch 20" in str(damage.what)
    assert (OLD, 20) in named(damage.missing)
    after = rows(path)
    assert after == {key: row for key, row in before.items() if key != (OLD, 20)}
    assert recovery.check(path) is None, "it would be set aside once more"
    asyncio.run(spool.close())


@pytest.mark.parametrize("spoilt", [b"\xff\xfe\x80", b"}}}", b'{"fxom"', b'{"from":0,"xx"'])
@pytest.mark.parametrize("seq", [6, 20])
def test_a_body_that_is_no_text_or_no_batch_any_more_stops_the_agent_once_and_not_at_every_start(
    path: Path, seq: int, spoilt: bytes
) -> None:
    before = rows(path)
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(before[OLD, seq][-1][:60].encode()))
        file.write(spoilt)
    assert recovery.check(path) is None, "only who reads the row can tell"

    async def main() -> None:
        spool = await begin(path, NOW)
        try:
            await spool.seal(sealed(1, random.Random(1)), [])
            if seq != 6:
                assert len(await spool.take((OLD, 10, 19))) == 10
            await spool.take((OLD, seq, seq))
        finally:
            await spool.close()

    with pytest.raises(Damaged) as told:
        asyncio.run(main())
    assert "pad" not in str(told.value), "readings are shown in an error"
    damage, spool = start(path, run="d" * 32)
    assert damage.what is not None
    assert (OLD, seq) in named(damage.missing)
    after = rows(path)
    assert {key: after.get(key) for key in before} == {**before, (OLD, seq): None}
    assert recovery.check(path) is None, "it would be set aside once more"
    asyncio.run(spool.close())


def test_a_date_that_the_card_has_changed_is_not_sent_either(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("UPDATE batch SET base_ms=base_ms+60000 WHERE seq=7")
    db.execute("UPDATE batch SET guess_ms=guess_ms+60000 WHERE base_ms IS NULL AND seq=29")
    db.commit()
    db.close()

    async def main() -> None:
        spool = await begin(path, NOW)
        with pytest.raises(Damaged):
            await spool.take((OLD, 7, 7))
        await spool.date(1_790_000_900_000)
        assert len(await spool.take((LATER, 28, 28))) == 1
        with pytest.raises(Damaged):
            await spool.take((LATER, 29, 29))
        await spool.close()

    asyncio.run(main())


def test_carrying_over_goes_on_after_a_kill_and_brings_nothing_twice(path: Path) -> None:
    before = rows(path)
    spoil(path, 0, bytes(PAGE_BYTES))
    recovered = recovery.recover(path)
    wrecks = recovered.wrecks

    async def some() -> set[tuple[str, int]]:
        spool = await begin(path, NOW, wrecks=wrecks, told=recovered.tells)
        pending = named(spool.pending([]))
        assert pending == set(before), "until they are carried over the cloud would miss them"
        await spool.carry(wrecks[0], 0, 40)
        assert named(spool.pending([])) | {(OLD, 8), (OLD, 9)} == set(before)
        here = set(spool.held)
        assert 3 < len(here) < 40
        await spool.seal(sealed(1, random.Random(1)), [(run, seq, seq) for run, seq in here])
        await spool.close()
        return here

    confirmed = asyncio.run(some())
    damage, spool = start(path, run="d" * 32)
    assert damage.what is None, "it is told once"
    assert set(rows(path)) == set(before) - confirmed | {(NOW, 1)}
    assert spool.previous is not None and spool.previous.run == NOW, "not the run before"
    assert named(spool.pending([])) == set(spool.held), "what has been carried over is listed as if it had not"
    asyncio.run(spool.close())
    damage, spool = start(path, run="e" * 32)
    assert set(rows(path)) == set(before) - confirmed | {(NOW, 1)}, "what is done is not done again"
    asyncio.run(spool.close())


def test_a_second_damage_while_the_first_is_being_carried_over_loses_and_doubles_nothing(path: Path) -> None:
    before = rows(path)
    spoil(path, 0, bytes(PAGE_BYTES))
    first = recovery.recover(path)

    async def some() -> None:
        spool = await begin(path, NOW, wrecks=first.wrecks)
        await spool.carry(first.wrecks[0], 0, 40)
        await spool.close()

    asyncio.run(some())
    assert 3 < len(rows(path)) < len(before)
    spoil(path, 0, bytes(PAGE_BYTES))
    damage, spool = start(path, run="d" * 32)
    assert len(damage.wrecks) == 2
    assert rows(path) == before
    assert named(spool.pending([])) == set(spool.held)
    asyncio.run(spool.close())


@pytest.mark.parametrize("reached", ["nothing", "an empty file", "its own run"])
def test_a_start_that_ends_before_its_first_batch_leaves_it_to_the_next_one_to_tell_of_the_damage(
    path: Path, reached: str
) -> None:
    spoil(path, 9, bytes(PAGE_BYTES))
    first = recovery.recover(path)
    assert first.what is not None and first.missing and first.carried
    if reached == "an empty file":
        sqlite3.connect(path).close()
    elif reached == "its own run":
        asyncio.run(asyncio.wait_for(_open_and_die(path, first), 60))
    second, spool = start(path)
    assert second.what == "as an earlier start found, which ended before it could say so"
    assert (second.missing, second.carried) == (first.missing, first.carried)
    assert spool.previous is not None and spool.previous.run == LATER
    assert set(rows(path)) == named(first.carried)


async def _open_and_die(path: Path, recovered: Recovered) -> None:
    spool = await begin(path, secrets.token_hex(16), wrecks=recovered.wrecks, told=recovered.tells)
    await spool.close()


async def _seal_one(path: Path, recovered: Recovered, *, carry: bool = False) -> None:
    spool = await begin(path, NOW, wrecks=recovered.wrecks, told=recovered.tells)
    if carry:
        await spool.carry(recovered.wrecks[0], 0, recovered.wrecks[0].pages // 2)
    await spool.seal(sealed(1, random.Random(1)), [])
    await spool.close()


def garble(path: Path) -> None:
    """Nothing of it can be read any more."""
    path.write_bytes(b"no database at all")
    path.with_name(f"{path.name}-wal").unlink(missing_ok=True)


def test_what_one_batch_has_told_of_is_not_told_again(path: Path) -> None:
    spoil(path, 9, bytes(PAGE_BYTES))
    asyncio.run(_seal_one(path, recovery.recover(path)))
    again = recovery.recover(path)
    assert (again.what, again.missing, again.carried, again.tells) == (None, [], [], ())
    assert len(again.wrecks) == 1, "it is still to be carried over"


def test_a_digest_is_no_batch_that_tells_of_a_damage(path: Path) -> None:
    spoil(path, 9, bytes(PAGE_BYTES))
    first = recovery.recover(path)

    async def evict_and_die() -> None:
        spool = await begin(path, NOW, wrecks=first.wrecks, told=first.tells)
        await spool.carry(first.wrecks[0], 0, first.wrecks[0].pages)
        await spool.close()
        db = sqlite3.connect(path)
        db.execute("UPDATE run SET last=1 WHERE run=?", (NOW,))  # as an eviction leaves it
        db.commit()
        db.close()

    asyncio.run(evict_and_die())
    second = recovery.recover(path)
    assert second.what is not None and (second.missing, second.carried) == (first.missing, first.carried)


def test_two_damages_before_the_first_batch_are_told_together(path: Path) -> None:
    before = set(rows(path))
    spoil(path, 9, bytes(PAGE_BYTES))
    first = recovery.recover(path)
    asyncio.run(_open_and_die(path, first))
    garble(path)
    for _ in range(3):
        both = recovery.recover(path)
        assert [wreck.name for wreck in both.wrecks] == list(both.tells) == ["spool.db.damaged-1", "spool.db.damaged-2"]
        assert both.what is not None and both.carried == first.carried
        assert before - named(both.carried) <= named(both.missing)
        asyncio.run(_open_and_die(path, both))
    start(path)
    assert set(rows(path)) == named(first.carried)


def test_a_later_damage_calls_nothing_missing_that_an_earlier_file_still_has(path: Path) -> None:
    spoil(path, 9, bytes(PAGE_BYTES))
    first = recovery.recover(path)
    asyncio.run(_seal_one(path, first, carry=True))
    garble(path)
    second = recovery.recover(path)
    assert second.what is not None and second.tells == ["spool.db.damaged-1", "spool.db.damaged-2"]
    assert named(first.carried) <= named(second.carried)
    assert not named(first.carried) & named(second.missing)


def test_the_number_of_a_damaged_file_tells_which_is_newer_also_where_one_before_it_has_gone(path: Path) -> None:
    for name in ("spool.db.damaged-2.done", "spool.db.damaged-3"):
        path.with_name(name).write_bytes(b"")
    garble(path)
    recovery.recover(path)
    assert path.with_name("spool.db.damaged-4").exists()


def test_a_damaged_file_stays_where_a_start_looks_until_its_loss_has_been_told(path: Path) -> None:
    spoil(path, 9, bytes(PAGE_BYTES))
    recovered = recovery.recover(path)

    async def main() -> None:
        spool = await begin(path, NOW, wrecks=recovered.wrecks)
        salvage = Salvage(spool=spool, recovered=recovered, look=lambda: None, told=lambda: spool.has_sealed)
        task = asyncio.create_task(salvage.run())
        await asyncio.sleep(60)
        assert set(spool.held) and not task.done()
        assert path.with_name("spool.db.damaged-1").exists()
        await spool.seal(sealed(1, random.Random(1)), [])
        await asyncio.wait_for(task, 5)
        assert path.with_name("spool.db.damaged-1.done").exists()
        await spool.close()

    run_virtual(main())


def test_carrying_over_waits_where_there_is_no_room_for_both(path: Path) -> None:
    spoil(path, 0, bytes(PAGE_BYTES))
    recovered = recovery.recover(path)
    wrecks = recovered.wrecks
    refused = 3

    class Tight(FileDisk):
        async def run(self, work: Callable[[sqlite3.Connection], Any], *, grows: bool = False) -> Any:
            nonlocal refused
            if grows and refused:
                refused -= 1
                raise DiskFull("no room")
            return await super().run(work, grows=grows)

    async def main() -> int:
        spool = Spool(disk=Tight(path=path, bytes_max=BYTES_MAX), run=NOW, boot="b", wrecks=wrecks)
        await spool.open()
        await Salvage(spool=spool, recovered=recovered, look=lambda: None).run()
        await spool.close()
        return len(rows(path))

    assert run_virtual(main()) == 65
    assert refused == 0


def test_only_the_last_damaged_file_is_kept(path: Path, whole: Path) -> None:
    for n in range(3):
        spoil(path, 0, b"\xa5" * PAGE_BYTES)
        _, spool = start(path, run=f"{n}" * 32)
        asyncio.run(spool.close())
        assert len(list(path.parent.glob("spool.db.damaged-*"))) == 1


def test_garbage_is_set_aside_and_a_folder_or_a_file_that_may_not_be_read_is_left_alone(tmp_path: Path) -> None:
    garbage = tmp_path / "spool.db"
    garbage.write_bytes(random.Random(3).randbytes(300_000))
    content = garbage.read_bytes()
    damage, spool = start(garbage)
    assert damage.what is not None and damage.carried == damage.missing == []
    asyncio.run(spool.close())
    assert (tmp_path / "spool.db.damaged-1.done").read_bytes() == content
    folder = tmp_path / "folder.db"
    folder.mkdir()
    with pytest.raises(Fatal, match="is no file; move it away"):
        recovery.recover(folder)
    assert folder.is_dir()


@pytest.mark.parametrize("at", [18, 19, 44, 47, 60, 61])
def test_a_head_that_no_program_writes_is_damage_and_no_reason_to_refuse_the_file(path: Path, at: int) -> None:
    before, content = rows(path), bytearray(path.read_bytes())
    content[at] ^= 0x80
    path.write_bytes(content)
    check(path, before, at_least=len(before))


def test_a_file_whose_first_moments_were_cut_is_set_aside_with_their_journal(path: Path, tmp_path: Path) -> None:
    before = rows(path)
    db = sqlite3.connect(path, isolation_level=None)
    for word in ("PRAGMA journal_mode=DELETE", "PRAGMA cache_size=1", "BEGIN", "UPDATE run SET last = last"):
        db.execute(word)
    db.execute("CREATE TABLE filler AS SELECT zeroblob(100000) AS zeros")
    cut = tmp_path / "cut"
    cut.mkdir()
    for ending in ("", "-journal"):
        shutil.copy(tmp_path / f"spool.db{ending}", cut)
    db.execute("ROLLBACK")
    db.close()
    assert "first moments" in str(check(cut / "spool.db", before, at_least=len(before)).what)
    assert not (cut / "spool.db-journal").exists()
    assert (cut / "spool.db.damaged-1.done-journal").exists()


def as_nobody(work: Callable[[], str]) -> str:
    """What another user is told."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:  # pragma: no cover
        os.setgid(65534)
        os.setuid(65534)
        os.write(writer, work().encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "r") as pipe:
        return pipe.read()


@pytest.mark.skipif(os.getuid() != 0, reason="root alone can become another user")
@pytest.mark.parametrize("mode, says", [(0o000, "let the agent read"), (0o444, "readonly database")])
def test_a_file_that_the_agent_may_not_use_is_not_taken_for_a_damaged_one(
    path: Path, mode: int, says: str, request: pytest.FixtureRequest
) -> None:
    for each in (path.parent, *path.parent.parents):
        if each != Path("/") and each.stat().st_mode & 0o005 != 0o005:
            kept = each.stat().st_mode & 0o7777
            each.chmod(kept | 0o005)
            request.addfinalizer(functools.partial(each.chmod, kept))
    path.chmod(mode)
    content = path.read_bytes()

    def work() -> str:
        try:
            recovery.recover(path)
            connection = FileDisk(path=path, bytes_max=BYTES_MAX)._open()
            connection.execute("BEGIN IMMEDIATE")
        except (Fatal, sqlite3.Error) as error:
            return str(error)
        return "used it"

    assert says in as_nobody(work)
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.glob("*damaged*")] == []


def test_a_newer_file_is_refused_with_the_mend_and_nothing_lies_beside_it_afterwards(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(Fatal, match=r"written by a newer version .schema 99.; install that version"):
        recovery.recover(path)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before


def test_a_newer_file_that_was_not_closed_is_refused_too_and_keeps_its_journal(path: Path, tmp_path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    kept = tmp_path / "kept"
    kept.mkdir()
    for each in ("spool.db", "spool.db-wal"):
        shutil.copy(tmp_path / each, kept / each)
    db.close()
    before = {each.name: each.read_bytes() for each in kept.iterdir()}
    with pytest.raises(Fatal, match="newer version"):
        recovery.recover(kept / "spool.db")
    assert {each.name: each.read_bytes() for each in kept.iterdir()} == before


def test_a_start_record_names_the_longest_losses_where_there_are_too_many() -> None:
    spans = [(OLD, 10 * n, 10 * n + n % 7) for n in range(1, 3 * MISSING_SPANS_MAX)]
    kept = longest(spans)
    assert len(kept) == MISSING_SPANS_MAX
    assert kept == sorted(kept)
    assert min(last - first for _, first, last in kept) >= 4


@pytest.mark.parametrize("copy_first", [False, True])
def test_a_copy_from_before_a_batch_was_dated_is_not_taken_for_it(tmp_path: Path, copy_first: bool) -> None:
    """Rows that SQLite moves leave copies on free pages; what was sent with one date must not go with another."""
    path, chance = tmp_path / "spool.db", random.Random(1)

    async def write() -> None:
        spool = await begin(path, OLD)
        for seq in range(1, 9):
            await spool.seal(replace(sealed(seq, chance, dated=False), body='{"from":0,"to":10000}'), [])
        await spool.close()

    async def date() -> None:
        spool = await begin(path, LATER)
        await spool.date(1_790_000_900_000)
        await spool.close()

    asyncio.run(write())
    undated = path.read_bytes()
    asyncio.run(date())
    before, dated = rows(path), path.read_bytes()
    path.write_bytes(undated + dated if copy_first else dated + undated)
    spoil(path, 0, bytes(PAGE_BYTES))
    check(path, before, at_least=len(before))


def test_what_is_carried_over_goes_before_what_this_run_has_sealed(path: Path) -> None:
    spoil(path, 0, bytes(PAGE_BYTES))
    recovered = recovery.recover(path)

    async def main() -> list[str]:
        spool = await begin(path, NOW, wrecks=recovered.wrecks)
        await spool.seal(sealed(1, random.Random(1)), [])
        await Salvage(spool=spool, recovered=recovered, look=lambda: None).run()
        await spool.close()
        return [run for run, _, _ in spool.held.spans()]

    assert list(dict.fromkeys(run_virtual(main()))) == [OLD, LATER, NOW]


async def take_each(spool: Spool) -> None:
    for run, seq in list(spool.held):
        await spool.take((run, seq, seq))


def test_of_a_large_file_only_its_length_and_its_small_tables_are_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves = (p for p in range(40, 80) if path.read_bytes()[p * PAGE_BYTES] == LEAF)
    spoil(path, next(leaves), bytes(PAGE_BYTES))
    assert recovery.check(path) is not None
    monkeypatch.setattr(recovery, "CHECK_BYTES_MAX", 0)
    assert recovery.check(path) is None

    async def main() -> None:
        spool = await begin(path, NOW)
        await take_each(spool)
        await spool.close()

    with pytest.raises(Damaged):
        asyncio.run(main())
    assert recovery.check(path) is not None, "what was found while it ran is forgotten"
    (path.parent / "spool.db.suspect").unlink()
    os.truncate(path, path.stat().st_size - PAGE_BYTES)
    assert "cut short" in (recovery.check(path) or "")


def test_of_a_torn_journal_only_whole_transactions_count(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "one.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (x)")
    ends = []
    for n in range(5):
        db.execute("BEGIN")
        db.executemany("INSERT INTO t VALUES (?)", [(bytes([n]) * 3000,) for _ in range(3)] if n == 3 else [(n,)])
        db.execute("COMMIT")
        ends.append((tmp_path / "one.db-wal").stat().st_size)
    journal = (tmp_path / "one.db-wal").read_bytes()
    whole = journal_pages(journal)
    assert max(whole.values()) > ends[3] - 1
    for n in range(4):
        torn = bytearray(journal)
        torn[ends[n] + 2000] ^= 1
        assert journal_pages(bytes(torn)) == journal_pages(journal[: ends[n]]), f"a frame after transaction {n}"
    assert journal_pages(journal[: ends[3] - 1]) == journal_pages(journal[: ends[2]])
    assert journal_pages(b"") == journal_pages(bytes(100)) == {}
    db.close()


def test_a_batch_whose_run_is_not_named_any_more_stops_the_agent_once_and_not_at_every_start(path: Path) -> None:
    """The card has changed the number of a run: no check of SQLite's can see it."""
    before = rows(path)
    db = sqlite3.connect(path)
    db.execute("UPDATE run SET id=77 WHERE run=?", (OLD,))
    db.commit()
    db.close()
    assert recovery.check(path) is None
    with pytest.raises(Damaged, match="the next start sets the file aside"):
        asyncio.run(begin(path, NOW))
    damage, spool = start(path, run="d" * 32)
    assert damage.what is not None
    left = {key for key in before if key[0] == LATER}
    assert left <= set(rows(path)), "batches of the other run are lost with it"
    asyncio.run(spool.close())


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS]
)
def test_a_sector_that_cannot_be_read_is_damage_and_not_the_end_of_the_gateway(code: int, tmp_path: Path) -> None:
    def unreadable(db: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        raise error

    async def main() -> None:
        disk = FileDisk(path=tmp_path / "spool.db", bytes_max=BYTES_MAX)
        try:
            with pytest.raises(Damaged):
                await disk.run(unreadable)
        finally:
            await disk.close()

    asyncio.run(main())
    assert (tmp_path / "spool.db.suspect").exists()


def test_a_journal_that_cannot_be_read_costs_what_is_in_it_and_no_start(path: Path) -> None:
    before = rows(path)
    kept = recovery.set_aside(path)
    kept.with_name(kept.name + "-wal").unlink(missing_ok=True)
    kept.with_name(kept.name + "-wal").mkdir()
    assert recovery.open_wreck(kept).readable().count == len(before)


def test_a_second_agent_on_one_spool_is_refused_and_the_first_one_goes_on(path: Path) -> None:
    """It would take the first one's run, of which nothing is sealed yet, for one that is done with."""
    before = set(rows(path))

    async def main() -> None:
        first = await begin(path, NOW)
        with pytest.raises(Fatal, match="another agent works on"):
            await begin(path, "e" * 32)
        await first.seal(sealed(1, random.Random(1)), [])
        await first.close()
        after = await begin(path, "e" * 32)
        assert set(after.held) >= {(NOW, 1)}
        await after.close()

    asyncio.run(main())
    assert set(rows(path)) == before | {(NOW, 1)}


def test_of_two_damaged_spools_the_newer_one_says_what_a_device_must_know(tmp_path: Path) -> None:
    """The total of a bin would go back, and stamps that have been used would count as free."""
    path, chance = tmp_path / "spool.db", random.Random(3)

    async def life(run: str, seqs: range, wrecks: list[Wreck]) -> str:
        spool = await begin(path, run, wrecks=wrecks)
        known = spool.memory.get("bin-1", "")
        for seq in seqs:
            await spool.seal(sealed(seq, chance), [])
        await spool.close()
        return known

    assert asyncio.run(life(OLD, range(1, 4), [])) == ""
    for run, seqs, knew in ((LATER, range(10, 14), "after 3"), (NOW, range(20, 21), "after 13")):
        (tmp_path / "spool.db.suspect").write_text("spoilt")
        recovered = recovery.recover(path)
        assert asyncio.run(life(run, seqs, list(recovered.wrecks))) == knew, "nothing has been carried over meanwhile"
    assert len(recovered.wrecks) == 2
