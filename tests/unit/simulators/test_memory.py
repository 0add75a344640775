"""Lag and creep must be what a first-order element does, whoever asks when and how often."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.sensors.memory import remembered
from tests.unit.simulators.sensing import made, value

NOW_MS = 10_000_000


@pytest.mark.parametrize("age_s", [0.0, 1.0, 30.0, 60.0, 180.0, 600.0])
def test_a_step_is_followed_exponentially(age_s: float) -> None:
    step_ms = NOW_MS - round(age_s * 1000)
    seen = remembered(lambda t_ms: np.where(t_ms >= step_ms, 10.0, 4.0), NOW_MS, 60.0, since_ms=0)
    assert seen == pytest.approx(10.0 - 6.0 * np.exp(-age_s / 60.0), abs=6.0 / 256)


def test_a_ramp_is_followed_one_time_constant_behind() -> None:
    seen = remembered(lambda t_ms: t_ms / 1000.0, NOW_MS, 60.0, since_ms=0)
    assert seen == pytest.approx(NOW_MS / 1000 - 60.0, abs=0.01)


def test_it_follows_any_past_as_the_differential_equation_does() -> None:
    """Against small Euler steps, which share nothing with it but the equation."""

    def past(t_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        return 5.0 + np.sin(t_ms / 40_000.0) + 0.5 * np.sin(t_ms / 9_000.0)

    at_ms, state, every_ms = 9_000_000, 5.0, 20
    while at_ms < NOW_MS:
        (now,) = past(np.array([at_ms], dtype=np.int64))
        state += (now - state) * every_ms / 60_000.0
        at_ms += every_ms
    assert remembered(past, NOW_MS, 60.0, since_ms=0) == pytest.approx(state, abs=0.003)


def test_nothing_had_changed_before_the_world_began() -> None:
    assert remembered(lambda t_ms: t_ms / 1000.0, NOW_MS, 60.0, since_ms=NOW_MS) == NOW_MS / 1000


def test_a_field_with_a_lag_follows_its_own_quantity_and_no_other_field_does() -> None:
    entry = {
        "profile": "test-scale",
        "fields": {"gross_kg": "bin-1.gross_kg"},
        "class_percent": 0,
        "scale": {"noise_kg": 0},
    }
    quick, world = made(entry)
    slow, _ = made(entry | {"lag_s": {"gross_kg": 300}})
    behind, state, every_s = [], world.value("bin-1.gross_kg", world.origin_ms), 2
    for since_s in range(0, 14 * 3600, every_s):
        now = value(quick, "gross_kg", since_s)
        seen = value(slow, "gross_kg", since_s) if since_s % 600 == 0 else None
        assert now is not None
        if seen is not None:
            assert seen == pytest.approx(state, abs=0.05)
            behind.append(abs(seen - now))
        state += (now - state) * every_s / 300.0
    assert max(behind) > 0.3
    assert value(slow, "gross_kg", 4 * 3600) == value(made(entry | {"lag_s": {"gross_kg": 300}})[0], "gross_kg", 14400)
