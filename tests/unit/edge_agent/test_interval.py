"""Samples to batches: every slot is counted once in the batch of its due time, also where the disk is full."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from data_contract.batch import BATCH_BYTES_MAX, Body, Record, write_body
from data_contract.cause import Missing
from data_contract.reading import Quality
from data_contract.schedule import Poll, expected
from edge_agent.keep.alarms import Alarms, Limit
from edge_agent.keep.interval import RAISED_MAX, RAISED_TOLD_MAX, Interval, Layout, Sample

POLLS = [
    Poll(device="m1", kind="bin", group="main", every_ms=1_000, fields=("a", "b")),
    Poll(device="m1", kind="bin", group="slow", every_ms=3_000, fields=("c",)),
    Poll(device="m2", kind="scale", group="main", every_ms=700, fields=("a",)),
]
GOOD = Quality.GOOD
LAYOUTS: dict[tuple[str, ...], Layout] = {}
KNOWN: list[tuple[float | None, Quality]] = []


def sample(stamp: int, values: Mapping[str, tuple[float | None, Quality]]) -> Sample:
    """What an agent keeps of an answer: here its registers are numbers of entries in a list of values."""
    said = list(values.values())

    def decode(words: Sequence[int]) -> tuple[float | None, Quality]:
        (word,) = words
        return KNOWN[word]

    words = []
    for each in said:
        if each not in KNOWN:
            KNOWN.append(each)
        words.append(KNOWN.index(each))
    parts = tuple((name, slice(n, n + 1), decode) for n, name in enumerate(values))
    return Sample(stamp, LAYOUTS.setdefault(tuple(values), Layout(parts)), words)


def told(interval: Interval, to: int) -> Body:
    return interval.body(to, prev=None, pending=[], aside=[])


def outcome(chance: random.Random, poll: Poll, due: int) -> tuple[list[Sample], Counter[Missing]]:
    """A slot's outcome: each field sampled, without a value, or missing."""
    if chance.random() < 0.2:
        return [], Counter({chance.choice(list(Missing)): len(poll.fields)})
    stamp = due + chance.choice([0, 3, 900, 15_000])
    values = {f: (None, Quality.INVALID) if chance.random() < 0.1 else (float(due), GOOD) for f in poll.fields}
    return [sample(stamp, values)], Counter()


def totals(bodies: list[Body]) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for body in bodies:
        for name, device in body.devices.items():
            for group, (called, sampled, missing) in device.counts.items():
                found[name, group, "called"] += called
                found[name, group, "sampled"] += sampled
                for cause, number in missing.items():
                    found[name, group, cause] += number
    return found


@pytest.mark.parametrize("seed", range(30))
def test_counts_equal_the_schedule_whenever_answers_come_and_whatever_the_disk_does(seed: int) -> None:
    chance = random.Random(seed)
    interval = Interval(from_=0)
    bodies: list[Body] = []
    values = refused = 0
    due = dict.fromkeys(range(len(POLLS)), 0)
    for to in range(10_000, 200_000, 10_000):
        ahead = to + chance.choice([0, 0, 4_000])
        for index, poll in enumerate(POLLS):
            while due[index] < ahead:
                interval.add(poll, due[index], *outcome(chance, poll, due[index]))
                due[index] += poll.every_ms
        body = told(interval, to)
        if chance.random() < 0.3:
            interval.refused(to)
            refused += 1
            continue
        interval.sealed(to)
        bodies.append(body)
        for poll in POLLS:
            called = body.devices[poll.device].counts[poll.group][0]
            assert called == expected(poll, body.from_, body.to)
        sampled = sum(count[1] for device in body.devices.values() for count in device.counts.values())
        held = sum(v is not None for d in body.devices.values() for b in d.blocks for c in b.values.values() for v in c)
        assert sampled == held
        values += held
    assert [body.from_ for body in bodies] == [0, *(body.to for body in bodies[:-1])]
    counted = totals(bodies)
    assert sum(n for (_, _, what), n in counted.items() if what == "sampled") == values
    if refused:
        assert sum(n for (_, _, what), n in counted.items() if what == "disk_full") > 0


def test_what_held_no_value_is_not_blamed_on_the_disk() -> None:
    interval = Interval(from_=0)
    interval.add(POLLS[2], 700, [sample(704, {"a": (None, Quality.INVALID)})], Counter())
    interval.add(POLLS[2], 1_400, [sample(1_400, {"a": (7.0, GOOD)})], Counter())
    told(interval, 2_000)
    interval.refused(2_000)
    assert told(interval, 2_800).devices["m2"].counts == {"main": (2, 0, {"disk_full": 1, "invalid": 1})}


def test_an_answer_that_comes_late_lies_in_the_batch_of_its_slot() -> None:
    interval = Interval(from_=0)
    interval.add(POLLS[2], 9_800, [sample(14_000, {"a": (1.0, GOOD)})], Counter())
    interval.add(POLLS[2], 10_500, [sample(14_008, {"a": (2.0, GOOD)})], Counter())
    first = told(interval, 10_000)
    interval.sealed(10_000)
    second = told(interval, 20_000)
    assert [b.t for b in first.devices["m2"].blocks] == [[14_000]]
    assert [b.t for b in second.devices["m2"].blocks] == [[4_008]]


def test_a_slot_that_was_sealed_as_given_up_is_not_counted_again() -> None:
    interval = Interval(from_=0)
    interval.sealed(10_000)
    interval.add(POLLS[0], 9_000, [sample(12_000, {"a": (1.0, GOOD), "b": (1.0, GOOD)})], Counter())
    assert told(interval, 20_000).devices == {}


def test_a_value_without_number_keeps_its_mark_beside_the_column() -> None:
    interval = Interval(from_=100)
    interval.add(POLLS[2], 700, [sample(704, {"a": (None, Quality.INVALID)})], Counter())
    interval.add(POLLS[2], 1_400, [sample(1_400, {"a": (7.0, Quality.OUT_OF_RANGE)})], Counter())
    (block,) = told(interval, 2_000).devices["m2"].blocks
    assert (block.t, block.values, block.quality) == ([604, 696], {"a": [None, 7.0]}, {"a": [(0, 3), (1, 2)]})
    assert told(interval, 2_000).devices["m2"].counts == {"main": (2, 1, {"invalid": 1})}


def test_what_happens_while_a_batch_is_being_written_is_told_in_the_next() -> None:
    interval = Interval(from_=0)
    interval.happened(Record(kind="start"))
    assert [record.kind for record in told(interval, 10_000).records] == ["start"]
    interval.happened(Record(kind="door"))
    interval.sealed(10_000)
    assert [record.kind for record in told(interval, 20_000).records] == ["door"]


def test_a_record_is_kept_until_there_is_room_for_it() -> None:
    interval = Interval(from_=0)
    interval.happened(Record(kind="start"))
    told(interval, 10_000)
    interval.refused(10_000)
    body = told(interval, 20_000)
    assert [record.kind for record in body.records] == ["start"]
    assert body.from_ == 0


def dancing(interval: Interval, alarms: int) -> None:
    """A value beyond its limit and within again, a minute apart: two alarms a time."""
    for number in range(alarms):
        due = 61_600 * (number + 1)
        interval.add(POLLS[2], due, [sample(due, {"a": (float(1 - number % 2), GOOD)})], Counter())


def test_alarms_of_days_without_room_fit_into_batches_that_ingest_takes_and_the_newest_are_told() -> None:
    interval = Interval(from_=0, alarms=Alarms({("m2", "a"): Limit(low=None, high=0.5)}))
    for _ in range(4):
        dancing(interval, 1000)
        told(interval, 10**8)
        interval.refused(10**8)
    told_of: list[int] = []
    to = 2 * 10**8
    while interval.urgent:
        body = told(interval, to)
        assert len(write_body(body)) < BATCH_BYTES_MAX / 4
        told_of += [interval.from_ + record.t for record in body.records]
        interval.sealed(to)
        to += 1000
    assert len(told_of) == RAISED_MAX
    assert told_of[-1] == 61_600 * 1000, "the last that happened is what matters"


def test_alarms_that_give_way_while_a_batch_is_written_take_none_with_them_that_was_not_told() -> None:
    interval = Interval(from_=0, alarms=Alarms({("m2", "a"): Limit(low=None, high=0.5)}))
    dancing(interval, RAISED_MAX)
    first = told(interval, 10**9)
    late = 61_600 * (RAISED_MAX + 1)
    interval.add(POLLS[2], late, [sample(late, {"a": (1.0, GOOD)})], Counter())
    interval.sealed(10**9)
    second = told(interval, 2 * 10**9)
    assert first.records[-1].t == 61_600 * RAISED_TOLD_MAX
    assert 10**9 + second.records[0].t == 61_600 * (RAISED_TOLD_MAX + 1)


def test_the_size_is_that_of_what_would_be_sealed() -> None:
    interval = Interval(from_=0)
    for due in range(0, 7_000, 700):
        interval.add(POLLS[2], due, [sample(due, {"a": (1.0, GOOD)})], Counter())
    before = interval.bytes_about
    interval.sealed(3_500)
    assert 0 < interval.bytes_about == before / 2
    interval.refused(7_000)
    assert interval.bytes_about == 0
