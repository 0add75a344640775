"""A year of a city must be there while a person waits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from tests.unit.simulators.town import DAY_MS, MIDNIGHT_MS, SPOT, WORKS, town, town_world

CPU_S_MAX = 60.0


@pytest.mark.slow
def test_a_year_of_twenty_bins_and_two_plants_at_one_minute_takes_less_than_a_minute() -> None:
    bins: dict[str, Any] = {f"bin-{n}": SPOT for n in range(20)}
    vehicles = {"cart": town()["vehicles"]["cart"] | {"collects": list(bins), "capacity_kg": 2000}}
    world = town_world(bins=bins, vehicles=vehicles, plants={"works": WORKS, "works-2": WORKS})
    names = [name for name in world.names if not name.startswith("train")]
    assert len(names) > 250
    began_s = time.process_time()
    for day in range(365):
        t_ms = MIDNIGHT_MS + day * DAY_MS + 60_000 * np.arange(1440, dtype=np.int64)
        found = world.columns(names, t_ms)
    assert time.process_time() - began_s <= CPU_S_MAX
    assert found["bin-19.mass_in_kg"][-1] > 10_000
