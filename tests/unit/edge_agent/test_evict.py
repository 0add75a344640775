"""What a full spool gives up: whole, in one step, never what may be on its way, and nothing that a bill is made of."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_contract.batch import BATCH_BYTES_MAX, Block, Body, Device, Record, write_body
from data_contract.reading import FieldKind
from edge_agent.errors import DiskFull
from edge_agent.keep import room
from edge_agent.keep.disk import PAGE_BYTES, FileDisk
from edge_agent.keep.evict import DAY_MS, DIGEST_BYTES_MAX, HOUR_MS, FieldPlan, Memory, Row, digest_of, merged
from edge_agent.keep.sealer import EVICTIONS_PER_SEAL
from edge_agent.keep.spool import Sealed, Spool
from tests.twins.death import Life
from tests.twins.disk import DiskTwin
from tests.unit.edge_agent.test_spool import Cut, CuttingDisk

OLD, NEW = "a" * 32, "b" * 32
BASE = 1_790_000_000_000 // HOUR_MS * HOUR_MS
STEP = 300_000
"""A batch of five minutes, and a reading each minute."""
FIELDS = {
    "m1": {
        "total": FieldPlan(FieldKind.COUNTER, 60_000),
        "flow": FieldPlan(FieldKind.GAUGE, 60_000),
        "on": FieldPlan(FieldKind.STATE, 60_000),
    }
}
Key = tuple[str, int]


def body(number: int) -> Body:
    from_ = (number - 1) * STEP
    minutes = [from_ // 60_000 + i for i in range(5)]
    block = Block(
        t=[0, *[60_000] * 4],
        values={
            "total": [float(m) for m in minutes],
            "flow": [0.1 * (m % 7) for m in minutes],
            "on": [float(m % 90 > 50) for m in minutes],
        },
        quality={"flow": [(2, 2)]} if number == 3 else {},
    )
    device = Device(kind="meter", counts={"main": (18, 15, {"timeout": 3})}, blocks=[block])
    records = [Record(kind="start", t=7)] if number == 1 else []
    return Body(
        from_=from_, to=from_ + STEP, prev=None if number == 1 else from_, devices={"m1": device}, records=records
    )


def sealed(number: int, *, base_ms: int | None = BASE) -> Sealed:
    return Sealed(number, base_ms, BASE, BASE + number * STEP, write_body(body(number)))


async def filled(disk: Any, batches: int, **kwargs: Any) -> Spool:
    spool = Spool(disk=disk, run=OLD, boot="boot", fields=FIELDS)
    await spool.open()
    for number in range(1, batches + 1):
        await spool.seal(sealed(number, **kwargs), [])
    return spool


def nothing() -> set[Key]:
    return set()


async def bodies(spool: Spool) -> dict[Key, Body]:
    found = {}
    for run, seq in list(spool.held):
        (row,) = await spool.take((run, seq, seq))
        found[run, seq] = Body.model_validate_json(row.body)
    return found


def twin(path: Path, **kwargs: Any) -> DiskTwin:
    return DiskTwin(path=path, life=Life(), **kwargs)


def test_the_oldest_hour_gives_way_to_a_digest_that_says_all_that_must_be_known_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        spool = await filled(twin(tmp_path / "s.db"), 30)
        assert await spool.evict(31, before_ms=BASE + 30 * STEP, busy=nothing)
        held = await bodies(spool)
        assert list(held) == [(OLD, seq) for seq in range(13, 32)]
        digest = held[OLD, 31]
        assert (digest.from_, digest.to, digest.prev) == (BASE, BASE + HOUR_MS, None)
        assert digest.replaces == [(OLD, 1, 12)]
        assert [(r.kind, digest.from_ + r.t) for r in digest.records] == [("start", BASE + 7)]
        device = digest.devices["m1"]
        assert device.counts == {"main": (12 * 18, 12 * 15, {"timeout": 36})}
        assert device.witnessed["total"] == [(BASE, BASE + 59 * 60_000, 60)]
        first, last, count, least, most, mean = device.summary["flow"][0]
        assert (first, last, count, least) == (BASE, BASE + 59 * 60_000, 59, 0)
        assert most == pytest.approx(0.6)
        assert mean == pytest.approx(0.3, abs=0.02)
        assert all("flow" not in block.values for block in device.blocks)
        await spool.close()

    asyncio.run(main())


@pytest.mark.parametrize("sent_in_between", [False, True])
def test_what_is_in_flight_or_confirmed_is_never_digested(sent_in_between: bool, tmp_path: Path) -> None:
    """Also what is sent while the piece is being chosen."""

    async def main() -> None:
        spool = await filled(twin(tmp_path / "s.db"), 30)
        asked = 0

        def busy() -> set[Key]:
            nonlocal asked
            asked += 1
            return {(OLD, 5), (OLD, 6)} if asked > 1 or not sent_in_between else set()

        assert await spool.evict(31, before_ms=BASE + 30 * STEP, busy=busy)
        assert {(OLD, 5), (OLD, 6)} <= set(spool.held)
        assert (await bodies(spool))[OLD, 31].replaces == [(OLD, 1, 4)], "a piece ends where something is kept"
        assert spool.leaving == []
        await spool.close()

    asyncio.run(main())


def test_what_waits_for_a_clock_or_was_set_aside_stays(tmp_path: Path) -> None:
    async def main() -> None:
        spool = await filled(twin(tmp_path / "s.db"), 24, base_ms=None)
        assert not await spool.evict(25, before_ms=BASE + DAY_MS, busy=nothing)
        await spool.guess()
        assert not await spool.evict(25, before_ms=BASE + 2 * DAY_MS, busy=nothing), "its bounds would be lost"
        await spool.close()
        dated = await filled(twin(tmp_path / "t.db"), 24)
        await dated.set_aside((OLD, 1, 24), "unanswered")
        assert not await dated.evict(25, before_ms=BASE + DAY_MS, busy=nothing)
        await dated.close()

    asyncio.run(main())


def test_an_hour_that_is_not_over_stays(tmp_path: Path) -> None:
    async def main() -> None:
        spool = await filled(twin(tmp_path / "s.db"), 11)
        assert not await spool.evict(12, before_ms=BASE + 11 * STEP, busy=nothing)
        assert await spool.evict(12, before_ms=BASE + HOUR_MS, busy=nothing)
        await spool.close()

    asyncio.run(main())


def test_a_gateway_that_no_longer_knows_the_device_digests_it_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        await (await filled(twin(tmp_path / "s.db"), 12)).close()
        after = Spool(disk=twin(tmp_path / "s.db"), run=NEW, boot="boot", fields={})
        await after.open()
        assert await after.evict(1, before_ms=BASE + HOUR_MS, busy=nothing)
        assert "flow" in (await bodies(after))[NEW, 1].devices["m1"].summary
        await after.close()

    asyncio.run(main())


def test_a_spool_of_a_program_that_did_not_say_how_fields_add_up_loses_no_reading(tmp_path: Path) -> None:
    async def main() -> None:
        spool = Spool(disk=twin(tmp_path / "s.db"), run=OLD, boot="boot")
        await spool.open()
        for number in range(1, 13):
            await spool.seal(sealed(number), [])
        await spool.evict(13, before_ms=BASE + HOUR_MS, busy=nothing)
        blocks = [block for b in (await bodies(spool)).values() for block in b.devices["m1"].blocks]
        assert sum(len(block.t) for block in blocks if "total" in block.values) == 60
        await spool.close()

    asyncio.run(main())


@pytest.mark.parametrize("day", [False, True])
def test_a_power_cut_between_any_two_steps_of_an_eviction_loses_nothing(day: bool, tmp_path: Path) -> None:
    """After it, either all that was replaced is there, or the digest; never both and never neither."""

    async def prepare(path: Path) -> None:
        last = 12 * (11 if day else 2)
        spool = await filled(twin(path), last)
        for seq in range(last + 1, last + 11) if day else ():
            assert await spool.evict(seq, before_ms=BASE + 11 * HOUR_MS, busy=nothing)
        await spool.close()

    async def cut(at: int, begun: Path, folder: Path) -> bool:
        path = folder / "s.db"
        shutil.copy(begun, path)
        disk = CuttingDisk(path, at=10**9, copy=folder / "copy")
        disk.armed = False
        spool = Spool(disk=disk, run=NEW, boot="boot")
        await spool.open()
        before = await bodies(spool)
        disk.statements, disk._at, disk.armed = 0, at, True
        finished = False
        with contextlib.suppress(Cut):
            finished = await spool.evict(1, before_ms=BASE + 3 * DAY_MS, busy=nothing)
        assert finished == (disk.statements <= at)
        disk.armed = False
        await spool.close()
        again = Spool(disk=twin(path if finished else folder / "copy" / "s.db"), run="c" * 32, boot="boot")
        await again.open()
        after = await bodies(again)
        await again.close()
        if (NEW, 1) not in after:
            assert after == before
        else:
            gone = {(run, seq) for run, a, b in after[NEW, 1].replaces for seq in range(a, b + 1)}
            assert set(after) == (set(before) - gone) | {(NEW, 1)}
            assert gone & set(before)
        return finished

    async def main() -> None:
        begun = tmp_path / "begun.db"
        await prepare(begun)
        for at in range(10**3):
            folder = tmp_path / str(at)
            folder.mkdir()
            if await cut(at, begun, folder):
                assert at > 15, "the statements of an eviction were not counted"
                return

    asyncio.run(main())


def test_digests_of_a_day_merge_and_stand_in_for_each_other_and_for_all_that_they_did(tmp_path: Path) -> None:
    async def main() -> None:
        spool = await filled(twin(tmp_path / "s.db"), 12 * 24)
        seq = 12 * 24
        for _ in range(10):
            seq += 1
            assert await spool.evict(seq, before_ms=BASE + 10 * HOUR_MS, busy=nothing)
        parts = {key: each for key, each in (await bodies(spool)).items() if each.replaces}
        assert await spool.evict(seq + 1, before_ms=BASE + 3 * DAY_MS, busy=nothing)
        whole = (await bodies(spool))[OLD, seq + 1]
        day = [key for key, each in parts.items() if each.from_ // DAY_MS == whole.from_ // DAY_MS]
        assert len(day) >= 8
        named = {(run, s) for run, a, b in whole.replaces for s in range(a, b + 1)}
        assert named == set(day) | {(run, s) for k in day for run, a, b in parts[k].replaces for s in range(a, b + 1)}
        assert not named & set(spool.held)
        assert readings_of([whole]) == readings_of([parts[key] for key in day])
        assert whole.devices["m1"].counts["main"] == (216 * len(day), 180 * len(day), {"timeout": 36 * len(day)})
        await spool.close()

    asyncio.run(main())


def readings_of(digests: list[Body]) -> list[tuple[str, int, float]]:
    found = []
    for each in digests:
        for block in each.devices["m1"].blocks:
            at = each.from_
            for i, step in enumerate(block.t):
                at += step
                found += [
                    (name, at, value) for name, column in block.values.items() if (value := column[i]) is not None
                ]
    return sorted(found)


def test_when_only_digests_are_left_and_no_two_of_a_day_nothing_more_goes(tmp_path: Path) -> None:
    async def main() -> None:
        spool = await filled(twin(tmp_path / "s.db"), 12)
        assert await spool.evict(13, before_ms=BASE + HOUR_MS, busy=nothing)
        assert not await spool.evict(14, before_ms=BASE + 9 * DAY_MS, busy=nothing)
        assert list(spool.held) == [(OLD, 13)]
        await spool.close()

    asyncio.run(main())


def test_an_eviction_that_finds_no_room_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        disk = twin(tmp_path / "s.db")
        spool = await filled(disk, 12)
        disk.full = True
        with pytest.raises(DiskFull):
            await spool.evict(13, before_ms=BASE + HOUR_MS, busy=nothing)
        disk.full = False
        assert len(spool.held) == 12
        assert spool.leaving == []
        assert await spool.evict(13, before_ms=BASE + HOUR_MS, busy=nothing), "the same may go when there is room"
        await spool.close()

    asyncio.run(main())


def test_a_digest_is_never_larger_than_what_ingest_takes() -> None:
    rows = [Row(OLD, n, BASE, 10_000, body(n)) for n in range(1, 13)]
    digest, _ = digest_of(rows, FIELDS, Memory())
    parts = [Row(OLD, 100 + n, 0, 5_000, digest) for n in range(3)]
    assert len(write_body(merged(parts))) < BATCH_BYTES_MAX
    assert DIGEST_BYTES_MAX < BATCH_BYTES_MAX


@pytest.mark.parametrize("off_grid", [False, True])
def test_a_digest_says_where_its_slots_need_not_be_those_of_the_schedule(off_grid: bool) -> None:
    rows = [Row(OLD, number, BASE, 1000, body(number)) for number in range(1, 5)]
    rows[2].body.off_grid = off_grid
    made, _ = digest_of(rows, FIELDS, Memory())
    assert made.off_grid is off_grid
    later = made.model_copy(update={"from_": made.to, "to": made.to + STEP, "off_grid": False})
    assert merged([Row(NEW, 5, 0, 1000, made), Row(NEW, 6, 0, 1000, later)]).off_grid is off_grid
    far = later.model_copy(update={"from_": made.to + 1})
    assert merged([Row(NEW, 5, 0, 1000, made), Row(NEW, 6, 0, 1000, far)]).off_grid, "it counts nothing of the hole"


@pytest.mark.parametrize("value", [1.7976931348623157e308, -1.7976931348623157e308, 1e306, 5e-324])
def test_a_gauge_that_shows_the_largest_number_there_is_does_not_end_the_agent_for_good(value: float) -> None:
    """As a torn register may. A full spool would meet it again at every start."""
    t, column = [0, *[61_003] * 19], [value] * 20
    device = Device(kind="meter", blocks=[Block(t=t, values={"flow": list(column)})])
    row = Row(OLD, 1, BASE, 1000, Body(from_=0, to=HOUR_MS, devices={"m1": device}))
    made, _ = digest_of([row], FIELDS, Memory())
    assert write_body(made)
    (said,) = made.devices["m1"].summary["flow"]
    assert said[5] == pytest.approx(value)


def test_a_total_that_fell_just_before_the_hour_keeps_its_doubt_in_the_next_one() -> None:
    def rows(first: int, last: int) -> list[Row]:
        found = []
        for number in range(first, last + 1):
            each = body(number)
            block = each.devices["m1"].blocks[0]
            block.values["total"] = [v if v is None or v < 58 else v - 50 for v in block.values["total"]]
            found.append(Row(OLD, number, BASE, 1000, each))
        return found

    _, memory = digest_of(rows(1, 12), FIELDS, Memory(OLD, BASE, 0))
    quiet, _ = digest_of(
        rows(13, 24),
        FIELDS,
        memory._replace(tails={("m1", "total"): memory.tails["m1", "total"]._replace(doubt_to_ms=0)}),
    )
    doubted, _ = digest_of(rows(13, 24), FIELDS, memory)
    unknown, _ = digest_of(rows(13, 24), FIELDS, memory._replace(to=1))
    totals = [sum(name == "total" for name, _, _ in readings_of([each])) for each in (quiet, doubted, unknown)]
    assert totals[0] < totals[1] < totals[2]


def test_a_real_file_at_its_bound_takes_each_new_batch_and_hardly_grows_beyond(tmp_path: Path) -> None:
    """Three times as many batches as it holds: each finds room after three evictions at most."""

    async def main() -> None:
        path = tmp_path / "s.db"
        spool = await filled(FileDisk(path=path, bytes_max=150_000), 0)
        seq, evictions = 0, 0
        for number in range(1, 12 * 60):
            tries = 0
            while True:
                batch = replace(sealed(number), seq=seq + 1)
                try:
                    await spool.seal(batch, [])
                    break
                except DiskFull:
                    tries += 1
                    assert tries <= EVICTIONS_PER_SEAL, f"batch {number}"
                    assert await spool.evict(seq + 1, before_ms=BASE + number * STEP, busy=nothing)
                    seq, evictions = seq + 1, evictions + 1
            seq += 1
        assert evictions > 20
        assert path.stat().st_size <= 150_000 + room.RESERVE_PAGES * PAGE_BYTES
        assert sum(each.size for each in spool.held.values()) < 150_000
        await spool.close()

    asyncio.run(main())
