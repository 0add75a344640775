"""A load cell must creep as load cells do: by a share of the load, within the OIML's two limits, and back again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.parts.meter import Meter
from simulators.sensors.load import LoadOnScale
from simulators.world.world import World
from tests.unit.simulators.plant import ORIGIN_MS
from tests.unit.simulators.sensing import DAY_MS, made, value

ON_MS, OFF_MS = ORIGIN_MS + DAY_MS, ORIGIN_MS + 2 * DAY_MS


class Hands(World):
    """100 kg are put on the empty scale after a day, and taken off after another."""

    def __init__(self) -> None:
        self.origin_ms = ORIGIN_MS

    def column(self, name: str, t_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.where((t_ms >= ON_MS) & (t_ms < OFF_MS), 100.0, 0.0)

    def value(self, name: str, t_ms: int) -> float:
        return float(self.column(name, np.array([t_ms], dtype=np.int64))[0])


def scale(**more: object) -> LoadOnScale:
    entry = {"profile": "x", "fields": {"gross_kg": "b.gross_kg"}, "scale": {"noise_kg": 0, **more}}
    return LoadOnScale(meter=Meter.model_validate(entry), world=Hands(), of=1)


def seen(of: LoadOnScale, begin_ms: int, minutes: float) -> float:
    return of.shown("b.gross_kg", begin_ms + round(minutes * 60_000), gain=1.0, lag_s=None)


def test_a_load_creeps_by_its_share_in_30_minutes_and_keeps_the_limits_of_oiml_r_60() -> None:
    cell = scale(creep_percent=0.05)
    assert seen(cell, ON_MS, 0) == 100.0
    crept = {minutes: seen(cell, ON_MS, minutes) - 100.0 for minutes in (5, 20, 30, 60)}
    stair = 0.05 / 256 * 1.3
    assert crept[30] == pytest.approx(0.05, abs=stair)
    assert 0.005 < crept[5] < crept[20] < crept[30] < crept[60]
    assert (crept[30] - crept[20]) / crept[30] <= 0.15 / 0.7
    assert crept[30] / crept[60] == pytest.approx(0.84, abs=0.015)


def test_creep_goes_back_after_the_load_is_gone_in_the_same_time() -> None:
    cell = scale(creep_percent=0.05)
    left = {minutes: seen(cell, OFF_MS, minutes) for minutes in (0, 30, 60, 300)}
    whole = 0.05 / (1.0 - math.exp(-30 / 18))
    stair = 0.05 / 256 * 1.3
    assert left[0] == pytest.approx(whole, abs=stair)
    assert left[30] == pytest.approx(whole - 0.05, abs=stair)
    assert left[0] > left[30] > left[60] > left[300]
    assert left[300] == pytest.approx(0.0, abs=1e-9)


def test_a_cell_that_creeps_the_other_way_is_one_too_and_one_without_creep_shows_the_load() -> None:
    assert seen(scale(creep_percent=-0.05), ON_MS, 30) == pytest.approx(99.95, abs=0.001)
    assert seen(scale(), ON_MS, 30) == 100.0


def test_asking_twice_and_in_any_order_gives_the_same() -> None:
    one, other = scale(creep_percent=0.05), scale(creep_percent=0.05)
    minutes = [float(n) for n in range(0, 120, 7)]
    assert [seen(one, ON_MS, m) for m in minutes] == [seen(other, ON_MS, m) for m in reversed(minutes)][::-1]


def test_the_zero_of_a_scale_moves_with_time_and_warmth() -> None:
    entry = {"profile": "test-scale", "fields": {"gross_kg": "bin-1.gross_kg"}, "class_percent": 0}
    still, world = made(entry | {"scale": {"noise_kg": 0}})
    aged, _ = made(entry | {"scale": {"noise_kg": 0, "zero_kg_per_month": 0.3}})
    warm, _ = made(
        entry | {"scale": {"noise_kg": 0, "zero_kg_per_10c": 0.2}, "ambient": {"mean_c": 35, "year_swing_c": 0}}
    )
    for days in (0, 15, 30):
        true = world.value("bin-1.gross_kg", ORIGIN_MS + days * DAY_MS)
        assert value(still, "gross_kg", days * 86_400) == pytest.approx(true, abs=1e-8)
        assert value(aged, "gross_kg", days * 86_400) == pytest.approx(true + 0.3 * days / 30, abs=1e-8)
        assert value(warm, "gross_kg", days * 86_400) == pytest.approx(true + 0.3, abs=1e-8)


def test_a_converter_behind_a_load_cell_never_leaves_its_24_bits() -> None:
    cell = LoadOnScale(
        meter=Meter.model_validate(
            {
                "profile": "x",
                "fields": {"raw_count": "b.gross_kg"},
                "load_cell": {"zero_counts": 0, "counts_per_kg": 500_000},
            }
        ),
        world=Hands(),
        of=1,
    )
    assert seen(cell, ON_MS, 1) == 2**23 - 1
