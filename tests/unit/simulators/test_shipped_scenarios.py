"""A scenario that ships must load, live through a day and close its balances: people start from it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from device_profiles.library import Library
from simulators.app import build_units
from simulators.load_scenario import find, load_scenario, shipped_names
from simulators.scenario import Scenario
from simulators.story.calendar import DAY_MS, Calendar, instant_ms, offset_ms_of
from simulators.world.world import World

NAMES = ("bad-day", "bench", "binhai-desal", "demo", "jizhou-reclaimed", "nankai-bins", "tianjin-year")
NEAR = 1e-6


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
        assert (column >= 0).all(), quantity
        if quantity in world.totals:
            assert (np.diff(column) >= -1e-9).all(), quantity
            assert column[0] == 0, quantity


@pytest.mark.parametrize("name", NAMES)
def test_what_goes_in_comes_out_or_stays(name: str) -> None:
    scenario, world, t_ms = made(name)

    def of(quantity: str) -> np.ndarray:
        return world.column(quantity, t_ms)

    for part in scenario.bins:
        inside = of(f"{part}.mass_in_kg") - of(f"{part}.mass_out_kg")
        assert inside == pytest.approx(of(f"{part}.content_kg"), abs=1e-9)
    for part, plant in scenario.plants.items():
        taken = sum(of(f"{part}.{user}.volume_m3") for user in (*plant.users, "losses"))
        assert of(f"{part}.reclaimed.volume_m3") == pytest.approx(taken, rel=NEAR)
        assert (of(f"{part}.treated.volume_m3") >= taken - NEAR).all()
    for part, train in scenario.trains.items():
        brine = of(f"{part}.brine.volume_m3")
        assert of(f"{part}.feed.volume_m3") == pytest.approx(of(f"{part}.permeate.volume_m3") + brine, rel=NEAR)
        if train.brine_used_share is not None:
            used = of(f"{part}.brine_used.volume_m3") + of(f"{part}.brine_outfall.volume_m3")
            assert brine == pytest.approx(used, rel=NEAR)
        if train.ro is not None:
            salt = of(f"{part}.permeate.salt_kg") + of(f"{part}.brine.salt_kg")
            assert of(f"{part}.feed.salt_kg") == pytest.approx(salt, rel=NEAR)
            pumps = sum(of(f"{part}.{pump}.energy_kwh") for pump in ("hp_pump", "booster", "feed_pump", "rest"))
            assert of(f"{part}.energy.energy_kwh") == pytest.approx(pumps, rel=NEAR)


def test_a_bad_day_has_every_fault_that_a_device_can_have_and_they_all_happen_on_that_day() -> None:
    scenario, _, _ = made("bad-day")
    assert {fault.what for fault in scenario.faults} >= {"silent", "exception", "late", "nan", "reboot_reset"}
    assert all(fault.end_s <= DAY_MS / 1000 for fault in scenario.faults)


def test_the_year_of_the_benchmark_is_as_large_as_it_has_to_be() -> None:
    scenario, world, _ = made("tianjin-year")
    assert len(scenario.meters) >= 40
    assert len(world.names) >= 200
    assert (
        len({part.area for parts in (scenario.bins, scenario.plants, scenario.trains) for part in parts.values()}) == 3
    )
