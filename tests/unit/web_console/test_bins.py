"""Bins: the one that is full is named, and the last emptying is found without reading a fortnight."""

from __future__ import annotations

import numpy as np
import pytest

from series_store.port import Figure
from series_store.table import SeriesKey, Window
from web_console.bins import COLLECT_SHARE, bins, last_rise_ms, last_rising_hour_ms
from web_console.labels import DeviceLabel, Labels

NOW = 1_767_240_000_000
HOUR_MS = 3_600_000


def label(device: str, capacity_kg: float | None = 100.0, to_ms: int = 2**53) -> DeviceLabel:
    return DeviceLabel("gw", device, device, "", "recycling_bin", "s", True, 0, to_ms, ("s",), "paper", capacity_kg)


def key(device: str, field: str = "weight_kg") -> SeriesKey:
    return SeriesKey("bin", "gw", device, field)


def test_a_bin_that_reaches_the_share_is_to_be_collected_and_one_just_below_is_not() -> None:
    labels = Labels({}, (label("below"), label("at"), label("blind")), "Asia/Shanghai")
    limit = 100 * COLLECT_SHARE
    newest = {key("at"): (NOW - 5, limit), key("below"): (NOW - 5, limit - 0.001)}
    found = bins(labels, newest, {("gw", "at"): NOW - 7}, {}, NOW)
    assert [(one["device"], one["collect"]) for one in found] == [("at", True), ("below", False), ("blind", False)]
    assert [one["emptied_ms"] for one in found] == [NOW - 7, None, None]
    assert (found[2]["share"], found[2]["weight_kg"], found[2]["age_ms"]) == (None, None, None)
    assert (found[0]["material"], found[0]["simulated"], found[0]["age_ms"]) == ("paper", True, 5)


def test_only_what_is_a_bin_now_is_listed_as_one() -> None:
    labels = Labels({}, (label("bin"), label("meter", None), label("gone", to_ms=NOW)), "Asia/Shanghai")
    assert [one["device"] for one in bins(labels, {}, {}, {("gw", "bin"): "timeout"}, NOW)] == ["bin"]
    assert bins(labels, {}, {}, {("gw", "bin"): "timeout"}, NOW)[0]["silent"] == "timeout"


@pytest.mark.parametrize(
    "values, at",
    [([], None), ([3.0], None), ([3.0, 3.0], None), ([3.0, 4.0, 4.0], 1), ([3.0, 4.0, 5.0], 2), ([4.0, 5.0, 0.0], 1)],
)
def test_the_last_rise_of_a_counter_is_the_last_emptying_and_a_reset_is_none(
    values: list[float], at: int | None
) -> None:
    times = np.arange(len(values), dtype=np.int64) + NOW
    found = last_rise_ms(Window(times, np.array(values), np.zeros(len(values))))
    assert found == (None if at is None else NOW + at)


def hour(at: int, **cells: float | str) -> Figure:
    return at * HOUR_MS, {}, dict(cells)


def test_the_last_hour_in_which_a_counter_rose_is_found_however_its_hours_were_kept() -> None:
    counted = [hour(at, kind="counter", delta=delta) for at, delta in enumerate((0.0, 1.0, 0.0, -2.0))]
    assert last_rising_hour_ms(counted) == HOUR_MS
    went = [hour(at, kind="gauge", min=low, max=high) for at, (low, high) in enumerate(((1, 1), (1, 2), (2, 2)))]
    assert last_rising_hour_ms(went) == HOUR_MS
    between = [hour(at, kind="gauge", min=value, max=value) for at, value in enumerate((1, 1, 2, 2))]
    assert last_rising_hour_ms(between) == 2 * HOUR_MS
    assert last_rising_hour_ms(counted[:1]) is None
