"""Meters must err as real ones do: by one error of their own within their class, and never against themselves."""

from __future__ import annotations

import math

import pytest

from simulators.faults import FaultPlan
from simulators.scenario import Scenario
from simulators.sensors.sensor import Sensor, class_error
from simulators.world.world import World
from tests.unit.simulators.plant import HOUR_MS, ORIGIN_MS, PROFILES, fault, plant, scenario


def sensor(device: str, plan: Scenario) -> tuple[Sensor, World]:
    world = World(scenario=plan, origin_ms=ORIGIN_MS)
    meter = plan.meters[device]
    faults = FaultPlan.of_device(plan, device, origin_ms=ORIGIN_MS)
    made = Sensor(
        device=device, meter=meter, profile=PROFILES[meter.profile], world=world, faults=faults, seed=plan.seed
    )
    return made, world


def test_a_meter_shows_the_true_total_within_its_class_from_where_it_started() -> None:
    meter, world = sensor("feed-meter", scenario())
    assert meter.value("volume_m3", ORIGIN_MS) == 12_345.0
    assert 0 < abs(meter.error) <= 0.01
    t_ms = ORIGIN_MS + 5 * HOUR_MS
    shown = meter.value("volume_m3", t_ms) - 12_345.0
    assert shown == pytest.approx(world.value("train-1.feed.volume_m3", t_ms) * (1 + meter.error), abs=0.001)


def test_errors_fill_the_class_and_never_leave_it() -> None:
    errors = [class_error(1, f"meter-{n}", 2.0) for n in range(500)]
    assert max(errors) <= 0.02 and min(errors) >= -0.02
    assert max(errors) > 0.018 and min(errors) < -0.018


def test_a_shown_total_never_falls_and_moves_in_whole_steps() -> None:
    meter, _ = sensor("feed-meter", scenario())
    totals = [meter.value("volume_m3", ORIGIN_MS + 37 * n) for n in range(3000)]
    assert totals == sorted(totals)
    assert len(set(totals)) > 100
    assert all(total == round(total, 3) for total in totals)


def test_flow_and_volume_of_one_meter_tell_the_same_story() -> None:
    meter, _ = sensor("permeate-meter", scenario())
    times = range(ORIGIN_MS, ORIGIN_MS + HOUR_MS, 5000)
    mean_flow = math.fsum(meter.value("flow_m3_h", t_ms) for t_ms in times) / len(times)
    assert meter.value("volume_m3", ORIGIN_MS + HOUR_MS) == pytest.approx(mean_flow, rel=1e-3)


def test_currents_voltages_and_power_factor_agree_with_the_power() -> None:
    meter, world = sensor("energy-meter", scenario())
    for t_ms in range(ORIGIN_MS, ORIGIN_MS + HOUR_MS, 600_001):
        volts = [meter.value(f"voltage_l{n}_v", t_ms) for n in (1, 2, 3)]
        amps = [meter.value(f"current_l{n}_a", t_ms) for n in (1, 2, 3)]
        assert all(225 < v < 235 for v in volts)
        apparent = math.fsum(v * a for v, a in zip(volts, amps, strict=True))
        power_w = meter.value("power_w", t_ms)
        assert apparent * meter.value("power_factor", t_ms) == pytest.approx(power_w, rel=2e-3)
        true_w = world.value("train-1.energy.power_w", t_ms) * (1 + meter.error)
        assert power_w == pytest.approx(true_w, rel=0.0025)
        assert 49.9 < meter.value("frequency_hz", t_ms) < 50.1


def test_a_reset_begins_the_total_again_at_zero_and_loses_nothing_afterwards() -> None:
    meter, world = sensor("energy-meter", scenario(faults=[fault("reboot_reset")]))
    at_ms = ORIGIN_MS + 100_000
    assert meter.value("energy_kwh", at_ms - 1) > 1000.0
    assert meter.value("energy_kwh", at_ms) == 0.0
    name, later_ms = "train-1.energy.energy_kwh", at_ms + HOUR_MS
    passed = (world.value(name, later_ms) - world.value(name, at_ms)) * (1 + meter.error)
    assert meter.value("energy_kwh", later_ms) == pytest.approx(passed, abs=0.01)


def test_fields_that_no_scenario_mentions_still_show_something_a_healthy_meter_would() -> None:
    meter, world = sensor("feed-meter", scenario())
    assert meter.value("error_bits", ORIGIN_MS) == 0
    assert 0 <= meter.value("signal_quality", ORIGIN_MS) <= 99
    flow_m3_s = world.value("train-1.feed.flow_m3_h", ORIGIN_MS) / 3600
    assert meter.value("velocity_m_s", ORIGIN_MS) == pytest.approx(flow_m3_s / 0.007854, rel=0.02)


def test_the_resolution_of_the_scenario_beats_that_of_the_profile() -> None:
    coarse = plant()["meters"]
    coarse["feed-meter"]["resolution"] = {"volume_m3": 0.5}
    meter, _ = sensor("feed-meter", scenario(meters=coarse))
    assert {meter.value("volume_m3", ORIGIN_MS + 100 * n) % 0.5 for n in range(500)} == {0.0}


def test_a_totaliser_never_shows_a_step_that_has_not_passed() -> None:
    exact = plant()["meters"]
    exact["feed-meter"] |= {"class_percent": 0.0, "start": {}}
    meter, world = sensor("feed-meter", scenario(meters=exact))
    for t_ms in range(ORIGIN_MS, ORIGIN_MS + 60_000, 97):
        assert 0.0 <= world.value("train-1.feed.volume_m3", t_ms) - meter.value("volume_m3", t_ms) < 0.001 + 1e-9
