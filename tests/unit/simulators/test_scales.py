"""A scale must show what lies on it within its class, whoever leans on it, in kilograms or in counts of its cell."""

from __future__ import annotations

import pytest

from simulators.app import build_units
from simulators.parts.meter import Scale
from simulators.sensors.sensor import class_error
from simulators.truth.rows import Shown
from simulators.world.deposits import DAY_MS
from simulators.world.world import World
from tests.unit.simulators.city import city, city_loaded
from tests.unit.simulators.plant import ORIGIN_MS

NOISE_KG = Scale().noise_kg


def answers(device: str, count: int, **changes: object) -> tuple[World, list[tuple[int, dict[str, Shown]]]]:
    """What `device` shows every minute of a day, by field."""
    loaded = city_loaded(**changes)
    world = World(scenario=loaded.scenario, origin_ms=ORIGIN_MS)
    unit = build_units(loaded, world=world)[device]
    times = range(ORIGIN_MS, ORIGIN_MS + DAY_MS, 60_000)
    return world, [(t_ms, {shown.field: shown for shown in unit.answer(3, 0, count, t_ms)[1]}) for t_ms in times]


def test_a_transmitter_shows_the_gross_mass_in_its_divisions_within_class_and_noise() -> None:
    world, shown = answers("rest-scale", 2)
    error = class_error(7, "rest-scale", 0.5)
    for t_ms, fields in shown:
        kg = fields["gross_weight_kg"].value
        assert kg is not None
        assert kg == round(kg, 1)
        assert kg == pytest.approx(world.value("rest.gross_kg", t_ms) * (1 + error), abs=0.05 + NOISE_KG + 1e-9)
    assert len({fields["gross_weight_kg"].value for _, fields in shown}) > 20


def test_a_load_cell_shows_counts_from_which_zero_and_span_lead_back_to_kilograms() -> None:
    world, shown = answers("tins-scale", 3)
    error = class_error(7, "tins-scale", 1.0)
    open_doors = 0
    for t_ms, fields in shown:
        counts, door = fields["raw_count"].value, fields["door_open"].value
        assert counts is not None and counts == int(counts)
        gross_kg = world.value("tins.gross_kg", t_ms) * (1 + error)
        assert (counts - 84_210) / 20_971.5 == pytest.approx(gross_kg, abs=NOISE_KG + 1e-4)
        assert door == world.value("tins.door_open", t_ms)
        open_doors += door == 1.0
    assert 5 < open_doors < 200


def test_a_cell_that_hangs_upside_down_counts_downwards() -> None:
    meters = city()["meters"]
    meters["tins-scale"]["load_cell"] = {"zero_counts": 100, "counts_per_kg": -20_000}
    _, shown = answers("tins-scale", 3, meters=meters)
    words = shown[0][1]["raw_count"].words
    assert shown[0][1]["raw_count"].value == pytest.approx(100 - 20_000 * 11, rel=0.012)
    assert words.startswith("fff")


def test_a_level_of_the_scenario_is_what_a_gauge_wanders_about() -> None:
    meters = city()["meters"]
    meters["works-treated"]["levels"] = {"signal_quality": 40.0}
    loaded = city_loaded(meters=meters)
    unit = build_units(loaded, world=World(scenario=loaded.scenario, origin_ms=ORIGIN_MS))["works-treated"]
    seen = [unit.answer(3, 91, 1, ORIGIN_MS + n * 60_000)[1][0].value for n in range(1000)]
    assert {value for value in seen if value is not None} <= {39.0, 40.0, 41.0}
