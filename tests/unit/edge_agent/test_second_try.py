"""Batches that were never answered are offered once more: to an ingest that reads them now, and not for ever."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from data_contract.batch import Span
from edge_agent.keep.aside import without
from edge_agent.send.second_try import BATCHES_MAX, EVERY_S, FAILED_MAX, FIRST_S, READY_EVERY_S, SecondTry
from ingest import worker as ingest_worker
from ingest.guard import Admitted, Refused, admit
from tests.faults.world import World
from tests.twins.loop import run_virtual

A = "a" * 32
ASIDE = [(A, 2, 20, "unanswered"), (A, 30, 30, "dropped by mei: x"), (A, 40, 40, "unanswered")]


def never(span: Span) -> bool:
    return False


def test_nothing_is_tried_before_its_time_and_nothing_else_than_the_unanswered() -> None:
    tries = SecondTry(reason="unanswered")
    assert tries.due(0, ASIDE, never) is None
    assert tries.due(FIRST_S - 1, ASIDE, never) is None
    found = []
    while (span := tries.due(FIRST_S, [ASIDE[1]], never)) is not None:
        found.append(span)
    assert found == []


def test_what_is_answered_costs_no_try_so_that_all_go_in_one_round() -> None:
    tries, aside = SecondTry(reason="unanswered"), list(ASIDE)
    aside += [(A, seq, seq, "unanswered") for seq in range(100, 160, 2)]
    tries.due(0, aside, never)
    while (span := tries.due(FIRST_S, aside, never)) is not None:
        assert span[2] - span[1] < BATCHES_MAX
        assert tries.due(FIRST_S, aside, lambda s: True) is None, "the next one only when this one is decided"
        aside = without(aside, span)
    assert aside == [ASIDE[1]]


def test_a_round_ends_after_so_many_failures_and_the_next_one_goes_on_with_the_others() -> None:
    tries, aside = SecondTry(reason="unanswered"), [(A, seq, seq, "unanswered") for seq in range(1, 41, 2)]
    tries.due(0, aside, never)
    rounds, now_s = [], FIRST_S
    for _ in range(4):
        seqs = []
        while (span := tries.due(now_s, aside, never)) is not None:
            seqs.append(span[1])
        rounds.append(seqs)
        assert tries.due(now_s + EVERY_S - 1, aside, never) is None
        now_s += EVERY_S
    assert [len(seqs) for seqs in rounds[:2]] == [FAILED_MAX, FAILED_MAX]
    assert rounds[0] + rounds[1] + rounds[2] == list(range(1, 41, 2)), "each has its turn before any has a second"
    assert rounds[3] == rounds[0]


def test_a_worker_that_begins_brings_the_next_round_forward_but_not_again_and_again() -> None:
    tries, aside = SecondTry(reason="unanswered"), [(A, 1, 1, "unanswered")]
    tries.due(0, aside, never)
    rounds = []
    for minute in range(24 * 60):
        tries.ready(minute * 60.0)
        if tries.due(minute * 60.0, aside, never) is not None:
            rounds.append(minute * 60.0)
            assert tries.due(minute * 60.0, aside, never) is None
    assert all(b - a >= READY_EVERY_S for a, b in pairwise(rounds))
    assert 20 <= len(rounds) <= 24


def test_spans_without_a_part_of_them() -> None:
    assert without(ASIDE, (A, 5, 6)) == [(A, 2, 4, "unanswered"), (A, 7, 20, "unanswered"), *ASIDE[1:]]
    assert without(ASIDE, (A, 1, 99)) == []
    assert without(ASIDE, ("b" * 32, 1, 99)) == ASIDE


@pytest.mark.parametrize("mended", [True, False])
def test_a_batch_that_ingest_let_lie_is_stored_by_one_that_reads_it_and_stays_aside_otherwise(
    mended: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped agent and worker; ingest's header check stumbles over one batch."""
    stumbles = True

    def stumbling(topic: str, payload: bytes) -> Admitted | Refused:
        found = admit(topic, payload)
        if stumbles and isinstance(found, Admitted) and found.header.first <= 5 <= found.header.last:
            return Refused("bad_header")
        return found

    monkeypatch.setattr(ingest_worker, "admit", stumbling)

    async def main() -> None:
        nonlocal stumbles
        world = World(seed=1, folder=tmp_path)
        world.start()
        gateway = world.gateways[0]
        assert gateway.agent is not None
        spool = gateway.agent.spool
        await asyncio.sleep(550)
        assert [(first, last, why) for _, first, last, why in spool.aside] == [(5, 5, "unanswered")]
        stumbles = not mended
        await asyncio.sleep(600)
        assert spool.aside == ([] if mended else [(spool.run, 5, 5, "unanswered")])
        assert len(spool.held) <= 2
        assert ((spool.run, 5) in world.receipted) == mended
        stumbles = False
        await world.settle(60)
        if mended:
            assert await world.stored() == world.sealed_readings(gateway)

    run_virtual(main())
