"""A reclaimed-water plant by the minute: no water may appear or vanish, and its day must look like one."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.parts.city import Plant, User
from simulators.parts.process import Network, Storage
from simulators.world.demand import USE_HOURS, day_hours
from simulators.world.plant_days import PlantDays, leak_factor, pressure_bar, run_store
from simulators.world.sewage import day_shape, harmon, infiltration, night
from simulators.world.surroundings import NOWHERE
from tests.unit.simulators.town import DAY_MS, MIDNIGHT_MS, WORKS, town_world

JULY_MS = MIDNIGHT_MS + 181 * DAY_MS
"""2026-07-01 00:00 at UTC+8, a Wednesday in the rainy season."""
DAYS = 30
SHORT_M3 = 1900.0
USERS = ("mill", "streets", "lawn", "brook")
NO_STORE: dict[str, Any] = WORKS | {
    "treated_m3_h": 3500,
    "process": {"population": 80_000, "runoff_m3_per_mm": 900},
}


def works(**process: Any) -> dict[str, Any]:
    return {"works": WORKS | {"process": WORKS["process"] | process}}


@cache
def columns(kind: str = "store") -> dict[str, NDArray[np.float64]]:
    """Every column of the works at every half minute, by its name without the plant's."""
    plants = {
        "store": works(),
        "no store": {"works": NO_STORE},
        "short": works(storage={"volume_m3": SHORT_M3, "target_share": 0.9}, line_m3_h=675),
    }[kind]
    world = town_world(JULY_MS + 7 * 3_600_000 + 12_345, plants=plants)
    t_ms = world.origin_ms + np.arange(0, DAYS * DAY_MS, 30_000, dtype=np.int64)
    names = [name for name in world.names if name.startswith("works.")] + ["weather.rain_mm_h", "weather.rain_mm"]
    return {name.removeprefix("works."): column for name, column in world.columns(names, t_ms).items()}


@pytest.mark.parametrize("kind", ["store", "no store", "short"])
def test_water_that_comes_in_goes_out_is_lost_or_is_stored(kind: str) -> None:
    found = columns(kind)
    volume = {name.removesuffix(".volume_m3"): column for name, column in found.items() if name.endswith(".volume_m3")}
    flow = {name.removesuffix(".flow_m3_h"): column for name, column in found.items() if name.endswith(".flow_m3_h")}
    stored = found.get("storage.volume_m3", np.zeros(1))
    for of, change in ((volume, stored - stored[0]), (flow, found.get("storage.net_m3_h", 0.0))):
        scale = of["inflow"].max()
        used = sum(of[user] for user in USERS)
        for left, right in (
            (of["inflow"], of["sewage"] + of["infiltration"]),
            (of["inflow"], of["overflow"] + of["treated"]),
            (of["treated"], of["intake"] + of["discharge"]),
            (of["intake"], of["product"] + of["backwash"]),
            (of["product"], of["reclaimed"] + change),
            (of["reclaimed"], used + of["losses"]),
            (of["inflow"], of["overflow"] + of["discharge"] + of["backwash"] + of["losses"] + used + change),
        ):
            assert np.abs(left - right).max() < 1e-12 * scale
    assert all((column >= 0.0).all() for column in flow.values())
    assert kind != "no store" or (flow["product"] == flow["reclaimed"]).all(), "without a store nothing is stored"
    assert all((np.diff(column) >= 0.0).all() for column in volume.values() if column is not stored)


def test_the_store_stays_within_its_walls_and_its_level_is_its_volume() -> None:
    for kind, most_m3 in (("store", 3000.0), ("short", SHORT_M3)):
        volume = columns(kind)["storage.volume_m3"]
        assert volume.min() > -1e-6 and volume.max() < most_m3 + 1e-6
        assert columns(kind)["storage.level_m"] == pytest.approx(4.5 * volume / most_m3, abs=1e-9)
        assert np.ptp(volume) > 0.15 * most_m3
        net = columns(kind)["storage.net_m3_h"]
        assert np.ptp(net) > 100


def test_an_origin_within_a_day_finds_the_store_as_its_day_left_it() -> None:
    later_ms = 7 * 3_600_000 + 12_345
    midnight, later = town_world(JULY_MS), town_world(JULY_MS + later_ms)
    for t_ms in (JULY_MS + later_ms, JULY_MS + 3 * DAY_MS + 777):
        names = ("works.storage.volume_m3", "works.storage.level_m")
        assert [later.value(name, t_ms) for name in names] == pytest.approx(
            [midnight.value(name, t_ms) for name in names], rel=1e-9
        )


def test_users_get_less_only_while_the_store_is_empty_and_leaks_too() -> None:
    short = columns("short")
    lacking = short["supply_share"] < 1.0 - 1e-9
    assert 0.01 < lacking.mean() < 0.9
    ends = np.concatenate((lacking[1:], [False])) & lacking
    assert short["storage.volume_m3"][ends].max() < 20.0
    assert (columns("no store")["supply_share"] == 1.0).all(), "without a store a plant is refused that cannot serve"


@pytest.mark.parametrize("population", [10_000, 50_000, 100_000, 250_000, 500_000])
def test_the_daily_peak_is_harmons_and_the_night_is_babbitts(population: int) -> None:
    asked = {10_000: 2.95, 50_000: 2.26, 100_000: 2.00, 250_000: 1.71, 500_000: 1.53}[population]
    assert harmon(population) == pytest.approx(asked, abs=0.005)
    shape = day_shape(population, 10.25, 19.75)
    assert shape.mean() == pytest.approx(1.0, rel=1e-12)
    assert shape.max() == pytest.approx(asked, rel=0.005)
    assert shape.min() == pytest.approx(night(population), rel=1e-3)
    peaks = [n / 60 for n in range(1, 1439) if shape[n - 1] < shape[n] >= shape[n + 1]]
    assert peaks == pytest.approx([10.25, 19.75], abs=0.05)
    assert 2.5 < int(shape.argmin()) / 60 < 5.0


def test_a_simulated_day_has_harmons_peak_within_5_percent_and_more_at_the_weekend() -> None:
    sewage = columns()["sewage.flow_m3_h"][: 28 * 2880].reshape(28, 2880)
    # the origin is at 7:12 on a Wednesday; whole weeks hold whole days
    assert sewage.mean() == pytest.approx(800 * (5 + 2 * 1.06) / 7, rel=0.01)
    assert np.median(sewage.max(axis=1)) / 800 == pytest.approx(harmon(80_000), rel=0.05)
    at_noon = np.arange(28) * DAY_MS + JULY_MS + 12 * 3_600_000 + 8 * 3_600_000
    off = (at_noon // DAY_MS + 3) % 7 >= 5
    noon = sewage[:, (12 - 7) * 120 - 25]
    assert noon[off].mean() / noon[~off].mean() == pytest.approx(1.06, rel=0.02)


def test_rain_comes_through_the_sewers_and_recedes() -> None:
    found = columns()
    wet = found["infiltration.flow_m3_h"]
    assert wet.max() > 300
    assert found["overflow.flow_m3_h"].max() > 0.0
    # while it is dry, it falls to a third in the time of recession, minute by minute
    rain = found["weather.rain_mm_h"]
    dry = (rain[:-2] == 0.0) & (rain[2:] == 0.0) & (wet[:-2] > 1.0)
    assert dry.sum() > 1000
    assert wet[2:][dry] / wet[:-2][dry] == pytest.approx(np.exp(-1 / 60 / 8), rel=1e-6)
    came = found["infiltration.volume_m3"][-1]
    assert came == pytest.approx(900 * found["weather.rain_mm"][-1], rel=0.2)


def test_a_reservoir_lets_out_what_came_in() -> None:
    rain = np.zeros(1440)
    rain[100:160] = 600.0
    first, held = infiltration(rain, 0.0, 6.0)
    total, state = float(first.sum()) / 60, held
    for _ in range(10):
        more, state = infiltration(np.zeros(1440), state, 6.0)
        total += float(more.sum()) / 60
    assert total + state == pytest.approx(600.0, rel=1e-12)
    assert total == pytest.approx(600.0, rel=1e-9)
    assert int(first.argmax()) in (159, 160)


def test_yield_energy_and_backwash_are_what_the_plant_is_built_for() -> None:
    found = columns()
    running = found["intake.flow_m3_h"] > 1.0
    share = found["product.flow_m3_h"][running] / found["intake.flow_m3_h"][running]
    assert share.mean() == pytest.approx(0.9, abs=0.01)
    assert (np.abs(share - 0.9) < 0.0101).all()
    kwh = {part: found[f"{part}.energy_kwh"][-1] for part in ("energy", "treatment", "reclaiming")}
    assert kwh["treatment"] == pytest.approx(0.3 * found["treated.volume_m3"][-1], rel=1e-9)
    assert kwh["reclaiming"] == pytest.approx(0.45 * found["product.volume_m3"][-1], rel=1e-9)
    assert kwh["energy"] == pytest.approx(kwh["treatment"] + kwh["reclaiming"], rel=1e-12)


def test_pipes_leak_most_at_night_when_pressure_is_highest() -> None:
    found = columns()
    pressure, leak = found["network.pressure_bar"], found["losses.flow_m3_h"]
    assert np.corrcoef(pressure, leak)[0, 1] > 0.8
    share = leak / found["reclaimed.flow_m3_h"]
    low_draw = found["reclaimed.flow_m3_h"] < np.quantile(found["reclaimed.flow_m3_h"], 0.1)
    assert share[low_draw].mean() > 1.3 * share[~low_draw].mean()
    network = Network(pressure_bar=4, drop_bar=1, leak_exponent=1.5)
    assert pressure_bar(network, np.array([0.0, 1.0, 9.0])).tolist() == [4.0, 3.0, 0.5]
    assert leak_factor(network, np.array([3.0, 4.0])).tolist() == pytest.approx([1.0, (4 / 3) ** 1.5])


@pytest.mark.parametrize("use", sorted(USE_HOURS))
def test_every_class_of_use_has_a_day_of_its_own(use: Any) -> None:
    hours = day_hours(User(use=use, flow_m3_h=10))
    assert len(USE_HOURS[use]) == 24
    assert hours.mean() == pytest.approx(1.0, rel=1e-12)
    assert (hours > 0.0).all()
    of_hours = hours.reshape(24, 60).mean(axis=1)
    peak = int(of_hours.argmax())
    assert peak in {"industry": range(8, 17), "ecological": range(6)}.get(use, range(4, 9))
    asked = np.array(USE_HOURS[use])
    assert of_hours == pytest.approx(asked / asked.mean(), abs=0.25)


def test_lawns_drink_with_the_warmth_and_never_while_it_rains_and_mills_rest_at_the_weekend() -> None:
    found = columns()
    rains = found["weather.rain_mm_h"] >= 0.1
    assert rains.any() and found["lawn.flow_m3_h"][rains].max() == 0.0
    assert found["lawn.flow_m3_h"][~rains].mean() > 60.0
    winter = town_world().column("works.lawn.volume_m3", np.array([MIDNIGHT_MS + 20 * DAY_MS]))[0]
    assert winter / (20 * 24) < 0.2 * 70
    mill = found["mill.flow_m3_h"][: 28 * 2880]
    assert mill.mean() == pytest.approx(200 * (5 + 2 * 0.7) / 7, rel=0.02)


def test_a_day_curve_that_is_given_rules_over_that_of_the_class() -> None:
    user = User.model_validate({"use": "industry", "flow_m3_h": 10, "day": {"swing": 0.3, "peak_hour": 3}})
    assert day_hours(user).argmax() == pytest.approx(180, abs=1)
    assert day_hours(user).max() == pytest.approx(1.4, abs=1e-3)


def test_a_store_that_is_full_stops_the_line_and_one_that_is_empty_rations() -> None:
    ones = np.ones(1440)
    full = Storage(volume_m3=100, target_share=1, start_share=1, return_h=1)
    product, served, stored = run_store(full, 10 * ones, 50 * ones, 100.0)
    assert product == pytest.approx(10 * ones) and served == pytest.approx(ones) and stored == pytest.approx(100)
    product, served, stored = run_store(full, 100 * ones, 50 * ones, 100.0)
    assert product == pytest.approx(50 * ones)
    assert served[:119] == pytest.approx(ones[:119]) and served[121:] == pytest.approx(0.5 * ones[121:])
    assert stored == pytest.approx(0.0, abs=1e-9)
    assert float((served * 100).sum()) / 60 == pytest.approx(100 + 50 * 24)


def test_a_day_is_the_same_whenever_it_is_made() -> None:
    plant = Plant.model_validate(WORKS)
    assert plant.process is not None
    days = PlantDays("works", plant, plant.process, seed=1, around=NOWHERE)
    one, after = days.day(20_454, days.state0())
    again, same = days.day(20_454, days.state0())
    assert after == same
    assert all((one[name] == again[name]).all() for name in one)
