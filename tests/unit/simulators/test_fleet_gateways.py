"""The law of the fleet's gateways: what is sealed, sent, sent again, and forgotten."""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from data_contract.control import Ack, Rejected
from simulators.fleet.gateways import READY_JITTER_S, REPEAT_MAX_S, REPEAT_MIN_S, Gateways
from simulators.fleet.pace import Outage, pace_of
from simulators.fleet.plan import BadPlan, FleetPlan

BEGIN_MS = 1_700_000_000_000
PLAN = FleetPlan(gateways=4, meters=2, fields=3, begin_ms=BEGIN_MS)
ROOT = Path(__file__).parents[3]


def fleet(batches: int, *, connected: bool = True, spool: int = 360) -> Gateways:
    """Gateways that have sealed `batches` each."""
    gateways = Gateways(plan=PLAN, spool_batches_max=spool)
    for number in range(PLAN.gateways):
        if connected:
            gateways.connected(number)
        for _ in range(batches):
            gateways.seal(number)
    return gateways


def taken(gateways: Gateways, number: int, now_s: float) -> list[int]:
    """The seqs of the next message, nothing where the gateway does not want to send."""
    return [sealed.seq for sealed in gateways.take(number, now_s)] if number in gateways.wanting(now_s) else []


def ack(number: int, *stored: tuple[int, int], rejected: tuple[int, ...] = ()) -> Ack:
    bad = tuple(Rejected(seq=seq, reason="broken") for seq in rejected)
    return Ack(run=PLAN.run(number), stored=stored, rejected=bad)


def test_a_batch_covers_what_the_one_before_it_left_and_nothing_is_sealed_before_it_is_over() -> None:
    gateways = fleet(0)
    assert gateways.due(BEGIN_MS + PLAN.seal_ms - 1, 10) == []
    assert sorted(gateways.due(BEGIN_MS + 2 * PLAN.seal_ms, 10)) == [0, 1, 2, 3]
    assert len(gateways.due(BEGIN_MS + 2 * PLAN.seal_ms, 3)) == 3
    edge = BEGIN_MS
    for seq in range(1, 6):
        sealed = gateways.seal(2)
        assert sealed is not None and (sealed.seq, sealed.from_ms, sealed.to_ms) == (seq, edge, edge + PLAN.seal_ms)
        edge = sealed.to_ms


def test_what_waits_leaves_in_order_and_no_more_of_it_than_may_be_in_flight() -> None:
    gateways = fleet(50)
    assert taken(gateways, 1, 0.0) == list(range(1, 33))
    assert taken(gateways, 1, 0.0) == []
    assert gateways.confirmed(1, ack(1, (1, 10)), 0.1) == 10
    assert taken(gateways, 1, 0.1) == list(range(33, 43))
    assert gateways.held(1) == list(range(11, 51))


def test_an_offline_gateway_sends_nothing_and_goes_on_sealing() -> None:
    gateways = fleet(3, connected=False)
    assert gateways.wanting(1_000.0) == [] and gateways.unconfirmed == 12 and gateways.sendable() == 0


def test_after_a_reconnect_everything_unconfirmed_goes_again() -> None:
    gateways = fleet(5)
    assert taken(gateways, 0, 0.0) == [1, 2, 3, 4, 5]
    gateways.confirmed(0, ack(0, (2, 3)), 0.1)
    gateways.disconnected(0)
    assert taken(gateways, 0, 400.0) == []
    gateways.connected(0)
    assert taken(gateways, 0, 400.0) == [1]
    assert taken(gateways, 0, 400.0) == [4, 5], "consecutive batches only share a message"
    assert gateways.redelivered == 3


def test_in_silence_only_the_oldest_is_repeated_at_growing_pauses_and_the_first_ack_frees_the_rest() -> None:
    gateways = fleet(6)
    taken(gateways, 0, 0.0)
    sent, now_s = [], 0.0
    while now_s < 3_600:
        now_s += 0.5
        if seqs := taken(gateways, 0, now_s):
            assert seqs == [1]
            sent.append(now_s)
    assert sent[0] >= REPEAT_MIN_S
    pauses = [after - before for before, after in itertools.pairwise(sent)]
    assert pauses[0] < 6 * REPEAT_MIN_S and max(pauses) <= 2 * REPEAT_MAX_S + 1 and pauses[-1] >= REPEAT_MAX_S
    assert 5 < len(sent) < 30
    assert gateways.confirmed(0, ack(0, (1, 1)), now_s) == 1
    assert taken(gateways, 0, now_s) == [2, 3, 4, 5, 6]


def test_acks_of_later_batches_do_not_excuse_the_oldest() -> None:
    gateways = fleet(1)
    taken(gateways, 0, 0.0)
    again = None
    for second in range(1, 100):
        gateways.seal(0)
        seqs = taken(gateways, 0, float(second))
        if 1 in seqs:
            again = second
            break
        gateways.confirmed(0, ack(0, (seqs[0], seqs[-1])), second + 0.1)
    assert again is not None and REPEAT_MIN_S <= again <= 2 * REPEAT_MIN_S


def test_ready_brings_everything_back_but_not_all_gateways_at_once() -> None:
    plan = dataclasses.replace(PLAN, gateways=1_000)
    gateways = Gateways(plan=plan)
    for number in range(plan.gateways):
        gateways.connected(number)
        gateways.seal(number)
        gateways.take(number, 0.0)
    gateways.ready(1.0)
    early = len(gateways.wanting(1.0 + 0.1 * READY_JITTER_S))
    assert 50 < early < 200
    assert len(gateways.wanting(1.0 + READY_JITTER_S)) == 1_000
    assert [sealed.seq for sealed in gateways.take(7, 12.0)] == [1]


def test_an_ack_forgets_only_what_was_sent_in_this_run_and_what_was_rejected_is_not_sent_again() -> None:
    gateways = fleet(2)
    taken(gateways, 0, 0.0)
    gateways.seal(0)
    foreign = Ack(run="f" * 32, stored=((1, 9),))
    assert gateways.confirmed(0, foreign, 1.0) == 0
    assert gateways.confirmed(1, ack(1, (1, 2)), 1.0) == 0, "never sent"
    assert gateways.confirmed(0, ack(0, (3, 10**15)), 1.0) == 0, "3 is not sent yet"
    assert gateways.foreign_acks == 3
    assert gateways.confirmed(0, ack(0, (1, 1), rejected=(2,)), 1.0) == 2
    assert gateways.rejected == 1 and gateways.held(0) == [3]
    assert gateways.confirmed(0, ack(0, (1, 2)), 1.0) == 0, "a second time"


def test_a_full_spool_gives_up_the_new_counts_it_and_has_always_room_for_the_last_word() -> None:
    gateways = fleet(3, connected=False, spool=3)
    assert gateways.seal(0) is None and gateways.seal(0) is None and gateways.given_up == 2
    gateways.connected(0)
    assert taken(gateways, 0, 0.0) == [1, 2, 3]
    gateways.confirmed(0, ack(0, (1, 1)), 0.1)
    sealed = gateways.seal(0)
    assert sealed is not None and sealed.seq == 4
    assert sealed.lost_ms == 2 * PLAN.seal_ms and sealed.to_ms - sealed.from_ms == 3 * PLAN.seal_ms
    assert sealed.pending == ((2, 3),)
    assert gateways.seal(0) is None
    gateways.stop(0, int(sealed.to_ms) + PLAN.seal_ms + 5_000)
    last = gateways.newest(0)
    assert last.stop and last.lost_ms == PLAN.seal_ms and last.to_ms == sealed.to_ms + PLAN.seal_ms + 5_000


@pytest.mark.parametrize("left_ms", [0, 1, 9_999, 10_000, 15_000, 19_999])
def test_a_stop_seals_all_that_was_sampled_and_says_so_last(left_ms: int) -> None:
    gateways = fleet(2)
    end_ms = BEGIN_MS + 2 * PLAN.seal_ms + left_ms
    gateways.stop(3, end_ms)
    last = gateways.newest(3)
    assert last.stop and last.to_ms == end_ms
    assert all(not sealed.stop for sealed in gateways.take(3, 0.0)[:-1])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_lost_on_the_way_all_is_confirmed_in_the_end(seed: int) -> None:
    rng, gateways, now_s = random.Random(seed), fleet(0), 0.0
    arrived: list[set[int]] = [set() for _ in range(PLAN.gateways)]
    for step in range(400):
        now_s += rng.random() * 20
        number = rng.randrange(PLAN.gateways)
        if step < 200:
            gateways.seal(number)
        if rng.random() < 0.1:
            gateways.disconnected(number)
        if rng.random() < 0.3:
            gateways.connected(number)
        if rng.random() < 0.05:
            gateways.ready(now_s)
        _exchange(gateways, arrived, now_s, rng, loss=0.4)
    for number in range(PLAN.gateways):
        gateways.connected(number)
    for _ in range(60):
        now_s += 400
        _exchange(gateways, arrived, now_s, rng, loss=0.0)
    assert gateways.unconfirmed == 0
    assert arrived == [set(range(1, int(end))) for end in gateways.next_seq]
    assert int(gateways.in_flight.sum()) == 0 and gateways.foreign_acks == 0


def _exchange(gateways: Gateways, arrived: list[set[int]], now_s: float, rng: random.Random, *, loss: float) -> None:
    """Every gateway that wants to sends; messages and acks are lost by chance."""
    for number in gateways.wanting(now_s):
        seqs = [sealed.seq for sealed in gateways.take(number, now_s)]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
        if seqs and rng.random() >= loss:
            arrived[number].update(seqs)
            if rng.random() >= loss:
                gateways.confirmed(number, ack(number, (seqs[0], seqs[-1])), now_s)


def test_a_faster_fleet_begins_in_the_past_and_reaches_the_present() -> None:
    now_ms = BEGIN_MS + 4_321
    pace = pace_of(natural_rate=100, rate=1_000, for_s=60, now_ms=now_ms, clock_speed=1, seal_ms=10_000)
    assert pace.start_ms % 10_000 == 0 and pace.speed == 10
    assert now_ms + 60_000 - 10_000 <= pace.now_ms(60) <= now_ms + 60_000
    slow = pace_of(natural_rate=100, rate=10, for_s=None, now_ms=now_ms, clock_speed=1, seal_ms=10_000)
    assert slow.now_ms(100) == BEGIN_MS + 10_000
    with pytest.raises(BadPlan, match="--for"):
        pace_of(natural_rate=100, rate=1_000, for_s=None, now_ms=now_ms, clock_speed=1, seal_ms=10_000)


def test_an_outage_is_read_as_it_is_written() -> None:
    assert Outage.parse("60,30,0.5") == Outage(60.0, 30.0, 0.5)
    for wrong in ("60,30", "60,30,2", "-1,1,1", "a,b,c", "1,2,3,4"):
        with pytest.raises(ValueError, match=r"."):
            Outage.parse(wrong)


_MEMORY = """
from pathlib import Path
from simulators.fleet.batches import BatchMaker, message
from simulators.fleet.gateways import Gateways
from simulators.fleet.plan import FleetPlan

def most_mb():  # not ru_maxrss, which a child begins with its parent's
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3

plan = FleetPlan(gateways=5_000, meters=20, fields=10, every_ms=1_000, begin_ms=1_700_000_000_000)
gateways, maker = Gateways(plan=plan), BatchMaker(plan=plan)
for number in range(plan.gateways):
    gateways.connected(number)
    gateways.seal(number)
for number in range(plan.gateways):
    sealed = gateways.take(number, 0.0)
    if number % 50 == 0:
        (made,) = maker.make([(number, sealed[0])])
        message(plan, [made])
print(most_mb())
for number in range(plan.gateways):
    for _ in range(59):
        gateways.seal(number)
print(most_mb())
"""


def test_five_thousand_gateways_fit_into_120_mb_and_ten_minutes_without_a_cloud_into_as_much_again() -> None:
    """Without their connections; 295 000 batches wait in the end. No body is kept: each is made again."""
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    calm_mb, outage_mb = map(float, done.stdout.split())
    assert calm_mb < 120
    assert (outage_mb - calm_mb) * 1e6 / (59 * 5_000) < 300, "bytes for a batch that waits"
