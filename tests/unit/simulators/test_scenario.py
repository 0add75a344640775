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
    assert find("demo.yaml") == Path("demo.yaml")


@pytest.mark.parametrize(
    "name, mend", [("nankai-bin", "did you mean nankai-bins?"), ("atlantis", "or one of bad-day, ")]
)
def test_a_name_that_no_scenario_has_is_answered_with_those_that_are_there(name: str, mend: str) -> None:
    with pytest.raises(BadFile) as refused:
        find(name)
    assert str(refused.value).startswith(f"{name}: no such scenario; ") and mend in str(refused.value)


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


FAULTS = """\
scenario: test
trains:
  train-1: {feed_m3_h: 40}
bins:
  tins: {material: cans, capacity_kg: 30, deposits_per_day: 60, empty_hour: 4}
lines:
  bus: {serial: true, baud: 9600}
  lan: {port: 5020}
meters:
  feed:
    profile: tuf-2000m
    line: bus
    fields: {volume_m3: train-1.feed.volume_m3, flow_m3_h: train-1.feed.flow_m3_h}
    lag_s: {flow_m3_h: 30}
    ends: {flow_m3_h: [0, 100]}
    rolls_over: {volume_m3: register}
    ambient: {mean_c: 12}
  energy:
    profile: eastron-sdm630
    line: lan
    unit_id: 2
    fields: {energy_import_kwh: train-1.energy.energy_kwh}
    pulse: {energy_import_kwh: 0.01}
  tins:
    profile: avia-hx711
    fields: {raw_count: tins.gross_kg}
    load_cell: {zero_counts: 5, counts_per_kg: 20000}
    scale: {creep_percent: 0.02}
  door:
    profile: eh-cm44x
faults:
  - {device: feed, what: late, late_ms: 200, jitter_ms: 100, start_s: 10, duration_s: 10}
  - {device: feed, what: stuck, fields: [flow_m3_h], start_s: 10, duration_s: 10}
  - {device: feed, what: frozen, fields: [volume_m3], start_s: 10, duration_s: 10}
  - {device: energy, what: wrong_unit, answers_as: 3, start_s: 10, duration_s: 10}
  - {device: tins, what: wire_off, start_s: 10, duration_s: 10}
  - {device: lan, what: hang_up, start_s: 10, duration_s: 10}
  - {device: bus, what: unplugged, start_s: 10, duration_s: 10}
  - {device: door, what: half_open, start_s: 10, duration_s: 10}
  - {device: door, what: flapping, period_s: 5, start_s: 30, duration_s: 10}
"""
STUCK = "{device: feed, what: stuck, fields: [flow_m3_h], start_s: 10"
FROZEN = "{device: feed, what: frozen, fields: [volume_m3], start_s: 10"
WRONG = "what: wrong_unit, answers_as: 3"


@pytest.mark.parametrize(
    "was, becomes, line, key, mend",
    [
        ("line: bus\n", "line: lan\n    unit_id: 2\n", 22, "unit_id", "another unit_id"),
        ("{serial: true, baud: 9600}", "{serial: true, port: 5021}", 7, "lines.bus.port", "remove it, or serial"),
        ("{port: 5020}", "{baud: 19200}", 8, "lines.lan.baud", "add serial: true"),
        ("  door:\n", "  bus:\n", 29, "meters.bus", "another name"),
        ("lag_s: {flow_m3_h: 30}", "lag_s: {velocity_m_s: 30}", 14, "lag_s.velocity_m_s", "say in fields"),
        ("lag_s: {flow_m3_h: 30}", "lag_s: {volume_m3: 30}", 14, "lag_s.volume_m3", "remove it from lag_s"),
        ("lag_s: {flow_m3_h: 30}", "lag_s: {flow_m3_h: -1}", 14, "lag_s.flow_m3_h", "more than 0"),
        ("ends: {flow_m3_h: [0, 100]}", "ends: {flow_m3_h: [100, 0]}", 15, "ends.flow_m3_h", "lower end first"),
        ("ends: {flow_m3_h: [0, 100]}", "ends: {flow: [0, 100]}", 15, "ends.flow", "did you mean flow_m3_h?"),
        (
            "ends: {flow_m3_h: [0, 100]}",
            "ends: {signal_quality: [0, 9]}\n    beyond: no_value",
            15,
            "ends",
            "beyond: end",
        ),
        ("{volume_m3: register}", "{flow_m3_h: register}", 16, "rolls_over.flow_m3_h", "remove it from rolls_over"),
        (
            "{volume_m3: register}",
            "{volume_m3: 100}\n    start: {volume_m3: 100}",
            17,
            "start.volume_m3",
            "start below",
        ),
        ("{mean_c: 12}", "{quantity: train-1.feed.flow}", 17, "ambient.quantity", "train-1.feed.flow_m3_h?"),
        (
            "pulse: {energy_import_kwh: 0.01}",
            "rolls_over: {energy_import_kwh: register}",
            23,
            "rolls_over",
            "at which it does",
        ),
        ("    pulse: {energy_import_kwh: 0.01}", "    pulse: {energy_total_kwh: 0.01}", 23, "pulse", "say in fields"),
        ("    pulse:", "    resolution: {energy_import_kwh: 1}\n    pulse:", 23, "resolution", "those of its float32"),
        ("rolls_over: {volume_m3: register}", "pulse: {volume_m3: 1}", 16, "pulse.volume_m3", "remove it from pulse"),
        ("    rolls_over:", "    scale: {noise_kg: 1}\n    rolls_over:", 16, "scale", "gross_kg"),
        (
            "what: late, late_ms: 200, jitter_ms: 100",
            "what: silent, late_ms: 200",
            32,
            "faults[0].late_ms",
            "remove it",
        ),
        (STUCK, STUCK.replace("stuck", "sulking"), 33, "faults[1].what", "silent"),
        (STUCK, STUCK.replace("flow_m3_h", "flow"), 33, "fields", "did you mean flow_m3_h?"),
        (STUCK, STUCK.replace("stuck", "no_value").replace("flow_m3_h", "signal_quality"), 33, "fields", "saturated"),
        (FROZEN, FROZEN.replace("volume_m3", "flow_m3_h"), 34, "faults[2].fields", "name a total"),
        (FROZEN, FROZEN.replace("frozen, fields: [volume_m3]", "spike"), 34, "faults[2].start_s", "begin later"),
        (WRONG, "what: wrong_unit", 35, "faults[3]", "add answers_as"),
        (WRONG, "what: wrong_unit, answers_as: 2", 35, "faults[3].answers_as", "give another"),
        (WRONG, "what: drift", 35, "faults[3]", "add percent_per_day"),
        (WRONG, "what: torn, after_bytes: 900", 35, "after_bytes", "at most 260"),
        (WRONG, "what: wire_off", 35, "faults[3].what", "add load_cell"),
        (WRONG, "what: power_down", 35, "faults[3].what", "make it reboot"),
        (WRONG, "what: hang_up", 35, "faults[3].device", "name lan"),
        ("what: wire_off", "what: unplugged", 36, "faults[4].what", "power_down"),
        ("device: lan, what: hang_up", "device: lan, what: torn", 37, "faults[5].device", "name the meter"),
        ("device: bus, what: unplugged", "device: bus, what: hang_up", 38, "faults[6].what", "make it unplugged"),
        ("device: lan, what", "device: lam, what", 37, "faults[5].device", "did you mean lan?"),
        ("period_s: 5", "period_s: 50", 40, "faults[8].period_s", "at most 10"),
        ("start_s: 30, duration_s: 10", "start_s: 30, duration_s: 1e12", 40, "faults[8].duration_s", "36600 d"),
        ("start_s: 30, duration_s: 10", "start_s: 19, duration_s: 10", 40, "faults[8].start_s", "begin later"),
    ],
)
def test_a_mistake_in_a_meter_a_line_or_a_fault_is_named_with_line_key_and_mend(
    tmp_path: Path, was: str, becomes: str, line: int, key: str, mend: str
) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(FAULTS)
    assert len(load_scenario(path, Library().load).scenario.faults) == 9
    assert FAULTS.count(was) == 1
    said = refusal(tmp_path, FAULTS.replace(was, becomes))
    assert said.startswith(f":{line}: "), said
    assert key in said and mend in said, said
    assert "\n" not in said


def test_a_scenario_that_was_written_down_whole_means_what_it_meant(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(FAULTS)
    scenario = load_scenario(path, Library().load).scenario
    for text in (scenario.model_dump_json(), scenario.model_dump_json(exclude_unset=True)):
        assert type(scenario).model_validate_json(text) == scenario
