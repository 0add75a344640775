"""Membranes that never fouled, or that no cleaning helped, would make a rehearsal of the operator's work pointless."""

from __future__ import annotations

from itertools import pairwise

import pytest

from simulators.parts.train import Fouling
from simulators.world.fouling import Membranes, at_midnight, least, through_day

OF = 12_345


def years(rule: Fouling, days: int) -> tuple[list[float], list[Membranes]]:
    """What is left at noon of each day, and the membranes after that day's midnight."""
    state, left, states = Membranes(), [], []
    for day in range(20_000, 20_000 + days):
        state = at_midnight(rule, state)
        states.append(state)
        column, state = through_day(rule, state, of=OF, day=day, minutes=1440)
        assert (column[1:] <= column[:-1]).all()
        left.append(float(column[720]))
    return left, states


def test_new_membranes_lose_a_tenth_in_the_time_that_the_rule_says() -> None:
    rule = Fouling(clean_at_percent=40, yearly_percent=0)
    left, _ = years(rule, 90)
    assert left[0] == pytest.approx(1.0, abs=0.002)
    assert left[-1] == pytest.approx(0.9, abs=0.01)


def test_cleaning_at_a_threshold_brings_back_what_was_lost_but_not_all() -> None:
    rule = Fouling()
    left, states = years(rule, 730)
    cleaned = [day for day, (one, other) in enumerate(pairwise(states), 1) if other.cleanings > one.cleanings]
    assert 6 <= len(cleaned) <= 10
    for day in cleaned:
        assert 0.08 < left[day] - left[day - 1] < 0.11
    peaks = [left[day] for day in cleaned]
    assert all(later < earlier for earlier, later in pairwise(peaks)), "what ages for good does not come back"
    assert states[-1].lost_for_good == pytest.approx(2 * 0.0408, rel=0.01)


def test_cleaning_by_the_calendar_comes_when_it_was_planned() -> None:
    _, states = years(Fouling(clean_every_days=30), 100)
    cleaned = [day for day, (one, other) in enumerate(pairwise(states), 1) if other.cleanings > one.cleanings]
    assert cleaned == [30, 60, 90]


def test_membranes_are_replaced_before_they_pass_nothing() -> None:
    left, states = years(Fouling(yearly_percent=10, replace_at_percent=15), 900)
    replaced = [day for day, (one, other) in enumerate(pairwise(states), 1) if other.lost_for_good < one.lost_for_good]
    assert len(replaced) == 1
    assert left[replaced[0]] > 0.99


@pytest.mark.parametrize(
    "rule",
    [
        Fouling(),
        Fouling(clean_every_days=60, restored=0.5),
        Fouling(loss_percent=50, loss_days=5, clean_at_percent=20),
        Fouling(yearly_percent=20, replace_at_percent=30),
    ],
)
def test_what_is_left_never_falls_below_the_bound_that_a_plan_is_checked_against(rule: Fouling) -> None:
    left, _ = years(rule, 2000)
    assert least(rule) < min(left) < least(rule) + 0.15


def test_membranes_that_do_not_foul_stay_as_they_are() -> None:
    left, _ = years(Fouling(loss_percent=0, yearly_percent=0), 50)
    assert left == [1.0] * 50
