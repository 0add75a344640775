"""Membranes that cannot do what a scenario asks of them must be refused before anything runs, with what would help."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_profiles.library import Library
from simulators.load_scenario import load_scenario
from simulators.parts.train import Train
from simulators.world.ro_days import hardest, vessels
from tests.unit.simulators.test_scenario import refusal

GOOD = """\
scenario: test
trains:
  train-1:
    feed_m3_h: 40
    recovery: 0.42
    ro:
      flux_lmh: 13.5
      erd_mixing: 0.0
      sea:
        salinity_g_l: 30
        temperature_c: 14
      fouling: {loss_percent: 10}
meters:
  energy-meter:
    profile: eastron-sdm630
    fields: {power_w: train-1.hp_pump.power_w}
"""


def test_a_train_that_its_membranes_can_bear_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "plant.yaml"
    path.write_text(GOOD)
    train = load_scenario(path, Library().load).scenario.trains["train-1"]
    assert train.ro is not None
    _, found = hardest(train, train.ro, vessels(train, train.ro))
    assert found.possible.all()
    assert found.feed_bar.max() < train.ro.pressure_max_bar


@pytest.mark.parametrize(
    "good, bad, line, key, said",
    [
        ("recovery: 0.42", "recovery: 0.62", 7, "trains.train-1.ro.flux_lmh", "bar and bear 83; "),
        (
            "recovery: 0.42",
            "recovery: 0.85",
            5,
            "trains.train-1.recovery",
            "g/L of salt would stand at the membranes; lower it",
        ),
        ("flux_lmh: 13.5", "flux_lmh: 30", 7, "trains.train-1.ro.flux_lmh", "bear 83; 13 would do"),
        ("flux_lmh: 13.5", "vessels: 2", 7, "trains.train-1.ro.vessels", "would do"),
        ("flux_lmh: 13.5", "pressure_max_bar: 50", 5, "trains.train-1.recovery", "bear 50"),
        ("flux_lmh: 13.5", "erd_leakage: 1", 7, "trains.train-1.ro.erd_leakage", "at most 0.1"),
        ("salinity_g_l: 30", "salinity_g_l: 44", 7, "trains.train-1.ro.flux_lmh", "45.7 g/L"),
        ("salinity_g_l: 30", "salinity_g_l: -3", 10, "trains.train-1.ro.sea.salinity_g_l", "at least 10"),
        ("salinity_g_l: 30", "salinity_swing_g_l: 28", 10, "trains.train-1.ro.sea.salinity_swing_g_l", "at most 10"),
        ("temperature_c: 14", "temperature_c: 8", 11, "trains.train-1.ro.sea.temperature_c", "between -5.5 and 21.5"),
        ("recovery: 0.42", "specific_energy_kwh_m3: 3", 5, "trains.train-1.specific_energy_kwh_m3", "remove it"),
        (
            "loss_percent: 10",
            "loss_percent: 50, clean_at_percent: 40",
            7,
            "trains.train-1.ro.flux_lmh",
            "49 % of their flow",
        ),
        (
            "hp_pump.power_w",
            "hp_pumps.power_w",
            16,
            "meters.energy-meter.fields.power_w",
            "did you mean train-1.hp_pump",
        ),
    ],
)
def test_what_no_plant_could_do_is_refused_with_line_key_and_mend(
    tmp_path: Path, good: str, bad: str, line: int, key: str, said: str
) -> None:
    refused = refusal(tmp_path, GOOD.replace(good, bad, 1))
    assert refused.startswith(f":{line}: {key}")
    assert said in refused


@pytest.mark.parametrize("mended", ["flux_lmh: 13", "vessels: 5"])
def test_what_is_said_to_do_does(tmp_path: Path, mended: str) -> None:
    key, _, value = mended.partition(": ")
    bad = {"flux_lmh": "flux_lmh: 30", "vessels": "vessels: 2"}[key]
    assert f" {value} would do" in refusal(tmp_path, GOOD.replace("flux_lmh: 13.5", bad))
    path = tmp_path / "plant.yaml"
    path.write_text(GOOD.replace("flux_lmh: 13.5", mended))
    load_scenario(path, Library().load)


def test_a_train_without_ro_has_nothing_of_it() -> None:
    plain = Train(feed_m3_h=40)
    assert not any("pump" in name or "salt" in name or "pressure" in name for name in plain.quantities())
    assert len(plain.quantities()) == 8
