"""A scenario that ships must load, live through a day and be the world that it says: people start from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import get_args

import numpy as np
import pytest

from device_profiles.library import Library
from simulators.app import build_units
from simulators.faults import FaultPlan
from simulators.load_scenario import find, load_scenario, shipped_names
from simulators.parts.areas import inside
from simulators.parts.city import Bin, Plant
from simulators.parts.fault import Fault
from simulators.parts.train import Train
from simulators.scenario import Scenario
from simulators.sensors.sensor import Sensor
from simulators.story.calendar import DAY_MS, Calendar, instant_ms, offset_ms_of
from simulators.world.sewage import harmon
from simulators.world.world import World

NAMES = ("bad-day", "bench", "binhai-desal", "demo", "jizhou-reclaimed", "nankai-bins", "tianjin-year")
SIGNED = (".net_m3_h", "temperature_c")
"""Quantities that may lie below zero."""


@cache
def made(name: str) -> tuple[Scenario, World, np.ndarray]:
    plan = load_scenario(find(name), Library().load)
    offset_ms = offset_ms_of(plan.scenario)
    calendar = Calendar(instant_ms("2025-04-01", offset_ms), 60_000, offset_ms)
    world = World(scenario=plan.scenario, origin_ms=calendar.from_ms)
    assert set(build_units(plan, world=world)) == set(plan.scenario.meters)
    return plan.scenario, world, np.append(calendar.times(0), calendar.from_ms + DAY_MS)


def test_these_are_shipped() -> None:
    assert set(shipped_names()) >= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_quantity_is_there_through_the_day_and_totals_only_rise(name: str) -> None:
    scenario, world, t_ms = made(name)
    assert set(world.names) == scenario.quantities()
    for quantity in world.names:
        column = world.column(quantity, t_ms)
        assert np.isfinite(column).all(), quantity
        assert (column >= 0).all() or quantity.endswith(SIGNED), quantity
        if quantity in world.totals:
            assert (np.diff(column) >= -1e-9).all(), quantity
            assert column[0] == 0, quantity


def test_a_bad_day_has_every_fault_that_a_device_can_have_and_they_all_happen_on_that_day() -> None:
    scenario, _, _ = made("bad-day")
    assert {fault.what for fault in scenario.faults} == set(get_args(Fault.model_fields["what"].annotation))
    assert all(fault.end_s <= DAY_MS / 1000 for fault in scenario.faults)


def test_the_year_of_the_benchmark_is_as_large_as_it_has_to_be() -> None:
    scenario, world, _ = made("tianjin-year")
    assert len(scenario.meters) >= 40
    assert len(world.names) >= 200
    (city,) = scenario.areas.values()
    held = {area for parts in (scenario.bins, scenario.plants, scenario.trains) for area in _areas(parts)}
    assert len(city.areas) == 3
    assert all(held & inside(scenario.areas, district) for district in city.areas)


def _areas(parts: Mapping[str, Bin | Plant | Train]) -> set[str]:
    return {part.area for part in parts.values()}


@pytest.mark.parametrize("name", sorted({*NAMES} - {"bench", "demo"}))
def test_a_ready_city_has_areas_days_and_weather(name: str) -> None:
    scenario, _, _ = made(name)
    assert scenario.areas and scenario.calendar is not None and scenario.weather is not None


@pytest.mark.parametrize("name", ["nankai-bins", "tianjin-year"])
def test_bins_are_emptied_before_they_turn_people_away(name: str) -> None:
    """A city whose bins were always full would teach nobody anything."""
    scenario, world, _ = made(name)
    t_ms = world.origin_ms + 600_000 * np.arange(14 * 144, dtype=np.int64)
    for part in scenario.bins:
        fill = world.column(f"{part}.fill_ratio", t_ms)
        assert 0.3 < fill.max() <= 1.0, (part, fill.max())
        assert (fill > 0.95).mean() < 0.1, part


def test_sewage_has_two_peaks_as_high_as_the_number_of_people_says() -> None:
    scenario, world, t_ms = made("jizhou-reclaimed")
    sewage = world.column("water-plant.sewage.flow_m3_h", t_ms[:-1]).reshape(48, 30).mean(axis=1)
    process = scenario.plants["water-plant"].process
    assert process is not None
    assert sewage.max() / sewage.mean() == pytest.approx(harmon(process.population), rel=0.05)
    half_hours = {int(n) for n in range(1, 47) if sewage[n - 1] < sewage[n] > sewage[n + 1] and sewage[n] > 3000}
    assert any(18 <= n <= 22 for n in half_hours) and any(37 <= n <= 41 for n in half_hours)


@pytest.mark.parametrize("name", NAMES)
def test_every_meter_shows_what_its_device_can_show(name: str) -> None:
    """A pump too large for its meter, or a lorry too heavy for its scale, would be a fault that nobody planned."""
    plan = load_scenario(find(name), Library().load)
    world = made(name)[1]
    for device, meter in plan.scenario.meters.items():
        profile = plan.profiles[meter.profile]
        sensor = Sensor(
            device=device,
            meter=meter,
            profile=profile,
            world=world,
            faults=FaultPlan(faults=(), origin_ms=world.origin_ms),
            seed=plan.scenario.seed,
        )
        for field, spec in profile.fields.items():
            low, high = spec.range or (-math.inf, math.inf)
            for hour in range(0, 24, 3):
                value = sensor.value(field, world.origin_ms + hour * 3_600_000)
                assert low <= value <= high, (device, field, hour, value)
