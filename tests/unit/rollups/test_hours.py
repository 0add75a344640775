"""What one field did in a stretch of time: volumes add up across every edge, and completeness says what was not
seen."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from data_contract.counter_law import Law, StepKind, Walk
from data_contract.reading import Quality
from rollups.counters import volumes, within
from rollups.gauges import course, covered_ms
from rollups.hours import Gap, Stretch, combine, counted, usable, went
from series_store.table import Window

MINUTE, HOUR = 60_000, 3_600_000
NOON = 1_767_240_000_000
METER = Law(rollover=1000.0, rate_max_per_h=120.0)


def window(*readings: tuple[float, float], quality: dict[float, float] | None = None) -> Window:
    """Readings at (minutes after NOON, value)."""
    marks = quality or {}
    return Window(
        np.array([NOON + round(minute * MINUTE) for minute, _ in readings], dtype=np.int64),
        np.array([value for _, value in readings], dtype=np.float64),
        np.array([marks.get(minute, 0.0) for minute, _ in readings], dtype=np.float64),
    )


def stretch(readings: Window, first_minute: float, last_minute: float, gap_ms: int | None = 150_000) -> Stretch:
    found = counted(
        readings,
        METER,
        from_ms=NOON + round(first_minute * MINUTE),
        to_ms=NOON + round(last_minute * MINUTE),
        expected=None,
        scheduled_gap_ms=gap_ms,
    )
    assert found is not None
    return found


def glitchy(seed: int, minutes: int = 600) -> Window:
    """A total with rollovers, resets, dips, zeros, spikes, jitter of its stamps and holes."""
    chance = random.Random(seed)
    total, readings, fall = 900.0, [], 0
    for minute in range(minutes):
        total = (total + chance.uniform(0, 1.9)) % 1000
        if chance.random() < 0.004:
            total = chance.uniform(0, 1)
        fall = chance.randrange(1, 18) if chance.random() < 0.01 else fall - 1
        value = total - 15 if fall > 0 and total > 30 else total
        value = 0.0 if chance.random() < 0.005 else 1e7 if chance.random() < 0.005 else value
        if chance.random() > 0.1:
            readings.append((minute + chance.uniform(0, 0.3), value))
    return window(*readings)


def test_volume_between_two_readings_is_shared_out_over_the_hours_that_they_span() -> None:
    readings = window((-30, 100), (150, 280))
    assert [stretch(readings, h * 60, h * 60 + 60).delta for h in range(3)] == pytest.approx([60.0, 60.0, 30.0])


def test_a_rollover_in_the_last_minute_of_an_hour_is_split_at_the_edge_like_any_other_volume() -> None:
    readings = window((0, 998), (59, 999.5), (61, 0.5), (120, 1.5))
    assert stretch(readings, 0, 60).delta == pytest.approx(2.0)
    assert stretch(readings, 60, 120).delta == pytest.approx(1.5)
    assert [span.kind for span in stretch(readings, 60, 120).odd] == [StepKind.ROLLOVER]
    assert stretch(readings, 0, 60).odd == ()


def test_an_impossible_jump_is_not_counted_and_named_in_the_hour_in_which_it_stands() -> None:
    readings = window((0, 100), (10, 110), (20, 800), (30, 805), (70, 815))
    first = stretch(readings, 0, 60)
    assert first.delta == pytest.approx(10 + 5 + 10 * 30 / 40)
    assert [(span.kind, span.believed) for span in first.odd] == [(StepKind.IMPOSSIBLE, True)]


@pytest.mark.parametrize("seed", range(25))
def test_hours_add_up_to_the_whole_whatever_the_total_did(seed: int) -> None:
    readings = glitchy(seed)
    whole = stretch(readings, 60, 540)
    hours = [stretch(readings, at, at + 60) for at in range(60, 540, 60)]
    assert math.fsum(hour.delta or 0 for hour in hours) == pytest.approx(whole.delta, abs=1e-6)
    assert sum(hour.readings for hour in hours) == whole.readings
    assert sum(hour.covered_ms for hour in hours) == whole.covered_ms
    assert [span for hour in hours for span in hour.odd] == list(whole.odd)
    joined = combine(hours, whole.from_ms, whole.to_ms)
    assert joined is not None
    assert (joined.lead, joined.tail) == (whole.lead, whole.tail)


@pytest.mark.parametrize("seed", range(25))
def test_columns_count_the_same_as_walking_reading_by_reading(seed: int) -> None:
    readings = glitchy(seed)
    walk = Walk(METER, int(readings.t[0]), float(readings.value[0]))
    spans = [
        s
        for t, v in zip(readings.t, readings.value, strict=True)
        if t > readings.t[0]
        for s in walk.take(int(t), float(v))
    ]
    passed = volumes(readings.t, readings.value, METER)
    believed = [span for span in spans if span.believed]
    assert list(zip(passed.from_ms, passed.to_ms, passed.delta, strict=True)) == [
        (s.from_ms, s.to_ms, s.delta) for s in believed
    ]
    assert list(passed.odd) == [span for span in spans if span.kind is not StepKind.ORDINARY]


def test_any_two_neighbouring_intervals_add_up_wherever_their_edge_lies() -> None:
    readings = glitchy(3)
    passed = volumes(readings.t, readings.value, METER)
    first, last = int(readings.t[0]), int(readings.t[-1])
    chance = random.Random(0)
    for _ in range(200):
        a, b, c = sorted(chance.randrange(first - HOUR, last + HOUR) for _ in range(3))
        assert within(passed, a, b) + within(passed, b, c) == pytest.approx(within(passed, a, c), abs=1e-9)


def test_half_an_hour_without_readings_is_half_an_hour_not_covered() -> None:
    readings = window(*[(m, m) for m in range(-5, 66) if not 10 < m < 40])
    found = stretch(readings, 0, 60)
    assert found.covered_ms == 30 * MINUTE
    assert found.delta == pytest.approx(60)
    assert (found.lead, found.tail) == (None, None)


def test_one_lost_reading_is_no_hole_and_two_in_a_row_are() -> None:
    t = window(*[(m, m) for m in range(60) if m != 20]).t
    assert covered_ms(t, 150_000, NOON, NOON + HOUR) == 59 * MINUTE
    t = window(*[(m, m) for m in range(60) if m not in (20, 21)]).t
    assert covered_ms(t, 150_000, NOON, NOON + HOUR) == 56 * MINUTE


def test_a_gap_across_the_end_of_an_hour_is_remembered_whole() -> None:
    readings = window((0, 0), (1, 1), (59, 10), (80, 52), (81, 53))
    assert stretch(readings, 0, 60).tail == Gap(NOON + 59 * MINUTE, NOON + 80 * MINUTE, 42.0)
    assert stretch(readings, 60, 120).lead == Gap(NOON + 59 * MINUTE, NOON + 80 * MINUTE, 42.0)


def test_a_meter_that_never_spoke_again_leaves_an_open_end() -> None:
    found = stretch(window(*[(m, m) for m in range(30)]), 0, 60)
    assert found.tail == Gap(NOON + 29 * MINUTE, None, 0.0)
    assert found.lead is None


def test_a_single_reading_is_not_a_volume_of_nothing() -> None:
    found = stretch(window((5, 42)), 0, 60)
    assert found.delta is None
    assert found.readings == 1


def test_an_hour_before_the_first_reading_says_nothing() -> None:
    readings = window((65, 1), (66, 2))
    assert counted(readings, METER, from_ms=NOON, to_ms=NOON + HOUR, expected=None, scheduled_gap_ms=None) is None


def test_the_mean_of_a_gauge_weighs_time_and_not_readings() -> None:
    burst = [(10 + i / 60, 100.0) for i in range(60)]
    readings = window((-1, 0), *[(m, 0.0) for m in range(10)], *burst, *[(m, 0.0) for m in range(11, 62)])
    found = course(readings.t, readings.value, 150_000, NOON, NOON + HOUR)
    assert found is not None
    assert found.mean == pytest.approx((50 + 59 * 100 / 60 + 100 / 120) / 60, rel=1e-3)
    assert (found.least, found.greatest) == (0.0, 100.0)


def test_a_gauge_is_not_guessed_across_a_hole() -> None:
    readings = window((0, 10), (1, 10), (40, 90), (41, 90))
    found = course(readings.t, readings.value, 150_000, NOON, NOON + HOUR)
    assert found is not None
    assert found.mean == pytest.approx(50.0)


def test_a_gauge_in_an_hour_without_readings_has_no_row() -> None:
    readings = window((-1, 5), (70, 5))
    assert went(readings, from_ms=NOON, to_ms=NOON + HOUR, expected=None, scheduled_gap_ms=150_000) is None


def test_the_interval_is_taken_from_the_readings_where_no_schedule_is_known() -> None:
    readings = window(*[(m, m) for m in range(0, 60, 5) if m != 30])
    assert stretch(readings, 0, 55, gap_ms=None).covered_ms == 55 * MINUTE
    readings = window(*[(m, m) for m in range(0, 60, 5) if m not in (30, 35)])
    assert stretch(readings, 0, 55, gap_ms=None).covered_ms == 40 * MINUTE


def test_readings_exactly_at_the_limit_have_no_hole_between_them() -> None:
    t = window((0, 0), (2.5, 1), (5.01, 2)).t
    assert covered_ms(t, 150_000, NOON, NOON + HOUR) == 150_000


def test_a_doubtful_reading_counts_and_one_that_is_out_of_range_does_not() -> None:
    readings = window((0, 100), (1, 101), (2, 102), (3, 103), quality={1: Quality.UNCERTAIN, 2: Quality.OUT_OF_RANGE})
    assert usable(readings).value.tolist() == [100, 101, 103]


def test_what_is_still_open_has_a_gap_only_where_readings_have_stopped() -> None:
    minutes = window(*((minute, minute * 2.0) for minute in range(60)))
    part = stretch(minutes, 0, 58)
    now = combine([part], NOON, NOON + 60 * MINUTE)
    later = combine([part], NOON, NOON + 90 * MINUTE)
    assert now is not None
    assert later is not None
    assert now.tail is None
    assert later.tail == Gap(NOON + 57 * MINUTE, None, 0.0)
    before = combine([stretch(minutes, 2, 58)], NOON - 30 * MINUTE, NOON + 58 * MINUTE)
    assert before is not None
    assert before.lead == Gap(None, NOON + 2 * MINUTE, 0.0)
