"""Bins decide who is paid what: mass must not appear or vanish, and chance must be the chance that was asked for."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from simulators.parts.calendar import Calendar
from simulators.parts.city import Bin
from simulators.world import deposits
from simulators.world.bin_days import LID_LEAD_MS_MAX
from simulators.world.bins import DAYS_KEPT_MAX, LEAN_KG_MAX, Course
from simulators.world.days import Days
from simulators.world.deposits import DAY_MS, Deposit
from tests.unit.simulators.city import BINS, city_world
from tests.unit.simulators.plant import HOUR_MS, ORIGIN_MS

PAPER = Bin(material="paper", capacity_kg=400, deposits_per_day=100, empty_hour=5)
MONDAY = 20_367
SEEDS = range(300)


def course(seed: int = 7, **rule: Any) -> Course:
    return Course(name="tins", rule=Bin.model_validate(BINS["tins"] | rule), seed=seed, origin_ms=ORIGIN_MS)


def moments(days: int = 15, step_ms: int = 600_000) -> Iterator[int]:
    return iter(range(ORIGIN_MS, ORIGIN_MS + days * DAY_MS, step_ms))


def days_of(day: int, rule: Bin = PAPER) -> list[list[Deposit]]:
    return [deposits.of_day(rule, day, seed=seed, name="b") for seed in SEEDS]


def test_content_is_what_was_put_in_less_what_was_taken_out_at_every_moment() -> None:
    world = city_world()
    for name in ("tins", "rest"):
        most = 0.0
        for t_ms in moments(step_ms=97_777):
            into, out, content = (
                world.value(f"{name}.{what}", t_ms) for what in ("mass_in_kg", "mass_out_kg", "content_kg")
            )
            assert content == pytest.approx(into - out, abs=1e-9)
            assert 0.0 <= content <= BINS[name]["capacity_kg"]
            most = max(most, content)
        assert most > 0.5 * BINS[name]["capacity_kg"]


def test_every_deposit_and_every_emptying_is_in_the_totals_once() -> None:
    followed = course()
    end_ms = ORIGIN_MS + 15 * DAY_MS
    last = followed.after(end_ms)
    seen_in = seen_out = emptyings = 0
    before = followed.after(ORIGIN_MS)
    for t_ms in followed.changes(ORIGIN_MS, end_ms + 1):
        after = followed.after(t_ms)
        assert after.in_g >= before.in_g and after.out_g >= before.out_g
        seen_in, seen_out = seen_in + after.in_g - before.in_g, seen_out + after.out_g - before.out_g
        emptyings += after.out_g > before.out_g
        if after.out_g > before.out_g:
            assert after.in_g == after.out_g, "the crew leaves an empty bin"
        before = after
    assert (seen_in, seen_out, emptyings) == last[:3]
    assert emptyings >= 10


def test_what_people_bring_is_what_the_bin_takes_in() -> None:
    large = course(capacity_kg=5000)
    day = (ORIGIN_MS + 8 * HOUR_MS) // DAY_MS + 1
    midnight_ms = day * DAY_MS - 8 * HOUR_MS
    brought = deposits.of_day(Bin.model_validate(BINS["tins"]), day, seed=7, name="tins")
    came = large.after(midnight_ms + DAY_MS - 1).in_g - large.after(midnight_ms).in_g
    assert came == sum(deposit.grams for deposit in brought) > 0


def test_who_comes_before_the_lid_is_closed_finds_it_open() -> None:
    busy = course(capacity_kg=5000, deposits_per_day=5000)
    changes = list(busy.changes(ORIGIN_MS, ORIGIN_MS + DAY_MS))
    opened = [busy.open_since_ms(t_ms) for t_ms in changes]
    assert all(opens is not None and opens < t_ms for opens, t_ms in zip(opened, changes, strict=True))
    assert len(set(opened)) < 0.7 * len(changes)
    assert opened == sorted(opened, key=lambda opens: opens or 0)


def test_a_lid_that_opens_before_midnight_for_a_crew_after_it_is_open_whatever_was_asked_before() -> None:
    rule: dict[str, Any] = {"empty_at_share": None, "empty_hour": 0}
    known = course(**rule)
    changes = known.changes(ORIGIN_MS, ORIGIN_MS + 300 * DAY_MS)
    t_ms = next(t_ms for t_ms in changes if (t_ms + 8 * HOUR_MS) % DAY_MS < 14_000)
    before_ms = t_ms - 14_900
    assert (before_ms + 8 * HOUR_MS) // DAY_MS < (t_ms + 8 * HOUR_MS) // DAY_MS
    assert course(**rule).open_since_ms(before_ms) == known.open_since_ms(before_ms) is not None


def test_a_bin_is_emptied_within_the_time_promised_after_it_has_reached_its_share() -> None:
    followed, capacity_g = course(), 30_000
    full_since: int | None = None
    waits = []
    for t_ms in followed.changes(ORIGIN_MS, ORIGIN_MS + 15 * DAY_MS):
        after = followed.after(t_ms)
        content_g = after.in_g - after.out_g
        if full_since is not None and content_g == 0:
            waits.append(t_ms - full_since)
            full_since = None
        elif full_since is None and content_g >= 0.7 * capacity_g:
            full_since = t_ms
    assert len(waits) >= 10
    assert all(0 < wait <= HOUR_MS for wait in waits)


def test_the_daily_round_comes_at_its_hour_and_passes_by_an_empty_bin() -> None:
    world = city_world()
    rounds = []
    for t_ms in moments(step_ms=60_000):
        if world.value("rest.emptyings", t_ms) > world.value("rest.emptyings", t_ms - 60_000):
            rounds.append(t_ms)
    local_hours = [(t_ms + 8 * HOUR_MS) % DAY_MS / HOUR_MS for t_ms in rounds]
    assert 12 <= len(rounds) <= 15
    assert all(4.0 <= hour <= 4.35 for hour in local_hours)
    nearly_none = course(deposits_per_day=2, empty_at_share=None, empty_hour=4, capacity_kg=100)
    assert nearly_none.after(ORIGIN_MS + 5 * DAY_MS).emptyings == 0


def test_as_many_come_in_a_day_as_the_scenario_says_and_they_scatter_like_independent_people() -> None:
    counts = [len(day) for day in days_of(MONDAY)]
    assert statistics.mean(counts) == pytest.approx(100, abs=4 * math.sqrt(100 / len(SEEDS)))
    # for Poisson counts the variance is the mean; its own scatter over n days is mean x sqrt(2 / n)
    assert statistics.variance(counts) == pytest.approx(100, abs=4 * 100 * math.sqrt(2 / len(SEEDS)))
    sunday = [len(day) for day in days_of(MONDAY + 6)]
    assert statistics.mean(sunday) == pytest.approx(120, abs=4 * math.sqrt(120 / len(SEEDS)))


def test_people_come_by_day_most_before_and_after_work_and_later_at_the_weekend() -> None:
    def by_hour(day: int) -> list[int]:
        hours = [0] * 24
        for found in days_of(day):
            assert found == sorted(found)
            for deposit in found:
                hours[deposit.ms // HOUR_MS] += 1
        return hours

    weekday, sunday = by_hour(MONDAY), by_hour(MONDAY + 6)
    assert sum(weekday[:6]) == sum(weekday[22:]) == sum(sunday[:6]) == sum(sunday[22:]) == 0
    of_one = 100 * len(SEEDS) / math.fsum(deposits.WEEKDAY_HOURS)
    for hour, weight in enumerate(deposits.WEEKDAY_HOURS):
        assert weekday[hour] == pytest.approx(weight * of_one, abs=4.5 * math.sqrt(weight * of_one) + 1e-9)
    assert weekday[7] > 2 * weekday[11]
    assert sunday[7] < weekday[7] / 2 and sunday[10] > weekday[10] * 2


def test_calendar_days_are_told_apart() -> None:
    assert [Days(Calendar()).is_off(MONDAY + n) for n in range(7)] == [False] * 5 + [True] * 2
    assert time.gmtime(MONDAY * 86_400).tm_wday == 0


def test_the_mass_of_a_deposit_is_lognormal() -> None:
    logs = sorted(math.log(deposit.grams / 1000) for day in days_of(MONDAY) for deposit in day)
    n, sigma = len(logs), 0.7
    assert n > 25_000
    assert statistics.mean(logs) == pytest.approx(0.0, abs=4 * sigma / math.sqrt(n))
    assert statistics.stdev(logs) == pytest.approx(sigma, abs=4 * sigma / math.sqrt(2 * n))
    normal = statistics.NormalDist(0.0, sigma)
    for share in (0.01, 0.1, 0.25, 0.75, 0.9, 0.99):
        at = normal.inv_cdf(share)
        own_scatter = math.sqrt(share * (1 - share) / n) / normal.pdf(at)
        assert logs[int(share * n)] == pytest.approx(at, abs=4 * own_scatter)
    masses = [math.exp(x) for x in logs]
    assert statistics.mean(masses) == pytest.approx(math.exp(sigma**2 / 2), rel=0.02)


def test_how_much_one_brings_says_nothing_of_when_the_next_comes() -> None:
    pairs = [
        (math.log(one.grams), next_one.ms - one.ms)
        for day in days_of(MONDAY)
        for one, next_one in pairwise(day)
        if 9 * HOUR_MS <= one.ms < 15 * HOUR_MS
    ]
    masses, gaps = zip(*pairs, strict=True)
    assert len(pairs) > 5000
    assert statistics.correlation(masses, gaps) == pytest.approx(0, abs=4 / math.sqrt(len(pairs)))


def test_neighbouring_days_and_bins_share_no_chance() -> None:
    one = deposits.of_day(PAPER, MONDAY, seed=1, name="b")
    others = [
        deposits.of_day(PAPER, MONDAY + 1, seed=1, name="b"),
        deposits.of_day(PAPER, MONDAY, seed=1, name="c"),
        deposits.of_day(PAPER, MONDAY, seed=2, name="b"),
    ]
    for other in others:
        assert len({deposit.ms for deposit in one} & {deposit.ms for deposit in other}) <= 2


def test_the_lid_is_open_around_every_change_and_only_then_somebody_may_lean_on_the_scale() -> None:
    followed = course()
    for t_ms in followed.changes(ORIGIN_MS, ORIGIN_MS + 3 * DAY_MS):
        assert followed.open_since_ms(t_ms - 1) is not None and followed.open_since_ms(t_ms + 1) is not None
    leaned = rested = 0
    for t_ms in range(ORIGIN_MS, ORIGIN_MS + 3 * DAY_MS, 2500):
        off_kg = followed.gross_kg(t_ms) - 11 - followed.content_kg(t_ms)
        if followed.open_since_ms(t_ms) is None:
            assert off_kg == pytest.approx(0, abs=1e-9)
            rested += 1
        else:
            assert abs(off_kg) <= LEAN_KG_MAX
            leaned += abs(off_kg) > 0.1
    assert leaned > 100
    assert rested > 0.9 * 3 * DAY_MS / 2500


def test_a_full_bin_takes_nothing_more() -> None:
    full = course(empty_at_share=None, empty_hour=4, deposits_per_day=400)
    assert max(full.content_kg(t_ms) for t_ms in moments(5)) <= 30
    assert full.after(ORIGIN_MS + 5 * DAY_MS).in_g < 6 * 30_000 + 1


def test_what_was_asked_first_changes_nothing() -> None:
    times = [ORIGIN_MS + n * 1_234_567 for n in range(1000)]
    forwards, backwards = course(), course()
    what = [(forwards.gross_kg(t), forwards.open_since_ms(t), forwards.after(t)) for t in times]
    other = [(backwards.gross_kg(t), backwards.open_since_ms(t), backwards.after(t)) for t in reversed(times)]
    assert what == other[::-1]


def test_before_the_origin_a_bin_is_empty_and_a_time_out_of_reach_is_refused() -> None:
    assert course().after(ORIGIN_MS - DAY_MS) == (0, 0, 0, 0, 0.0)
    with pytest.raises(ValueError, match="days after the origin"):
        course().after(2**53)


_PRINT = """
import hashlib
from tests.unit.simulators.city import city_world
from tests.unit.simulators.plant import ORIGIN_MS
world = city_world()
seen = [(name, world.value(name, ORIGIN_MS + n * 777_777)) for name in sorted(world.names) for n in range(400)]
print(hashlib.sha256(repr(seen).encode()).hexdigest())
"""


def test_two_processes_with_different_hash_seeds_see_the_same_city_to_the_last_bit() -> None:
    seen = [
        subprocess.run(
            [sys.executable, "-c", _PRINT],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "12345")
    ]
    assert seen[0] == seen[1] != ""


def test_fifteen_days_of_a_whole_city_cost_seconds() -> None:
    began = time.process_time()
    followed = [course(seed, deposits_per_day=150) for seed in range(25)]
    for t_ms in range(ORIGIN_MS, ORIGIN_MS + 15 * DAY_MS, 15 * DAY_MS // 2000):
        for one in followed:
            one.gross_kg(t_ms)
    assert time.process_time() - began < 5.0


def test_a_year_of_a_bin_takes_no_more_memory_than_a_month_and_an_earlier_day_is_the_same_again() -> None:
    followed = course()
    early = ORIGIN_MS + np.arange(0, 3 * DAY_MS, 61_333)
    before = followed.gross_column(early).tolist()
    followed.after(ORIGIN_MS + 50 * DAY_MS)
    tracemalloc.start()
    try:
        followed.after(ORIGIN_MS + 250 * DAY_MS)
        grown_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert followed.days_kept == DAYS_KEPT_MAX
    # what is carried over a midnight stays; the days between two midnights do not
    assert grown_bytes < 200 * 1500 + DAYS_KEPT_MAX * 16_000
    assert followed.gross_column(early).tolist() == before
    assert followed.days_kept == DAYS_KEPT_MAX


def test_a_column_over_many_midnights_is_what_asking_one_by_one_gives() -> None:
    rule: dict[str, Any] = {"empty_at_share": None, "empty_hour": 0, "deposits_per_day": 400}
    near = np.concatenate([midnight_ms + np.arange(-60_000, 60_000, 997) for midnight_ms in midnights()])
    at_once, one_by_one = course(**rule), course(**rule)
    gross, opened = at_once.gross_column(near).tolist(), at_once.opened_column(near).tolist()
    assert gross == [one_by_one.gross_kg(t_ms) for t_ms in near.tolist()]
    assert opened == [-1 if (since := one_by_one.open_since_ms(t)) is None else since for t in near.tolist()]
    assert any(set(opened) & set(range(midnight - LID_LEAD_MS_MAX, midnight)) for midnight in midnights())


def test_midnight_closes_no_lid_and_sends_no_crew_away() -> None:
    late = {"from_hour": 23.9, "to_hour": 24}, {"from_hour": 0, "to_hour": 0.1}
    followed = course(open=late, deposits_per_day=3000, empty_within_h=0.25)
    lids = crews = 0
    for midnight_ms in midnights():
        changes = list(followed.changes(midnight_ms - 40_000, midnight_ms + 40_000))
        assert all(followed.open_since_ms(t_ms) is not None for t_ms in changes)
        within = np.arange(midnight_ms - 60_000, midnight_ms + 60_000, 53)
        opened = followed.opened_column(within)
        turned = (opened[1:] >= 0) & (opened[:-1] >= 0) & (opened[1:] != opened[:-1])
        assert (opened[1:][turned] > within[:-1][turned]).all(), "it was opened when it was opened"
        lids += bool(opened[within < midnight_ms][-1] >= 0 and opened[within >= midnight_ms][0] >= 0)
        for t_ms in (t_ms for t_ms in changes if midnight_ms - 10_000 <= t_ms < midnight_ms):
            if followed.taken_g(t_ms):
                crews += 1
                assert list(followed.changes(t_ms + 1, t_ms + 10_000)) == [], "the crew is still there"
    assert lids > 5 and crews > 0


def midnights() -> list[int]:
    """More of them than a bin keeps days, ms UTC."""
    first = ORIGIN_MS // DAY_MS + 2
    return [night * DAY_MS - 8 * HOUR_MS for night in range(first, first + 2 * DAYS_KEPT_MAX)]
