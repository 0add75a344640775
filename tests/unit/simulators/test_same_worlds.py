"""The shipped worlds are quoted in notes and drawn in guides: what they were at a seed, they stay."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from device_profiles.library import Library
from simulators.load_scenario import find, load_scenario
from simulators.world.world import World
from tests.unit.simulators.plant import HOUR_MS, ORIGIN_MS

DIGESTS = {
    "bench": "43cf63978274787cbbe527be",
    "demo": "971e06495da777cf8b72a88a",
}


def digest(world: World) -> str:
    """Of every quantity at odd moments of sixteen days, rounded where a libm may differ in the last digits."""
    t_ms = ORIGIN_MS + np.arange(0, 16 * 24 * HOUR_MS, 613_777, dtype=np.int64)
    found = hashlib.blake2b(digest_size=12)
    for name, column in sorted(world.columns(world.names, t_ms).items()):
        found.update(name.encode())
        found.update("".join(f"{value:.9g}" for value in column.tolist()).encode())
    return found.hexdigest()


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_a_shipped_world_is_the_one_that_it_was(name: str) -> None:
    scenario = load_scenario(find(name), Library().load).scenario
    assert digest(World(scenario=scenario, origin_ms=ORIGIN_MS)) == DIGESTS[name]
