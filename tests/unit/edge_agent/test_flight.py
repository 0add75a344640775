"""What is sent, repeated and released: nothing is confirmed that was not sent, nothing in flight is ever forgotten."""

from __future__ import annotations

import random
from itertools import pairwise
from time import process_time

import pytest

from data_contract.control import Ack, Rejected
from edge_agent.send.flight import REPEAT_MAX_S, SKIPS_MAX, Flight, Message, Room

RUNS = ("a" * 32, "b" * 32)


def flight(*, bytes_max: int = 10**9, batches_max: int = 10**6, seed: int = 1) -> Flight:
    return Flight(bytes_max=bytes_max, batches_max=batches_max, rng=random.Random(seed))


def send(one: Flight, first: int, last: int, now_s: float, run: str = RUNS[0]) -> Message:
    message = one.launch((run, first, last), 100 * (last - first + 1))
    one.sent(message, now_s)
    return message


def stored(*ranges: tuple[int, int], run: str = RUNS[0]) -> Ack:
    return Ack(run=run, stored=ranges)


def seqs(spans: list[tuple[str, int, int]]) -> set[tuple[str, int]]:
    return {(run, seq) for run, first, last in spans for seq in range(first, last + 1)}


@pytest.mark.parametrize("seed", range(60))
def test_any_history_confirms_only_what_was_sent_and_forgets_nothing(seed: int) -> None:
    chance = random.Random(seed)
    one = flight(seed=seed)
    now_s = 0.0
    next_seq = dict.fromkeys(RUNS, 1)
    launched: set[tuple[str, int]] = set()
    sent: set[tuple[str, int]] = set()
    done: set[tuple[str, int]] = set()
    aside: set[tuple[str, int]] = set()
    for _ in range(200):
        now_s += chance.choice([0, 0.1, 1, 10, 100])
        act = chance.random()
        if act < 0.3:
            run, count = chance.choice(RUNS), chance.randint(1, 8)
            span = (run, next_seq[run], next_seq[run] + count - 1)
            next_seq[run] += count
            one.launch(span, chance.randint(count, 5000))
            launched |= seqs([span])
        elif act < 0.65:
            message = one.due(now_s)
            if message is not None:
                one.sent(message, now_s)
                sent |= seqs([message.span])
        elif act < 0.9:
            run = chance.choice(RUNS)
            ranges = []
            for _ in range(chance.randint(0, 3)):
                low = chance.randint(1, next_seq[run] + 5)
                ranges.append((low, low + chance.choice([0, 1, 5, 10**9])))
            bad = tuple(
                Rejected(seq=chance.randint(1, next_seq[run] + 5), reason="x") for _ in range(chance.randint(0, 1))
            )
            released = seqs(one.confirmed(Ack(run=run, stored=tuple(ranges), rejected=bad), now_s))
            assert released <= sent - done - aside
            assert released <= {(run, seq) for a, b in ranges for seq in range(a, min(b, 5000) + 1)} | {
                (run, each.seq) for each in bad
            }
            done |= released
        elif act < 0.95:
            one.connected()
        else:
            one.ready(now_s)
        aside |= seqs([message.span for message in one.unanswered()])
        here = {key for key in launched if one.holds(*key)}
        assert here == launched - done - aside
        assert one.batches == len(here)
        assert one.bytes >= 0
        assert not done & aside


def test_an_ack_of_another_run_or_of_what_was_never_sent_releases_nothing() -> None:
    one = flight()
    send(one, 5, 9, 0)
    one.launch((RUNS[0], 10, 12), 300)
    for ack in (stored((5, 9), run=RUNS[1]), stored((1, 4)), stored((10, 12)), stored(), stored((13, 10**15))):
        assert one.confirmed(ack, 1) == []
    assert one.foreign_acks == 5
    assert one.batches == 8


def test_an_ack_beyond_what_was_sent_releases_no_more_than_that() -> None:
    one = flight()
    send(one, 5, 9, 0)
    assert one.confirmed(stored((1, 10**15)), 1) == [(RUNS[0], 5, 9)]
    assert one.batches == 0


def test_ranges_that_overlap_confirm_each_batch_once() -> None:
    one = flight()
    send(one, 5, 9, 0)
    released = one.confirmed(stored((8, 12), (5, 6), (6, 9), (5, 5), (8, 8)), 1)
    assert sum(last - first + 1 for _, first, last in released) == 5
    assert seqs(released) == {(RUNS[0], seq) for seq in range(5, 10)}
    assert one.batches == 0


def test_an_ack_of_as_many_ranges_as_it_can_hold_does_not_keep_the_agent_from_its_meters() -> None:
    one = flight()
    for first in range(1, 1024, 16):
        send(one, first, first + 15, 0)
    each = [(seq, seq) for seq in range(10**9, 10**9 + 12_000)] + [(1, 2000)] * 12_000
    began_s = process_time()
    released = one.confirmed(stored(*each), 1)
    assert process_time() - began_s < 1
    assert len(seqs(released)) == 1024


def test_a_batch_in_the_middle_can_be_confirmed_alone() -> None:
    one = flight()
    send(one, 1, 5, 0)
    assert one.confirmed(stored((3, 3)), 1) == [(RUNS[0], 3, 3)]
    assert [one.holds(RUNS[0], seq) for seq in range(1, 6)] == [True, True, False, True, True]
    assert one.batches == 4


def test_a_rejected_batch_is_released_since_ingest_keeps_it() -> None:
    one = flight()
    send(one, 1, 2, 0)
    assert seqs(one.confirmed(Ack(run=RUNS[0], stored=((2, 2),), rejected=(Rejected(seq=1, reason="x"),)), 1)) == {
        (RUNS[0], 1),
        (RUNS[0], 2),
    }


def drain(one: Flight, now_s: float) -> list[int]:
    """What is due now, sent."""
    found = []
    while (message := one.due(now_s)) is not None:
        one.sent(message, now_s)
        found.append(message.first)
    return found


def test_in_silence_only_the_oldest_is_repeated_and_ever_more_rarely() -> None:
    one = flight()
    for seq in range(1, 6):
        send(one, seq, seq, 0.0)
    repeats: list[tuple[float, int]] = []
    now_s = 0.0
    while now_s < 3 * 3600:
        now_s += 0.5
        repeats += [(now_s, first) for first in drain(one, now_s)]
    assert {first for _, first in repeats} == {1}
    gaps = [b - a for (a, _), (b, _) in pairwise(repeats)]
    assert max(gaps) <= REPEAT_MAX_S + 1
    assert 3 * 3600 / REPEAT_MAX_S - 1 <= len(repeats) < 150


def test_the_first_ack_ends_the_silence_for_all() -> None:
    one = flight()
    for seq in range(1, 6):
        send(one, seq, seq, 0.0)
    for now_s in range(1, 2000):
        drain(one, now_s)
    one.confirmed(stored((1, 1)), 2000)
    due = set()
    for now_s in range(2000, 2030):
        due |= set(drain(one, now_s))
    assert due >= {2, 3, 4, 5}


def test_a_new_connection_sends_everything_in_flight_once_and_is_no_sign_of_silence() -> None:
    one = flight()
    for seq in range(1, 21):
        send(one, seq, seq, 0.0)
    one.connected()
    assert drain(one, 5.0) == list(range(1, 21))
    assert drain(one, 5.0) == []
    assert set(drain(one, 5.0 + 16.0)), "twenty messages sent once count as twenty repeats into silence"


def test_ready_sends_everything_in_flight_once_spread_over_some_seconds() -> None:
    one = flight()
    for seq in range(1, 21):
        send(one, seq, seq, 0.0)
    one.ready(1.0)
    assert drain(one, 1.0) == []
    sent: list[int] = []
    moments = 0
    for tenth in range(10, 112):
        now = drain(one, tenth / 10)
        sent += now
        moments += bool(now)
    assert sorted(sent) == list(range(1, 21))
    assert moments > 5


def test_what_is_never_answered_while_later_ones_are_is_set_aside_after_a_bounded_number_of_tries() -> None:
    one = flight()
    poison = send(one, 1, 1, 0.0)
    now_s, seq = 0.0, 1
    while not (given_up := one.unanswered()):
        now_s += 20
        seq += 1
        drain(one, now_s)
        send(one, seq, seq, now_s + 0.1)
        one.confirmed(stored((seq, seq)), now_s + 0.2)
        assert seq < 200
    assert [message.first for message in given_up] == [1]
    assert SKIPS_MAX <= poison.tries <= SKIPS_MAX + 2
    assert not one.holds(RUNS[0], 1)


def test_silence_alone_never_sets_anything_aside() -> None:
    one = flight()
    send(one, 1, 1, 0.0)
    for now_s in range(0, 200_000, 100):
        drain(one, now_s)
        assert one.unanswered() == []


def test_room_shrinks_by_what_is_in_flight_and_comes_back_with_the_ack() -> None:
    one = flight(bytes_max=1000, batches_max=10)
    assert one.room() == Room(1000, 10, True)
    send(one, 1, 4, 0.0)
    assert one.room() == Room(600, 6, False)
    one.confirmed(stored((1, 4)), 1.0)
    assert one.room() == Room(1000, 10, True)


@pytest.mark.parametrize("seed", range(20))
def test_asking_when_to_wake_never_oversleeps_what_falls_due(seed: int) -> None:
    chance = random.Random(seed)
    one = flight(seed=seed)
    now_s = 0.0
    for seq in range(1, 40):
        now_s += chance.uniform(0, 20)
        one.launch((RUNS[0], seq, seq), 10)
        drain(one, now_s)
        if chance.random() < 0.3:
            one.confirmed(stored((chance.randint(1, seq),) * 2), now_s)
        wake_s = one.wake_s()
        if one.batches:
            assert wake_s is not None
            assert one.due(wake_s) is not None
            assert one.due(wake_s - 0.001) is None or wake_s <= now_s
