"""What is due on a bus: in order, once, and given up rather than holding up a seal."""

from __future__ import annotations

from data_contract.schedule import Poll
from edge_agent.keep.dating import Timeline
from edge_agent.ports import Civil
from edge_agent.read.pace import Pace

START_MS = 1_790_000_000_000


def pace(*every_ms: int, seal_every_ms: int = 10_000) -> Pace:
    polls = [
        Poll(device=f"m{n}", kind="bin", group="g", every_ms=every, fields=("x",)) for n, every in enumerate(every_ms)
    ]
    line = Timeline(mono_ms=0, civil=Civil(START_MS, True))
    return Pace(polls=polls, timeline=line, start_mono=1, seal_every_ms=seal_every_ms)


def test_what_falls_due_together_is_asked_in_the_order_of_the_site_file() -> None:
    one = pace(1_000, 500, 1_000)
    order = []
    for _ in range(8):
        due, index = one.head()
        order.append((due, index))
        one.resolved(due, index)
    assert order == [
        (500, 1),
        (1_000, 0),
        (1_000, 1),
        (1_000, 2),
        (1_500, 1),
        (2_000, 0),
        (2_000, 1),
        (2_000, 2),
    ]


def test_the_watermark_never_passes_a_slot_without_an_outcome() -> None:
    one = pace(1_000, 5_000)
    one.resolved(1_000, 0)
    one.resolved(2_000, 0)
    assert one.watermark() == 3_000
    for due in (3_000, 4_000, 5_000, 6_000):
        one.resolved(due, 0)
    assert one.watermark() == 5_000


def test_a_slot_is_too_late_when_its_successor_is_due_or_a_seal_would_wait_for_it() -> None:
    one = pace(1_000, 60_000)
    assert not one.too_late(1_000, 0, 1_999)
    assert one.too_late(1_000, 0, 2_000)
    assert not one.too_late(60_000, 1, 69_999)
    assert one.too_late(60_000, 1, 70_000)


def test_a_slot_that_was_given_up_does_not_get_a_second_outcome() -> None:
    one = pace(1_000, 5_000)
    assert list(one.give_up(5_001)) == [(1_000, 0), (2_000, 0), (3_000, 0), (4_000, 0), (5_000, 0), (5_000, 1)]
    assert not one.resolved(5_000, 0)
    assert one.head() == (6_000, 0)
    assert list(one.give_up(5_001)) == []
