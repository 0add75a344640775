"""Readings whose time is an estimate: counted where they are stamped, and the figure says what may belong elsewhere."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from data_contract import receipt as wire
from data_contract.batch import Batch, Block, Body, Device
from data_contract.counter_law import HOLD_MS, LOOKBACK_MS, Law
from ingest.tables import tables_of
from rollups.ask import ask
from rollups.counters import volumes, within
from rollups.cursor import FAR_REFRESH_MS, Due, Touch, touches
from rollups.doubts import NO_DOUBTS, REACH_MS, Doubts, Edge, doubts_of, joined, unsure
from rollups.hours import counted, went
from rollups.library import load_catalog
from rollups.report import lines
from rollups.rows import read_stretch, stretch_table
from rollups.slack import slack_of
from rollups.worker import Worker
from series_store import names
from series_store.table import Receipt, SeriesKey, Table, Window
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.as_ingest import deliver
from tests.unit.rollups.plant import GATEWAY, HOUR_MS, MIDNIGHT, NOON, RATES, TOTALS, assets, schedule, total_at

MINUTE = 60_000
LAW = Law(rate_max_per_h=1e6)
CATALOG = load_catalog()
DAY_MS = 24 * HOUR_MS


def window(t: np.ndarray[Any, Any], value: np.ndarray[Any, Any]) -> Window:
    return Window(t.astype(np.int64), value.astype(np.float64), np.zeros(len(t)))


@pytest.mark.parametrize("seed", range(40))
def test_wherever_in_its_bounds_the_truth_lies_the_interval_of_the_hour_holds_it(seed: int) -> None:
    """A boot without a clock between two that knew the time: the truth is any shift of its stamps that fits between."""
    rng = random.Random(seed)
    every = rng.choice([10_000, MINUTE, 5 * MINUTE])
    begin, length, off = (rng.randrange(0, 3 * HOUR_MS // every) * every for _ in range(3))
    boot = NOON + begin + np.arange(0, length + every, every)
    before = np.arange(NOON - 3 * HOUR_MS, boot[0] - off, every)
    after = np.arange(boot[-1] + off + every, boot[-1] + off + 3 * HOUR_MS, every)
    t = np.concatenate([before, boot, after])
    value = np.cumsum(np.array([rng.random() * 10 for _ in t]))
    doubted = unsure([(int(boot[0]), int(boot[-1]), -off, off)])
    for hour in range(NOON - HOUR_MS, NOON + 6 * HOUR_MS, HOUR_MS):
        found = counted(
            window(t, value),
            LAW,
            from_ms=hour,
            to_ms=hour + HOUR_MS,
            expected=None,
            scheduled_gap_ms=int(2.5 * every),
            doubted=doubted,
        )
        if found is None or found.delta is None:
            continue
        slack = slack_of(found, LAW, hour, hour + HOUR_MS)
        assert slack.more is not None
        for shift in (-off, 0, off, rng.randint(-off, off)):
            true = np.concatenate([before, boot + shift, after])
            truth = within(volumes(true, value, LAW), hour, hour + HOUR_MS)
            assert found.delta - slack.less - 1e-6 <= truth <= found.delta + slack.more + 1e-6


def sealed(seq: int, from_ms: int, to_ms: int, bounds: tuple[int, int] | None = None) -> Batch:
    """A batch of all meters; `bounds`: how long before (negative) and after its stamps it may have been sampled."""
    slots = list(range(-(-from_ms // MINUTE) * MINUTE, to_ms, MINUTE))
    steps = [b - a for a, b in zip([from_ms, *slots], slots, strict=False)]
    devices = {}
    for name, field in TOTALS.items():
        columns: dict[str, list[float | None]] = {
            field: [total_at(name, t) for t in slots],
            "flow_m3_h": [RATES[name] for _ in slots],
        }
        count = 2 * len(slots)
        devices[name] = Device(
            kind="water_meter", counts={"main": (count, count, {})}, blocks=[Block(t=steps, values=columns)]
        )
    estimate = None if bounds is None else (NOON + bounds[0], NOON + bounds[1])
    body = Body(
        from_=from_ms - NOON,
        to=to_ms - NOON,
        prev=None if seq == 1 else from_ms - NOON,
        devices=devices,
        unsure=estimate,
        off_grid=bounds is not None,
    )
    return Batch(seq=seq, base_ms=NOON, body=body)


async def with_schedule(store: StoreTwin) -> None:
    tags = ((names.GATEWAY, GATEWAY), (names.DEVICE, "gateway"), (names.KIND, "schedule"))
    text = schedule(MINUTE).model_dump_json()
    await store.write([Table(names.EVENT, tags, (names.EVENT_TEXT,), [MIDNIGHT - DAY_MS], [[text]])])


def life(bounds: tuple[int, int] | None) -> list[Batch]:
    """Five hours and a half, of which the time from 13:40 to 14:20 is an estimate."""
    spans = [
        (NOON, NOON + HOUR_MS, None),
        (NOON + HOUR_MS, NOON + 100 * MINUTE, None),
        (NOON + 100 * MINUTE, NOON + 140 * MINUTE, bounds),
        (NOON + 140 * MINUTE, NOON + 3 * HOUR_MS, None),
        (NOON + 3 * HOUR_MS, NOON + 330 * MINUTE, None),
    ]
    return [sealed(seq, *span) for seq, span in enumerate(spans, 1)]


Rows = dict[tuple[str, str, str, int], dict[str, float | str]]


def worker_of(store: StoreTwin) -> Worker:
    """A worker whose clock goes on by more than its longest pause with each cycle."""
    ticks = count(NOON + 40 * DAY_MS, FAR_REFRESH_MS + 1)
    return Worker(reader=store, figures=store, assets=assets(), catalog=CATALOG, now_ms=lambda: next(ticks))


async def rows(store: StoreTwin, worker: Worker) -> Rows:
    while await worker.cycle():
        pass
    found: Rows = {}
    for measurement in (names.ROLLUP_1H, names.ROLLUP_1D):
        for t, tags, cells in await store.figures(measurement, {}, 0, 2**50):
            found[measurement, tags[names.DEVICE], tags[names.FIELD], t] = cells
    for t, tags, cells in await store.figures(names.INDICATOR, {names.AREA_TAG: "plant"}, 0, 2**50):
        found[names.INDICATOR, tags[names.INDICATOR_TAG], tags[names.PERIOD_TAG], t] = cells
    return found


async def computed(batches: list[Batch]) -> Rows:
    store = StoreTwin()
    await with_schedule(store)
    for batch in batches:
        await deliver(store, batch, batch.to_ms * 1000)
    return await rows(store, worker_of(store))


def test_an_hour_says_how_many_readings_may_belong_to_its_neighbour_and_its_figure_is_as_wide() -> None:
    async def main() -> None:
        sure, found = await computed(life(None)), await computed(life((-5 * MINUTE, 10 * MINUTE)))
        first, second = NOON + HOUR_MS, NOON + 2 * HOUR_MS
        for at, unsure_count in ((NOON, 0), (first, 10), (second, 5), (NOON + 3 * HOUR_MS, 0)):
            for field in ("volume_m3", "flow_m3_h"):
                row, plain = found[names.ROLLUP_1H, "feed", field, at], sure[names.ROLLUP_1H, "feed", field, at]
                assert row[names.TIME_UNSURE] == unsure_count
                assert plain[names.TIME_UNSURE] == 0
                assert [row[of] for of in ("delta", "mean", "readings")] == [
                    plain[of] for of in ("delta", "mean", "readings")
                ]
        key = (names.INDICATOR, "desalination_recovery", "1h")
        wide, narrow = found[*key, second], sure[*key, second]
        assert wide["value"] == narrow["value"]
        # Six of a hundred or sixty times its own width: minutes of 14:00 to 15:00 that may have been before, or after.
        assert float(wide["low"]) < float(narrow["low"]) * 0.92
        assert float(wide["high"]) > float(narrow["high"]) * 1.05
        assert wide[names.TIME_UNSURE] == 10.0
        assert found[*key, NOON] == sure[*key, NOON]
        assert found[*key, NOON + 3 * HOUR_MS] == sure[*key, NOON + 3 * HOUR_MS]

    run_virtual(main())


def test_a_day_that_holds_the_bounds_whole_is_what_it_would_be_with_a_known_time() -> None:
    async def main() -> None:
        sure, found = await computed(life(None)), await computed(life((-5 * MINUTE, 10 * MINUTE)))
        days = [key for key in found if key[0] == names.ROLLUP_1D or key[2] == "1d"]
        assert len(days) >= 6
        for key in days:
            assert found[key] == sure[key]

    run_virtual(main())


def test_a_day_whose_edge_the_bounds_cross_says_so_once_and_not_hour_by_hour() -> None:
    """From 22:00 to 01:00, all an estimate of an hour each way: each hour is open on both sides, the day at its end."""
    midnight = MIDNIGHT + DAY_MS

    async def main() -> None:
        spans = [
            (midnight - 3 * HOUR_MS, midnight - 2 * HOUR_MS, None),
            (midnight - 2 * HOUR_MS, midnight + HOUR_MS, (-HOUR_MS, HOUR_MS)),
            (midnight + HOUR_MS, midnight + 3 * HOUR_MS, None),
        ]
        found = await computed([sealed(seq, *span) for seq, span in enumerate(spans, 1)])
        hours = [found[names.ROLLUP_1H, "feed", "volume_m3", midnight + at * HOUR_MS] for at in (-2, -1, 0)]
        assert [hour[names.TIME_UNSURE] for hour in hours] == [60.0, 60.0, 60.0]
        day = found[names.ROLLUP_1D, "feed", "volume_m3", midnight - DAY_MS]
        assert day[names.TIME_UNSURE] == 60.0
        stretch = read_stretch((midnight - DAY_MS, {}, day), DAY_MS)
        assert stretch.doubts.volume == pytest.approx(RATES["feed"], rel=0.02)
        slack = slack_of(stretch, LAW, midnight - DAY_MS, midnight)
        assert slack.more is not None
        # 23:00 to 00:00 may have been later, 00:00 to 01:00 earlier; and the day began at 21:00, of which nobody knows.
        assert slack.less == pytest.approx(RATES["feed"], rel=0.02)
        assert stretch.doubts.tail is not None
        assert stretch.doubts.tail.after == pytest.approx(RATES["feed"], rel=0.02)
        assert stretch.doubts.lead is None

    run_virtual(main())


@pytest.mark.parametrize("bounds", [(-5 * MINUTE, 10 * MINUTE), (-100 * HOUR_MS, 0), (-3 * HOUR_MS, 9000 * DAY_MS)])
def test_estimates_that_come_early_late_or_last_give_the_same_rows(bounds: tuple[int, int]) -> None:
    async def main() -> None:
        batches = life(bounds)
        expected = await computed(batches)
        for seed in range(6):
            shuffled = list(batches)
            random.Random(seed).shuffle(shuffled)
            store = StoreTwin()
            await with_schedule(store)
            worker = worker_of(store)
            for at, batch in enumerate(shuffled, 1):
                await deliver(store, batch, NOON * 1000 + at)
                await rows(store, worker)
            assert await rows(store, worker) == expected

    run_virtual(main())


def test_the_hours_before_an_estimate_hear_of_readings_that_come_days_after_it() -> None:
    """What passed between the last estimated reading and the next one may have passed anywhere from its bounds on."""

    async def main() -> None:
        batches = [
            sealed(1, NOON - 9 * HOUR_MS, NOON),
            sealed(2, NOON, NOON + HOUR_MS, (-6 * HOUR_MS, 0)),
            sealed(3, NOON + 4 * DAY_MS, NOON + 4 * DAY_MS + HOUR_MS),
        ]
        expected = await computed(batches)
        store = StoreTwin()
        await with_schedule(store)
        worker = worker_of(store)
        for batch in batches:
            await deliver(store, batch, batch.to_ms * 1000)
            found = await rows(store, worker)
        assert found == expected

    run_virtual(main())


def test_a_report_over_any_interval_says_the_same_as_the_rows() -> None:
    async def main() -> None:
        store = StoreTwin()
        await with_schedule(store)
        for batch in life((-5 * MINUTE, 10 * MINUTE)):
            await deliver(store, batch, batch.to_ms * 1000)
        found = await rows(store, worker_of(store))
        hour = NOON + 2 * HOUR_MS
        figures = await ask(
            reader=store,
            figures=store,
            assets=assets(),
            catalog=CATALOG,
            from_ms=hour,
            to_ms=hour + HOUR_MS,
            area="plant",
        )
        (line,) = [one for one in lines(figures, CATALOG, assets()) if one["indicator"] == "desalination_recovery"]
        row = found[names.INDICATOR, "desalination_recovery", "1h", hour]
        assert (line["low"], line["high"], line["time_unsure"]) == (row["low"], row["high"], row[names.TIME_UNSURE])
        assert line["time_unsure"] == 10

    run_virtual(main())


def test_ingest_says_of_each_device_between_which_times_its_readings_were_taken() -> None:
    found = tables_of(GATEWAY, sealed(1, NOON, NOON + HOUR_MS, (-7, 9)), NOON + DAY_MS)
    told = [table for table in found.tables if table.measurement == names.UNSURE]
    assert [dict(table.tags)[names.DEVICE] for table in told] == list(TOTALS)
    assert [(table.times, table.columns) for table in told] == [([NOON], [[NOON + 59.0 * MINUTE], [-7.0], [9.0]])] * 3
    sure = tables_of(GATEWAY, sealed(1, NOON, NOON + HOUR_MS), NOON + DAY_MS)
    assert names.UNSURE not in {table.measurement for table in sure.tables}
    assert found.stored == sure.stored


def test_a_device_of_which_nothing_is_stored_is_not_called_unsure() -> None:
    found = tables_of(GATEWAY, sealed(1, NOON, NOON + HOUR_MS, (-7, 9)), NOON - 9 * DAY_MS)
    assert found.stored == {}
    assert found.tables == []


@pytest.mark.parametrize("width, reach", [(5 * MINUTE, 5 * MINUTE), (REACH_MS, REACH_MS), (REACH_MS + 1, REACH_MS)])
def test_an_estimate_makes_the_hours_due_to_which_its_bounds_reach_two_days_at_most(width: int, reach: int) -> None:
    said = wire.BatchReceipt({"feed": wire.DeviceReceipt({}, 4, NOON, NOON + 9)}, unsure=(NOON - width, NOON))
    got = Receipt(5, GATEWAY, "w1", "run-1", 9, NOON, NOON + HOUR_MS, 4, 0, wire.write(said))
    (touch,) = touches(got)
    assert (touch.first_ms, touch.last_ms, touch.reach_ms) == (NOON, NOON + 9, reach)
    due = Due(refresh_ms=0)
    due.touch(touch)
    hours = {hour for run in due.runs(NOON + DAY_MS, 10**6) for hour in run.hours}
    assert (min(hours), max(hours)) == (
        (NOON - reach - HOLD_MS) // HOUR_MS * HOUR_MS,
        (NOON + 9 + reach + LOOKBACK_MS) // HOUR_MS * HOUR_MS,
    )


def hours_of(due: Due, now_ms: int) -> list[int]:
    """What is computed now."""
    runs = due.runs(now_ms, 10**6)
    for run in runs:
        due.done(run, now_ms)
    return sorted(hour for run in runs for hour in run.hours)


def test_a_gateway_without_a_clock_does_not_have_days_of_hours_computed_with_each_of_its_batches() -> None:
    due, now_ms = Due(refresh_ms=0), NOON + DAY_MS
    due.touch(Touch(GATEWAY, "feed", NOON, NOON + 9, 1, REACH_MS))
    assert len(hours_of(due, now_ms)) > 90
    due.touch(Touch(GATEWAY, "feed", NOON, NOON + 9, 2, REACH_MS))
    own = hours_of(due, now_ms + FAR_REFRESH_MS - 1)
    assert own == [NOON - HOUR_MS, NOON]
    # What waits holds the cursor back, and nothing else: receipts of others are still read.
    assert due.cursor(99) == 1
    assert len(due) == 0
    assert len(hours_of(due, now_ms + FAR_REFRESH_MS)) > 88
    assert due.cursor(99) == 99


def test_bounds_wider_than_two_days_are_taken_for_that_wide() -> None:
    doubted = unsure([(NOON, NOON + MINUTE, -9 * REACH_MS, 9 * REACH_MS)])
    assert doubted.reach() == (NOON - REACH_MS, NOON + MINUTE + REACH_MS)


def test_a_hole_across_an_edge_is_in_the_interval_once() -> None:
    """The estimate ends before a hole: what passed in it is told of as a gap, and not once more as a doubt."""
    first = np.arange(NOON - HOUR_MS, NOON - 20 * MINUTE, MINUTE)
    t = np.concatenate([first, np.arange(NOON + HOUR_MS, NOON + 2 * HOUR_MS, MINUTE)])
    value = np.where(t < NOON, 100.0, 400.0)
    doubted = unsure([(int(first[0]), int(first[-1]), 0, 30 * MINUTE)])
    found = counted(
        window(t, value),
        LAW,
        from_ms=NOON - HOUR_MS,
        to_ms=NOON,
        expected=None,
        scheduled_gap_ms=150_000,
        doubted=doubted,
    )
    assert found is not None
    assert found.doubts.volume == 0.0
    slack = slack_of(found, LAW, NOON - HOUR_MS, NOON)
    assert slack.more is not None
    assert slack.less + slack.more == pytest.approx(300.0)


@pytest.mark.parametrize("early, late", [(-5, -2), (2, 5)])
def test_an_estimate_that_is_surely_wrong_is_marked_where_it_is_counted(early: int, late: int) -> None:
    """A clock that was ahead, or behind: none of the readings was taken in the hour in which they are stamped."""
    t = np.arange(NOON, NOON + HOUR_MS, MINUTE)
    value = np.linspace(0, 10, len(t))
    doubted = unsure([(int(t[0]), int(t[-1]), early * HOUR_MS, late * HOUR_MS)])
    for found in (
        counted(
            window(t, value),
            LAW,
            from_ms=NOON,
            to_ms=NOON + HOUR_MS,
            expected=None,
            scheduled_gap_ms=150_000,
            doubted=doubted,
        ),
        went(
            window(t, value),
            from_ms=NOON,
            to_ms=NOON + HOUR_MS,
            expected=None,
            scheduled_gap_ms=150_000,
            doubted=doubted,
        ),
    ):
        assert found is not None
        assert found.doubts.readings == 60


def test_sure_readings_beside_an_estimate_are_not_doubted_with_it() -> None:
    t = np.arange(NOON, NOON + 3 * HOUR_MS, MINUTE)
    doubted = unsure([(NOON + 2 * HOUR_MS, NOON + 3 * HOUR_MS, -150 * MINUTE, 0)])
    passed = volumes(t, np.arange(len(t), dtype=np.float64), LAW)
    # The hour before the estimate may lack some of it, but nothing that is counted in it can belong elsewhere.
    found = doubts_of(NOON, NOON + HOUR_MS, t, doubted, passed, 150_000)
    assert (found.readings, found.volume) == (0, 0.0)
    assert found.tail is not None
    # Fifty-nine steps of one begin at an estimated reading and end at the next.
    assert found.tail.after == pytest.approx(59.0)


def test_doubts_come_back_from_a_row_as_they_were_and_older_rows_have_none() -> None:
    doubts = Doubts(3, 1.5, Edge(1, 2, 0.25, 0.5, 3, 4), None)
    t = np.arange(NOON, NOON + HOUR_MS, MINUTE)
    stretch = went(window(t, t / 1e12), from_ms=NOON, to_ms=NOON + HOUR_MS, expected=None, scheduled_gap_ms=150_000)
    assert stretch is not None
    stretch = replace(stretch, doubts=doubts)
    table = stretch_table(names.ROLLUP_1H, SeriesKey("water_meter", GATEWAY, "feed", "flow_m3_h"), [stretch], False)
    cells: dict[str, Any] = dict(zip(table.fields, (column[0] for column in table.columns), strict=True))
    assert cells[names.TIME_UNSURE] == 3.0
    assert read_stretch((NOON, {}, cells), HOUR_MS).doubts == doubts
    del cells["doubts"], cells[names.TIME_UNSURE]
    assert read_stretch((NOON, {}, cells), HOUR_MS).doubts == NO_DOUBTS


def test_parts_without_doubts_make_a_whole_without_doubts() -> None:
    assert joined([(0, 5, NO_DOUBTS), (5, 9, NO_DOUBTS)], 0, 9) == NO_DOUBTS
    inner = Doubts(2, 1.0, None, Edge(3, 7, 1.0, 2.0, 2, 3))
    assert joined([(0, 5, inner), (5, 9, NO_DOUBTS)], 0, 9) == NO_DOUBTS


@pytest.mark.parametrize("low, high, known", [(3, 7, False), (-1, 7, True), (-1, 99, True)])
def test_a_day_of_which_only_some_hours_have_readings_is_touched_only_by_bounds_that_leave_it(
    low: int, high: int, known: bool
) -> None:
    """A gateway that began, or ended, within the day: its first or last hour is open, and the day need not be."""
    edge = Edge(low, high, 1.0, 2.0, 2, 3)
    mirrored = edge._replace(from_ms=9 - high, to_ms=9 - low)
    assert (joined([(2, 5, Doubts(3, 2.0, edge, None))], 0, 9).lead == edge) is known
    assert (joined([(4, 7, Doubts(2, 1.0, None, mirrored))], 0, 9).tail == mirrored) is known
