"""A train that follows from its membranes: its ledgers must close, and nobody's question may change what is true."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from simulators.parts.train import PUMPS
from simulators.world.kept_days import DAYS_KEPT_MAX
from simulators.world.tabulated import MINUTE_MS, Tabulated, TabulatedQuantity
from simulators.world.world import World
from tests.unit.simulators.plant import HOUR_MS, ORIGIN_MS, scenario

DAY_MS = 24 * HOUR_MS


def world(ro: dict[str, Any] | None = None, seed: int = 7, **train: Any) -> World:
    one = {"feed_m3_h": 250.0, "recovery": 0.42, "brine_used_share": 0.3, "ro": ro or {}} | train
    return World(scenario=scenario(seed=seed, trains={"train-1": one}), origin_ms=ORIGIN_MS)


@cache
def kept() -> World:
    return world({"erd_mixing": 0.06, "rest_kwh_m3": 0.65})


def risen(name: str, from_ms: int, to_ms: int, of: World | None = None) -> float:
    where = of or kept()
    return where.value(f"train-1.{name}", to_ms) - where.value(f"train-1.{name}", from_ms)


SPANS = ((0, 5 * DAY_MS), (12_345, 98_765), (3 * DAY_MS + 777, 3 * DAY_MS + 778), (DAY_MS, 40 * DAY_MS + 1))


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize(
    "whole, parts",
    [
        ("feed.volume_m3", ("permeate.volume_m3", "brine.volume_m3")),
        ("brine.volume_m3", ("brine_used.volume_m3", "brine_outfall.volume_m3")),
        ("feed.salt_kg", ("permeate.salt_kg", "brine.salt_kg")),
        ("energy.energy_kwh", tuple(f"{pump}.energy_kwh" for pump in PUMPS)),
    ],
)
def test_every_ledger_of_the_train_closes(whole: str, parts: tuple[str, ...], span: tuple[int, int]) -> None:
    from_ms, to_ms = (ORIGIN_MS + each for each in span)
    summed = sum(risen(part, from_ms, to_ms) for part in parts)
    assert risen(whole, from_ms, to_ms) == pytest.approx(summed, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize(
    "total, rate, factor",
    [
        ("feed.volume_m3", "feed.flow_m3_h", 1.0),
        ("brine.salt_kg", "brine.salt_kg_h", 1.0),
        ("hp_pump.energy_kwh", "hp_pump.power_w", 0.001),
        ("energy.energy_kwh", "energy.power_w", 0.001),
    ],
)
def test_a_total_is_the_integral_of_its_rate(total: str, rate: str, factor: float) -> None:
    from_ms = ORIGIN_MS // MINUTE_MS * MINUTE_MS + DAY_MS
    t_ms = from_ms + MINUTE_MS * np.arange(2 * 1440, dtype=np.int64)
    summed = kept().column(f"train-1.{rate}", t_ms).sum() * factor / 60.0
    assert risen(total, from_ms, from_ms + 2 * DAY_MS) == pytest.approx(summed, rel=1e-10)


def test_what_the_salt_weighs_is_what_flows_and_how_salty_it_is() -> None:
    t_ms = ORIGIN_MS + 654_321 * np.arange(200, dtype=np.int64)
    for stream, salt, per in (
        ("feed", "salinity_g_l", 1.0),
        ("brine", "salinity_g_l", 1.0),
        ("permeate", "salinity_mg_l", 1e-3),
    ):
        flow, grams, kg_h = (
            kept().column(f"train-1.{stream}.{what}", t_ms) for what in ("flow_m3_h", salt, "salt_kg_h")
        )
        assert flow * grams * per == pytest.approx(kg_h, rel=1e-12)


def test_the_train_works_in_the_range_of_real_plants_all_year() -> None:
    t_ms = ORIGIN_MS + DAY_MS // 2 * np.arange(2 * 365, dtype=np.int64)
    names = ("feed.flow_m3_h", "permeate.flow_m3_h", "energy.power_w", "feed.pressure_bar", "permeate.salinity_mg_l")
    found = kept().columns([f"train-1.{what}" for what in (*names, "feed.temperature_c")], t_ms)
    feed, permeate, power_w, bar, salt, warm = found.values()
    assert (np.abs(permeate / feed - 0.42) <= 0.01 + 1e-9).all()
    assert 2.3 < (power_w / 1000.0 / permeate).min() < (power_w / 1000.0 / permeate).max() < 3.6
    assert 40.0 < bar.min() < bar.max() < 83.0
    assert 60.0 < salt.min() < salt.max() < 320.0
    assert np.corrcoef(warm, bar)[0, 1] < -0.8, "cold water needs more pressure"
    assert np.corrcoef(warm, salt)[0, 1] > 0.8, "warm membranes let more salt pass"
    warmest = int(warm.argmax())
    assert 200 <= (t_ms[warmest] // DAY_MS) % 365.2425 <= 255, "the sea is warmest in August, give or take the weather"


def test_cleaning_lowers_the_pressure_that_fouling_has_raised() -> None:
    calm = {"swing": 0.0, "wander": 0.0}
    steady = {"temperature_swing_c": 0, "temperature_wander_c": 0, "salinity_swing_g_l": 0, "salinity_wander_g_l": 0}
    one = world({"sea": steady, "fouling": {"clean_every_days": 45}}, day=calm, recovery_wander=0)
    days = ORIGIN_MS + DAY_MS * np.arange(100, dtype=np.int64)
    found = one.columns(["train-1.feed.pressure_bar", "train-1.membranes.cleanings"], days)
    bar, cleanings = found.values()
    for day, (before, after) in enumerate(pairwise(cleanings), 1):
        assert (bar[day] < bar[day - 1]) == (after > before)
    assert cleanings[-1] == 2.0


def test_two_trains_of_one_place_drink_from_the_same_sea() -> None:
    one = {"feed_m3_h": 100.0, "ro": {}}
    both = World(scenario=scenario(trains={"train-1": one, "train-2": one}), origin_ms=ORIGIN_MS)
    for what in ("temperature_c", "salinity_g_l"):
        first, second = (both.value(f"train-{n}.feed.{what}", ORIGIN_MS + 9 * DAY_MS) for n in (1, 2))
        assert first == second
    flows = [both.value(f"train-{n}.feed.flow_m3_h", ORIGIN_MS) for n in (1, 2)]
    assert flows[0] != flows[1]


def test_the_train_has_exactly_the_quantities_that_it_promises() -> None:
    plan = scenario(trains={"train-1": {"feed_m3_h": 16.0, "ro": {}}})
    assert set(World(scenario=plan, origin_ms=ORIGIN_MS).names) == set(plan.quantities())
    totals = {name.removeprefix("train-1.") for name in kept().totals}
    assert {"feed.volume_m3", "brine.salt_kg", "booster.energy_kwh", "energy.energy_kwh"} <= totals
    assert all(name.endswith(("_m3", "_kg", "_kwh")) for name in totals)


def test_totals_of_the_train_begin_at_zero_and_only_rise() -> None:
    t_ms = ORIGIN_MS + 500_000 * np.arange(500, dtype=np.int64)
    for name, values in kept().columns(kept().totals, t_ms).items():
        assert values[0] == 0.0
        assert (np.diff(values) > 0.0).all(), name


def test_asking_backwards_gives_the_same_to_the_last_digit() -> None:
    names = ("feed.volume_m3", "energy.energy_kwh", "feed.pressure_bar", "membranes.fouling_factor")
    t_ms = [ORIGIN_MS + n * 7 * HOUR_MS for n in range(40)]
    one, other = world(), world()
    forwards = [[one.value(f"train-1.{name}", t) for name in names] for t in t_ms]
    backwards = [[other.value(f"train-1.{name}", t) for name in names] for t in reversed(t_ms)]
    assert forwards == backwards[::-1]


def test_a_year_of_questions_fits_into_a_bounded_memory() -> None:
    one = world()
    quantity = one._quantities["train-1.feed.volume_m3"]
    assert isinstance(quantity, TabulatedQuantity)
    for day in range(0, 60, 7):
        one.value("train-1.feed.volume_m3", ORIGIN_MS + day * DAY_MS)
    assert isinstance(quantity.of, Tabulated)
    assert quantity.of.days_kept <= DAYS_KEPT_MAX


PRINT = """
from tests.unit.simulators.test_ro_world import digest
print(digest())
"""


def digest() -> str:
    """Every quantity of a train over three days, as one short text."""
    one, found = world(), hashlib.blake2b(digest_size=16)
    t_ms = ORIGIN_MS + 97_003 * np.arange(2500, dtype=np.int64)
    for name in sorted(one.names):
        found.update(name.encode() + one.column(name, t_ms).tobytes())
    return found.hexdigest()


def test_two_processes_with_different_hash_seeds_make_the_same_bytes() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", PRINT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {digest()}


def test_another_seed_is_another_sea_another_dirt_and_another_day() -> None:
    one, other = world(seed=1), world(seed=2)
    for what in ("feed.temperature_c", "feed.flow_m3_h", "membranes.fouling_factor"):
        t_ms = ORIGIN_MS + 9 * DAY_MS
        assert one.value(f"train-1.{what}", t_ms) != other.value(f"train-1.{what}", t_ms)
