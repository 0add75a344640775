"""A benchmark or a plot reads the world in columns; they must say what a meter that reads it moment by moment sees."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from device_profiles.library import Library
from simulators.load_scenario import find, load_scenario
from simulators.world.world import World
from tests.unit.simulators.plant import HOUR_MS, ORIGIN_MS

DAY_MS = 24 * HOUR_MS


@cache
def demo() -> World:
    return World(scenario=load_scenario(find("demo"), Library().load).scenario, origin_ms=ORIGIN_MS)


@pytest.mark.parametrize("name", demo().names)
def test_a_column_of_the_world_is_what_asking_one_by_one_gives(name: str) -> None:
    world = demo()
    t_ms = np.random.default_rng(2).integers(ORIGIN_MS - HOUR_MS, ORIGIN_MS + 20 * DAY_MS, 400)
    one_by_one = [world.value(name, int(t)) for t in t_ms]
    assert world.column(name, t_ms) == pytest.approx(one_by_one, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("what", ["gross_kg", "door_open", "mass_in_kg"])
def test_a_column_sees_every_second_of_an_open_lid(what: str) -> None:
    fresh, world = World(scenario=load_scenario(find("demo"), Library().load).scenario, origin_ms=ORIGIN_MS), demo()
    t_ms = ORIGIN_MS + 15 * HOUR_MS + 500 * np.arange(20_000, dtype=np.int64)
    found = fresh.column(f"bin-paper.{what}", t_ms)
    assert found.tolist() == pytest.approx([world.value(f"bin-paper.{what}", int(t)) for t in t_ms], rel=1e-12)
    assert np.unique(found).size > 1


def test_many_columns_at_once_are_the_same_as_one_after_the_other() -> None:
    world = demo()
    t_ms = np.random.default_rng(4).integers(ORIGIN_MS, ORIGIN_MS + 9 * DAY_MS, 200)
    found = world.columns(world.names, t_ms)
    assert list(found) == list(world.names)
    for name, column in found.items():
        assert column.tolist() == world.column(name, t_ms).tolist()
    assert world.columns(["mill.fresh.volume_m3"], t_ms[:0])["mill.fresh.volume_m3"].size == 0


@pytest.mark.parametrize("name", demo().names)
def test_no_times_give_no_values(name: str) -> None:
    assert demo().column(name, np.array([], dtype=np.int64)).size == 0
