"""A total must end as registers do: it rolls over, it stops where a float32 is full, and it begins again."""

from __future__ import annotations

import numpy as np
import pytest

from device_profiles.profile import DecodeType
from simulators.sensors.totals import float32_total, rolled
from tests.unit.simulators.sensing import made, meter, shown, value

HOUR = 3600.0


def added(start: float, pulse: float, pulses: int) -> float:
    """The device itself: one addition after the other."""
    x, p = np.float32(start), np.float32(pulse)
    for _ in range(pulses):
        x = np.float32(x + p)
    return float(x)


@pytest.mark.parametrize("pulse", [0.001, 0.01, 0.1, 1 / 3, 0.25, 0.375, 1.0, 1.5, 7.0, 1e-9])
@pytest.mark.parametrize("start", [0.0, 0.05, 1.0, 4095.9, 16_384.0, 262_143.9, 2.0**24 - 20, 2.0**24, 2.0**25 + 4])
def test_a_float32_counter_is_what_so_many_additions_make_of_it(start: float, pulse: float) -> None:
    for pulses in (0, 1, 2, 3, 1000, 20_000):
        assert float32_total(start, pulse, pulses) == added(start, pulse, pulses)


def test_a_long_run_is_what_so_many_additions_make_of_it() -> None:
    assert float32_total(0.0, 0.1, 1_000_000) == added(0.0, 0.1, 1_000_000) == pytest.approx(100_958, abs=1)


def test_a_float32_counter_stands_still_once_its_pulse_is_under_half_a_step() -> None:
    assert float32_total(0.0, 1.0, 20_000_000) == 2.0**24
    assert float32_total(262_144.0, 0.01, 10**9) == 262_144.0
    assert float32_total(131_072.0, 0.01, 10**9) == 262_144.0


def test_a_meter_that_adds_pulses_in_float32_freezes_while_its_neighbour_counts_on() -> None:
    unit, _ = made(meter(start={"single_m3": 262_140.0, "volume_m3": 262_140.0}, pulse={"single_m3": 0.01}))
    assert value(unit, "single_m3", HOUR) == value(unit, "single_m3", 50 * HOUR) == 262_144.0
    assert value(unit, "volume_m3", 50 * HOUR) == pytest.approx(262_140 + 1800, abs=0.01)
    assert value(unit, "single_m3", 60.0) == pytest.approx(262_140.6, abs=0.4)


@pytest.mark.parametrize(
    "kind, scale, total, shows",
    [
        (DecodeType.U16, 0.1, 6553.5, 6553.5),
        (DecodeType.U16, 0.1, 6553.6, 0.0),
        (DecodeType.U32, 1.0, 2.0**32 + 7, 7.0),
        (DecodeType.I16, 1.0, 32_767.0, 32_767.0),
        (DecodeType.I16, 1.0, 32_768.0, -32_768.0),
        (DecodeType.I32, 0.001, 2_147_483.648, -2_147_483.648),
        (DecodeType.I32_F32, 1.0, 2.0**31 + 0.5, -(2.0**31) + 0.5),
    ],
)
def test_registers_roll_over_by_their_width(kind: DecodeType, scale: float, total: float, shows: float) -> None:
    assert rolled(total, "register", kind=kind, scale=scale) == pytest.approx(shows, abs=1e-9)
    assert rolled(total, None, kind=kind, scale=scale) == total
    assert rolled(1_000_005.0, 1e6, kind=kind, scale=scale) == 5.0


def test_a_narrow_register_rolls_over_on_the_wire_or_stays_at_its_end() -> None:
    start = {"short_m3": 6550.0, "long_m3": 2_147_480.0}
    rolls, _ = made(meter(start=start, rolls_over=dict.fromkeys(start, "register")))
    stays, _ = made(meter(start=start))
    assert value(rolls, "short_m3", 0.0) == value(stays, "short_m3", 0.0) == 6550.0
    assert value(rolls, "short_m3", HOUR) == pytest.approx(36 - 3.6, abs=0.11)
    assert shown(stays, "short_m3", HOUR) == (6553.5, "ffff")
    assert value(rolls, "long_m3", HOUR) == pytest.approx(-2_147_483.648 + 36 - 3.648, abs=0.002)
    decimal, _ = made(meter(start={"volume_m3": 999_990.0}, rolls_over={"volume_m3": 1e6}))
    assert value(decimal, "volume_m3", HOUR) == pytest.approx(26.0, abs=1e-5)


def test_a_frozen_total_stands_and_what_passes_is_never_counted() -> None:
    frozen = {"what": "frozen", "start_s": HOUR, "duration_s": HOUR, "fields": ["volume_m3"]}
    unit, _ = made(meter(), frozen)
    assert value(unit, "volume_m3", HOUR) == value(unit, "volume_m3", 1.5 * HOUR) == pytest.approx(36, abs=1e-5)
    assert value(unit, "volume_m3", 3 * HOUR) == pytest.approx(72, abs=1e-5)
    assert value(unit, "split_m3", 3 * HOUR) == pytest.approx(108, abs=0.002)
    assert value(unit, "flow_m3_h", 1.5 * HOUR) == pytest.approx(36, abs=1e-5)


def test_a_reset_begins_again_at_0_and_its_neighbour_goes_on() -> None:
    unit, _ = made(
        meter(start={"volume_m3": 5.0}), {"what": "reset", "start_s": HOUR, "duration_s": 1, "fields": ["volume_m3"]}
    )
    assert value(unit, "volume_m3", HOUR - 0.001) == pytest.approx(41, abs=1e-4)
    assert value(unit, "volume_m3", HOUR) == 0.0
    assert value(unit, "volume_m3", 2 * HOUR) == pytest.approx(36, abs=1e-5)
    assert value(unit, "split_m3", 2 * HOUR) == pytest.approx(72, abs=0.002)


@pytest.mark.parametrize("totals, kept", [("kept", 36.0), ("reset", 0.0)])
def test_a_reboot_is_silent_counts_nothing_meanwhile_and_begins_its_working_time_anew(totals: str, kept: float) -> None:
    unit, _ = made(meter(), {"what": "reboot", "start_s": HOUR, "duration_s": 600, "totals": totals})
    refused = [unit.refuse(4, 0, 2, 1_760_000_000_000 + round(s * 1000)) for s in (HOUR - 1, HOUR, HOUR + 599)]
    assert [one.reason if one else None for one in refused] == [None, "reboot", "reboot"]
    assert value(unit, "working_s", HOUR - 1) == 3599
    assert value(unit, "working_s", HOUR + 660) == 60
    assert value(unit, "volume_m3", HOUR + 600) == pytest.approx(kept, abs=1e-5)
    assert value(unit, "volume_m3", 2 * HOUR + 600) == pytest.approx(kept + 36, abs=1e-5)


def test_several_stops_leave_out_no_more_than_themselves() -> None:
    stops = [{"what": "frozen", "start_s": n * HOUR, "duration_s": 900} for n in (0, 1, 3)]
    unit, _ = made(meter(), *stops)
    whole = [0.0, 0.25, 0.5, 1.0, 1.25, 2.0, 3.0, 3.2, 4.0]
    counted = [0.0, 0.0, 0.25, 0.75, 0.75, 1.5, 2.5, 2.5, 3.25]
    for at, hours in zip(whole, counted, strict=True):
        assert value(unit, "volume_m3", at * HOUR) == pytest.approx(36 * hours, abs=1e-5), at


def test_a_stop_before_a_reset_takes_nothing_from_what_is_counted_after_it() -> None:
    unit, _ = made(
        meter(),
        {"what": "frozen", "start_s": HOUR, "duration_s": HOUR / 2},
        {"what": "reset", "start_s": 2 * HOUR, "duration_s": 1},
    )
    assert value(unit, "volume_m3", 2 * HOUR - 0.001) == pytest.approx(54, abs=1e-4)
    assert value(unit, "volume_m3", 3 * HOUR) == pytest.approx(36, abs=1e-5)


def test_stops_that_overlap_are_left_out_once() -> None:
    unit, _ = made(
        meter(),
        {"what": "frozen", "start_s": HOUR, "duration_s": 2 * HOUR},
        {"what": "reboot", "start_s": 1.5 * HOUR, "duration_s": HOUR / 2},
    )
    assert value(unit, "volume_m3", 4 * HOUR) == pytest.approx(72, abs=1e-5)
