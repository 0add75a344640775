"""Every cubic metre of the city's water must be accounted for in truth, or no loss that a page shows means anything."""

from __future__ import annotations

from itertools import pairwise

import pytest

from simulators.world.world import World
from tests.unit.simulators.city import city_world
from tests.unit.simulators.plant import HOUR_MS, ORIGIN_MS
from tests.unit.simulators.test_world import simpson

DAY_MS = 24 * HOUR_MS
BALANCES = (
    ("works.reclaimed", ("works.dyer", "works.ponds", "works.losses")),
    ("train-1.brine", ("train-1.brine_used", "train-1.brine_outfall")),
    ("train-1.feed", ("train-1.permeate", "train-1.brine_used", "train-1.brine_outfall")),
)
FLOWS = (
    "works.treated",
    "works.reclaimed",
    "works.dyer",
    "works.losses",
    "tannery.reuse",
    "tannery.fresh",
    "train-1.brine_used",
    "train-1.brine_outfall",
)


@pytest.fixture(scope="module")
def world() -> World:
    return city_world()


@pytest.mark.parametrize("whole, parts", BALANCES)
def test_what_flows_in_flows_out_at_every_moment(world: World, whole: str, parts: tuple[str, ...]) -> None:
    for t_ms in range(ORIGIN_MS - DAY_MS, ORIGIN_MS + 30 * DAY_MS, 7_654_321):
        for what in ("volume_m3", "flow_m3_h"):
            out = sum(world.value(f"{part}.{what}", t_ms) for part in parts)
            assert world.value(f"{whole}.{what}", t_ms) == pytest.approx(out, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_volume_is_the_integral_of_its_own_flow(world: World, flow: str) -> None:
    from_ms, to_ms = ORIGIN_MS + 12_345, ORIGIN_MS + 12_345 + 2 * DAY_MS
    risen = world.value(f"{flow}.volume_m3", to_ms) - world.value(f"{flow}.volume_m3", from_ms)
    summed = simpson(lambda t_ms: world.value(f"{flow}.flow_m3_h", t_ms), from_ms, to_ms, parts=2000)
    assert risen == pytest.approx(summed, rel=1e-6)


def test_no_total_of_the_city_ever_falls(world: World) -> None:
    for name in world.totals:
        values = [world.value(name, ORIGIN_MS + n * 600_000) for n in range(500)]
        assert values[0] == 0.0
        assert all(a <= b for a, b in pairwise(values)), name


def test_a_plant_sends_out_no_more_than_it_has_treated(world: World) -> None:
    for t_ms in range(ORIGIN_MS, ORIGIN_MS + 7 * DAY_MS, 600_000):
        assert 0 < world.value("works.reclaimed.flow_m3_h", t_ms) < world.value("works.treated.flow_m3_h", t_ms)


def test_shares_stay_about_what_the_scenario_says() -> None:
    means = []
    for seed in range(20):
        world = city_world(seed=seed)
        end_ms = ORIGIN_MS + 14 * DAY_MS
        reuse, fresh, used, outfall = (
            world.value(f"{flow}.volume_m3", end_ms)
            for flow in ("tannery.reuse", "tannery.fresh", "train-1.brine_used", "train-1.brine_outfall")
        )
        means.append((reuse / (reuse + fresh), used / (used + outfall)))
    for reused, taken in means:
        assert reused == pytest.approx(0.9, abs=0.005)
        assert taken == pytest.approx(0.3, abs=0.01)
    assert len(set(means)) == 20


def test_a_train_whose_brine_nobody_uses_has_no_such_flow() -> None:
    names = city_world(
        trains={"train-1": {"feed_m3_h": 250.0}},
        meters={"m": {"profile": "test-flow", "fields": {}}},
    ).names
    assert "train-1.brine.volume_m3" in names
    assert not [name for name in names if "brine_used" in name or "outfall" in name]
