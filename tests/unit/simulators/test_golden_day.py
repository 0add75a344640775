"""Scenarios that people have measured by keep their values to the last bit, whatever else a meter learns to do."""

from __future__ import annotations

import hashlib

import pytest

from device_profiles.library import Library
from device_profiles.profile import RegisterTable
from simulators.app import build_units
from simulators.load_scenario import find, load_scenario
from simulators.world.world import World

ORIGIN_MS = 1_760_000_000_000
STEP_MS = 613_001
"""A little more than 10 min, so that a day meets all seconds and all ms."""

FUNCTIONS = {RegisterTable.HOLDING: 3, RegisterTable.INPUT: 4}


def day_of(name: str) -> str:
    """A digest of all registers of all devices over one day."""
    loaded = load_scenario(find(name), Library().load)
    units = build_units(loaded, world=World(scenario=loaded.scenario, origin_ms=ORIGIN_MS))
    digest = hashlib.blake2b(digest_size=16)
    for t_ms in range(ORIGIN_MS, ORIGIN_MS + 86_400_000, STEP_MS):
        for device, unit in sorted(units.items()):
            for table, function in FUNCTIONS.items():
                extent = unit.extent(table)
                if extent:
                    words, fields = unit.answer(function, 0, extent, t_ms)
                    digest.update(repr((device, table.value, words, fields)).encode())
    return digest.hexdigest()


@pytest.mark.parametrize(
    "name, digest", [("demo", "bb7c47e08ae399b0376dd81a72132c26"), ("bench", "d45bf46bdfc3c71c46b6227f63bcca00")]
)
def test_a_day_of_a_shipped_scenario_is_what_it_always_was(name: str, digest: str) -> None:
    assert day_of(name) == digest
