"""A benchmark whose values repeat, or compress better than a real meter's, would flatter what it measures."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.world.load import series_values

TIMES = np.arange(1_760_000_000_000, 1_760_000_000_000 + 10_000 * 360, 10_000, dtype=np.int64)
FIELDS = ("voltage_l1_v", "current_l2_a", "power_w", "power_factor", "frequency_hz", "energy_import_kwh", "volume_m3")


@pytest.mark.parametrize("field", FIELDS)
def test_columns_differ_from_meter_to_meter_and_repeat_from_run_to_run(field: str) -> None:
    columns = [series_values(1, device, field, TIMES) for device in ("meter-01", "meter-02")]
    assert columns[0].shape == TIMES.shape
    assert np.isfinite(columns[0]).all()
    assert not np.array_equal(columns[0], columns[1])
    assert np.array_equal(columns[0], series_values(1, "meter-01", field, TIMES))
    assert not np.array_equal(columns[0], series_values(2, "meter-01", field, TIMES))


def test_one_moment_has_one_value_however_the_column_is_cut() -> None:
    whole = series_values(1, "meter-01", "voltage_l1_v", TIMES)
    assert np.array_equal(whole[100:107], series_values(1, "meter-01", "voltage_l1_v", TIMES[100:107]))


@pytest.mark.parametrize("field", ["energy_import_kwh", "volume_m3"])
def test_totalisers_rise_and_never_fall(field: str) -> None:
    column = series_values(
        1, "meter-01", field, np.arange(1_760_000_000_000, 1_760_100_000_000, 60_000, dtype=np.int64)
    )
    assert (np.diff(column) >= 0).all()
    assert column[-1] > column[0] > 0


def test_voltages_wander_and_jitter_around_a_nominal_one_in_steps_of_a_display() -> None:
    column = series_values(1, "meter-01", "voltage_l1_v", TIMES)
    assert (np.abs(column - 230) < 10).all()
    assert len(np.unique(column)) > 50
    assert np.array_equal(column, np.round(column, 2))
    assert (np.diff(column) != 0).mean() > 0.9
