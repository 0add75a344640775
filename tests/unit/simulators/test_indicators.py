"""The six indicators of a made-up city: what the meters showed must follow the meters, and the truth must not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from simulators.app import build_units
from simulators.truth.figures import TrueFigure, Truth
from simulators.truth.record import Record, RecordWriter
from simulators.truth.rows import Shown
from simulators.world.world import World
from tests.unit.simulators.city import city, city_loaded
from tests.unit.simulators.plant import HOUR_MS, ORIGIN_MS

ASK = {"test-flow": (3, 8, 4), "test-energy": (4, 0x48, 2), "test-scale": (3, 0, 2), "test-chip": (3, 0, 3)}
PERIOD = (ORIGIN_MS + HOUR_MS, ORIGIN_MS + 25 * HOUR_MS)
SOUTH = (
    "reclaimed_water_utilisation",
    "industrial_water_reuse",
    "desalination_recovery",
    "desalination_specific_energy",
    "brine_utilisation",
)


def judged(path: Path, **changes: Any) -> Truth:
    """Twenty-six hours of the city, each meter read once a minute."""
    loaded = city_loaded(**changes)
    writer = RecordWriter(path=path)
    writer.open({"scenario": loaded.scenario.model_dump_json(), "origin_ms": str(ORIGIN_MS)})
    units = build_units(loaded, world=World(scenario=loaded.scenario, origin_ms=ORIGIN_MS))
    for t_ms in range(ORIGIN_MS + 3000, ORIGIN_MS + 26 * HOUR_MS, 60_000):
        for device, unit in units.items():
            _, fields = unit.answer(*ASK[loaded.scenario.meters[device].profile], t_ms)
            writer.note(t_ms, "gw-1", device, fields)
    writer.close()
    return Truth(record=Record.open_readonly(path))


def by_name(truth: Truth) -> dict[tuple[str, str], TrueFigure]:
    return {(figure.id, figure.area): figure for figure in truth.indicators(*PERIOD)}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return judged(tmp_path_factory.mktemp("city") / "record.db")


def test_each_area_has_the_indicators_that_it_has_parts_of_and_the_city_has_all(truth: Truth) -> None:
    areas: dict[str, set[str]] = {}
    for name, area in by_name(truth):
        areas.setdefault(area, set()).add(name)
    assert areas == {"north": {"waste_diversion"}, "south": set(SOUTH), "elsewhere": {*SOUTH, "waste_diversion"}}


def test_the_truth_of_the_world_is_the_ratio_of_what_happened(truth: Truth) -> None:
    def passed(*names: str) -> float:
        return sum(truth.world.value(name, PERIOD[1]) - truth.world.value(name, PERIOD[0]) for name in names)

    volume = {name: passed(f"{name}.volume_m3") for name in ("works.treated", "works.dyer", "works.ponds")}
    figures = by_name(truth)
    used = volume["works.dyer"] + volume["works.ponds"]
    found = figures["reclaimed_water_utilisation", "south"].world
    assert found == pytest.approx(100 * used / volume["works.treated"], rel=1e-9)
    tins, rest = passed("tins.mass_in_kg"), passed("rest.mass_in_kg")
    assert figures["waste_diversion", "north"].world == pytest.approx(100 * tins / (tins + rest), rel=1e-9)
    energy, permeate = passed("train-1.energy.energy_kwh"), passed("train-1.permeate.volume_m3")
    assert figures["desalination_specific_energy", "south"].world == pytest.approx(energy / permeate, rel=1e-9)
    assert figures["desalination_recovery", "south"].world == pytest.approx(42, abs=1)
    assert figures["brine_utilisation", "south"].world == pytest.approx(30, abs=3)
    assert figures["industrial_water_reuse", "south"].world == pytest.approx(90, abs=0.5)


def test_meters_err_and_no_further_than_their_classes_allow(truth: Truth) -> None:
    for (name, area), figure in by_name(truth).items():
        assert figure.meter is not None and figure.world is not None, (name, area)
        error = abs(figure.meter / figure.world - 1)
        # of n equal classes the worst case, all errors at their ends, is sqrt(n) times the combined class; here n <= 4
        assert 1e-7 < error <= 2 * figure.class_percent / 100, (name, area, error)
    assert by_name(truth)["waste_diversion", "north"].class_percent == pytest.approx(math.hypot(1.0, 0.5))
    assert by_name(truth)["desalination_recovery", "south"].class_percent == pytest.approx(math.sqrt(2))


def test_only_what_scales_showed_is_in_doubt_and_by_what_was_in_use_at_the_ends(truth: Truth) -> None:
    for (name, area), figure in by_name(truth).items():
        assert figure.meter_low is not None and figure.meter_high is not None and figure.meter is not None
        doubt = figure.meter_low / figure.meter - 1, figure.meter_high / figure.meter - 1
        if name == "waste_diversion":
            assert -0.03 < doubt[0] < 0 < doubt[1] < 0.03, area
        else:
            assert doubt == (0, 0), (name, area)


def test_the_city_and_its_only_district_agree(truth: Truth) -> None:
    figures = by_name(truth)
    for name in SOUTH:
        assert figures[name, "elsewhere"].meter == figures[name, "south"].meter


def test_meters_without_error_show_what_happened(tmp_path: Path) -> None:
    exact = city()["meters"]
    for meter in exact.values():
        meter["class_percent"] = 0.0
    for (name, _), figure in by_name(judged(tmp_path / "r.db", meters=exact)).items():
        # of a bin the deposits between the last rest and an emptying are never seen
        assert figure.meter == pytest.approx(figure.world, rel=0.01 if name == "waste_diversion" else 2e-4)
        assert figure.class_percent == 0.0


def test_which_meter_shows_what_is_for_the_scenario_alone_to_say(tmp_path: Path, truth: Truth) -> None:
    swapped = city()["meters"]
    swapped["train-1-brine-used"], swapped["train-1-brine-outfall"] = (
        swapped["train-1-brine-used"] | {"fields": {"volume_m3": "train-1.brine_outfall.volume_m3"}},
        swapped["train-1-brine-outfall"] | {"fields": {"volume_m3": "train-1.brine_used.volume_m3"}},
    )
    unchanged = by_name(truth)["brine_utilisation", "south"]
    figure = by_name(judged(tmp_path / "r.db", meters=swapped))["brine_utilisation", "south"]
    assert figure.world == unchanged.world
    assert figure.meter == pytest.approx(unchanged.meter, rel=0.02)
    assert figure.meter != unchanged.meter


def test_without_a_meter_there_is_no_meters_figure(tmp_path: Path) -> None:
    fewer = {device: meter for device, meter in city()["meters"].items() if device != "works-ponds"}
    figure = by_name(judged(tmp_path / "r.db", meters=fewer))["reclaimed_water_utilisation", "south"]
    assert figure.meter is None
    assert figure.world is not None


def shown_by_hand(path: Path, readings: list[tuple[int, float, bool]]) -> Truth:
    """A record of the bin with tins alone: (s after the origin, kg on its scale, lid open)."""
    writer = RecordWriter(path=path)
    writer.open({"scenario": city_loaded().scenario.model_dump_json(), "origin_ms": str(ORIGIN_MS)})
    for t_s, kg, lid in readings:
        shown = [Shown("raw_count", round(84_210 + 20_971.5 * kg), ""), Shown("door_open", float(lid), "")]
        writer.note(ORIGIN_MS + t_s * 1000, "gw-1", "tins-scale", shown)
    writer.close()
    return Truth(record=Record.open_readonly(path))


def test_who_leans_on_a_scale_while_its_lid_is_open_is_not_weighed(tmp_path: Path) -> None:
    readings = [(0, 31.0, False), (60, 31.0, False), (120, 34.0, True), (180, 34.0, True), (240, 34.0, True)]
    readings += [(300, 32.5, False), (360, 32.5, False), (420, 32.5, False)]
    truth = shown_by_hand(tmp_path / "r.db", readings)
    start_ms = ORIGIN_MS + 60_000
    assert truth.shown_total("tins.mass_in_kg", start_ms, ORIGIN_MS + 420_000) == pytest.approx(1.5, abs=1e-3)
    assert truth.shown_total("tins.mass_in_kg", start_ms, ORIGIN_MS + 300_000) == pytest.approx(0, abs=1e-3)


def test_conversions_a_moment_apart_are_no_level_of_rest(tmp_path: Path) -> None:
    readings = [(0, 31.0, False), (60, 31.0, False), (120, 36.0, False), (126, 36.0, False), (180, 31.0, False)]
    truth = shown_by_hand(tmp_path / "r.db", [*readings, (240, 31.0, False)])
    start_ms = ORIGIN_MS + 60_000
    assert truth.shown_total("tins.mass_in_kg", start_ms, ORIGIN_MS + 126_000) == pytest.approx(0, abs=1e-3)
