"""Civil time of a gateway whose clock steps: each slot is called once, each stamp is used once."""

from __future__ import annotations

import random

import pytest

from data_contract.schedule import Poll, slots
from edge_agent.keep.dating import DRIFT_MAX_MS, Past, Timeline
from edge_agent.keep.passes import STAMP_MS
from edge_agent.ports import Civil
from edge_agent.read.pace import Pace

START_MS = 1_790_000_000_000
SEAL_MS = 10_000


def poll(every_ms: int, name: str = "m1") -> Poll:
    return Poll(device=name, kind="bin", group="g", every_ms=every_ms, fields=("x",))


def timeline(*, mono_ms: int = 0, utc_ms: int = START_MS, trusted: bool = True) -> Timeline:
    return Timeline(mono_ms=mono_ms, civil=Civil(utc_ms, trusted))


class Life:
    """A pace that polls and a seal that follows it, driven through clock steps by a seed; no task, no waiting."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.mono = self.chance.randint(0, 10**7)
        self.offset = 0
        self.line = timeline(mono_ms=self.mono, utc_ms=self.utc())
        self.polls = [poll(self.chance.choice([1_000, 2_500, 7_000, 60_000])) for _ in range(3)]
        self.pace = Pace(polls=self.polls, timeline=self.line, start_mono=self.mono, seal_every_ms=SEAL_MS)
        self.from_ = self.mono
        self.called: list[tuple[int, int]] = []
        self.stamps: list[tuple[int, int]] = []
        self.batches: list[tuple[int, int, int]] = []

    def utc(self) -> int:
        return START_MS + self.mono + self.offset

    def run(self, until_ms: int) -> None:
        while self.mono < until_ms:
            boundary = self.line.boundary(SEAL_MS, self.from_ + 1)
            while (head := self.pace.head())[0] < boundary:
                due, index = head
                self.mono = max(self.mono, due) + self.chance.choice([0, 0, 1, 5])
                self.called.append((index, due))
                self.stamps.append((index, self.line.at(due).base + self.line.stamp(self.mono, due)))
                assert self.pace.resolved(due, index)
            self.mono = max(self.mono, boundary)
            self.batches.append((self.from_, boundary, self.line.at(self.from_).base))
            self.from_ = boundary
            if self.chance.random() < 0.15:
                self.offset += self.chance.choice([-3_600_000, -60_000, -7_013, -101, 90, -90, 150, 5_003, 3_600_000])
            ahead = self.line.next_due(SEAL_MS, self.mono + 1)
            self.line.observe(mono_ms=self.mono, civil=Civil(self.utc(), True), boundary=ahead, sealed_to=self.from_)


@pytest.mark.parametrize("seed", range(40))
def test_a_batch_holds_exactly_the_slots_of_its_civil_time_whatever_the_clock_does(seed: int) -> None:
    life = Life(seed)
    life.run(life.mono + 1_800_000)
    assert len(set(life.called)) == len(life.called), "a slot was called twice"
    for from_, to, base in life.batches:
        for index, each in enumerate(life.polls):
            called = sum(1 for i, due in life.called if i == index and from_ <= due < to)
            assert called == slots(each.every_ms, from_ + base, to + base)


@pytest.mark.parametrize("seed", range(40))
def test_no_stamp_of_a_field_is_ever_used_twice_although_the_clock_is_put_back(seed: int) -> None:
    life = Life(seed)
    life.run(life.mono + 1_800_000)
    assert len(set(life.stamps)) == len(life.stamps)


def test_an_hour_that_is_lived_through_twice_has_stamps_of_its_own_each_time() -> None:
    line = timeline()
    first = {line.stamp(due, due) + line.at(due).base for due in range(0, 10_000, 1_000)}
    line.observe(mono_ms=9_500, civil=Civil(START_MS - 500, True), boundary=10_000, sealed_to=9_000)
    second = {line.stamp(due, due) + line.at(due).base for due in range(10_000, 20_000, 1_000)}
    assert len(first) == len(second) == 10
    assert not first & second


def test_a_restart_after_the_clock_was_put_back_does_not_use_old_stamps_either() -> None:
    before = timeline()
    used = {before.stamp(due, due) + before.at(due).base for due in range(0, 10_000, 1_000)}
    past = Past(ended_ms=START_MS + 10_000, text=before.remember(0))
    after = Timeline(mono_ms=0, civil=Civil(START_MS, True), past=past)
    assert not used & {after.stamp(due, due) + after.at(due).base for due in range(0, 10_000, 1_000)}
    assert after.at(0).backsteps == 1
    again = Timeline(mono_ms=0, civil=Civil(START_MS + 10_000, True), past=past)
    assert again.at(0).backsteps == 0


def test_a_stamp_lies_at_its_request_or_just_beside_and_never_before_its_slot() -> None:
    line = timeline()
    for mono in range(1_000, 1_100):
        for due in (mono, mono - 1, mono - 40):
            stamp = line.stamp(mono, due)
            assert due <= stamp
            assert abs(stamp - mono) < STAMP_MS
            assert stamp % STAMP_MS == 0


def test_a_change_of_the_clock_holds_from_the_next_boundary_on_and_never_before() -> None:
    line = timeline()
    assert line.observe(
        mono_ms=12_000, civil=Civil(START_MS + 12_000 + 3_600_000, True), boundary=20_000, sealed_to=10_000
    )
    assert line.at(19_999).base == START_MS
    assert line.at(20_000).base == START_MS + 3_600_000
    assert line.boundary(SEAL_MS, 12_001) == 20_000


def test_slewing_does_not_move_the_slots() -> None:
    line = timeline()
    for drift in (1, -1, 50, -50, DRIFT_MAX_MS - STAMP_MS):
        assert not line.observe(
            mono_ms=12_000, civil=Civil(START_MS + 12_000 + drift, True), boundary=20_000, sealed_to=10_000
        )


def test_a_clock_that_loses_its_source_is_believed_to_run_on() -> None:
    line = timeline()
    assert not line.observe(mono_ms=1, civil=Civil(5, False), boundary=10_000, sealed_to=0)
    assert line.at(10_000).trusted


def test_a_clock_that_becomes_trusted_is_a_change_even_if_it_was_right() -> None:
    line = timeline(trusted=False)
    assert line.observe(mono_ms=1, civil=Civil(START_MS + 1, True), boundary=10_000, sealed_to=0)
    assert not line.at(9_999).trusted
    assert line.at(10_000).trusted


def test_a_slot_that_the_new_time_puts_before_its_own_begin_is_not_called() -> None:
    line = timeline()
    line.observe(mono_ms=9_000, civil=Civil(START_MS + 9_000 + 7_016, True), boundary=10_000, sealed_to=0)
    line.observe(mono_ms=10_000, civil=Civil(START_MS + 17_016, True), boundary=12_984, sealed_to=10_000)
    assert line.next_due(5_000, 5_001) == 12_984


def test_a_time_that_had_to_be_moved_on_bears_bounds_with_room_for_what_a_trusted_clock_may_be_off() -> None:
    line = timeline()
    steps = [3_600_000 * n for n in (5, 4, 3, 2, 1, 0)]
    for number, ahead_ms in enumerate(steps, 1):  # each time round an hour less: five tracks, and then none is free
        begin = number * SEAL_MS
        line.stamp(begin - 5, begin - SEAL_MS)
        civil = Civil(START_MS + begin + ahead_ms, True)
        line.observe(mono_ms=begin, civil=civil, boundary=begin + SEAL_MS, sealed_to=begin)
    segment = line.newest
    assert line.forced and segment.bounds is not None
    low, high = segment.bounds
    assert low <= START_MS - DRIFT_MAX_MS - STAMP_MS // 2, "its grid and a drift that is not followed"
    assert high >= max(segment.base, START_MS + DRIFT_MAX_MS + STAMP_MS // 2)
    assert timeline().newest.bounds is None
    assert timeline(trusted=False).newest.bounds is None, "an estimate has its bounds from the spool"
