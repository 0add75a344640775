"""The demo is judged by these figures: those of the meters must follow the meters, those of the world must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.truth.figures import TrueFigure, Truth
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


def of_train(truth: Truth, from_ms: int, to_ms: int) -> tuple[TrueFigure, TrueFigure]:
    """Recovery and specific energy."""
    recovery, specific_energy = truth.indicators(from_ms, to_ms)
    assert (recovery.id, specific_energy.id) == ("desalination_recovery", "desalination_specific_energy")
    return recovery, specific_energy


def test_meters_without_error_show_what_the_world_truly_did(tmp_path: Path) -> None:
    exact = scenario().model_dump(mode="json")["meters"]
    for meter in exact.values():
        meter["class_percent"] = 0.0
    truth = recorded(tmp_path / "r.db", meters=exact)
    from_ms, to_ms = ORIGIN_MS + HOUR_MS // 2, ORIGIN_MS + 3 * HOUR_MS // 2
    feed = truth.world.value("train-1.feed.volume_m3", to_ms) - truth.world.value("train-1.feed.volume_m3", from_ms)
    assert truth.shown_total("train-1.feed.volume_m3", from_ms, to_ms) == pytest.approx(feed, abs=0.01)
    recovery, specific_energy = of_train(truth, from_ms, to_ms)
    assert recovery.meter == pytest.approx(recovery.world, rel=1e-4)
    assert specific_energy.meter == pytest.approx(specific_energy.world, rel=2e-4)
    assert recovery.world is not None and 38 <= recovery.world <= 45


def test_the_error_of_each_meter_is_in_the_meters_figures_and_not_in_the_worlds(tmp_path: Path) -> None:
    recovery, _ = of_train(recorded(tmp_path / "r.db"), ORIGIN_MS + HOUR_MS // 2, ORIGIN_MS + 3 * HOUR_MS // 2)
    assert recovery.meter != pytest.approx(recovery.world, rel=1e-4)
    assert recovery.meter == pytest.approx(recovery.world, rel=0.02)


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
    period = (ORIGIN_MS, ORIGIN_MS + HOUR_MS)
    assert truth.shown_total("train-1.feed.volume_m3", *period) is None
    assert [figure.meter for figure in of_train(truth, *period)] == [None, None]
    assert [figure.world for figure in of_train(truth, *period)] != [None, None]


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
