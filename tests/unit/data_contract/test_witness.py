"""What is kept of a total or a state gives the same hours, days and reasons as all of its readings, whatever it did."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from data_contract import witness
from data_contract.counter_law import HOLD_MS, Law
from data_contract.schedule import GAP_INTERVALS
from rollups.counters import volumes
from rollups.digested import Digested
from rollups.hours import Stretch, between, counted, went
from series_store.table import Window

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
NOON = 1_767_240_000_000
WIDTH = 1024.0
Reading = tuple[int, float]
FOUND = (89, 122, 164, 251, 291, 296, 315, 360, 398)
"""Lives in which earlier rules went wrong: a display that long stood still, a slot that was missed, an early fall."""


def window(readings: list[Reading]) -> Window:
    return Window(
        np.array([t for t, _ in readings], dtype=np.int64),
        np.array([value for _, value in readings], dtype=np.float64),
        np.zeros(len(readings)),
    )


def life(seed: int, every_ms: int, hours: int = 8) -> tuple[list[Reading], Law]:
    """A total with everything that a total does; its steps are binary fractions, so that sums are exact."""
    chance = random.Random(seed)
    flow = chance.choice([0.125, 1.0, 8.0]) * every_ms / SECOND / 64
    coarse = chance.choice([1 / 1024, 1 / 1024, 0.5, 4.0])
    wild = chance.choice([0.0, 0.002, 0.01])
    total, offset, fall, until, stuck, running, readings = chance.uniform(0, 1000), 0.0, 0.0, 0, 0, True, []
    law = Law(rollover=WIDTH, rate_max_per_h=max(3 * flow * HOUR / every_ms, 6 * coarse))
    if seed % 3 == 0:
        law = replace(law, rollover=None)
    for t in range(NOON, NOON + hours * HOUR, every_ms):
        running = running if chance.random() > 0.01 else not running
        if t >= stuck:
            total += flow * chance.uniform(0.7, 1.3) * running
        shown = (total + offset) // coarse * coarse
        shown = shown % WIDTH if law.rollover else shown
        if chance.random() < wild / 4:
            offset, shown = -total, 0.0  # a reset
        if chance.random() < wild / 4:
            offset += chance.choice([30.0, 300.0])  # set to another level
        if chance.random() < wild / 4:
            stuck = t + chance.randrange(5, 60) * MINUTE  # a float32 that stopped counting
        if chance.random() < wild:
            fall, until = chance.choice([coarse, 2 * flow, 40.0]), t + chance.randrange(0, 25) * MINUTE
        if chance.random() < wild / 2:
            shown = chance.choice([0.0, 65536.0, shown + 100])  # torn
        elif t < until and shown > fall:
            shown -= fall
        if chance.random() > 0.03 and not (seed % 2 and t % (3 * HOUR) < 25 * MINUTE):
            stamp = t + chance.randrange(0, min(every_ms, 900))
            readings.append((stamp, round(shown * 1024) / 1024))
    return readings, law


def pieces(readings: list[Reading], chance: random.Random) -> list[list[Reading]]:
    """By the hour, as a gateway gives them up; some hours in two."""
    found: list[list[Reading]] = []
    for _, hour in itertools.groupby(readings, key=lambda reading: reading[0] // HOUR):
        part = list(hour)
        cut = chance.randrange(1, len(part)) if len(part) > 1 and chance.random() < 0.3 else len(part)
        found += [half for half in (part[:cut], part[cut:]) if half]
    return found


def kept_of(readings: list[Reading], gap_ms: int, seed: int) -> tuple[list[Reading], list[Digested]]:
    """The witnesses of a total that is given up hour by hour; now and then one stays, or nothing is known before."""
    chance = random.Random(seed)
    kept: list[Reading] = []
    told: list[Digested] = []
    tail = None
    for part in pieces(readings, chance):
        if chance.random() < 0.15:
            kept += part
            tail = None
            continue
        t, value = [t for t, _ in part], [value for _, value in part]
        places, tail = witness.of_total(t, value, gap_ms, tail)
        kept += [part[i] for i in places]
        told += [Digested(t[a], t[b], b - a + 1) for a, b in witness.spans(t, gap_ms)]
        tail = tail if chance.random() > 0.1 else None
    return kept, told


def same(one: Stretch | None, other: Stretch | None) -> bool:
    """All but how many readings there are, which is told in two numbers, and a matter of shares but in whole hours."""
    if one is None or other is None:
        return one is other
    alike = replace(other, readings=one.readings, summarised=one.summarised, first_ms=one.first_ms, last_ms=one.last_ms)
    whole = one.from_ms % HOUR == one.to_ms % HOUR == 0
    return one == alike and (not whole or one.readings == other.readings + other.summarised)


@pytest.mark.parametrize("every_ms", [10 * SECOND, 60 * SECOND, 300 * SECOND])
@pytest.mark.parametrize("seed", [*range(50), *FOUND])
def test_hours_and_days_from_the_readings_that_were_kept_are_those_of_all_readings(seed: int, every_ms: int) -> None:
    readings, law = life(seed, every_ms)
    gap_ms = int(GAP_INTERVALS * every_ms)
    kept, told = kept_of(readings, gap_ms, seed)
    assert len(kept) <= len(readings)
    whole, thin = window(readings), window(kept)
    quarter = 15 * MINUTE
    edges = [NOON + n * quarter for n in range(1, 8 * 4)]
    spans = [(a, a + HOUR) for a in edges] + [(NOON + HOUR, NOON + 7 * HOUR), (edges[1], edges[-2])]
    for begin, end in spans:
        all_, few = (
            counted(w, law, from_ms=begin, to_ms=end, expected=None, scheduled_gap_ms=gap_ms, digested=d)
            for w, d in ((whole, []), (thin, told))
        )
        assert same(all_, few), f"{(begin - NOON) / HOUR} h to {(end - NOON) / HOUR} h: {all_} but {few}"


def test_a_meter_that_counts_evenly_keeps_a_few_readings_an_hour() -> None:
    for every_ms, rise in itertools.product((10 * SECOND, 60 * SECOND), (1.0, 1.25)):
        t = [NOON + n * every_ms for n in range(HOUR // every_ms)]
        places, tail = witness.of_total(t, [100 + n * rise for n in range(len(t))], 150_000, witness.Tail(99, 0))
        assert len(places) <= 18
        assert tail is not None and tail.doubt_to_ms == 0


def test_a_display_that_moves_now_and_then_keeps_a_few_readings_an_hour() -> None:
    t = [NOON + n * 10 * SECOND for n in range(360)]
    places, _ = witness.of_total(t, [float(n * 10 // 36) for n in range(360)], 25_000, witness.Tail(0, 0))
    assert len(places) <= 30


@pytest.mark.parametrize("seed", range(40))
def test_running_hours_from_the_changes_are_those_of_all_readings(seed: int) -> None:
    chance = random.Random(seed)
    every_ms, state = chance.choice([10 * SECOND, 60 * SECOND]), 0.0
    gap_ms = int(GAP_INTERVALS * every_ms)
    readings = []
    for t in range(NOON, NOON + 6 * HOUR, every_ms):
        state = state if chance.random() > 0.02 else float(chance.randrange(3))
        if chance.random() > 0.05 and t % (2 * HOUR) > 10 * MINUTE:
            readings.append((t + chance.randrange(900), state))
    kept: list[Reading] = []
    told = []
    for part in pieces(readings, chance):
        stamps = [t for t, _ in part]
        kept += [part[i] for i in witness.of_state(stamps, [value for _, value in part], gap_ms)]
        told += [Digested(stamps[a], stamps[b], b - a + 1) for a, b in witness.spans(stamps, gap_ms)]
    assert len(kept) < len(readings) / 2
    for begin in range(NOON + HOUR, NOON + 5 * HOUR, 15 * MINUTE):
        all_, few = (
            went(window(w), from_ms=begin, to_ms=begin + HOUR, expected=None, scheduled_gap_ms=gap_ms, digested=d)
            for w, d in ((readings, []), (kept, told))
        )
        assert same(all_, few)


def test_a_fall_is_in_doubt_until_it_can_no_longer_return_also_across_the_hour() -> None:
    every_ms = 10 * SECOND
    t = [NOON + n * every_ms for n in range(360)]
    value = [500.0 + n for n in range(350)] + [2.0 + n for n in range(10)]
    places, tail = witness.of_total(t, value, 25_000, witness.Tail(499, 0))
    assert places[-11:] == list(range(349, 360))
    assert tail == witness.Tail(11.0, t[350] + HOLD_MS)
    later = [NOON + HOUR + n * every_ms for n in range(360)]
    places, _ = witness.of_total(later, [12.0 + n for n in range(360)], 25_000, tail)
    assert places[:112] == list(range(112)), "110 s had passed of its 20 min; two more readings end the doubt"


def test_where_nothing_is_known_of_the_time_before_everything_is_in_doubt_at_first() -> None:
    t = [NOON + n * 10 * SECOND for n in range(360)]
    places, _ = witness.of_total(t, [float(n) for n in range(360)], 25_000)
    assert places[:123] == list(range(123))
    assert between(window([(t[i], 0.0) for i in places]), NOON + 30 * MINUTE, NOON + HOUR).t.size < 10


@pytest.mark.parametrize("seed", range(20))
def test_two_that_are_kept_and_near_have_nothing_between_them_that_was_given_up(seed: int) -> None:
    """So a slot that was missed is never taken for a reading that was given up."""
    readings, _ = life(seed, 10 * SECOND)
    t = [t for t, _ in readings]
    places, _ = witness.of_total(t, [value for _, value in readings], 25_000)
    assert len(places) < len(t)
    near = [(a, b) for a, b in itertools.pairwise(places) if t[b] - t[a] <= 25_000]
    assert near
    assert all(b == a + 1 for a, b in near)


def test_a_meter_that_runs_over_its_stated_rate_is_billed_alike_from_detail_and_from_a_digest() -> None:
    readings = [(NOON + n * 10 * SECOND, n * 0.5) for n in range(3 * 360)]
    law = Law(rate_max_per_h=0.8 * 180)
    kept, told = kept_of(readings, 25_000, 1)
    assert len(kept) < len(readings) / 2
    all_, few = (
        counted(w, law, from_ms=NOON + HOUR, to_ms=NOON + 2 * HOUR, expected=None, scheduled_gap_ms=25_000, digested=d)
        for w, d in ((window(readings), []), (window(kept), told))
    )
    assert all_ is not None
    assert all_.delta == 180.0
    assert same(all_, few)


def test_a_rise_after_a_long_stand_may_take_all_the_time_of_the_steps_that_it_stands_for() -> None:
    t = np.array([NOON - 1_200_000, NOON, NOON + 300_000, NOON + 310_000], dtype=np.int64)
    value = np.array([0.0, 0.0, 2000.0, 2001.0])
    passed = volumes(t, value, Law(rate_max_per_h=3600.0), np.array([120, 30, 1]))
    assert passed.odd == ()
    assert passed.delta.tolist() == [0.0, 2000.0, 1.0]
    assert volumes(t, value, Law(rate_max_per_h=3600.0)).odd != ()
