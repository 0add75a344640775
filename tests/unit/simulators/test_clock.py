"""All processes of a demo must agree on the time, or every comparison with the record is off."""

from __future__ import annotations

import time

import pytest

from data_contract.civil import ScaledClock
from simulators.clock import CivilClock
from tests.unit.simulators.plant import ORIGIN_MS


def test_without_a_setting_time_is_real_and_has_no_origin() -> None:
    clock = CivilClock.from_environment({})
    assert abs(clock.now_ms() - time.time_ns() / 1e6) < 1000
    assert clock.origin_ms is None


def test_a_demo_runs_from_its_origin_at_its_speed() -> None:
    real_ms = time.time_ns() // 1_000_000
    clock = CivilClock.from_environment({"LOOPGAUGE_CLOCK": f"{ORIGIN_MS}:{real_ms - 10_000}:60"})
    assert clock.origin_ms == ORIGIN_MS
    assert 600_000 <= clock.now_ms() - ORIGIN_MS < 660_000
    assert clock.real_s(60_000) == 1.0
    assert CivilClock(scaled=ScaledClock(ORIGIN_MS, real_ms, 60)).origin_ms == ORIGIN_MS


def test_a_setting_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="LOOPGAUGE_CLOCK"):
        CivilClock.from_environment({"LOOPGAUGE_CLOCK": "soon"})
