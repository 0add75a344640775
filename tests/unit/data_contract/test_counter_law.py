"""What a step of a totaliser means: no step may invent volume, and a glitch may not cost any."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from data_contract.counter_law import HOLD_MS, LOOKBACK_MS, Law, Span, Step, StepKind, Walk, step

MINUTE = 60_000
HOUR = 3_600_000
METER = Law(rollover=10_000.0, rate_max_per_h=120.0)
"""Four digits, 2 m3 a minute at most (and 1 m3 more for a display that lags)."""


def walked(law: Law, *readings: tuple[float, float]) -> list[Span]:
    """Spans of a walk over (minute, total)."""
    (first_minute, first), *rest = readings
    walk = Walk(law, int(first_minute * MINUTE), first)
    return [span for minute, value in rest for span in walk.take(int(minute * MINUTE), value)]


def volume(spans: list[Span]) -> float:
    return sum(span.delta for span in spans)


def odd(spans: list[Span]) -> list[StepKind]:
    return [span.kind for span in spans if span.kind is not StepKind.ORDINARY]


@pytest.mark.parametrize(
    "before, after, minutes, expected",
    [
        (100.0, 100.0, 1, Step(StepKind.ORDINARY, 0.0)),
        (100.0, 102.0, 1, Step(StepKind.ORDINARY, 2.0)),
        (100.0, 103.5, 1, Step(StepKind.IMPOSSIBLE, 0.0)),
        (9_999.0, 1.0, 1, Step(StepKind.ROLLOVER, 2.0)),
        (9_000.0, 900.0, 16 * 60, Step(StepKind.ROLLOVER, 1900.0)),
        (9_000.0, 1.0, 1, Step(StepKind.RESET, 1.0)),
        (9_000.0, 40.0, 1, Step(StepKind.RESET, 0.0)),
        (5_000.0, 4_999.5, 1, Step(StepKind.DIP, 0.0)),
        (0.30, 0.29, 1, Step(StepKind.DIP, 0.0)),
        (0.30, 0.01, 1, Step(StepKind.RESET, 0.01)),
        (5_000.0, 4_000.0, 1, Step(StepKind.RESET, 0.0)),
        (-10.0, -11.0, 1, Step(StepKind.DIP, 0.0)),
        (12_000.0, 1.0, 1, Step(StepKind.RESET, 1.0)),
    ],
)
def test_a_step_is_named_and_counted_by_what_the_meter_can_do(
    before: float, after: float, minutes: int, expected: Step
) -> None:
    judged = step(before, after, minutes * MINUTE, METER)
    assert judged.kind is expected.kind
    assert judged.delta == pytest.approx(expected.delta)


def test_a_fall_to_half_the_width_is_no_rollover_even_where_the_gap_was_long_enough() -> None:
    assert step(4_000.0, 3_990.0, 90 * HOUR, METER).kind is StepKind.DIP


def test_without_a_known_rate_only_what_is_tiny_is_a_rollover_a_reset_or_a_dip() -> None:
    law = Law(rollover=10_000.0)
    assert step(9_990.0, 5.0, MINUTE, law) == Step(StepKind.ROLLOVER, 15.0)
    assert step(9_000.0, 5.0, MINUTE, law) == Step(StepKind.RESET, 5.0)
    assert step(9_000.0, 500.0, MINUTE, law) == Step(StepKind.RESET, 0.0)
    assert step(9_000.0, 8_999.0, MINUTE, law) == Step(StepKind.DIP, 0.0)
    assert step(9_000.0, 8_900.0, MINUTE, law) == Step(StepKind.RESET, 0.0)
    assert step(0.0, 1e9, MINUTE, law) == Step(StepKind.ORDINARY, 1e9)


def test_water_that_passed_during_a_dip_is_counted_once() -> None:
    spans = walked(METER, (0, 100), (1, 101), (2, 100.4), (3, 100.8), (4, 102), (5, 103))
    assert volume(spans) == pytest.approx(3.0)
    assert odd(spans) == [StepKind.DIP]


def test_a_dip_that_never_returns_becomes_the_new_level_and_costs_nothing_after_it() -> None:
    stay = [(minute, 98.0 + (minute - 2) * 0.1) for minute in range(2, 40)]
    spans = walked(METER, (0, 100), (1, 101), *stay)
    assert odd(spans) == [StepKind.RESET]
    assert volume(spans) == pytest.approx(1.0 + 37 * 0.1)


def test_a_total_that_keeps_falling_is_not_held_for_ever() -> None:
    spans = walked(METER, (0, 100), *[(minute, 100 - minute * 0.1) for minute in range(1, 60)])
    assert StepKind.RESET in odd(spans)
    assert volume(spans) == 0


def test_a_single_glitch_upwards_costs_and_invents_nothing() -> None:
    spans = walked(METER, (0, 100), (1, 101), (2, 9e8), (3, 103), (4, 104))
    assert volume(spans) == pytest.approx(4.0)
    assert odd(spans) == [StepKind.IMPOSSIBLE]


def test_a_single_zero_from_a_meter_that_starts_up_costs_and_invents_nothing() -> None:
    spans = walked(METER, (0, 5_000), (1, 5_001), (2, 0), (3, 5_003), (4, 5_004))
    assert volume(spans) == pytest.approx(4.0)
    assert odd(spans) == [StepKind.DIP]


def test_a_reset_is_believed_with_the_reading_after_it_and_counts_what_was_shown_since() -> None:
    spans = walked(METER, (0, 5_000), (1, 5_001), (2, 0.5), (3, 1.5))
    assert [span.kind for span in spans] == [StepKind.ORDINARY, StepKind.RESET, StepKind.ORDINARY]
    assert volume(spans) == pytest.approx(1.0 + 0.5 + 1.0)
    assert spans[1][:2] == (1 * MINUTE, 2 * MINUTE)


def test_a_jump_that_stays_is_a_new_level_without_volume() -> None:
    spans = walked(METER, (0, 100), (1, 101), (2, 7_000), (3, 7_001), (4, 7_002))
    assert odd(spans) == [StepKind.IMPOSSIBLE]
    assert volume(spans) == pytest.approx(3.0)


def test_a_meter_that_shows_whole_units_is_not_called_impossible_when_its_display_moves() -> None:
    slow = Law(rate_max_per_h=6.0)
    seconds = [(s / 60, float(s // 600)) for s in range(0, 7200, 10)]
    spans = walked(slow, *seconds)
    assert odd(spans) == []
    assert volume(spans) == 11.0


def test_a_display_that_hung_for_a_night_does_not_hide_a_glitch_in_the_morning() -> None:
    night = [(minute, 100.0) for minute in range(600)]
    spans = walked(METER, *night, (600, 900.0), (601, 100.5))
    assert odd(spans) == [StepKind.IMPOSSIBLE]
    assert volume(spans) == pytest.approx(0.5)


def test_noise_never_counts_more_than_the_meter_can_pass() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        readings = [(minute, chance.choice([0.0, 100.0, 5e3, 9e3, chance.uniform(0, 1e4)])) for minute in range(90)]
        spans = walked(METER, *readings)
        assert all(0 <= span.delta <= METER.rise_max(span.to_ms - span.from_ms + HOLD_MS) for span in spans)
        assert volume(spans) <= METER.rise_max(90 * MINUTE) + METER.rise_max(HOLD_MS)


def test_what_was_passed_over_shares_its_time_with_what_is_believed_and_nothing_else_overlaps() -> None:
    for seed in range(100):
        chance = random.Random(seed)
        total, readings = 50.0, []
        for minute in range(120):
            total += chance.uniform(0, 1.9)
            glitch = chance.random() < 0.15
            readings.append((minute, chance.uniform(0, 9e3) if glitch else total))
        believed = [span for span in walked(METER, *readings) if span.believed]
        assert all(a.to_ms <= b.from_ms for a, b in pairwise(believed))


def test_a_program_that_starts_a_lookback_earlier_judges_all_that_follows_like_one_that_saw_everything() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        total, readings = 50.0, []
        for minute in range(200):
            total += chance.uniform(0, 1.9)
            dip = total - chance.uniform(0, 30) if chance.random() < 0.03 else total
            readings.append((minute, 0.0 if chance.random() < 0.01 else dip))
        late = [reading for reading in readings if reading[0] * MINUTE >= 100 * MINUTE - LOOKBACK_MS]
        after = [span for span in walked(METER, *readings) if span.from_ms >= 100 * MINUTE]
        assert [span for span in walked(METER, *late) if span.from_ms >= 100 * MINUTE] == after
