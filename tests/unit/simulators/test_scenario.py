"""A scenario with a mistake must be refused with its file, line, key and mend, before anything is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_profiles.library import Library
from simulators.load_scenario import find, load_scenario, shipped_names
from simulators.truth.ratios import ratios
from yaml_models.bad_file import BadFile

GOOD = """\
scenario: test
seed: 1
trains:
  train-1: {feed_m3_h: 40, recovery: 0.42, recovery_wander: 0.01}
lines:
  line-1: {port: 5020}
meters:
  feed-meter:
    profile: tuf-2000m
    line: line-1
    unit_id: 1
    fields: {volume_m3: train-1.feed.volume_m3}
    start: {volume_m3: 5}
  energy-meter:
    profile: eastron-sdm630
    line: line-1
    unit_id: 2
    fields: {power_w: train-1.energy.power_w}
faults:
  - {device: feed-meter, what: silent, start_s: 10, duration_s: 10}
  - {device: feed-meter, what: nan, start_s: 20, duration_s: 5}
"""


def refusal(folder: Path, text: str) -> str:
    path = folder / "plant.yaml"
    path.write_text(text)
    with pytest.raises(BadFile) as caught:
        load_scenario(path, Library().load)
    return str(caught.value).removeprefix(str(path))


def test_a_good_scenario_is_loaded_with_its_profiles(tmp_path: Path) -> None:
    path = tmp_path / "plant.yaml"
    path.write_text(GOOD)
    loaded = load_scenario(path, Library().load)
    assert sorted(loaded.profiles) == ["eastron-sdm630", "tuf-2000m"]
    assert len(loaded.scenario.faults) == 2


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_scenario_can_be_loaded(name: str) -> None:
    assert load_scenario(find(name), Library().load).scenario.scenario == name


def test_the_demo_is_a_city_of_three_gateways_with_all_six_indicators() -> None:
    scenario = load_scenario(find("demo"), Library().load).scenario
    gateways: dict[str, set[str]] = {}
    for device in scenario.meters:
        gateways.setdefault(scenario.gateway_of(device), set()).add(scenario.meters[device].profile)
    assert gateways == {
        "nankai-1": {"avia-hx711", "laumas-tlb4"},
        "jizhou-1": {"tuf-2000m", "eh-cm44x"},
        "binhai-1": {"tuf-2000m", "eastron-sdm630", "eh-cm44x"},
    }
    of_area: dict[str, set[str]] = {}
    for ratio in ratios(scenario):
        of_area.setdefault(ratio.area, set()).add(ratio.id)
    assert len(of_area["tianjin"]) == 6
    assert of_area["nankai"] == {"waste_diversion"}
    assert of_area["jizhou"] == {"reclaimed_water_utilisation", "industrial_water_reuse"}
    assert of_area["tianjin"] == of_area["nankai"] | of_area["jizhou"] | of_area["binhai"]
    shown = {quantity for meter in scenario.meters.values() for quantity in meter.fields.values()}
    for ratio in ratios(scenario):
        for total in (*ratio.over, *ratio.under):
            assert total.replace("mass_in_kg", "gross_kg") in shown, f"no meter shows {total}"


def test_a_scenario_is_found_by_name_or_by_path(tmp_path: Path) -> None:
    assert find("demo").is_file()
    assert find(str(tmp_path / "demo")) == tmp_path / "demo"


@pytest.mark.parametrize(
    "was, becomes, line, key, mend",
    [
        (
            "device: feed-meter, what: nan",
            "device: fed-meter, what: nan",
            21,
            "faults[1].device",
            "did you mean feed-meter?",
        ),
        ("start: {volume_m3: 5}", "start: {volume_m3: -5}", 13, "meters.feed-meter.start.volume_m3", "at least 0"),
        ("start_s: 20", "start_s: 19", 21, "faults[1].start_s", "let it begin later"),
        (
            "train-1.feed.volume_m3",
            "train-2.feed.volume_m3",
            12,
            "fields.volume_m3",
            "did you mean train-1.feed.volume_m3?",
        ),
        ("{volume_m3: train-1", "{volume: train-1", 12, "fields.volume", "did you mean volume_m3?"),
        ("profile: tuf-2000m", "profile: tuf-200m", 9, "meters.feed-meter.profile", "did you mean tuf-2000m?"),
        ("unit_id: 2", "unit_id: 1", 17, "meters.energy-meter.unit_id", "another unit_id"),
        (
            "line: line-1\n    unit_id: 2",
            "line: line-9\n    unit_id: 2",
            16,
            "energy-meter.line",
            "did you mean line-1?",
        ),
        ("line: line-1\n    unit_id: 2", "port: 5020", 16, "energy-meter.port", "share a line"),
        ("    unit_id: 2", "    unit_id: 2\n    port: 5021", 18, "energy-meter.port", "remove one"),
        ("recovery_wander: 0.01", "recovery_wander: 0.5", 4, "trains.train-1.recovery_wander", "at most 0.09"),
        ("recovery: 0.42", "recovry: 0.42", 4, "trains.train-1.recovry", "did you mean recovery?"),
        ("recovery: 0.42", "recovery: 0.05", 4, "trains.train-1.recovery", "at least 0.1"),
        ("feed_m3_h: 40", "feed_m3_h: -40", 4, "trains.train-1.feed_m3_h", "more than 0"),
        ("what: silent", "what: sulking", 20, "faults[0].what", "silent, exception, late, nan, reboot_reset"),
        ("seed: 1", "seed: x", 2, "seed", "whole number"),
        ("  feed-meter:", "  Feed Meter:", 8, "meters.Feed Meter", "rename"),
    ],
)
def test_a_mistake_is_named_with_line_key_and_mend(
    tmp_path: Path, was: str, becomes: str, line: int, key: str, mend: str
) -> None:
    assert was in GOOD
    said = refusal(tmp_path, GOOD.replace(was, becomes))
    assert said.startswith(f":{line}: ")
    assert key in said
    assert mend in said
    assert "\n" not in said


CITY = """\
scenario: test
bins:
  tins:
    material: cans
    capacity_kg: 30
    deposits_per_day: 60
    empty_hour: 4
plants:
  works:
    treated_m3_h: 900
    losses_m3_h: 12
    users:
      dyer: {use: industry, flow_m3_h: 300}
parks:
  tannery: {used_m3_h: 120, reuse_share: 0.9, reuse_wander: 0.005}
meters:
  outlet:
    profile: tuf-2000m
    fields: {volume_m3: works.reclaimed.volume_m3}
    levels: {signal_quality: 70}
"""


@pytest.mark.parametrize(
    "was, becomes, line, key, mend",
    [
        ("    empty_hour: 4\n", "", 3, "bins.tins", "give one of empty_at_share and empty_hour"),
        ("empty_hour: 4", "empty_hour: 4\n    empty_at_share: 0.8", 3, "bins.tins", "give one of"),
        ("material: cans", "material: tins", 4, "bins.tins.material", "paper, plastic, glass, cans, textile, mixed"),
        ("capacity_kg: 30", "capacity_kg: 0", 5, "bins.tins.capacity_kg", "more than 0"),
        ("  works:\n", "  tins:\n", 9, "plants.tins", "another name"),
        ("treated_m3_h: 900", "treated_m3_h: 300", 10, "plants.works.treated_m3_h", "lower the flows of the users"),
        ("dyer: {use", "losses: {use", 13, "users.losses", "rename the user"),
        ("use: industry", "use: industrial", 13, "users.dyer.use", "industry"),
        ("reuse_share: 0.9, reuse_wander: 0.005", "reuse_share: 0.99, reuse_wander: 0.02", 15, "reuse_wander", "0.01"),
        ("works.reclaimed", "works.dryer", 19, "fields.volume_m3", "did you mean works.dyer.volume_m3?"),
        ("signal_quality: 70", "signal: 70", 20, "levels.signal", "did you mean signal_quality?"),
        ("{signal_quality: 70}", "{volume_m3: 70}", 20, "levels.volume_m3", "remove it here"),
        ("    levels:", "    load_cell: {zero_counts: 5, counts_per_kg: 2}\n    levels:", 20, "load_cell", "gross_kg"),
        ("    levels:", "    load_cell: {zero_counts: 5, counts_per_kg: 0}\n    levels:", 20, "counts_per_kg", "adds"),
    ],
)
def test_a_mistake_in_a_city_is_named_with_line_key_and_mend(
    tmp_path: Path, was: str, becomes: str, line: int, key: str, mend: str
) -> None:
    path = tmp_path / "city.yaml"
    path.write_text(CITY)
    assert load_scenario(path, Library().load).scenario.plants["works"].users["dyer"].use == "industry"
    assert was in CITY
    said = refusal(tmp_path, CITY.replace(was, becomes))
    assert said.startswith(f":{line}: "), said
    assert key in said and mend in said, said
    assert "\n" not in said
