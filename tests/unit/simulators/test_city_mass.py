"""From bin to vehicle to weighbridge no gram may appear or vanish, and mass, volume and level must tell one story."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.parts.calendar import weekday_of
from simulators.parts.city import Body
from simulators.world.heap import level_mm
from simulators.world.world import World
from tests.unit.simulators.town import DAY_MS, MIDNIGHT_MS, SPOT, town, town_world

DAYS = 40
T_MS = MIDNIGHT_MS + np.arange(0, DAYS * DAY_MS, 60_000, dtype=np.int64)
BINS = ("paper-1", "paper-2", "glass-1", "rest-1")
CART = BINS[:3]


@cache
def columns() -> dict[str, NDArray[np.float64]]:
    world = town_world()
    return world.columns([name for name in world.names if not name.startswith("works")], T_MS)


def grams(name: str) -> NDArray[np.int64]:
    return np.rint(columns()[name] * 1000.0).astype(np.int64)


@pytest.mark.parametrize("name", BINS)
def test_what_was_put_in_is_what_is_there_and_what_was_taken(name: str) -> None:
    assert (grams(f"{name}.mass_in_kg") == grams(f"{name}.content_kg") + grams(f"{name}.mass_out_kg")).all()
    assert columns()[f"{name}.emptyings"][-1] > 20


def test_what_bins_lost_is_on_the_vehicle_or_at_the_station() -> None:
    lost = np.sum([grams(f"{name}.mass_out_kg") for name in CART], axis=0)
    assert (lost == grams("cart.collected_kg")).all()
    assert (lost == grams("cart.load_kg") + grams("cart.delivered_kg")).all()
    assert (grams("cart.delivered_kg") == grams("yard.received_kg")).all()
    assert (grams("yard.received_kg") == grams("yard.stock_kg") + grams("yard.dispatched_kg")).all()
    assert (grams("yard.dispatched_kg") == grams("truck.collected_kg")).all()
    assert (grams("truck.collected_kg") == grams("truck.load_kg") + grams("plant-1.received_kg")).all()
    assert grams("plant-1.received_kg")[-1] > 1_000_000
    assert (grams("yard.stock_kg") >= 0).all()


def test_the_weighbridge_tells_gross_tare_and_net_of_every_round() -> None:
    weighed = np.flatnonzero(np.diff(columns()["yard.weighbridge.weighings"])) + 1
    assert weighed.size > 1.8 * DAYS
    gross, tare, net = (grams(f"yard.weighbridge.{what}_kg") for what in ("gross", "tare", "net"))
    assert (gross - tare == net).all()
    assert (tare[weighed] == 900_000).all()
    assert net[weighed].sum() == grams("yard.weighbridge.net_total_kg")[-1]
    # a minute before it is unloaded it carries what will be weighed
    loads = [int(grams("cart.load_kg")[at - 30 : at].max()) for at in weighed]
    assert loads == net[weighed].tolist()


def test_a_vehicle_never_carries_more_than_it_can_and_leaves_what_is_too_much() -> None:
    assert grams("cart.load_kg").max() <= 160_000
    tight = town_world(vehicles=town()["vehicles"] | {"cart": town()["vehicles"]["cart"] | {"capacity_kg": 75}})
    found = tight.columns(["cart.load_kg", *(f"{name}.emptyings" for name in CART)], T_MS)
    assert 40 < found["cart.load_kg"].max() <= 75
    often = [found[f"{name}.emptyings"][-1] for name in CART]
    assert often[0] > 1.2 * often[1], "who comes later in the round is left more often"


def test_a_round_begins_at_its_hour_on_its_days_and_passes_by_what_is_nearly_empty() -> None:
    rising = np.flatnonzero(np.diff(columns()["truck.load_kg"]) > 0)
    local = T_MS[rising + 1] + 8 * 3_600_000
    assert {weekday_of(int(day)) for day in local // DAY_MS} == {"monday", "thursday"}
    hours = local % DAY_MS / 3_600_000
    assert ((hours >= 16.5) & (hours <= 16.8)).all()
    rare = {"glass-1": SPOT | {"material": "glass", "capacity_kg": 300, "deposits_per_day": 1}}
    world = town_world(bins=town()["bins"] | rare)
    found = world.columns(["glass-1.emptyings", "glass-1.content_kg", "glass-1.fill_ratio"], T_MS)
    emptied = np.flatnonzero(np.diff(found["glass-1.emptyings"]))
    assert 0 < emptied.size < 10
    before = np.maximum(found["glass-1.content_kg"] / 300.0, found["glass-1.fill_ratio"])[emptied]
    assert (before >= 0.1).all()


def test_a_vehicle_that_rests_on_holidays_leaves_the_bins_alone() -> None:
    vehicles = town()["vehicles"] | {"cart": town()["vehicles"]["cart"] | {"holidays": False}}
    rounds = town_world(vehicles=vehicles).column("cart.rounds", MIDNIGHT_MS + DAY_MS * np.arange(6))
    assert rounds.tolist() == [0, 0, 0, 0, 2, 4]


@pytest.mark.parametrize("name", BINS)
def test_mass_volume_and_level_are_of_one_content(name: str) -> None:
    found = columns()
    full = found[f"{name}.fill_ratio"] > 0.2
    density = found[f"{name}.content_kg"][full] / found[f"{name}.volume_m3"][full]
    loose = {"paper": 63.0, "glass": 225.0, "rest": 82.0}[name.partition("-")[0]]
    assert np.median(density) == pytest.approx(loose / 0.85, rel=0.06)
    assert (np.abs(density / (loose / 0.85) - 1.0) < 0.5).all()
    assert found[f"{name}.fill_ratio"] == pytest.approx(found[f"{name}.volume_m3"] / 0.66, rel=1e-12)
    assert found[f"{name}.fill_ratio"].max() <= 1.0
    height_mm = 1400.0 - found[f"{name}.level_mm"]
    mean_mm = 1100.0 * found[f"{name}.fill_ratio"]
    cone_mm = height_mm - mean_mm
    assert (cone_mm >= -1e-9).all() and (cone_mm <= 150.0 + 1e-9).all() and cone_mm.max() > 100.0
    assert (height_mm <= 1100.0 + 1e-9).all()
    empty = found[f"{name}.content_kg"] == 0.0
    assert empty.any() and (found[f"{name}.level_mm"][empty] == 1400.0).all()
    assert (found[f"{name}.volume_m3"][empty] == 0.0).all()


def test_a_bin_without_a_cone_shows_its_volume_by_its_level() -> None:
    flat = SPOT | {"body": {"area_m2": 0.6, "height_mm": 1100}}
    world = town_world(bins=town()["bins"] | {"paper-1": flat})
    found = world.columns(["paper-1.level_mm", "paper-1.volume_m3"], T_MS[:5000])
    assert (1400.0 - found["paper-1.level_mm"]) * 0.6 / 1000.0 == pytest.approx(found["paper-1.volume_m3"], abs=1e-12)


def test_a_cone_is_never_higher_than_what_it_is_made_of() -> None:
    body = Body(area_m2=0.5, height_mm=1000, cone_mm=300, sensor_mm=200)
    held_ml = np.array([0.0, 10_000.0, 100_000.0, 400_000.0, 500_000.0])
    # means of 0, 20, 200, 800 and 1000 mm; a cone of mean height h is 3 h high at its tip, and no tip is above the rim
    assert level_mm(body, held_ml, np.ones(5)).tolist() == [1200.0, 1140.0, 700.0, 200.0, 200.0]
    assert level_mm(body, held_ml, np.zeros(5)).tolist() == [1200.0, 1180.0, 1000.0, 400.0, 200.0]


def test_a_crew_that_is_called_comes_when_light_stuff_has_filled_the_room() -> None:
    light = SPOT | {"material": "plastic", "capacity_kg": 500, "deposits_per_day": 100, "empty_at_share": 0.8}
    world = town_world(bins=town()["bins"] | {"paper-3": light})
    found = world.columns(["paper-3.emptyings", "paper-3.fill_ratio", "paper-3.content_kg"], T_MS[: 15 * 1440])
    emptied = np.flatnonzero(np.diff(found["paper-3.emptyings"]))
    assert emptied.size > 8
    assert (found["paper-3.fill_ratio"][emptied] >= 0.8).all()
    assert found["paper-3.content_kg"].max() < 0.1 * 500


@pytest.mark.parametrize("order", ["forwards", "backwards", "vehicle first", "station last"])
def test_the_world_does_not_depend_on_the_order_in_which_it_is_asked(order: str) -> None:
    names = ["glass-1.content_kg", "paper-1.content_kg", "cart.load_kg", "yard.stock_kg", "plant-1.received_kg"]
    picks: Any = {"forwards": names, "backwards": names[::-1], "vehicle first": names[2:], "station last": names[-1:]}
    world, moments = town_world(), T_MS[1000:20_000:997]
    for name in picks[order]:
        asked = moments if order != "backwards" else moments[::-1]
        assert [world.value(name, int(t)) for t in asked.tolist()] == pytest.approx(
            columns()[name][(asked - MIDNIGHT_MS) // 60_000].tolist(), rel=1e-12, abs=1e-12
        )


def test_an_origin_within_a_day_begins_with_empty_bins_and_vehicles() -> None:
    origin_ms = MIDNIGHT_MS + 5 * 3_600_000 + 31 * 60_000
    world = town_world(origin_ms)
    for name in world.totals:
        assert world.value(name, origin_ms) == 0.0, name
    t_ms = origin_ms + np.arange(0, 2 * DAY_MS, 60_000, dtype=np.int64)
    found = world.columns([*(f"{name}.mass_out_kg" for name in CART), "cart.collected_kg"], t_ms)
    lost = sum(found[f"{name}.mass_out_kg"] for name in CART)
    assert found["cart.collected_kg"] == pytest.approx(lost, abs=1e-9)
    assert isinstance(world, World)
