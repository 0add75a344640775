"""Whoever asks a run what was true must get what was noted: neither a row too few, nor one of another device."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from data_contract.civil import ScaledClock
from device_profiles.library import Library
from simulators.app import begin_record
from simulators.checked_scenario import CheckedScenario
from simulators.clock import CivilClock
from simulators.load_scenario import find, load_scenario
from simulators.story.app import write_story
from simulators.story.book import Book
from simulators.story.calendar import DAY_MS, HOUR_MS, Calendar, instant_ms
from simulators.truth.figures import Truth
from simulators.truth.record import Record, RecordWriter
from simulators.truth.rows import Shown, Traced
from simulators.truth.trace import Asked, of_book, of_record
from simulators.world.world import World
from tests.unit.simulators.plant import ORIGIN_MS, scenario

CALENDAR = Calendar(instant_ms("2025-03-01", 8 * HOUR_MS), 900_000, 8 * HOUR_MS)
ALL = (0, 10**15)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("story")
    write_story(load_scenario(find("bad-day"), Library().load), folder=made, calendar=CALENDAR, days=2)
    return made


def ask(folder: Path, *span: int, **how: object) -> list[Traced]:
    book = Book.open_readonly(folder)
    try:
        return list(of_book(book, Asked(*(span or ALL), **how)))  # type: ignore[arg-type]
    finally:
        book.close()


def test_quantities_are_those_of_the_world_in_the_span_that_is_asked_for(folder: Path) -> None:
    plan = load_scenario(find("bad-day"), Library().load).scenario
    world = World(scenario=plan, origin_ms=CALENDAR.from_ms)
    begin, end = CALENDAR.from_ms + 20 * HOUR_MS, CALENDAR.from_ms + 28 * HOUR_MS
    rows = ask(folder, begin, end, quantity="train-1.*.flow_m3_h")
    assert {row.name for row in rows} == {name for name in world.names if fnmatch(name, "train-1.*.flow_m3_h")}
    assert {row.t_ms for row in rows} == set(range(begin, end, 900_000))
    for row in rows[::7]:
        assert row.value == pytest.approx(world.value(row.name, row.t_ms), rel=1e-12)
        assert (row.what, row.device, row.true) == ("truth", "", None)


def test_what_a_meter_showed_stands_beside_what_was_true_and_its_gaps_are_empty(folder: Path) -> None:
    rows = ask(folder, device="feed-meter", field="*")
    shown = [row for row in rows if row.what == "shown"]
    assert {row.device for row in shown} == {"feed-meter"}
    flows = [row for row in shown if row.name == "flow_m3_h"]
    assert len(flows) == 2 * 96
    gaps = [row for row in flows if row.value is None]
    assert [(row.t_ms - CALENDAR.from_ms) / HOUR_MS for row in gaps] == [1.0, 1.25, 15.0]
    for row in flows:
        assert row.true is not None and (row.value is None or row.value == pytest.approx(row.true, rel=0.013))
    assert all(row.true is None for row in shown if row.name == "signal_quality")
    faults = [row for row in rows if row.what != "shown"]
    assert [(row.what, row.text) for row in faults][:2] == [("fault_begin", "silent"), ("fault_end", "silent")]
    assert {row.name for row in faults} == {"feed-meter"}


def test_a_thinned_trace_has_the_first_row_of_each_step_of_each_series(folder: Path) -> None:
    rows = ask(folder, quantity="*.content_kg", every_ms=6 * HOUR_MS)
    assert len(rows) == 2 * 8
    assert {(row.t_ms - CALENDAR.from_ms) % (6 * HOUR_MS) for row in rows} == {0}


def test_events_can_be_asked_for_by_kind_and_span(folder: Path) -> None:
    deposits = ask(folder, event="deposit")
    assert {row.what for row in deposits} == {"deposit"} and len(deposits) > 300
    first = ask(folder, 0, CALENDAR.from_ms + DAY_MS, event="deposit")
    assert 0 < len(first) < len(deposits)
    assert {row.what for row in ask(folder, event="*")} > {"deposit", "emptying", "fault_begin", "door_open"}


def test_nothing_is_given_of_what_is_not_there(folder: Path) -> None:
    assert ask(folder, device="nobody") == []
    assert ask(folder, quantity="train-9.*") == []
    assert ask(folder, 0, CALENDAR.from_ms, quantity="*") == []
    assert ask(folder, CALENDAR.from_ms + 9 * DAY_MS, 10**15, quantity="*") == []


def record(path: Path) -> Record:
    writer = RecordWriter(path=path)
    writer.open({"scenario": scenario().model_dump_json(exclude_unset=True), "origin_ms": str(ORIGIN_MS)})
    for n in range(20):
        t_ms = ORIGIN_MS + 10_000 * n
        writer.note(
            t_ms,
            "gw-1",
            "feed-meter",
            [Shown("volume_m3", 12_345.0 + n, "0000 3039"), Shown("flow_m3_h", None, "7fc0 0000")],
        )
        writer.note(t_ms, "gw-1", "energy-meter", [Shown("power_w", 5.0, "40a0 0000")])
    writer.note_refused(ORIGIN_MS + 5000, "energy-meter", "3 0 2", "silent")
    writer.note_quantities(ORIGIN_MS, {"train-1.feed.flow_m3_h": 250.0, "train-1.brine.flow_m3_h": 140.0})
    writer.close()
    return Record.open_readonly(path)


def test_a_record_gives_what_was_served_with_its_registers_and_the_truth(tmp_path: Path) -> None:
    kept = record(tmp_path / "r.db")
    world = World(scenario=scenario(), origin_ms=ORIGIN_MS)
    rows = list(of_record(kept, Asked(ORIGIN_MS, ORIGIN_MS + 100_000, device="feed-meter", field="volume_m3")))
    assert [row.value for row in rows] == [12_345.0 + n for n in range(10)]
    assert {(row.what, row.text) for row in rows} == {("served", "0000 3039")}
    assert [row.true for row in rows] == pytest.approx(
        [world.value("train-1.feed.volume_m3", row.t_ms) for row in rows]
    )
    empty = list(of_record(kept, Asked(*ALL, field="flow_m3_h")))
    assert {row.value for row in empty} == {None} and len(empty) == 20
    kept.close()


def test_a_record_gives_quantities_and_refusals_and_thins_them(tmp_path: Path) -> None:
    kept = record(tmp_path / "r.db")
    assert [row.name for row in of_record(kept, Asked(*ALL, quantity="*.feed.*"))] == ["train-1.feed.flow_m3_h"]
    rows = list(of_record(kept, Asked(ORIGIN_MS, 10**15, device="energy*", every_ms=100_000)))
    assert [(row.what, row.name) for row in rows] == [("served", "power_w")] * 2 + [("refused", "3 0 2")]
    assert kept.span() == (ORIGIN_MS, ORIGIN_MS + 190_000)
    kept.close()


def test_the_record_of_a_train_with_membranes_can_be_read_again(tmp_path: Path) -> None:
    """Its scenario is refused if keys that nobody wrote come back from it."""
    plan = load_scenario(find("bad-day"), Library().load).scenario
    writer = RecordWriter(path=tmp_path / "r.db")
    begin_record(writer, tmp_path / "r.db", plan, CivilClock(scaled=ScaledClock.parse(None)))
    writer.close()
    kept = Record.open_readonly(tmp_path / "r.db")
    found = Truth(record=kept).scenario
    assert CheckedScenario.model_validate_json(found.model_dump_json(exclude_unset=True)) == plan
    kept.close()


def test_an_empty_record_says_so(tmp_path: Path) -> None:
    writer = RecordWriter(path=tmp_path / "r.db")
    writer.open({"scenario": scenario().model_dump_json(exclude_unset=True), "origin_ms": "0"})
    writer.close()
    kept = Record.open_readonly(tmp_path / "r.db")
    assert kept.span() is None
    assert list(of_record(kept, Asked(*ALL, quantity="*", device="*"))) == []
    kept.close()


def test_columns_are_read_bit_for_bit(folder: Path) -> None:
    book = Book.open_readonly(folder)
    (series,) = book.series("", "train-1.feed.salt_kg")
    column = np.concatenate([book.column(series.id, day) for day in (0, 1)])
    book.close()
    assert [row.value for row in ask(folder, quantity="train-1.feed.salt_kg")] == column.tolist()
