"""What the uplink may take: over time never more than the budget, counted with all that goes with a message."""

from __future__ import annotations

import random

import pytest

from edge_agent.send.budget import BURST_S, HEADERS_BYTES, Budget, wire_bytes
from edge_agent.send.forecast import FOREVER_S, Forecast, Rate


@pytest.mark.parametrize("seed", range(10))
def test_over_time_no_more_goes_than_the_budget_and_one_message_beyond_the_burst(seed: int) -> None:
    chance = random.Random(seed)
    rate = chance.choice([50.0, 1000.0, 30_000.0])
    budget, now_s, sent, largest = Budget(bytes_per_s=rate), 0.0, 0, 0
    while now_s < 3600:
        if wait_s := budget.wait_s(now_s):
            now_s += wait_s
            assert budget.wait_s(now_s) < 1e-6, "it says how long, and then lets nothing through"
            now_s += 1e-6
            continue
        size = chance.randint(1, int(6 * rate))
        largest = max(largest, size)
        budget.spend(size, now_s)
        sent += size
    assert sent <= rate * (now_s + BURST_S) + largest
    assert sent >= 0.95 * rate * 3600, "what was paid for is not used"


def test_what_was_saved_up_in_silence_is_bounded() -> None:
    budget = Budget(bytes_per_s=100.0)
    budget.spend(0, 0.0)
    sent = 0
    while not budget.wait_s(86_400.0):
        budget.spend(10, 86_400.0)
        sent += 10
    assert sent == pytest.approx(100 * BURST_S, abs=10)


def test_what_cannot_wait_is_paid_by_what_can() -> None:
    budget = Budget(bytes_per_s=100.0)
    budget.spend(5000, 0.0)
    assert budget.wait_s(0.0) == pytest.approx((5000 - 100 * BURST_S) / 100, abs=1)


def test_without_a_budget_nothing_ever_waits() -> None:
    budget = Budget(bytes_per_s=None)
    budget.spend(10**12, 0.0)
    assert budget.wait_s(0.0) == 0.0


@pytest.mark.parametrize("payload", [0, 600, 1400, 1500, 20_000])
def test_a_message_is_counted_with_all_its_headers_and_answers(payload: int) -> None:
    """Against the sum written out: segments of 1448 bytes, each acknowledged, and PUBACK and ack."""
    counted = wire_bytes("lg/v1/plant-1/data", b"x" * payload)
    segments = -(-(payload + 18 + 9 + 22) // 1448)
    assert counted >= payload + 18 + segments * 2 * HEADERS_BYTES + 4 * HEADERS_BYTES
    assert counted <= payload * 1.01 + 18 + 9 + (segments + 1) * 2 * HEADERS_BYTES + 4 * HEADERS_BYTES + 250


def test_a_steady_rate_is_told_from_the_first_seconds_on_and_follows_a_change() -> None:
    rate = Rate(memory_s=60, now_s=100.0)
    assert rate.per_s(100.0) == 0.0
    for second in range(1, 11):
        rate.add(500, 100.0 + second)
    assert rate.per_s(110.0) == pytest.approx(500, rel=0.1)
    for second in range(11, 400):
        rate.add(50, 100.0 + second)
    assert rate.per_s(500.0) == pytest.approx(50, rel=0.1)


def test_the_time_to_drain_is_what_waits_over_what_is_gained() -> None:
    one = Forecast(now_s=0.0)
    for second in range(600):
        one.sealed(100, second)
    one.connected(600.0)
    for second in range(600, 660):
        one.sealed(100, second)
        one.confirmed(1100, second)
    assert one.drain_s(1_000_000, 660.0) == pytest.approx((1_000_000 - 6_000) / 1_000, rel=0.05)
    assert one.drain_s(5_000, 660.0) == 0.0, "what always waits is no backlog"
    assert one.drain_s(20_000, 660.0, collecting_s=300.0) == 0.0, "nor is what is collected on purpose"


def test_a_backlog_that_does_not_shrink_will_never_be_drained_and_says_so_as_a_number() -> None:
    one = Forecast(now_s=0.0)
    for second in range(600):
        one.sealed(100, second)
    assert one.drain_s(60_000, 600.0) == FOREVER_S, "there is no session"
    one.connected(600.0)
    for second in range(600, 700):
        one.sealed(100, second)
        one.confirmed(90, second)
    assert one.drain_s(70_000, 700.0) == FOREVER_S
    one.lost()
    assert one.drain_s(70_000, 700.0) == FOREVER_S


def test_the_time_until_the_spool_is_full_knows_both_of_its_bounds() -> None:
    one = Forecast(now_s=0.0)
    assert one.full_s(0, 10**9, None, 0.0) == FOREVER_S
    for second in range(3600):
        one.sealed(100, second)
    by_bytes = one.full_s(0, 13_000_000, None, 3600.0)
    assert by_bytes == pytest.approx(100_000, rel=0.05)
    assert one.full_s(0, 13_000_000, 1_300_000, 3600.0) == pytest.approx(10_000, rel=0.05)
    assert one.full_s(5_000_000, 13_000_000, None, 3600.0) == pytest.approx(50_000, rel=0.05)
    assert one.full_s(20_000_000, 13_000_000, None, 3600.0) == 0.0
