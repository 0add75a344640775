"""The balance of the plant must close in truth: every indicator of a demo is judged against it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from simulators.world.waves import CosineSum, Wave
from simulators.world.world import World
from tests.unit.simulators.plant import HOUR_MS, ORIGIN_MS, scenario

DAY_MS = 24 * HOUR_MS


def simpson(rate: Callable[[int], float], from_ms: int, to_ms: int, parts: int) -> float:
    """The integral of `rate` in value x hours, by Simpson's rule."""
    step = (to_ms - from_ms) // (2 * parts)
    total = rate(from_ms) + rate(to_ms)
    total += sum((4 if n % 2 else 2) * rate(from_ms + n * step) for n in range(1, 2 * parts))
    return total * step / 3.0 / HOUR_MS


@pytest.fixture(scope="module")
def world() -> World:
    return World(scenario=scenario(), origin_ms=ORIGIN_MS)


def test_no_water_appears_or_vanishes_between_feed_permeate_and_brine(world: World) -> None:
    for t_ms in range(ORIGIN_MS - DAY_MS, ORIGIN_MS + 30 * DAY_MS, 7_654_321):
        for what in ("volume_m3", "flow_m3_h"):
            feed, permeate, brine = (
                world.value(f"train-1.{part}.{what}", t_ms) for part in ("feed", "permeate", "brine")
            )
            assert feed == pytest.approx(permeate + brine, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize(
    "total, rate, factor",
    [
        ("feed.volume_m3", "feed.flow_m3_h", 1.0),
        ("permeate.volume_m3", "permeate.flow_m3_h", 1.0),
        ("brine.volume_m3", "brine.flow_m3_h", 1.0),
        ("energy.energy_kwh", "energy.power_w", 0.001),
    ],
)
def test_a_total_is_the_integral_of_its_own_rate(world: World, total: str, rate: str, factor: float) -> None:
    from_ms, to_ms = ORIGIN_MS + 12_345, ORIGIN_MS + 12_345 + 2 * DAY_MS
    risen = world.value(f"train-1.{total}", to_ms) - world.value(f"train-1.{total}", from_ms)
    summed = simpson(lambda t_ms: world.value(f"train-1.{rate}", t_ms), from_ms, to_ms, parts=2000) * factor
    assert risen == pytest.approx(summed, rel=1e-6)


def test_a_totaliser_of_the_world_never_falls(world: World) -> None:
    for name in world.totals:
        values = [world.value(name, ORIGIN_MS + n * 100) for n in range(2000)]
        assert all(a < b for a, b in pairwise(values)), name
        assert world.value(name, ORIGIN_MS) == 0.0


def test_the_train_works_in_the_range_of_real_plants(world: World) -> None:
    for t_ms in range(ORIGIN_MS, ORIGIN_MS + 3 * DAY_MS, 600_000):
        feed, permeate, power_w = (
            world.value(f"train-1.{name}", t_ms) for name in ("feed.flow_m3_h", "permeate.flow_m3_h", "energy.power_w")
        )
        assert 0.38 <= permeate / feed <= 0.45
        assert 2.5 <= power_w / 1000.0 / permeate <= 3.5


def test_the_day_curve_peaks_at_the_local_hour_that_the_scenario_names() -> None:
    calm = {"feed_m3_h": 100.0, "day": {"wander": 0.0, "swing": 0.2, "peak_hour": 14, "utc_offset_h": 8}}
    world = World(scenario=scenario(trains={"train-1": calm}), origin_ms=ORIGIN_MS)
    hours = range(ORIGIN_MS // HOUR_MS * HOUR_MS, ORIGIN_MS + DAY_MS, 600_000)
    peak_ms = max(hours, key=lambda t_ms: world.value("train-1.feed.flow_m3_h", t_ms))
    assert peak_ms % DAY_MS == 6 * HOUR_MS  # 14:00 at UTC+8


def test_the_same_moment_of_the_world_does_not_depend_on_when_the_run_began() -> None:
    early = World(scenario=scenario(), origin_ms=ORIGIN_MS)
    late = World(scenario=scenario(), origin_ms=ORIGIN_MS + 5 * HOUR_MS)
    for name in ("train-1.feed.flow_m3_h", "train-1.energy.power_w"):
        t_ms = ORIGIN_MS + 9 * HOUR_MS
        assert early.value(name, t_ms) == pytest.approx(late.value(name, t_ms), rel=1e-7)


def test_another_seed_is_another_world() -> None:
    one, other = (World(scenario=scenario(seed=seed), origin_ms=ORIGIN_MS) for seed in (1, 2))
    name = "train-1.permeate.flow_m3_h"
    assert one.value(name, ORIGIN_MS) != pytest.approx(other.value(name, ORIGIN_MS), rel=1e-6)


def test_a_product_of_cosine_sums_is_the_product_of_their_values() -> None:
    one = CosineSum(3.0, (Wave(1.0, 0.01, 0.3), Wave(0.5, 0.02, 1.0)))
    other = CosineSum(2.0, (Wave(0.7, 0.01, 2.0), Wave(0.1, 0.03, 0.1)))
    for tau_s in (0.0, 1.0, 123.4, 98_765.4):
        assert (one * other).at(tau_s) == pytest.approx(one.at(tau_s) * other.at(tau_s), rel=1e-12)
        assert (one - other).at(tau_s) == pytest.approx(one.at(tau_s) - other.at(tau_s), rel=1e-12)
    assert one.least() == 1.5


def test_a_very_slow_wave_keeps_its_digits() -> None:
    slow = CosineSum(0.0, (Wave(1.0, 1e-12, 1.0),))
    assert slow.integral(3600.0) == pytest.approx(3600.0 * math.cos(1.0), rel=1e-8)
