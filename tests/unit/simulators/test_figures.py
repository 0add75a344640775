"""The demo is judged by these figures: those of the meters must follow the meters, those of the world must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.truth.figures import Truth
from simulators.truth.record import Record, RecordWriter
from tests.unit.simulators.plant import HOUR_MS, ORIGIN_MS, fault, scenario, units

REQUESTS = {"feed-meter": (3, 8, 4), "permeate-meter": (3, 8, 4), "energy-meter": (4, 0x48, 2)}


def recorded(path: Path, *, every_ms: int = 10_000, last_ms: int = 2 * HOUR_MS, **changes: object) -> Truth:
    """A record as a poller would have caused it, without a network."""
    writer = RecordWriter(path=path)
    writer.open({"scenario": scenario(**changes).model_dump_json(), "origin_ms": str(ORIGIN_MS)})
    served = units(**changes)
    for t_ms in range(ORIGIN_MS + 1234, ORIGIN_MS + last_ms, every_ms):
        for device, (function, address, count) in REQUESTS.items():
            unit = served[device]
            if unit.refuse(function, address, count, t_ms) is None:
                writer.note(t_ms, "gw-1", device, unit.answer(function, address, count, t_ms)[1])
    writer.close()
    return Truth(record=Record.open_readonly(path))


def test_meters_without_error_show_what_the_world_truly_did(tmp_path: Path) -> None:
    exact = scenario().model_dump(mode="json")["meters"]
    for meter in exact.values():
        meter["class_percent"] = 0.0
    truth = recorded(tmp_path / "r.db", meters=exact)
    period = (ORIGIN_MS + HOUR_MS // 2, ORIGIN_MS + 3 * HOUR_MS // 2)
    world, meters = truth.world_figures("train-1", *period), truth.meter_figures("train-1", *period)
    assert meters.feed_m3 == pytest.approx(world.feed_m3, abs=0.01)
    assert meters.recovery == pytest.approx(world.recovery, rel=1e-4)
    assert meters.specific_energy_kwh_m3 == pytest.approx(world.specific_energy_kwh_m3, rel=2e-4)
    assert world.recovery is not None and 0.38 <= world.recovery <= 0.45


def test_the_error_of_each_meter_is_in_the_meters_figures_and_not_in_the_worlds(tmp_path: Path) -> None:
    truth = recorded(tmp_path / "r.db")
    period = (ORIGIN_MS + HOUR_MS // 2, ORIGIN_MS + 3 * HOUR_MS // 2)
    world, meters = truth.world_figures("train-1", *period), truth.meter_figures("train-1", *period)
    assert meters.recovery != pytest.approx(world.recovery, rel=1e-4)
    assert meters.recovery == pytest.approx(world.recovery, rel=0.02)


def test_a_total_at_the_ends_lies_on_the_line_between_readings(tmp_path: Path) -> None:
    truth = recorded(tmp_path / "r.db")
    rows = truth._record.served("feed-meter", "volume_m3", 0, ORIGIN_MS * 2)
    (t_0, v_0), (t_1, v_1), (_, v_2) = rows[5:8]
    assert v_0 is not None and v_1 is not None and v_2 is not None
    rise = truth.shown_rise("feed-meter", "volume_m3", t_0 + 2500, t_1 + 7500)
    assert rise is not None
    assert rise.value == pytest.approx((v_1 - v_0) * 0.75 + (v_2 - v_1) * 0.75, abs=1e-9)
    assert (rise.from_ms, rise.to_ms) == (t_0 + 2500, t_1 + 7500)


def test_a_period_beyond_the_readings_says_how_far_they_reach(tmp_path: Path) -> None:
    truth = recorded(tmp_path / "r.db", last_ms=60_000)
    rise = truth.shown_rise("feed-meter", "volume_m3", ORIGIN_MS - HOUR_MS, ORIGIN_MS + HOUR_MS)
    assert rise is not None
    assert (rise.from_ms, rise.to_ms) == (ORIGIN_MS + 1234, ORIGIN_MS + 51_234)


def test_without_two_readings_there_is_no_figure(tmp_path: Path) -> None:
    truth = recorded(tmp_path / "r.db", last_ms=5000)
    meters = truth.meter_figures("train-1", ORIGIN_MS, ORIGIN_MS + HOUR_MS)
    assert meters.feed_m3 is None
    assert meters.recovery is None
    assert meters.specific_energy_kwh_m3 is None


def test_a_reset_loses_only_what_passed_while_the_meter_was_booting(tmp_path: Path) -> None:
    whole = recorded(tmp_path / "whole.db").shown_rise("energy-meter", "energy_kwh", ORIGIN_MS, ORIGIN_MS + HOUR_MS)
    broken = recorded(tmp_path / "broken.db", faults=[fault("reboot_reset")]).shown_rise(
        "energy-meter", "energy_kwh", ORIGIN_MS, ORIGIN_MS + HOUR_MS
    )
    assert whole is not None and broken is not None
    lost = whole.value - broken.value
    assert 0 < lost < whole.value * 10_000 / HOUR_MS * 1.5  # what passed since the last reading before the reset


def test_no_meter_no_figure(tmp_path: Path) -> None:
    assert recorded(tmp_path / "r.db", last_ms=5000).meter_of("train-1.brine.volume_m3") is None
