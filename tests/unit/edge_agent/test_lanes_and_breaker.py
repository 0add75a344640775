"""Live data before backlog, backlog oldest first, all within bounds; and a silent unit that costs only its probes."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from data_contract.batch import Span
from data_contract.message import BATCHES_MAX
from edge_agent.keep.index import Index, Spans
from edge_agent.keep.spool import spans
from edge_agent.read.breaker import FAILURES_MAX, PROBE_MAX_S, PROBE_MIN_S, Breaker
from edge_agent.send.flight import Room
from edge_agent.send.lanes import ALARMS_MAX, BACKLOG_ONE_IN, Lanes, merge

OLD, NOW = "a" * 32, "b" * 32
Key = tuple[str, int]


def spool(*held: tuple[str, int], size: int = 100, undated: frozenset[Key] = frozenset()) -> Index:
    index = Index()
    for key in held:
        index.add(*key, size, dated=key not in undated)
    return index


def order(lanes: Lanes, held: Index, *, bytes_max: int = 10**6, batches_max: int = 5) -> list[tuple[str, int, int]]:
    """Everything that is offered, one launch after the other."""
    found: list[Span] = []
    gone = Spans()
    room = Room(bytes_max, batches_max, True)
    while chosen := lanes.next(held, list(gone), live=room, backlog=room):
        lanes.launched(chosen)
        found.append(chosen.span)
        gone.add(chosen.span)
    return found


def test_what_has_just_been_sealed_goes_before_a_backlog_that_goes_oldest_first() -> None:
    held = spool(*((OLD, seq) for seq in range(7, 15)), *((NOW, seq) for seq in range(1, 9)))
    lanes = Lanes(run=NOW)
    lanes.reconnected(6)
    assert order(lanes, held) == [(NOW, 7, 8), (OLD, 7, 11), (OLD, 12, 14), (NOW, 1, 5), (NOW, 6, 6)]


def test_a_live_batch_that_did_not_fit_is_still_live_afterwards() -> None:
    held = spool(*((NOW, seq) for seq in range(1, 5)))
    lanes = Lanes(run=NOW)
    lanes.reconnected(3)
    none, some, much = Room(10, 5, False), Room(10, 5, True), Room(10**6, 5, False)
    assert lanes.next(held, [], live=none, backlog=none) is None
    first = lanes.next(held, [], live=some, backlog=none)
    again = lanes.next(held, [], live=much, backlog=much)
    assert first is not None and again is not None
    assert first.span == again.span == (NOW, 4, 4)


def test_a_gap_or_another_run_ends_a_message() -> None:
    held = spool((OLD, 1), (OLD, 2), (OLD, 4), (NOW, 5))
    assert order(Lanes(run="c" * 32), held) == [(OLD, 1, 2), (OLD, 4, 4), (NOW, 5, 5)]


def test_a_batch_without_a_date_waits_and_holds_up_no_other() -> None:
    held = spool((NOW, 1), (NOW, 2), (NOW, 3), undated=frozenset({(NOW, 2)}))
    assert order(Lanes(run=NOW), held) == [(NOW, 3, 3), (NOW, 1, 1)]


def test_one_batch_larger_than_every_bound_still_goes_and_goes_alone() -> None:
    held = spool((NOW, 1), (NOW, 2), size=10**9)
    assert order(Lanes(run=NOW), held, bytes_max=1000) == [(NOW, 2, 2), (NOW, 1, 1)]


@pytest.mark.parametrize("seed", range(60))
def test_everything_is_offered_exactly_once_and_within_the_bounds(seed: int) -> None:
    chance = random.Random(seed)
    keys = [(run, seq) for run in (OLD, NOW) for seq in range(1, 200) if chance.random() < 0.9]
    held = Index()
    for key in keys:
        held.add(*key, chance.randint(10, 3000), dated=True)
    lanes = Lanes(run=NOW)
    lanes.reconnected(chance.randint(0, 200))
    bytes_max, batches_max = chance.choice([1000, 20_000]), chance.choice([1, 7, 500])
    found = order(lanes, held, bytes_max=bytes_max, batches_max=batches_max)
    offered = [(run, seq) for run, first, last in found for seq in range(first, last + 1)]
    assert sorted(offered) == sorted(keys)
    for run, first, last in found:
        assert last - first + 1 <= min(batches_max, BATCHES_MAX)
        size = sum(held[run, seq].size for seq in range(first, last + 1))
        assert size <= bytes_max or first == last


def contest(seconds: int, *, live: int, carries: int) -> tuple[Counter[bool], int]:
    """Live data of so many bytes per s and a large backlog on a way that carries so many: bytes sent of each
    (True: backlog), and the longest wait in s of what was sent as live."""
    held, lanes, now, gone = Index(), Lanes(run=NOW), 0.0, Spans()
    held.add_many(OLD, 1, [1000] * 100_000)
    lanes.reconnected(0)
    sent: Counter[bool] = Counter()
    sealed, longest = 0, 0.0
    while now < seconds:
        while sealed < int(now):
            sealed += 1
            held.add(NOW, sealed, live, dated=True)
        room = Room(4000, 64, True)
        chosen = lanes.next(held, list(gone), live=room, backlog=room)
        assert chosen is not None
        lanes.launched(chosen)
        lanes.spent(chosen.size)
        sent[chosen.backlog] += chosen.size
        now += chosen.size / carries
        if not chosen.backlog:
            longest = max(longest, now - chosen.span[2])
        gone.add(chosen.span)
    return sent, int(longest)


@pytest.mark.parametrize("live", [1000, 2000, 5000])
def test_live_data_that_would_take_the_whole_uplink_leaves_the_backlog_its_share_and_keeps_the_rest(live: int) -> None:
    sent, longest = contest(2000, live=live, carries=1000)
    assert sent[True] / sent.total() == pytest.approx(1 / BACKLOG_ONE_IN, abs=0.02)
    assert longest <= 4 + 2 * live / 1000 + 4, "the newest waits for one message of each lane at most"


def test_live_data_that_leaves_room_is_never_held_up_for_the_share_of_the_backlog() -> None:
    sent, longest = contest(2000, live=300, carries=1000)
    assert sent[False] >= 0.98 * 300 * 2000
    assert sent[True] >= 0.95 * 700 * 2000
    assert longest <= 5


def test_what_live_data_cannot_bring_out_in_time_becomes_backlog_and_the_newest_goes_first() -> None:
    held = spool(*((NOW, seq) for seq in range(1, 11)), size=1000)
    lanes = Lanes(run=NOW)
    live, none = Room(3000, 64, True), Room(0, 0, False)
    chosen = lanes.next(held, [], live=live, backlog=none)
    assert chosen is not None
    assert (chosen.span, chosen.backlog) == ((NOW, 8, 10), False)
    lanes.launched(chosen)
    assert lanes.next(held, [chosen.span], live=live, backlog=none) is None
    rest = lanes.next(held, [chosen.span], live=live, backlog=live)
    assert rest is not None
    assert (rest.span, rest.backlog) == ((NOW, 1, 3), True)


def test_an_alarm_goes_before_everything_also_from_a_backlog_and_is_forgotten_when_it_is_stored() -> None:
    held = spool(*((OLD, seq) for seq in range(1, 5)), *((NOW, seq) for seq in range(1, 9)))
    lanes = Lanes(run=NOW)
    lanes.alarm(3)
    lanes.alarm(8)
    lanes.reconnected(6)
    assert lanes.urgent(held, [])
    assert order(lanes, held)[:3] == [(NOW, 3, 3), (NOW, 8, 8), (OLD, 1, 4)]
    assert not lanes.urgent(held, [(NOW, 1, 8)])
    held.drop((NOW, 3, 3))
    held.drop((NOW, 8, 8))
    assert not lanes.urgent(held, [])
    held.add(NOW, 3, 100, dated=True)
    assert not lanes.urgent(held, [])


def test_an_alarm_of_an_earlier_run_goes_before_everything_too() -> None:
    held = spool(*((OLD, seq) for seq in range(1, 6)), *((NOW, seq) for seq in range(1, 5)))
    lanes = Lanes(run=NOW)
    lanes.recall([("f" * 32, 1, 9), (OLD, 4, 4)])
    lanes.alarm(2)
    assert lanes.alarms(held) == [(OLD, 4, 4), (NOW, 2, 2)]
    assert order(lanes, held)[:2] == [(OLD, 4, 4), (NOW, 2, 2)]


def test_alarms_without_end_are_remembered_up_to_a_bound() -> None:
    held = spool(*((NOW, seq) for seq in range(1, ALARMS_MAX + 202)))
    lanes = Lanes(run=NOW)
    for seq in range(1, ALARMS_MAX + 202):
        lanes.alarm(seq)
    lanes.reconnected(ALARMS_MAX + 201)
    found = order(lanes, held, batches_max=64)
    assert found[0] == (NOW, 202, 202)
    assert found[ALARMS_MAX:] == [(NOW, 1, 64), (NOW, 65, 128), (NOW, 129, 192), (NOW, 193, 201)]


def test_nothing_to_offer_is_nothing() -> None:
    assert merge([], bytes_max=1, batches_max=1) is None
    assert order(Lanes(run=NOW), Index()) == []


def test_spans_join_neighbours_and_keep_runs_apart() -> None:
    assert spans([(OLD, 1), (OLD, 2), (NOW, 3), (OLD, 4), (NOW, 4)]) == [(OLD, 1, 2), (OLD, 4, 4), (NOW, 3, 4)]


def test_a_unit_is_away_after_a_few_silent_requests_and_not_before() -> None:
    one = Breaker()
    for _ in range(FAILURES_MAX - 1):
        assert not one.silent(0.0)
        assert one.may_ask(0.0)
    assert one.silent(0.0)
    assert one.open
    assert not one.may_ask(0.0)
    assert not one.silent(1.0), "it is said once"


def test_probes_of_a_silent_unit_become_rare_but_never_stop() -> None:
    one, now_s, probes = Breaker(), 0.0, []
    for _ in range(FAILURES_MAX):
        one.silent(now_s)
    while now_s < 7200:
        now_s += 1
        if one.may_ask(now_s):
            probes.append(now_s)
            one.silent(now_s)
    gaps = [b - a for a, b in pairwise(probes)]
    assert probes[0] == PROBE_MIN_S
    assert gaps == sorted(gaps)
    assert gaps[-1] == PROBE_MAX_S


def test_one_answer_brings_a_unit_back_at_once() -> None:
    one = Breaker()
    for _ in range(10):
        one.silent(0.0)
    assert one.answered()
    assert one.may_ask(0.0)
    assert not one.answered()
    for _ in range(FAILURES_MAX):
        one.silent(1.0)
    assert one.may_ask(1.0 + PROBE_MIN_S), "the pause begins anew"
