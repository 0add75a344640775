"""Chance must be the chance that a scenario asks for, over many seeds: a utility sizes rounds and stores by it.

Each test of a hypothesis is at the level 0.001, with seeds that are fixed: it passes always or never.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from simulators.parts.calendar import Calendar
from simulators.parts.city import Bin
from simulators.parts.weather import Rain, Weather
from simulators.world import deposits
from simulators.world.days import Days
from simulators.world.deposits import DAY_MS, HOUR_MS, WEEKDAY_HOURS, WEEKEND_HOURS
from simulators.world.heap import Heap
from simulators.world.surroundings import Surroundings
from simulators.world.weather import DURATION_H_MAX, Event, Sky, events_per_day, rain_of_day

LEVEL = 0.001
THURSDAY = 20_454
"""2026-01-01, which this calendar has as a holiday."""
AROUND = Surroundings(Days(Calendar.model_validate_json('{"holidays": [{"first": "2026-01-01"}]}')), None, 8.0)
SEEDS = range(250)


def spot(**changes: Any) -> Bin:
    return Bin.model_validate(
        {"material": "glass", "capacity_kg": 500, "deposits_per_day": 80, "holiday": 0.5, "empty_hour": 4} | changes
    )


def arrivals(rule: Bin, day: int, around: Surroundings = AROUND) -> list[list[float]]:
    """Local hours at which people came, by seed."""
    return [
        [each.ms / HOUR_MS for each in deposits.of_day(rule, day, seed=seed, name="b", around=around)] for seed in SEEDS
    ]


def flat(found: list[list[float]]) -> list[float]:
    return [hour for day in found for hour in day]


@pytest.mark.parametrize(
    "day, weights, mean",
    [(THURSDAY + 1, WEEKDAY_HOURS, 80.0), (THURSDAY + 2, WEEKEND_HOURS, 96.0), (THURSDAY, WEEKEND_HOURS, 40.0)],
)
def test_people_come_at_the_hours_and_in_the_numbers_of_their_kind_of_day(
    day: int, weights: tuple[float, ...], mean: float
) -> None:
    found = arrivals(spot(), day)
    counts = np.histogram(flat(found), bins=np.arange(25))[0]
    share = np.array(weights) / sum(weights)
    assert counts[share == 0].sum() == 0
    asked = share > 0
    assert stats.chisquare(counts[asked], counts.sum() * share[asked]).pvalue > LEVEL
    # of Poisson counts, the sum is Poisson, and (n - 1) variance / mean follows chi-square
    numbers = np.array([len(each) for each in found])
    assert abs(numbers.sum() - mean * len(SEEDS)) < stats.norm.isf(LEVEL / 2) * math.sqrt(mean * len(SEEDS))
    dispersion = (numbers.size - 1) * numbers.var(ddof=1) / numbers.mean()
    low, high = stats.chi2.ppf((LEVEL / 2, 1 - LEVEL / 2), numbers.size - 1)
    assert low < dispersion < high


def test_a_calendar_tells_holidays_from_days_that_are_worked_instead() -> None:
    days = Days(
        Calendar.model_validate_json(
            '{"weekend": ["friday", "saturday"], "working_days": ["2026-01-03"],'
            ' "holidays": [{"first": "2026-01-01"}, {"first": "2026-01-05", "last": "2026-01-06"}]}'
        )
    )
    kinds = [days.kind(day) for day in range(THURSDAY - 1, THURSDAY + 7)]
    assert kinds[:4] == ["workday", "holiday", "weekend", "workday"]
    assert kinds[4:] == ["workday", "holiday", "holiday", "workday"]
    assert [days.is_off(THURSDAY + n) for n in (0, 1, 2)] == [True, True, False]


def test_who_would_come_while_it_is_closed_comes_while_it_is_open() -> None:
    rule = spot(open=({"from_hour": 6.5, "to_hour": 8.25}, {"from_hour": 18, "to_hour": 20, "days": "workdays"}))
    found = arrivals(rule, THURSDAY + 1)
    hours = flat(found)
    assert len(hours) == pytest.approx(80 * len(SEEDS), abs=3.3 * math.sqrt(80 * len(SEEDS)))
    assert all(6.5 <= hour < 8.25 or 18 <= hour < 20 for hour in hours)
    # from 6:30 half an hour of weight 1, then 1.25 h of weight 3; in the evening 2 h of weight 3
    counts = np.histogram(hours, bins=[6.5, 7, 8.25, 18, 19, 20])[0]
    assert counts[2] == 0
    asked = np.array([0.5, 3.75, 3.0, 3.0])
    assert stats.chisquare(counts[[0, 1, 3, 4]], counts.sum() * asked / asked.sum()).pvalue > LEVEL
    within = np.array([hour - 18 for hour in hours if hour >= 18]) / 2.0
    assert stats.kstest(within, "uniform").pvalue > LEVEL
    off = flat(arrivals(rule, THURSDAY + 2))
    assert off and all(6.5 <= hour < 8.25 for hour in off)


def test_a_bin_that_opens_at_hours_that_nobody_would_choose_is_still_used() -> None:
    hours = np.array(flat(arrivals(spot(open=({"from_hour": 1, "to_hour": 5},)), THURSDAY + 1)))
    assert stats.kstest((hours - 1.0) / 4.0, "uniform").pvalue > LEVEL


def test_a_bin_that_is_closed_on_a_day_gets_nothing_then() -> None:
    rule = spot(open=({"from_hour": 7, "to_hour": 20, "days": "days_off"},))
    assert not flat(arrivals(rule, THURSDAY + 1))
    assert flat(arrivals(rule, THURSDAY + 2))


def test_rain_keeps_the_share_at_home_that_it_should() -> None:
    weather = Weather(rain=Rain(events_per_year=365, season=0, duration_h=12, depth_mm=200))
    came = of_all = 0
    for seed in range(60):
        sky = Sky(weather, seed=seed, utc_offset_h=8.0)
        around = Surroundings(AROUND.days, sky, 8.0)
        dry = {each.ms for each in deposits.of_day(spot(), THURSDAY + 1, seed=seed, name="b", around=AROUND)}
        wet = {each.ms for each in deposits.of_day(spot(), THURSDAY + 1, seed=seed, name="b", around=around)}
        rain = sky.of_day(THURSDAY + 1).rain_mm_h
        in_rain = {ms for ms in dry if rain[ms // 60_000] >= 0.1}
        assert wet <= dry and dry - in_rain <= wet
        came, of_all = came + len(in_rain & wet), of_all + len(in_rain)
    assert of_all > 500
    assert stats.binomtest(came, of_all, 0.7).pvalue > LEVEL


def test_masses_and_volumes_of_deposits_are_lognormal_and_of_one_density() -> None:
    rule = spot(body={"area_m2": 1.0, "height_mm": 1200, "bulk_sigma": 0.3, "compaction": 0.8})
    grams = np.array(
        [each.grams for seed in SEEDS for each in deposits.of_day(rule, THURSDAY + 1, seed=seed, name="b")]
    )
    median_kg, sigma = rule.deposit
    # rounding to whole grams is far below the resolution of the test
    assert stats.kstest(np.log(grams / 1000.0 / median_kg) / sigma, "norm").pvalue > LEVEL
    heap = Heap(rule, of=99)
    ml = np.array([heap.volume_ml(n, int(g)) for n, g in enumerate(grams)])
    mean_ml_g = 1000.0 / 225.0 * 0.8
    logs = (np.log(ml / grams / mean_ml_g) + 0.5 * 0.3**2) / 0.3
    assert stats.kstest(logs, "norm").pvalue > LEVEL
    assert np.quantile(logs, [0.05, 0.5, 0.95]) == pytest.approx(stats.norm.ppf([0.05, 0.5, 0.95]), abs=0.06)
    assert ml.sum() / grams.sum() == pytest.approx(mean_ml_g, rel=0.01)


YEARS = 40


def rain_events(rain: Rain) -> list[tuple[int, Event]]:
    first = 20_454
    return [(day, event) for day in range(first, first + 365 * YEARS) for event in rain_of_day(rain, day, seed=5)]


def test_rain_comes_as_often_as_deep_and_as_long_as_the_scenario_says_and_in_its_season() -> None:
    rain = Rain(events_per_year=70, depth_mm=8, duration_h=5)
    found = rain_events(rain)
    expected = 70 * 365 * YEARS / 365.2425
    assert abs(len(found) - expected) < stats.norm.isf(LEVEL / 2) * math.sqrt(expected)
    depths = [event.depth_mm for _, event in found]
    assert stats.kstest(depths, stats.expon(scale=8).cdf).pvalue > LEVEL
    assert stats.spearmanr(depths, [event.duration_h for _, event in found]).pvalue > LEVEL
    hours = [event.duration_h for _, event in found if event.duration_h > 1 / 60]
    assert stats.kstest(hours, stats.truncexpon(DURATION_H_MAX / 5, scale=5).cdf).pvalue > LEVEL
    times = np.sort([event.begin_ms / DAY_MS for _, event in found])
    days = np.array([events_per_day(rain, day) for day in range(20_454, 20_454 + 365 * YEARS)])
    # with the clock that runs by the expected number, gaps of a Poisson process are exponential
    clock = np.interp(times, 20_454 + np.arange(days.size + 1), np.concatenate(((0.0,), np.cumsum(days))))
    assert stats.kstest(np.diff(clock), "expon").pvalue > LEVEL
    month = (np.arange(days.size) % 365) // 30.5
    counts = np.bincount(((times.astype(int) - 20_454) % 365 // 30.5).astype(int), minlength=12)
    asked = np.bincount(month.astype(int), weights=days, minlength=12)
    assert stats.chisquare(counts, asked * counts.sum() / asked.sum()).pvalue > LEVEL
    assert counts[6] > 5 * counts[0]


def test_no_drop_of_an_event_is_lost_at_midnight() -> None:
    rain = Rain(events_per_year=300, season=0, duration_h=12, depth_mm=10)
    sky = Sky(Weather(rain=rain), seed=5, utc_offset_h=8.0)
    first, days = 20_600, 60
    fallen_mm = sum(float(sky.of_day(day).rain_mm_h.sum()) / 60.0 for day in range(first, first + days + 3))
    begun = [event for day in range(first - 3, first + days + 3) for event in rain_of_day(rain, day, seed=5)]
    end_ms = (first + days + 3) * DAY_MS

    def inside(event: Event) -> float:
        length_ms = event.duration_h * HOUR_MS
        ends = min(end_ms, event.begin_ms + length_ms), max(first * DAY_MS, event.begin_ms)
        return event.depth_mm * max(0.0, ends[0] - ends[1]) / length_ms

    assert fallen_mm == pytest.approx(sum(inside(event) for event in begun), rel=1e-9)


def test_it_is_warmest_in_its_season_and_in_the_afternoon() -> None:
    sky = Sky(Weather(wander_c=0.0), seed=5, utc_offset_h=8.0)
    means = [float(sky.of_day(day).temperature_c.mean()) for day in range(20_454, 20_454 + 365)]
    assert np.mean(means) == pytest.approx(13.0, abs=0.1)
    assert abs(int(np.argmax(means)) - 203) <= 2
    assert max(means) == pytest.approx(28.5, abs=0.05) and min(means) == pytest.approx(-2.5, abs=0.05)
    assert int(sky.of_day(20_600).temperature_c.argmax()) // 60 in (14, 15)
    wandering = Sky(Weather(), seed=5, utc_offset_h=8.0)
    off = [
        float((wandering.of_day(d).temperature_c - sky.of_day(d).temperature_c).mean()) for d in range(20_454, 20_819)
    ]
    assert 4.0 < max(map(abs, off)) <= 6.0
    assert abs(np.mean(off)) < 1.0
