"""What a scale showed to have been collected, on weights written by hand."""

from __future__ import annotations

import pytest

from simulators.truth.collected import AGREE_KG, Rest, between, collected, one_of_each_burst, rests
from simulators.truth.line import rise, unbroken

MINUTE_MS = 60_000


def line(*weights: float) -> list[tuple[int, float]]:
    readings = [(n * MINUTE_MS, weight) for n, weight in enumerate(weights)]
    return collected(readings, emptying_kg=5.0)


def test_deposits_and_emptyings_add_up_to_what_was_put_in() -> None:
    shown = line(20, 20, 21, 21, 30, 30, 18, 18, 19.5, 19.5)
    assert shown[-1][1] == pytest.approx(10 + 1.5)
    assert [total for _, total in shown] == pytest.approx([0, 0, 1, 1, 10, 10, 10, 10, 11.5])


def test_a_hand_on_the_scale_is_nobodys_deposit() -> None:
    shown = line(20, 20, 24, 20, 20, 17, 20, 20)
    assert shown[-1][1] == pytest.approx(0)
    assert max(total for _, total in shown) == pytest.approx(0)


def test_the_level_before_an_emptying_is_the_last_that_was_at_rest() -> None:
    assert line(60, 60, 63, 9, 5, 5)[-1][1] == pytest.approx(0)
    assert line(60, 60, 61, 63, 9, 5, 5, 6, 6)[-1][1] == pytest.approx(1)  # the deposit of 1 kg was never at rest


def test_a_small_fall_is_somebody_who_takes_something_out_again() -> None:
    assert line(20, 20, 18, 18)[-1][1] == pytest.approx(-2)


def test_noise_does_not_add_up() -> None:
    assert line(*[20.0, 20.1] * 500)[-1][1] == pytest.approx(0, abs=0.1)


def test_no_rest_no_figure() -> None:
    assert line(20, 21, 22, 23) == []
    assert line(20) == []
    assert rise([], 0, 1) is None
    assert rise(line(20, 20), 0, 1) is None


def test_a_rise_is_only_said_of_the_time_that_the_line_covers() -> None:
    covered = unbroken([(10, 5.0), (20, 6.0), (30, 8.0)])
    assert rise(covered, 31, 50) is None
    assert rise(covered, 0, 9) is None
    found = rise(covered, 15, 99)
    assert found is not None and (found.from_ms, found.to_ms) == (15, 30)
    assert found.value == pytest.approx(2.5)


def test_conversions_of_one_burst_are_no_rest() -> None:
    burst = [(0, 20.0), (6000, 20.0), (60_000, 24.0), (66_000, 24.0), (120_000, 20.0), (126_000, 20.0)]
    assert one_of_each_burst(burst) == [(0, 20.0), (60_000, 24.0), (120_000, 20.0)]
    assert collected(burst, emptying_kg=5.0)[-1][1] == pytest.approx(0)
    assert collected(one_of_each_burst(burst), emptying_kg=5.0) == []


def test_between_two_levels_of_rest_a_bin_holds_something_from_one_to_the_other() -> None:
    busy = [(n * MINUTE_MS, weight) for n, weight in enumerate([20, 20, 20, 23, 25, 27, 27, 27])]
    found = rests(busy, emptying_kg=5.0)
    assert [(rest.t_ms // MINUTE_MS, rest.total_kg) for rest in found] == [(1, 0.0), (2, 0.0), (6, 7.0), (7, 7.0)]
    assert between(found, MINUTE_MS, 6 * MINUTE_MS) == (7 - AGREE_KG, 7 + AGREE_KG), "known as well as it is read"
    assert between(found, MINUTE_MS, 4 * MINUTE_MS) == (0.0, 7 + AGREE_KG), "it was in use at the end"
    assert between(found, 4 * MINUTE_MS, 7 * MINUTE_MS) == (0.0, 7 + AGREE_KG), "and at the begin"
    assert between(found, 0, 9 * MINUTE_MS) == (7 - AGREE_KG, 7 + AGREE_KG), "beyond the readings the nearest counts"


def test_what_somebody_takes_out_again_may_count_as_put_in_or_not() -> None:
    found = rests(list(enumerate([20.0, 20.0, 23.0, 23.0, 20.0, 20.0, 21.0, 21.0])), emptying_kg=5.0)
    assert found[-1] == Rest(7, 1.0, gone_kg=3.0)
    assert between(found, 1, 7) == pytest.approx((1 - AGREE_KG, 4 + AGREE_KG))
    assert between(found, 6, 7) == (0.0, 1 + AGREE_KG), "it was gone before"
