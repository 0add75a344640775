"""One gateway that sends too much takes nothing from the others: not their room, not their turn."""

from __future__ import annotations

import random

import pytest

from data_contract.message import MESSAGE_BYTES_MAX
from edge_agent.send.flight import FLIGHT_BATCHES_MAX, FLIGHT_BYTES_MAX
from ingest import consumer
from ingest.fair import CROWDED, FLOOD, Lanes

ANY = 10**9


def lanes(*, lane: int = 1000, total: int = ANY, quantum: int = 100) -> Lanes[str]:
    return Lanes(lane_bytes_max=lane, bytes_max=total, quantum_bytes=quantum)


def test_a_gateway_that_sends_little_waits_for_one_turn_of_the_one_that_floods() -> None:
    waiting = lanes()
    for number in range(20):
        assert waiting.put("flood", 50, f"flood {number}") is None
    assert waiting.put("good", 50, "good") is None
    taken = waiting.take(ANY, ANY)
    assert taken == ["flood 0", "flood 1", "good"], "a quantum of two messages, then the other's turn"
    assert waiting.take(ANY, ANY) == ["flood 2", "flood 3"], "what is taken together stays small"


def test_what_a_lane_cannot_hold_is_dropped_and_counted_and_costs_no_other_lane_anything() -> None:
    waiting = lanes(lane=100)
    assert [waiting.put("flood", 40, str(n)) for n in range(5)] == [None, None, "2", "3", "4"]
    assert waiting.put("good", 100, "good") is None
    assert waiting.dropped == {(FLOOD, "flood"): 3}
    assert (len(waiting), waiting.bytes, waiting.lanes) == (3, 180, 2)


def test_when_all_lanes_are_full_the_longest_gives_way_to_a_short_one() -> None:
    waiting = lanes(total=300)
    for number in range(3):
        waiting.put("long", 100, f"long {number}")
    assert waiting.put("short", 50, "short") == "long 2"
    assert waiting.put("short", 50, "short too") is None
    assert waiting.dropped == {(CROWDED, "long"): 1}
    assert waiting.put("new", ANY, "larger than all") == "larger than all"


def test_messages_of_one_gateway_keep_their_order_and_none_is_lost_or_doubled() -> None:
    rng = random.Random(7)
    waiting = lanes(lane=5000, quantum=64)
    put: dict[str, list[str]] = {}
    taken: dict[str, list[str]] = {}
    for number in range(3000):
        name = rng.choice("aaaaab") + str(rng.randrange(3))
        item = f"{name} {number}"
        if waiting.put(name, rng.randrange(1, 400), item) is None:
            put.setdefault(name, []).append(item)
        if rng.random() < 0.4:
            for each in waiting.take(rng.randrange(1, 9), rng.randrange(1, 900)):
                taken.setdefault(each.split()[0], []).append(each)
    while waiting:
        found = waiting.take(5, 500)
        assert found, "something waits, so something is taken"
        for each in found:
            taken.setdefault(each.split()[0], []).append(each)
    assert taken == put
    assert (waiting.bytes, waiting.lanes) == (0, 0)


def test_lanes_share_by_bytes_and_not_by_messages() -> None:
    waiting = lanes(lane=ANY, quantum=1000)
    for _ in range(1000):
        waiting.put("small", 10, "small")
    for _ in range(100):
        waiting.put("large", 700, "large")
    served = {"small": 0, "large": 0}
    for _ in range(8):
        for each in waiting.take(ANY, ANY):
            served[each] += 10 if each == "small" else 700
    assert served["small"] == pytest.approx(served["large"], rel=0.2)


def test_a_message_larger_than_a_turn_is_taken_all_the_same() -> None:
    waiting = lanes(quantum=10)
    waiting.put("a", 900, "large")
    assert waiting.take(1, 1) == ["large"]
    assert waiting.take(1, 1) == []


def test_a_well_behaved_gateway_that_drains_its_backlog_never_fills_its_lane() -> None:
    """All that it may have in flight, each batch a message of its own, sent three times before any is taken."""
    waiting: Lanes[int] = Lanes(
        lane_bytes_max=consumer.LANE_BYTES_MAX,
        bytes_max=consumer.BYTES_MAX,
        quantum_bytes=consumer.QUANTUM_BYTES,
    )
    size = FLIGHT_BYTES_MAX // FLIGHT_BATCHES_MAX + consumer.MESSAGE_COST_BYTES
    for _ in range(3):
        for number in range(FLIGHT_BATCHES_MAX):
            assert waiting.put("gw-1", size, number) is None
    assert consumer.LANE_BYTES_MAX >= 3 * (MESSAGE_BYTES_MAX + consumer.MESSAGE_COST_BYTES)
