"""The worker writes the same rows whatever is killed, late or repeated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from rollups import app
from rollups.assets import Assets
from rollups.library import load_catalog
from rollups.worker import Worker
from series_store import names
from series_store.port import Figure, Unavailable
from series_store.table import Outcome, Table
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.plant import ASSETS, DAY_MS, GATEWAY, HOUR_MS, NOON, Batch, assets, batches, deliver, total_at

CATALOG = load_catalog()
EVER = 9_000_000_000_000
MEASUREMENTS = (names.ROLLUP_1H, names.ROLLUP_1D, names.INDICATOR, names.ASSET)
Rows = dict[str, list[Figure]]


def worker(store: Any, now_ms: int, register: Assets | None = None, figures: Any = None) -> Worker:
    return Worker(
        reader=store,
        figures=figures or store,
        assets=register or assets(),
        catalog=CATALOG,
        now_ms=lambda: now_ms,
    )


async def settle(one: Worker) -> None:
    for _ in range(200):
        if not await one.cycle():
            return
    raise AssertionError("the worker never comes to an end")


async def rows(store: StoreTwin) -> Rows:
    return {name: await store.figures(name, {}, 0, EVER) for name in MEASUREMENTS}


def hour(found: Rows, device: str, from_ms: int, field: str = "volume_m3") -> dict[str, Any]:
    (row,) = [
        cells
        for t, tags, cells in found[names.ROLLUP_1H]
        if t == from_ms and tags["device"] == device and tags["field"] == field
    ]
    return row


async def computed_on_time(sealed: Sequence[Batch], now_ms: int, register: Assets | None = None) -> Rows:
    """What a worker writes that runs along, looking after every batch."""
    store = StoreTwin()
    clock = [0]
    one = Worker(reader=store, figures=store, assets=register or assets(), catalog=CATALOG, now_ms=lambda: clock[0])
    for batch in sealed:
        clock[0] = batch.to_ms + 2000
        await deliver(store, batch, clock[0] * 1000)
        await one.cycle()
    clock[0] = now_ms
    await settle(one)
    return await rows(store)


def test_an_hour_holds_what_passed_in_it_and_how_complete_it_is() -> None:
    async def main() -> None:
        found = await computed_on_time(batches(NOON, NOON + 3 * HOUR_MS), NOON + DAY_MS)
        row = hour(found, "permeate", NOON + HOUR_MS)
        assert row["delta"] == pytest.approx(42.0)
        assert (row["readings"], row["expected"], row["covered_s"]) == (60.0, 60.0, 3600.0)
        flow = hour(found, "permeate", NOON + HOUR_MS, "flow_m3_h")
        assert (flow["kind"], flow["mean"], flow["min"], flow["max"]) == ("gauge", 42.0, 42.0, 42.0)

    run_virtual(main())


def glitchy(device: str, t_ms: int) -> float:
    """A total that falls a little across an hour's end, is zero for one reading, jumps for one, and is reset."""
    total, minute = total_at(device, t_ms), (t_ms - NOON) // 60_000
    if device == "feed":
        return total - 20 if 110 <= minute < 129 or minute in (59, 60) else total
    if device == "permeate":
        return 0.0 if minute == 61 else 9e7 if minute in (179, 239) else total
    return total - total_at(device, NOON + 240 * 60_000) + 0.5 if minute >= 240 else total


@pytest.mark.parametrize("total", [total_at, glitchy])
def test_data_that_comes_thirty_days_late_gives_byte_for_byte_what_it_would_have_given_on_time(
    total: Callable[[str, int], float],
) -> None:
    def running(device: str, t_ms: int) -> bool:
        return not (device == "permeate" and NOON + 2 * HOUR_MS < t_ms < NOON + 5 * HOUR_MS)

    sealed = batches(NOON, NOON + 8 * HOUR_MS, runs=running, total=total)
    now_ms = NOON + 40 * DAY_MS

    async def main() -> None:
        expected = await computed_on_time(sealed, now_ms)
        for seed in range(4):
            chance = random.Random(seed)
            held_back = [batch for batch in sealed if chance.random() < 0.4]
            chance.shuffle(held_back)
            store, clock = StoreTwin(), [NOON]
            one = Worker(
                reader=store, figures=store, assets=assets(), catalog=CATALOG, now_ms=partial(clock.__getitem__, 0)
            )
            for batch in sealed:
                if batch not in held_back:
                    clock[0] = batch.to_ms
                    await deliver(store, batch, clock[0] * 1000)
                    await one.cycle()
            for index, batch in enumerate(held_back):
                clock[0] = NOON + 30 * DAY_MS + index * 1000
                await deliver(store, batch, clock[0] * 1000)
                await one.cycle()
            clock[0] = now_ms
            await settle(one)
            assert await rows(store) == expected

    run_virtual(main())


def test_a_reading_inside_a_gap_of_days_restates_every_hour_of_the_gap() -> None:
    async def main() -> None:
        store = StoreTwin()
        before, after = batches(NOON, NOON + HOUR_MS), batches(NOON + 50 * HOUR_MS, NOON + 51 * HOUR_MS)
        for batch in before:
            await deliver(store, batch, batch.to_ms * 1000)
        one = worker(store, NOON + 9 * DAY_MS)
        await settle(one)
        for batch in after:
            await deliver(store, batch, batch.to_ms * 1000)
        await settle(one)
        found = await rows(store)
        middle = hour(found, "feed", NOON + 20 * HOUR_MS)
        assert middle["delta"] == pytest.approx(100.0)
        assert (middle["readings"], middle["covered_s"]) == (0.0, 0.0)
        # Much of the gap's volume passed before its tenth hour, says a reading that comes afterwards.
        t_ms = NOON + 10 * HOUR_MS
        late = Batch(99, t_ms, t_ms + 1000, {"feed": {"volume_m3": [(t_ms, total_at("feed", NOON + 19 * HOUR_MS))]}})
        await deliver(store, late, after[-1].to_ms * 1000 + 5)
        await settle(one)
        found = await rows(store)
        assert hour(found, "feed", NOON + 5 * HOUR_MS)["delta"] == pytest.approx(1801 / 9.01, rel=1e-3)
        assert hour(found, "feed", NOON + 20 * HOUR_MS)["delta"] == pytest.approx(3100 / 40)
        assert hour(found, "feed", NOON + 49 * HOUR_MS)["delta"] == pytest.approx(3100 / 40)

    run_virtual(main())


@pytest.mark.parametrize("minute", [100, 130])
def test_a_late_batch_near_a_dip_across_the_hours_end_restates_the_hour_beside_its_own(minute: int) -> None:
    def dips(device: str, t_ms: int) -> float:
        until, depth = (140, 25) if minute == 100 else (131, 60)
        fallen = 110 <= (t_ms - NOON) // 60_000 < until
        return total_at(device, t_ms) - (depth if fallen and device == "feed" else 0)

    sealed = batches(NOON, NOON + 4 * HOUR_MS, total=dips)
    late = [batch for batch in sealed if batch.from_ms == NOON + minute * 60_000]

    async def main() -> None:
        expected = await computed_on_time(sealed, NOON + DAY_MS)
        store = StoreTwin()
        one = worker(store, NOON + DAY_MS)
        for batch in sealed:
            if batch not in late:
                await deliver(store, batch, batch.to_ms * 1000)
        await settle(one)
        before = await rows(store)
        beside = NOON + (2 if minute == 100 else 1) * HOUR_MS
        await deliver(store, late[0], (NOON + DAY_MS) * 1000)
        await settle(one)
        after = await rows(store)
        assert hour(before, "feed", beside)["delta"] != hour(after, "feed", beside)["delta"]
        assert after == expected

    assert len(late) == 1
    run_virtual(main())


def test_hours_that_wait_for_their_next_refresh_are_not_forgotten_by_a_worker_that_dies() -> None:
    # One device falls silent while its hour waits; the others go on and take the receipts past it.
    def running(device: str, t_ms: int) -> bool:
        return device != "feed" or t_ms < NOON + 25 * 60_000

    sealed = batches(NOON, NOON + 70 * 60_000, runs=running)

    async def main() -> None:
        expected = await computed_on_time(sealed, NOON + DAY_MS)
        store, clock = StoreTwin(), [NOON]
        one = Worker(
            reader=store,
            figures=store,
            assets=assets(),
            catalog=CATALOG,
            now_ms=lambda: clock[0],
            refresh_ms=2 * HOUR_MS,
        )
        for batch in sealed:
            clock[0] = batch.to_ms
            await deliver(store, batch, clock[0] * 1000)
            await one.cycle()
        await settle(worker(store, NOON + DAY_MS))
        assert await rows(store) == expected

    run_virtual(main())


class Mortal:
    """A store's figures that fail at one chosen call, before or after it took effect."""

    def __init__(self, store: StoreTwin, dies_at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, dies_at, after

    async def _call(self, name: str, *args: Any) -> Any:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Unavailable("killed before")
        result = await getattr(self._store, name)(*args)
        if self._left == 0:
            raise Unavailable("killed after")
        return result

    async def put(self, tables: Sequence[Table]) -> Outcome:
        result: Outcome = await self._call("put", tables)
        return result

    async def figures(self, *args: Any) -> Any:
        return await self._call("figures", *args)

    async def cursor(self, name: str) -> Any:
        return await self._call("cursor", name)

    async def set_cursor(self, name: str, value: int) -> None:
        await self._call("set_cursor", name, value)

    @property
    def died(self) -> bool:
        return self._left <= 0


def test_a_worker_that_is_killed_at_any_step_leaves_the_same_rows_when_the_next_one_is_done() -> None:
    first, second = batches(NOON, NOON + 2 * HOUR_MS), batches(NOON + 2 * HOUR_MS, NOON + 3 * HOUR_MS)
    for number, batch in enumerate(second):
        batch.seq, batch.schedule = len(first) + 1 + number, None
    now_ms = NOON + 3 * DAY_MS

    async def main() -> int:
        expected = await computed_on_time([*first, *second], now_ms)
        for after in (False, True):
            for step in range(1, 500):
                store = StoreTwin()
                for batch in first:
                    await deliver(store, batch, batch.to_ms * 1000)
                await settle(worker(store, first[-1].to_ms))
                for batch in second:
                    await deliver(store, batch, batch.to_ms * 1000)
                mortal = Mortal(store, step, after=after)
                try:
                    await settle(worker(store, now_ms, figures=mortal))
                except Unavailable:
                    await settle(worker(store, now_ms))
                assert await rows(store) == expected, f"killed {'after' if after else 'before'} call {step}"
                if not mortal.died:
                    break
            else:
                raise AssertionError("never ran to its end")
        return step

    assert run_virtual(main()) > 10


def test_the_same_worker_goes_on_after_the_store_was_away_at_any_read() -> None:
    sealed = batches(NOON, NOON + 2 * HOUR_MS)
    now_ms = NOON + 3 * DAY_MS

    async def main() -> None:
        expected = await computed_on_time(sealed, now_ms)
        for skip in range(0, 60, 7):
            store = StoreTwin()
            for batch in sealed:
                await deliver(store, batch, batch.to_ms * 1000)
            one = worker(store, now_ms)
            reads = 0
            asked = store._asked

            async def failing(skip: int = skip, asked: Any = asked) -> None:
                nonlocal reads
                reads += 1
                if reads == skip:
                    raise Unavailable("away")
                await asked()

            store._asked = failing  # type: ignore[method-assign]
            try:
                await settle(one)
            except Unavailable:
                await settle(one)
            store._asked = asked  # type: ignore[method-assign]
            assert await rows(store) == expected

    run_virtual(main())


def test_receipts_that_come_twice_change_nothing() -> None:
    sealed = batches(NOON, NOON + 2 * HOUR_MS)

    async def main() -> None:
        expected = await computed_on_time(sealed, NOON + DAY_MS)
        store = StoreTwin()
        for batch in sealed:
            await deliver(store, batch, batch.to_ms * 1000)
            await deliver(store, batch, batch.to_ms * 1000 + 70_000_000, worker="w2")
        await settle(worker(store, NOON + DAY_MS))
        assert await rows(store) == expected

    run_virtual(main())


def test_two_receipts_of_one_microsecond_are_both_read() -> None:
    one, two = batches(NOON, NOON + HOUR_MS), batches(NOON, NOON + HOUR_MS)
    for batch in two:
        batch.gateway = "gw-2"

    async def main() -> None:
        store = StoreTwin()
        for batch in one:
            await deliver(store, batch, batch.to_ms * 1000, worker="a")
        await settle(done := worker(store, NOON + DAY_MS))
        for batch in two:
            await deliver(store, batch, batch.to_ms * 1000, worker="b")
        await settle(done)
        gateways = {tags["gateway"] for _, tags, _ in (await rows(store))[names.ROLLUP_1H]}
        assert gateways == {GATEWAY, "gw-2"}

    run_virtual(main())


def test_a_receipt_that_becomes_visible_a_minute_late_is_not_passed_by() -> None:
    early, late = batches(NOON, NOON + HOUR_MS), batches(NOON, NOON + HOUR_MS)
    for batch in late:
        batch.gateway = "gw-2"

    async def main() -> None:
        store = StoreTwin()
        for batch in early:
            await deliver(store, batch, NOON * 1000 + batch.seq + 60_000_000)
        await settle(worker(store, NOON + DAY_MS))
        for batch in late:
            await deliver(store, batch, NOON * 1000 + batch.seq)
        await settle(worker(store, NOON + DAY_MS))
        assert any(tags["gateway"] == "gw-2" for _, tags, _ in (await rows(store))[names.ROLLUP_1H])

    run_virtual(main())


def test_an_open_hour_is_computed_once_a_minute_and_not_for_every_batch() -> None:
    sealed = batches(NOON, NOON + HOUR_MS // 2, every_ms=10_000, seal_ms=10_000)

    async def main() -> None:
        store, clock = StoreTwin(), [NOON]
        writes: list[int] = []

        def note(tables: Sequence[Table]) -> None:
            if any(table.measurement == names.ROLLUP_1H for table in tables):
                writes.append(clock[0])

        store.before_write = note
        one = Worker(reader=store, figures=store, assets=assets(), catalog=CATALOG, now_ms=lambda: clock[0])
        for batch in sealed:
            clock[0] = batch.to_ms
            await deliver(store, batch, clock[0] * 1000)
            await one.cycle()
        minutes = HOUR_MS // 2 // 60_000
        assert len(writes) <= 3 * (minutes + 2)
        assert len(set(writes)) <= minutes + 2

    run_virtual(main())


def test_a_schedule_that_arrives_after_its_readings_makes_their_hours_complete() -> None:
    sealed = batches(NOON, NOON + 3 * HOUR_MS)

    async def main() -> None:
        expected = await computed_on_time(sealed, NOON + DAY_MS)
        store = StoreTwin()
        one = worker(store, NOON + DAY_MS)
        for batch in reversed(sealed):
            await deliver(store, batch, (NOON + DAY_MS - batch.seq) * 1000)
            await settle(one)
        assert await rows(store) == expected

    run_virtual(main())


def test_a_period_that_ends_while_nothing_comes_any_more_is_settled_as_a_whole_one() -> None:
    sealed = batches(NOON, NOON + HOUR_MS // 2)

    async def main() -> None:
        store, clock = StoreTwin(), [NOON]
        one = Worker(reader=store, figures=store, assets=assets(), catalog=CATALOG, now_ms=lambda: clock[0])
        for batch in sealed:
            clock[0] = batch.to_ms
            await deliver(store, batch, clock[0] * 1000)
            await settle(one)
        tags = {"indicator": "desalination_recovery", "area": "plant", "period": "1h"}
        ((_, _, cells),) = await store.figures(names.INDICATOR, tags, NOON, NOON + 1)
        assert cells["completeness"] == pytest.approx(1.0)
        assert cells["to_ms"] == NOON + HOUR_MS // 2 - 60_000
        clock[0] = NOON + HOUR_MS + 1
        await settle(one)
        ((_, _, cells),) = await store.figures(names.INDICATOR, tags, NOON, NOON + 1)
        assert cells["to_ms"] == NOON + HOUR_MS
        assert cells["completeness"] == pytest.approx(29 / 60)
        assert cells["partial"] == 1.0

    run_virtual(main())


def test_the_program_says_once_that_the_store_has_gone_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> StoreTwin:
        store, stop = StoreTwin(), asyncio.Event()
        for batch in batches(NOON, NOON + HOUR_MS):
            await deliver(store, batch, batch.to_ms * 1000)
        store.fail_reads_next(5)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                app.run(
                    reader=store,
                    figures=store,
                    assets=assets(),
                    catalog=CATALOG,
                    now_ms=lambda: NOON + DAY_MS,
                    stop=stop,
                )
            )
            await asyncio.sleep(600)
            store.fail_next(3, Outcome(retry_after_s=1.0, reason="full"))
            t_ms = NOON + HOUR_MS
            more = Batch(50, t_ms, t_ms + 1000, {"feed": {"volume_m3": [(t_ms, 2300.0)]}})
            data_at_us = (NOON + DAY_MS) * 1000
            while store._faults:
                await deliver_or_not(store, more, data_at_us)
            await deliver(store, more, data_at_us)
            store.fail_next(3, Outcome(retry_after_s=1.0, reason="full"))
            await asyncio.sleep(600)
            stop.set()
        return store

    async def deliver_or_not(store: StoreTwin, batch: Batch, at_us: int) -> None:
        await store.write([])

    store = run_virtual(main())
    said = [record.message for record in caplog.records]
    assert [line for line in said if "does not answer" in line] == [
        "the store does not answer, figures stand still: the twin was told not to answer",
        "the store does not answer, figures stand still: full",
    ]
    assert len([line for line in said if "is back" in line]) == 2
    assert run_virtual(store.cursor("rollups")) > 0


def test_a_receipt_that_nobody_can_read_is_named_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Rows:
        store = StoreTwin()
        for batch in batches(NOON, NOON + HOUR_MS):
            await deliver(store, batch, batch.to_ms * 1000)
        cells: dict[str, float | str] = {"run": "r", "seq": 7.0, "from": 1.0, "to": 2.0, "readings": 0.0, "bad": 0.0}
        cells["counts"] = "[1"
        tags = (("gateway", "gw-9"), ("worker", "w"))
        await store.write(
            [Table(names.RECEIPT, tags, tuple(cells), [NOON], [[c] for c in cells.values()], micros=True)]
        )
        await settle(worker(store, NOON + DAY_MS))
        return await rows(store)

    assert run_virtual(main())[names.ROLLUP_1H]
    assert any("receipt r-7 of gw-9 cannot be read" in record.message for record in caplog.records)


def test_a_meter_that_is_swapped_within_an_hour_adds_both_parts_and_nothing_between() -> None:
    change = NOON + HOUR_MS // 2
    swapped = (
        ASSETS.replace(
            'places: [{gateway: gw-1, device: feed, from: "2025-01-01"}]',
            'places: [{gateway: gw-1, device: feed, from: "2025-01-01", to: "2026-01-01T12:30"}]',
        )
        + """
  feed-2:
    title: {en: New feed meter}
    site: plant
    role: seawater_feed
    places: [{gateway: gw-1, device: feed, from: "2026-01-01T12:30"}]
"""
    )

    def total(device: str, t_ms: int) -> float:
        return total_at(device, t_ms) + (5000 if device == "feed" and t_ms >= change else 0)

    async def main() -> None:
        sealed = batches(NOON - HOUR_MS, NOON + 2 * HOUR_MS, total=total)
        found = await computed_on_time(sealed, NOON + DAY_MS, assets(swapped))
        row = hour(found, "feed", NOON)
        assert row["delta"] == pytest.approx(100 * 59 / 60)
        assert (row["readings"], row["expected"], row["covered_s"]) == (60.0, 60.0, 59 * 60.0)
        (day,) = [
            cells
            for t, tags, cells in found[names.INDICATOR]
            if tags == {"indicator": "desalination_recovery", "area": "plant", "period": "1h"} and t == NOON
        ]
        assert day["denominator"] == pytest.approx(100 * 59 / 60)

    run_virtual(main())


def test_hours_of_a_meter_that_is_read_once_an_hour_do_not_depend_on_how_many_are_computed_at_once() -> None:
    def total(device: str, t_ms: int) -> float:
        return 9e6 if device == "feed" and t_ms == NOON + 3 * HOUR_MS else total_at(device, t_ms)

    sealed = batches(NOON, NOON + 8 * HOUR_MS, every_ms=HOUR_MS, seal_ms=HOUR_MS, total=total)

    async def main() -> None:
        expected = await computed_on_time(sealed, NOON + DAY_MS)
        store = StoreTwin()
        for batch in sealed:
            await deliver(store, batch, batch.to_ms * 1000)
        await settle(worker(store, NOON + DAY_MS))
        found = await rows(store)
        assert found == expected
        assert [hour(found, "feed", NOON + at * HOUR_MS)["delta"] for at in range(7)] == pytest.approx([100.0] * 7)

    run_virtual(main())


def test_when_nothing_has_come_nothing_is_written() -> None:
    async def main() -> None:
        store = StoreTwin()
        for batch in batches(NOON, NOON + HOUR_MS):
            await deliver(store, batch, batch.to_ms * 1000)
        one = worker(store, NOON + DAY_MS)
        await settle(one)
        written = store.writes
        for _ in range(3):
            await settle(one)
        assert store.writes == written

    run_virtual(main())


def test_a_batch_that_was_rejected_whole_makes_no_hour_due() -> None:
    *old, new = batches(NOON, NOON + 6 * HOUR_MS)

    async def main() -> None:
        store = StoreTwin()
        for batch in old:
            await deliver(store, batch, batch.to_ms * 1000)
        one = worker(store, NOON + DAY_MS)
        await settle(one)
        hours: set[int] = set()

        def note(tables: Sequence[Table]) -> None:
            hours.update(t for table in tables if table.measurement == names.ROLLUP_1H for t in table.times)

        store.before_write = note
        await deliver(store, Batch(77, 0, 0, {}), new.to_ms * 1000)
        await deliver(store, new, new.to_ms * 1000 + 1)
        await settle(one)
        assert hours == {NOON + 5 * HOUR_MS}
        assert await store.cursor("rollups") == new.to_ms * 1000 + 1

    run_virtual(main())
