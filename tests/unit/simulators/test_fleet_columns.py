"""The meters of a fleet behave as meters do."""

from __future__ import annotations

import numpy as np
import pytest

from data_contract.reading import is_field
from simulators.fleet.columns import DAY_MS, FIELDS, Columns, _Load, columns, keys_of

BEGIN_MS = 1_750_000_000_000
METERS = 60
KEYS = keys_of(3, [("g", f"m{number}") for number in range(METERS)])


def shown(t_ms: np.ndarray, keys: np.ndarray = KEYS) -> dict[str, Columns]:
    """Every field of every meter, shape (meters, n)."""
    at = np.broadcast_to(t_ms.astype(np.int64), (len(keys), len(t_ms)))
    found = columns(keys, at, len(FIELDS))
    return {field.name: found[:, index] for index, field in enumerate(FIELDS)}


DAY = BEGIN_MS + np.arange(0, DAY_MS, 60_000)


def test_a_total_rises_by_exactly_what_its_power_adds_up_to() -> None:
    said = shown(DAY)
    energy, power = said["energy_import_kwh"], said["power_w"]
    assert (np.diff(energy, axis=1) >= 0).all()
    integral_kwh = ((power[:, 1:] + power[:, :-1]) / 2).cumsum(axis=1) * 60 / 3.6e6
    for hour in (3, 7, 12, 20, 24):  # over a whole day most waves cancel out, and would hide a wrong integral
        last = hour * 60 - 1
        # the noise of the power (0.2 % of a reading) averages out over so many; a step of the total is 0.01 kWh
        assert energy[:, last] - energy[:, 0] == pytest.approx(integral_kwh[:, last - 1], rel=1e-3, abs=0.02)


def test_a_total_never_shows_a_step_that_has_not_come_yet() -> None:
    at = np.broadcast_to(DAY, (METERS, len(DAY)))
    behind = _Load(KEYS, at).energy_kwh - shown(DAY)["energy_import_kwh"]
    assert behind.min() >= -1e-6 and behind.max() < 0.01 + 1e-6
    assert behind.mean() == pytest.approx(0.005, abs=1e-4)


def test_a_load_has_a_day_and_every_meter_has_its_own() -> None:
    power = shown(DAY)["power_w"]
    hours = power.reshape(METERS, 24, 60).mean(axis=2)
    swing = (hours.max(axis=1) - hours.min(axis=1)) / hours.mean(axis=1)
    assert (swing > 0.3).all() and (swing < 1.9).all()
    assert len(np.unique(hours.argmax(axis=1))) > 12
    assert (power > 0).all() and power.mean(axis=1).max() > 10 * power.mean(axis=1).min()


def test_what_a_meter_shows_at_one_time_fits_together() -> None:
    said = shown(DAY[:200])
    phases = said["power_l1_w"] + said["power_l2_w"] + said["power_l3_w"]
    assert phases == pytest.approx(said["power_w"], rel=0.01, abs=1)
    current = said["current_l1_a"] + said["current_l2_a"] + said["current_l3_a"]
    assert 230.0 * current * said["power_factor"] == pytest.approx(said["power_w"], rel=0.02, abs=1)
    assert said["apparent_power_va"] ** 2 == pytest.approx(
        said["power_w"] ** 2 + said["reactive_power_var"] ** 2, rel=0.02
    )
    assert said["voltage_l1_v"].min() > 215 and said["voltage_l1_v"].max() < 240
    assert said["power_factor"].max() <= 1.0


def test_every_value_stands_in_whole_steps_that_survive_text_and_back() -> None:
    for field in FIELDS:
        assert is_field(field.name)
        values = shown(DAY[:50])[field.name]
        assert (np.round(values, field.digits) == values).all()
        assert all(float(repr(value)) == value and len(repr(value)) < 12 for value in values.ravel().tolist())
    assert not any(np.signbit(column).any() for column in shown(DAY[:50]).values())


def test_a_value_does_not_depend_on_what_is_computed_beside_it() -> None:
    rng = np.random.default_rng(1)
    whole = shown(DAY)
    for _ in range(30):
        meters = rng.choice(METERS, size=rng.integers(1, 9), replace=False)
        begin = int(rng.integers(0, 1_400))
        end = begin + int(rng.integers(1, 40))
        part = shown(DAY[begin:end], KEYS[meters])
        for name, column in part.items():
            assert np.array_equal(column, whole[name][meters, begin:end]), name
