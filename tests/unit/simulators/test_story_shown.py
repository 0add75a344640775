"""A year of what meters showed is computed in columns: it must be what asking each meter, moment by moment, gives."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from device_profiles.library import Library
from simulators.faults import FaultPlan
from simulators.load_scenario import Loaded, find, load_scenario, shipped_names
from simulators.parts.meter import Meter
from simulators.scenario import Scenario
from simulators.sensors.sensor import Sensor
from simulators.story.shown import KNOWN, Raw, ShownColumns, Times
from simulators.world.world import World
from tests.unit.simulators.city import city_loaded
from tests.unit.simulators.plant import ORIGIN_MS, fault, loaded

DAY_MS = 86_400_000


@cache
def shipped(name: str) -> tuple[Loaded, World]:
    plan = load_scenario(find(name), Library().load)
    return plan, World(scenario=plan.scenario, origin_ms=ORIGIN_MS)


def of(plan: Loaded, world: World, device: str) -> tuple[ShownColumns, Sensor]:
    profile = plan.profiles[plan.scenario.meters[device].profile]
    plain = Sensor(
        device=device,
        meter=plan.scenario.meters[device],
        profile=profile,
        world=world,
        faults=FaultPlan.of_device(plan.scenario, device, origin_ms=world.origin_ms),
        seed=plan.scenario.seed,
    )
    return ShownColumns(device=device, scenario=plan.scenario, profile=profile, world=world), plain


def moments(days: int, number: int) -> Times:
    """The origin and what follows, whole minutes, and moments at any millisecond."""
    drawn = np.random.default_rng(5).integers(ORIGIN_MS, ORIGIN_MS + days * DAY_MS, number)
    first = ORIGIN_MS + 60_000 * np.arange(30)
    return np.sort(np.concatenate([first, drawn, drawn // 60_000 * 60_000 + 60_000])).astype(np.int64)


def held(scenario: Scenario, device: str, t_ms: int) -> bool:
    since_s = (t_ms - ORIGIN_MS) / 1000
    for held_by in (device, scenario.meters[device].line):
        mine = [each for each in scenario.faults if each.device == held_by and not each.of_sensor]
        if any(each.start_s <= since_s < each.end_s for each in mine):
            active = FaultPlan.of_device(scenario, str(held_by), origin_ms=ORIGIN_MS).active(t_ms)
            return active is not None and active.what != "late"
    return False


def compare(plan: Loaded, world: World, device: str, t_ms: Times) -> ShownColumns:
    columns, plain = of(plan, world, device)
    for field, column in columns.columns(t_ms).items():
        for t, value in zip(t_ms.tolist(), column.tolist(), strict=True):
            if held(plan.scenario, device, t):
                assert np.isnan(value), (device, field, t)
            else:
                assert np.array_equal(value, plain.value(field, t), equal_nan=True), (device, field, t)
    return columns


@pytest.mark.parametrize("name", shipped_names())
def test_every_meter_that_ships_shows_the_same_in_columns(name: str) -> None:
    plan, world = shipped(name)
    one_of_each = {(meter.profile, *sorted(meter.fields)): device for device, meter in plan.scenario.meters.items()}
    broken = {each.device for each in plan.scenario.faults}
    behind = {device for device, meter in plan.scenario.meters.items() if broken & {device, meter.line}}
    for device in {*one_of_each.values(), *behind}:
        compare(plan, world, device, moments(3 if plan.scenario.trains else 250, 40))


def test_after_most_of_a_year_the_last_digits_of_large_totals_are_still_the_same() -> None:
    plan, world = shipped("jizhou-reclaimed")
    compare(plan, world, "treated-meter", moments(350, 2500))


@pytest.mark.parametrize("field, edge", [("flow_m3_h", 0.5), ("volume_m3", 0.0)])
def test_what_lies_within_a_hair_of_a_step_is_asked_of_the_sensor_and_nothing_else_is(field: str, edge: float) -> None:
    plan = city_loaded()
    columns, plain = of(plan, World(scenario=plan.scenario, origin_ms=ORIGIN_MS), "feed-meter")
    t_ms = (ORIGIN_MS + 60_000 * np.arange(1, 101)).astype(np.int64)
    steps = np.arange(1_000_000.0, 1_000_100.0)
    for share in (edge + 0.3, edge - 0.3):
        clear = 0.001 * (steps + share)
        shown = columns._stepped(field, Raw(clear, clear), t_ms)
        assert columns.asked == 0
        assert shown == pytest.approx(0.001 * (np.floor(steps + share + edge)), abs=1e-9)
    for off in (-1e-13, 0.0, 1e-13):
        near = 0.001 * (steps + edge) * (1.0 + off)
        shown = columns._stepped(field, Raw(near, near), t_ms)
        assert shown.tolist() == [plain.value(field, int(t)) for t in t_ms]
        assert columns.asked == 100
        columns.asked = 0


def test_hardly_any_value_has_to_be_asked_for() -> None:
    plan, world = shipped("demo")
    t_ms = (ORIGIN_MS + 200 * DAY_MS + 60_000 * np.arange(1440)).astype(np.int64)
    for device in plan.scenario.meters:
        columns, _ = of(plan, world, device)
        number = sum(column.size for column in columns.columns(t_ms).values())
        assert columns.asked < 0.01 * number, device


@pytest.mark.parametrize("what", ["silent", "exception", "nan", "late", "reboot_reset"])
def test_a_fault_leaves_a_gap_and_a_reset_begins_again_at_zero(what: str) -> None:
    plan = loaded(faults=[fault(what), fault(what) | {"start_s": 4000}])
    world = World(scenario=plan.scenario, origin_ms=ORIGIN_MS)
    t_ms = (ORIGIN_MS + 1000 * np.arange(0, 5000, 7)).astype(np.int64)
    columns = compare(plan, world, "energy-meter", t_ms)
    shown = columns.columns(t_ms, ["energy_kwh"])["energy_kwh"]
    assert bool(np.isnan(shown).any()) == (what != "late")
    assert (np.nanmin(shown) < 900.0) == (what == "reboot_reset")


@pytest.mark.parametrize("what", ["stuck", "spike", "saturated", "no_value", "frozen", "reset", "drift", "reboot"])
def test_what_a_broken_sensor_shows_is_the_same_in_columns(what: str) -> None:
    more: dict[str, Any] = {"percent_per_day": 3.0} if what == "drift" else {}
    plan = loaded(faults=[fault(what, **more)])
    world = World(scenario=plan.scenario, origin_ms=ORIGIN_MS)
    t_ms = (ORIGIN_MS + 1000 * np.arange(0, 400, 7)).astype(np.int64)
    compare(plan, world, "energy-meter", t_ms)


@pytest.mark.parametrize("what, again", [("stuck", True), ("spike", True), ("frozen", False), ("torn", True)])
def test_a_meter_that_is_whole_again_is_not_asked_value_by_value_for_the_rest_of_a_year(what: str, again: bool) -> None:
    plan = loaded(faults=[fault(what) | {"duration_s": 600}])
    world = World(scenario=plan.scenario, origin_ms=ORIGIN_MS)
    t_ms = (ORIGIN_MS + DAY_MS + 60_000 * np.arange(100)).astype(np.int64)
    columns = compare(plan, world, "energy-meter", t_ms)
    number = sum(column.size for column in columns.columns(t_ms).values())
    assert (columns.asked < 0.05 * number) == again


def test_a_line_that_is_unplugged_leaves_a_gap_in_all_that_answer_behind_it() -> None:
    plan = loaded(faults=[fault("unplugged", "line-1")])
    world = World(scenario=plan.scenario, origin_ms=ORIGIN_MS)
    t_ms = (ORIGIN_MS + 1000 * np.arange(0, 400, 7)).astype(np.int64)
    for device, gaps in (("feed-meter", True), ("permeate-meter", True), ("energy-meter", False)):
        columns, _ = of(plan, world, device)
        assert all(np.isnan(column).any() == gaps for column in columns.columns(t_ms).values())


def test_a_fault_of_a_kind_that_is_not_known_here_is_left_to_the_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.story.shown.HARMLESS", frozenset())
    plan = loaded(faults=[fault("late")])
    world = World(scenario=plan.scenario, origin_ms=ORIGIN_MS)
    columns, _ = of(plan, world, "energy-meter")
    before, after = (np.array([ORIGIN_MS + 1000 * s], dtype=np.int64) for s in (99, 100))
    columns.columns(before)
    assert columns.asked < 3
    columns.columns(after)
    assert columns.asked >= len(columns.fields)


def test_every_key_that_is_known_here_is_one_of_a_meter() -> None:
    assert set(Meter.model_fields) >= KNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": {"volume_m3": 0.5, "flow_m3_h": 0.02}},
        {"resolution": {"volume_m3": 20.0, "flow_m3_h": 3.0}},
        {"start": {"volume_m3": 999_999.9}, "class_percent": 0.0},
        {"class_percent": 20.0, "pipe_mm": 5.0},
    ],
)
def test_any_step_of_a_display_is_met(changes: dict[str, Any]) -> None:
    plan = city_loaded()
    meter = plan.scenario.meters["feed-meter"]
    changed = Meter.model_validate(meter.model_dump(exclude_unset=True) | changes)
    scenario = plan.scenario.model_copy(update={"meters": dict(plan.scenario.meters) | {"feed-meter": changed}})
    plan = Loaded(scenario, plan.profiles)
    compare(plan, World(scenario=scenario, origin_ms=ORIGIN_MS), "feed-meter", moments(300, 150))


def test_no_moments_give_no_values() -> None:
    plan = city_loaded()
    world = World(scenario=plan.scenario, origin_ms=ORIGIN_MS)
    for device in plan.scenario.meters:
        columns, _ = of(plan, world, device)
        assert all(column.size == 0 for column in columns.columns(np.array([], dtype=np.int64)).values())
