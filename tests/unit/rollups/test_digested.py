"""Hours that a digest tells of: detail wins wherever it is, whenever it comes, and what is summarised says so."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data_contract import receipt
from data_contract.batch import Batch, Block, Body, Device
from data_contract.reading import FieldKind
from edge_agent.keep.evict import FieldPlan, Memory, Row, digest_of
from rollups.cursor import Touch, touches
from rollups.digested import Digested, clipped, length, whole_course
from rollups.gather import index_of
from rollups.gauges import Course, course
from rollups.library import load_catalog
from rollups.worker import Worker
from series_store import names
from series_store.table import Receipt, Table
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.as_ingest import deliver
from tests.unit.rollups.plant import GATEWAY, HOUR_MS, NOON, assets, schedule

MINUTE = 60_000
FIELDS = {"feed": {"volume_m3": FieldPlan(FieldKind.COUNTER, MINUTE), "flow_m3_h": FieldPlan(FieldKind.GAUGE, MINUTE)}}
Rows = dict[tuple[str, int, str], dict[str, float | str]]


def hour(number: int) -> Batch:
    """An hour of the feed meter, an hour after another from NOON."""
    from_ms = NOON + (number - 1) * HOUR_MS
    t = [from_ms + i * MINUTE + 500 for i in range(60)]
    values = {
        "volume_m3": [1000 + (stamp - NOON) / HOUR_MS * 64 for stamp in t],
        "flow_m3_h": [64 + 8 * math.sin(stamp / 1e6) for stamp in t],
    }
    block = Block(t=[500, *[MINUTE] * 59], values={name: list(column) for name, column in values.items()})
    device = Device(kind="water_meter", counts={"main": (120, 120, {})}, blocks=[block])
    prev = None if number == 1 else from_ms - NOON
    return Batch(
        seq=number,
        base_ms=NOON,
        body=Body(from_=from_ms - NOON, to=from_ms + HOUR_MS - NOON, prev=prev, devices={"feed": device}),
    )


def digest(number: int, seq: int) -> Batch:
    batch = hour(number)
    row = Row("run-1", batch.seq, batch.base_ms, 1, batch.body)
    body, _ = digest_of([row], FIELDS, Memory())
    return Batch(seq=seq, base_ms=0, body=body)


async def hours(store: StoreTwin, worker: Worker) -> Rows:
    while await worker.cycle():
        pass
    return {
        (tags[names.FIELD], (t - NOON) // HOUR_MS, measurement): cells
        for measurement in (names.ROLLUP_1H, names.ROLLUP_1D)
        for t, tags, cells in await store.figures(measurement, {}, 0, 2**50)
    }


def worker_of(store: StoreTwin) -> Worker:
    return Worker(
        reader=store,
        figures=store,
        assets=assets(),
        catalog=load_catalog(),
        now_ms=lambda: NOON + 90 * HOUR_MS,
    )


async def with_schedule(store: StoreTwin) -> None:
    tags = ((names.GATEWAY, GATEWAY), (names.DEVICE, "gateway"), (names.KIND, "schedule"))
    text = schedule(MINUTE).model_dump_json()
    await store.write([Table(names.EVENT, tags, (names.EVENT_TEXT,), [NOON], [[text]])])


@pytest.mark.parametrize("late", [False, True])
def test_detail_that_comes_after_its_digest_leaves_no_trace_of_it(late: bool) -> None:
    async def main() -> None:
        plain, store = StoreTwin(), StoreTwin()
        for each in (plain, store):
            await with_schedule(each)
        for number in range(1, 6):
            await deliver(plain, hour(number), number)
            await deliver(store, digest(3, 9) if number == 3 else hour(number), number)
        worker = worker_of(store)
        full = await hours(plain, worker_of(plain))
        thin = await hours(store, worker)
        total, flow = (("volume_m3", 2, names.ROLLUP_1H), ("flow_m3_h", 2, names.ROLLUP_1H))
        assert thin[total]["delta"] == full[total]["delta"]
        assert thin[total]["summarised"] == 60 - float(thin[total]["readings"]) > 20
        assert (thin[flow]["readings"], thin[flow]["summarised"], thin[flow]["covered_s"]) == (0.0, 60.0, 3600.0)
        assert thin[flow]["mean"] == pytest.approx(full[flow]["mean"], abs=16 / 60)
        assert (thin[flow]["min"], thin[flow]["max"]) == (full[flow]["min"], full[flow]["max"])
        assert all(
            not cells["summarised"]
            for key, cells in thin.items()
            if key[1] in (0, 1, 3, 4) and key[2] == names.ROLLUP_1H
        )
        await deliver(store, hour(3), 10**9 if late else 6)
        assert await hours(store, worker) == full

    run_virtual(main())


def test_a_digest_of_what_had_arrived_changes_nothing() -> None:
    async def main() -> None:
        plain, store = StoreTwin(), StoreTwin()
        for each in (plain, store):
            await with_schedule(each)
            for number in range(1, 5):
                await deliver(each, hour(number), number)
        await deliver(store, digest(2, 9), 7)
        assert await hours(store, worker_of(store)) == await hours(plain, worker_of(plain))

    run_virtual(main())


def test_where_half_of_the_detail_came_the_digest_tells_the_other_half() -> None:
    t = np.arange(NOON, NOON + 30 * MINUTE + 1, MINUTE)
    value = np.full(len(t), 10.0)
    told = [Digested(NOON, NOON + HOUR_MS, 61, Course(20.0, 5.0, 40.0))]
    found, covered = whole_course(t, value, 150_000, told, NOON, NOON + HOUR_MS)
    assert found is not None
    assert (found.mean, found.least, found.greatest, covered) == (15.0, 5.0, 40.0, HOUR_MS)


def test_detail_all_over_a_digest_leaves_it_nothing_to_say() -> None:
    t = np.arange(NOON, NOON + HOUR_MS + 1, MINUTE)
    value = np.linspace(0, 1, len(t))
    told = [Digested(NOON, NOON + HOUR_MS, 61, Course(99.0, 0.0, 99.0))]
    found, covered = whole_course(t, value, 150_000, told, NOON, NOON + HOUR_MS)
    assert (found, covered) == (course(t, value, 150_000, NOON, NOON + HOUR_MS), HOUR_MS)


def test_a_part_of_a_digest_counts_by_its_share_of_the_time() -> None:
    told = [Digested(NOON, NOON + HOUR_MS, 60)]
    (half,) = clipped(told, NOON + HOUR_MS // 2, NOON + 3 * HOUR_MS)
    assert half == Digested(NOON + HOUR_MS // 2, NOON + HOUR_MS, 30)
    assert clipped(told, NOON + HOUR_MS + 1, NOON + 2 * HOUR_MS) == ()


def test_time_that_is_covered_twice_counts_once() -> None:
    begin, end = np.array([5, 0, 20]), np.array([15, 10, 30])
    assert length(begin, end, 0, 100) == 25
    assert length(begin, end, 8, 25) == 12


def test_a_digest_of_gauges_alone_makes_its_hours_due() -> None:
    said = receipt.BatchReceipt({"feed": receipt.DeviceReceipt({"main": (120, 120, {})})}, replaces=(("run-1", 1, 2),))
    got = Receipt(5, GATEWAY, "w1", "run-1", 9, NOON, NOON + HOUR_MS, 0, 0, receipt.write(said))
    assert touches(got) == [Touch(GATEWAY, "feed", NOON, NOON + HOUR_MS - 1, 5)]


def gauge_alone(number: int, seq: int) -> Batch:
    """The digest of an hour of a device that has nothing but a gauge."""
    whole = hour(number)
    feed = whole.body.devices["feed"]
    block = Block(t=feed.blocks[0].t, values={"flow_m3_h": feed.blocks[0].values["flow_m3_h"]})
    device = Device(kind="water_meter", counts={"main": (60, 60, {})}, blocks=[block])
    body = whole.body.model_copy(update={"devices": {"feed": device}})
    digested, _ = digest_of([Row("run-1", whole.seq, whole.base_ms, 1, body)], FIELDS, Memory())
    return Batch(seq=seq, base_ms=0, body=digested)


def test_a_gauge_of_which_no_reading_ever_came_has_the_hours_that_its_digests_tell() -> None:
    async def main() -> None:
        plain, store = StoreTwin(), StoreTwin()
        for each in (plain, store):
            await with_schedule(each)
        for number in (1, 2):
            await deliver(plain, hour(number), number)
            await deliver(store, gauge_alone(number, 10 + number), number)
        worker = worker_of(store)
        full, thin = await hours(plain, worker_of(plain)), await hours(store, worker)
        assert {key[0] for key in thin} == {"flow_m3_h"}
        for at in (0, 1):
            row, whole = thin["flow_m3_h", at, names.ROLLUP_1H], full["flow_m3_h", at, names.ROLLUP_1H]
            assert (row["readings"], row["summarised"], row["expected"]) == (0.0, 60.0, 60.0)
            assert (row["min"], row["max"], row["kind"]) == (whole["min"], whole["max"], "gauge")
            assert row["mean"] == pytest.approx(whole["mean"], abs=16 / 60)
            assert row["covered_s"] == pytest.approx(whole["covered_s"], abs=61)
        # Its first reading makes it a series like any other, and its digests go on telling of the hours before.
        await deliver(plain, hour(3), 3)
        await deliver(store, hour(3), 3)
        later = await hours(store, worker)
        assert later["flow_m3_h", 0, names.ROLLUP_1H] == thin["flow_m3_h", 0, names.ROLLUP_1H]
        assert later["flow_m3_h", 2, names.ROLLUP_1H]["readings"] == 60.0

    run_virtual(main())


def test_a_schedule_that_comes_late_tells_how_many_readings_a_gauge_of_digests_was_called_for() -> None:
    async def main() -> None:
        store = StoreTwin()
        await deliver(store, gauge_alone(1, 11), 1)
        await deliver(store, gauge_alone(2, 12), 2)
        worker = worker_of(store)
        before = await hours(store, worker)
        assert "expected" in str(before["flow_m3_h", 0, names.ROLLUP_1H]["void"])
        await with_schedule(store)
        empty = Batch(seq=20, base_ms=NOON, body=Body(from_=0, to=MINUTE, prev=None))
        await deliver(store, empty, 20)
        after = await hours(store, worker)
        assert [after["flow_m3_h", at, names.ROLLUP_1H]["expected"] for at in (0, 1)] == [60.0, 60.0]

    run_virtual(main())


def test_a_gauge_that_stands_for_persons_gets_no_hours_from_digests_either() -> None:
    async def main() -> None:
        store = StoreTwin()
        tags = ((names.GATEWAY, GATEWAY), (names.DEVICE, "feed"))
        fields = tuple(f"card_pseudonym_{part}" for part in (names.SUMMARY_TO, *names.SUMMARY_COURSE))
        await store.write([Table(names.SUMMARY, tags, fields, [NOON], [[NOON + 5.0], [1.0], [1.0], [1.0]])])
        assert await index_of(store) == {}

    run_virtual(main())
