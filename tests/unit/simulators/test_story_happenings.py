"""Events are told to the second: none may be missed or told twice, and they must add up to what the bins took in."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from device_profiles.library import Library
from simulators.checked_scenario import CheckedScenario
from simulators.load_scenario import find, load_scenario
from simulators.story.happenings import Happening, faults, happenings, told_by
from simulators.world.world import World
from tests.unit.simulators.plant import ORIGIN_MS, fault, scenario
from tests.unit.simulators.town import WORKS, town_scenario

DAY_MS = 86_400_000
BEGIN_MS = ORIGIN_MS - ORIGIN_MS % DAY_MS - 8 * 3_600_000


@cache
def bins() -> World:
    plan = load_scenario(find("nankai-bins"), Library().load).scenario
    return World(scenario=plan, origin_ms=BEGIN_MS)


@cache
def told() -> list[Happening]:
    return [
        each
        for n in range(5)
        for each in happenings(bins(), bins().names, BEGIN_MS + n * DAY_MS, BEGIN_MS + (n + 1) * DAY_MS)
    ]


def test_what_the_events_of_a_bin_say_is_what_it_took_in_and_gave_out() -> None:
    world, last_ms = bins(), BEGIN_MS + 5 * DAY_MS - 1000
    for kind, total in (
        ("deposit", "mass_in_kg"),
        ("emptying", "mass_out_kg"),
        ("loading", "collected_kg"),
        ("delivery", "delivered_kg"),
        ("weighing", "weighbridge.net_total_kg"),
        ("round", "rounds"),
    ):
        assert any(each.kind == kind for each in told())
        for part in {each.part for each in told() if each.kind == kind}:
            sums = math.fsum(each.value for each in told() if (each.kind, each.part) == (kind, part))
            assert sums == pytest.approx(world.value(f"{part}.{total}", last_ms), abs=1e-6)
    assert len([each for each in told() if each.kind == "deposit"]) > 3000


def test_days_tell_the_same_as_all_of_them_at_once_and_in_order() -> None:
    at_once = happenings(bins(), bins().names, BEGIN_MS, BEGIN_MS + 5 * DAY_MS)
    assert at_once == told()
    assert [each.t_ms for each in at_once] == sorted(each.t_ms for each in at_once)


def test_an_event_is_told_at_the_first_second_at_which_it_shows() -> None:
    world = bins()
    for each in told()[::50]:
        if each.kind == "deposit":
            name = f"{each.part}.mass_in_kg"
            rise = world.value(name, each.t_ms) - world.value(name, each.t_ms - 1000)
            assert rise == pytest.approx(each.value, abs=1e-6)
            assert each.t_ms % 1000 == 0


def test_every_lid_that_opens_closes_again_and_is_open_in_between() -> None:
    world = bins()
    for part in {each.part for each in told() if each.kind == "door_open"}:
        turns = [each for each in told() if each.part == part and each.kind.startswith("door_")]
        assert [each.kind for each in turns[::2]] == ["door_open"] * len(turns[::2])
        for opened, closed in zip(turns[::2], turns[1::2], strict=False):
            assert closed.kind == "door_close"
            seconds = np.arange(opened.t_ms, closed.t_ms, 1000, dtype=np.int64)
            assert world.column(f"{part}.door_open", seconds).all()


def test_cleanings_of_membranes_are_events() -> None:
    text = {"scenario": "s", "trains": {"t": {"feed_m3_h": 40, "ro": {"fouling": {"clean_every_days": 2}}}}}
    plan = CheckedScenario.model_validate(text | {"meters": {"m": {"profile": "p"}}})
    world = World(scenario=plan, origin_ms=BEGIN_MS)
    days = [BEGIN_MS + n * DAY_MS for n in range(8)]  # membranes are cleaned at midnight, where two days meet
    found = [each for n in range(7) for each in happenings(world, world.names, days[n], days[n + 1])]
    assert {each.kind for each in found} == {"cleaning"}
    assert len(found) == 3
    assert all((each.t_ms - BEGIN_MS) % DAY_MS == 0 for each in found)


def test_a_spell_of_rain_begins_and_ends_where_it_does_and_days_cut_none_in_two() -> None:
    plan = load_scenario(find("jizhou-reclaimed"), Library().load).scenario
    days = [BEGIN_MS + n * DAY_MS for n in range(41)]
    world = World(scenario=plan, origin_ms=BEGIN_MS)
    names = ["weather.rain_mm_h", "water-plant.overflow.flow_m3_h", "water-plant.supply_share"]
    found = [each for n in range(40) for each in happenings(world, names, days[n], days[n + 1])]
    minutes = np.arange(days[0], days[40], 60_000, dtype=np.int64)
    wet = world.column("weather.rain_mm_h", minutes) >= 0.1
    turns = np.flatnonzero(np.diff(np.concatenate(([False], wet))))
    told = [each for each in found if each.kind.startswith("rain_")]
    assert [each.t_ms for each in told] == minutes[turns].tolist() and len(told) > 4
    assert [each.kind for each in told][:2] == ["rain_begin", "rain_end"]
    assert all((each.value >= 0.1) == (each.kind == "rain_begin") for each in told)
    assert {each.part for each in told} == {"weather"}
    assert not [each for each in found if each.kind.startswith("shortage")]


def test_a_plant_that_cannot_give_what_is_asked_of_it_tells_its_shortages_and_overflows() -> None:
    storm = {"events_per_year": 365, "depth_mm": 60, "season": 0}
    works = dict(
        WORKS, process=WORKS["process"] | {"runoff_m3_per_mm": 3000, "storage": {"volume_m3": 3000, "start_share": 0}}
    )
    plan = town_scenario(weather={"rain": storm}, plants={"works": works})
    world = World(scenario=plan, origin_ms=BEGIN_MS)
    names = ["works.overflow.flow_m3_h", "works.supply_share"]
    found = happenings(world, names, BEGIN_MS, BEGIN_MS + 20 * DAY_MS)
    assert {"overflow_begin", "overflow_end"} <= {each.kind for each in found}
    minutes = np.arange(BEGIN_MS, BEGIN_MS + 20 * DAY_MS, 60_000, dtype=np.int64)
    short = world.column("works.supply_share", minutes) < 1.0 - 1e-9
    begins = minutes[np.flatnonzero(np.diff(np.concatenate(([False], short)).astype(int)) > 0)]
    assert [each.t_ms for each in found if each.kind == "shortage_begin"] == begins.tolist() and len(begins) > 0


def test_a_quantity_of_another_kind_tells_nothing() -> None:
    assert told_by(["train-1.feed.flow_m3_h", "bin.content_kg"]) == []


def test_faults_are_told_on_the_days_on_which_they_begin_and_end() -> None:
    plan = scenario(faults=[fault("silent") | {"start_s": 86_000, "duration_s": 1000}])
    first = faults(plan, BEGIN_MS, BEGIN_MS, BEGIN_MS + DAY_MS)
    second = faults(plan, BEGIN_MS, BEGIN_MS + DAY_MS, BEGIN_MS + 2 * DAY_MS)
    assert first == [Happening(BEGIN_MS + 86_000_000, "fault_begin", "energy-meter", 1000.0, "silent")]
    assert second == [Happening(BEGIN_MS + 87_000_000, "fault_end", "energy-meter", 1000.0, "silent")]
