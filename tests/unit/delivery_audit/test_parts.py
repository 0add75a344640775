"""The small parts: sets of numbers, days, the schedule in force."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from data_contract.schedule import Poll, Schedule
from delivery_audit.days import Days
from delivery_audit.history import Stretch, join, joined
from delivery_audit.plan import Plan
from delivery_audit.seqs import Range, common, count, union, without

HOUR = 3_600_000


@pytest.mark.parametrize("seed", range(20))
def test_ranges_are_the_sets_that_they_stand_for(seed: int) -> None:
    rng = random.Random(seed)

    def draw() -> list[Range]:
        firsts = [rng.randrange(1, 40) for _ in range(rng.randrange(6))]
        return [(first, first + rng.randrange(6)) for first in firsts]

    def numbers(ranges: list[Range]) -> set[int]:
        return {n for first, last in ranges for n in range(first, last + 1)}

    a, b = draw(), draw()
    assert numbers(union(a)) == numbers(a)
    assert numbers(without(a, b)) == numbers(a) - numbers(b)
    assert numbers(common(a, b)) == numbers(a) & numbers(b)
    assert count(a) == len(numbers(a))
    assert all(before[1] + 1 < after[0] for before, after in zip(union(a), union(a)[1:], strict=False))


def test_only_batches_of_one_run_that_follow_in_number_and_time_become_one_stretch() -> None:
    before = Stretch("a", 1, 4, 0, 40, None, 30)
    after = Stretch("a", 5, 5, 40, 50, 40, 40)
    assert join(before, after) == Stretch("a", 1, 5, 0, 50, None, 40)
    others: list[dict[str, Any]] = [{"run": "b"}, {"first": 6, "last": 6}, {"prev_ms": 41}, {"from_ms": 41}]
    for other in others:
        assert join(before, replace(after, **other)) is None
    again = Stretch("a", 2, 3, 10, 30, 10, 20)
    assert joined([after, again, before]) == [Stretch("a", 1, 5, 0, 50, None, 40)]


@pytest.mark.parametrize(
    "zone, begins, hours",
    [
        ("Asia/Shanghai", 1_774_713_600_000, 24),
        ("Europe/Berlin", 1_774_738_800_000, 23),
        ("UTC", 1_774_742_400_000, 24),
    ],
)
def test_a_day_is_as_long_as_its_zone_makes_it(zone: str, begins: int, hours: int) -> None:
    days = Days(zone=ZoneInfo(zone))
    end = begins + hours * HOUR
    assert list(days.pieces(begins - 1, end + 1)) == [
        ("2026-03-28", begins - 1, begins),
        ("2026-03-29", begins, end),
        ("2026-03-30", end, end + 1),
    ]
    assert days.begin(begins + 5) == begins


def schedule(every_ms: int) -> Schedule:
    poll = Poll(device="m", kind="k", group="g", every_ms=every_ms, fields=("a",))
    return Schedule(seal_every_ms=every_ms, polls=(poll,))


def test_a_schedule_holds_from_its_record_until_the_next_one() -> None:
    plan = Plan(changes=[(60_000, schedule(1_000)), (120_000, schedule(10_000))])
    assert plan.expected(0, 60_000) == {}
    assert plan.expected(0, 180_000) == {"m": 60 + 6}
    assert plan.expected(115_000, 125_000) == {"m": 5 + 1}
    assert (plan.seal_ms(59_999), plan.seal_ms(60_000), plan.seal_ms(120_000)) == (0, 1_000, 10_000)


def test_a_clock_that_was_put_back_does_not_bring_back_an_older_schedule() -> None:
    plan = Plan(
        changes=[(0, schedule(1_000)), (100_000, schedule(10_000)), (150_000, schedule(30_000))], starts=[0, 100_000]
    )
    assert plan.expected(60_000, 120_000) == {"m": 40 + 2}
    assert plan.of_run(100_000).expected(60_000, 120_000) == {"m": 6}
    assert plan.of_run(100_000).expected(150_000, 180_000) == {"m": 1}
    assert plan.of_run(0).expected(90_000, 120_000) == {"m": 30}
    assert plan.of_run(None).expected(90_000, 110_000) == plan.of_run(55_000).expected(90_000, 110_000) == {"m": 11}
