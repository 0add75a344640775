"""A total that depends on who asked before, or in which order, could never be the judge of a test."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from simulators.world.kept_days import DAYS_KEPT_MAX, DAYS_MAX
from simulators.world.tabulated import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    MINUTES,
    Integral,
    Tabulated,
)
from simulators.world.waves import Column

ORIGIN_MS = 1_760_000_012_345
OFFSET_H = 8.0


class Store:
    """Filled at a rate that grows from day to day, and emptied at a steady one; it carries how many days it knows."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def state0(self) -> int:
        return 1

    def day(self, day: int, state: int) -> tuple[Mapping[str, Column], int]:
        self.made.append(day)
        filled = state * (1.0 + np.sin(np.arange(MINUTES) / 100.0 + day))
        return {"in_m3_h": filled, "out_m3_h": np.full(MINUTES, 2.0), "net_m3_h": filled - 2.0}, state + 1


def store() -> tuple[Store, Tabulated[int]]:
    source = Store()
    table = Tabulated(
        source,
        name="store",
        origin_ms=ORIGIN_MS,
        utc_offset_h=OFFSET_H,
        integrals={
            "in_m3": Integral("in_m3_h"),
            "out_m3": Integral("out_m3_h"),
            "held_m3": Integral("net_m3_h", start=500.0, total=False),
            "in_l": Integral("in_m3_h", factor=1000.0),
        },
    )
    return source, table


def moments(days: float, number: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.sort(rng.integers(ORIGIN_MS, ORIGIN_MS + int(days * DAY_MS), number))


def test_a_total_is_the_sum_of_its_minutes() -> None:
    source, table = store()
    local_ms = ORIGIN_MS + round(OFFSET_H * HOUR_MS)
    t_ms = ORIGIN_MS + 3 * DAY_MS + 12_345_678
    summed = 0.0
    for n in range(5):
        day = local_ms // DAY_MS + n
        rates = source.day(day, 1 + n)[0]["in_m3_h"]
        for minute in range(MINUTES):
            begin = day * DAY_MS + minute * MINUTE_MS - round(OFFSET_H * HOUR_MS)
            lasted = max(0, min(begin + MINUTE_MS, t_ms) - max(begin, ORIGIN_MS))
            summed += rates[minute] * lasted / HOUR_MS
    assert table.value("in_m3", t_ms) == pytest.approx(summed, rel=1e-12)
    assert table.value("in_l", t_ms) == pytest.approx(1000.0 * summed, rel=1e-12)


def test_totals_begin_at_zero_and_a_store_at_its_content() -> None:
    _, table = store()
    assert table.value("in_m3", ORIGIN_MS) == 0.0
    assert table.value("held_m3", ORIGIN_MS) == 500.0


def test_what_flows_in_and_does_not_flow_out_is_held() -> None:
    _, table = store()
    t_ms = moments(20, 300)
    change = table.values("in_m3", t_ms) - table.values("out_m3", t_ms)
    assert table.values("held_m3", t_ms) - 500.0 == pytest.approx(change, rel=1e-9, abs=1e-9)


def test_asking_backwards_forwards_or_at_random_gives_the_same_to_the_last_digit() -> None:
    t_ms = moments(40, 400)
    _, table = store()
    forwards = [table.value("in_m3", int(t)) for t in t_ms]
    _, table = store()
    backwards = [table.value("in_m3", int(t)) for t in t_ms[::-1]][::-1]
    _, table = store()
    order = np.random.default_rng(1).permutation(t_ms.size)
    shuffled = np.empty(t_ms.size)
    for n in order:
        shuffled[n] = table.value("in_m3", int(t_ms[n]))
    assert forwards == backwards == shuffled.tolist()


@pytest.mark.parametrize("column", ["in_m3", "held_m3", "in_m3_h"])
def test_a_column_is_what_asking_one_by_one_gives(column: str) -> None:
    t_ms = np.random.default_rng(5).permutation(moments(15, 300))
    _, table = store()
    one_by_one = [store()[1].value(column, int(t)) for t in t_ms[:20]] + [
        table.value(column, int(t)) for t in t_ms[20:]
    ]
    assert table.values(column, t_ms).tolist() == one_by_one
    assert table.values(column, t_ms[:0]).size == 0


def test_a_total_never_falls_not_even_over_midnight() -> None:
    _, table = store()
    midnight_ms = (ORIGIN_MS // DAY_MS + 3) * DAY_MS - round(OFFSET_H * HOUR_MS)
    t_ms = np.arange(midnight_ms - 200, midnight_ms + 200)
    assert (np.diff(table.values("out_m3", t_ms)) > 0.0).all()
    assert (np.diff(table.values("out_m3", moments(30, 5000))) >= 0.0).all()


def test_memory_stays_bounded_and_an_earlier_day_is_made_again_from_its_own_midnight() -> None:
    source, table = store()
    table.value("in_m3", ORIGIN_MS + 50 * DAY_MS)
    assert table.days_kept == DAYS_KEPT_MAX
    source.made.clear()
    table.value("in_m3", ORIGIN_MS + 10 * DAY_MS)
    assert len(source.made) == 1, "only the day that was asked for"
    table.value("in_m3", ORIGIN_MS + 10 * DAY_MS + 1)
    assert len(source.made) == 1, "and not again while it is kept"


def test_before_the_first_midnight_everything_stands_still() -> None:
    _, table = store()
    assert table.value("in_m3", ORIGIN_MS - 3 * DAY_MS) == table.value("in_m3", ORIGIN_MS - 5 * DAY_MS) < 0.0
    assert table.value("in_m3", ORIGIN_MS - 1) < 0.0


def test_a_time_too_far_away_is_refused_by_name() -> None:
    _, table = store()
    with pytest.raises(ValueError, match="store: more than"):
        table.value("in_m3", ORIGIN_MS + (DAYS_MAX + 2) * DAY_MS)


def test_quantities_carry_the_name_of_their_part() -> None:
    _, table = store()
    found = table.quantities(["in_m3_h"])
    assert {name: each.total for name, each in found.items()} == {
        "store.in_m3": True,
        "store.out_m3": True,
        "store.held_m3": False,
        "store.in_l": True,
        "store.in_m3_h": False,
    }
    tau_s = np.array([0.0, 60.0, 86_400.5])
    assert found["store.in_m3"].column(tau_s).tolist() == [found["store.in_m3"].at(float(tau)) for tau in tau_s]
