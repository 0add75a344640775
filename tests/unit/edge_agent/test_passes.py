"""No two readings of a field share a stamp: a search over clocks put back, agents that end, boots and estimates."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from edge_agent.keep.dating import Past, Timeline
from edge_agent.keep.passes import GUESSED, STAMP_MS, SURE, Passes, recall
from edge_agent.ports import Civil

START_MS = 1_790_000_000_000
SEAL_MS = 10_000
HOUR_MS = 3_600_000
SLOT_MS = 1_000
STEPS_MS = (-3 * HOUR_MS, -HOUR_MS, -60_000, -7_013, -1_000, -150, 0, 0, 5_003, 60_000, HOUR_MS, 3 * HOUR_MS)


class Gateway:
    """Timelines of run after run, over one device that is read every second, at times a little late."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now, self.booted, self.offset, self.trusted = 0, -5_000, 0, True
        self.dated: list[int] = []
        """Civil ms of every stamp that is final."""
        self.waiting: list[tuple[int, int, int, int]] = []
        """(boot, mono, guessed base, low) of stamps that have no base yet."""
        self.past = Past()
        self.truths: list[tuple[int, int, int]] = []
        """(low, base, true base) of every estimate."""
        self.begin()

    def mono(self) -> int:
        return self.now - self.booted

    def civil(self) -> Civil:
        return Civil(START_MS + self.now + self.offset, self.trusted)

    def begin(self) -> None:
        self.line = Timeline(mono_ms=self.mono(), civil=self.civil(), past=self.past, late_ms=2 * SEAL_MS)
        self.from_, self.newest = self.mono(), -1

    def interval(self) -> None:
        """Sample until the next boundary and seal, or die on the way."""
        boundary = self.line.boundary(SEAL_MS, self.from_ + 1)
        segment, fresh = self.line.at(self.from_), []
        due = self.line.next_due(SLOT_MS, self.from_)
        while due < boundary:
            mono = max(due, self.newest + 1) + self.rng.choice([0, 0, 1, 5, 700, 900])
            self.newest = self.line.stamp(mono, max(due, self.newest + 1), due)
            fresh.append(self.newest)
            due = self.line.next_due(SLOT_MS, due + 1)
        self.now = max(self.now, self.booted + max([boundary, *fresh]))
        if self.rng.random() < 0.03:
            self.end()  # not sealed
            return
        for mono in fresh:
            if segment.trusted:
                self.dated.append(segment.base + mono)
            else:
                assert segment.low is not None
                self.waiting.append((self.booted, mono, segment.base, segment.low))
        self.past = Past(segment.base + boundary, False, False, bool(self.waiting), 0, self.line.remember(self.from_))
        self.from_ = boundary
        ahead = self.line.next_due(SEAL_MS, self.mono() + 1)
        self.line.observe(mono_ms=self.mono(), civil=self.civil(), boundary=ahead, sealed_to=self.from_)
        self.date()

    def date(self) -> None:
        """As the spool does it, without boots that nothing is known of."""
        segment = self.line.at(self.mono())
        if segment.trusted:
            self.dated += [segment.base + mono for boot, mono, _, _ in self.waiting if boot == self.booted]
            self._guess([each for each in self.waiting if each[0] != self.booted])
        elif self.rng.random() < 0.1:
            self._guess(self.waiting)
        else:
            return
        self.waiting = []

    def _guess(self, waiting: list[tuple[int, int, int, int]]) -> None:
        for boot, mono, base, low in waiting:
            self.dated.append(base + mono)
            self.truths.append((low, base, START_MS + boot))

    def end(self) -> None:
        """The agent ends, or the power goes; what runs next may know the time, or not."""
        self.now += self.rng.choice([100, 3_000, 40_000])
        if self.rng.random() < 0.6:
            self.booted = self.now - 1
            self.past = replace(self.past, rebooted=True)
            self.trusted = self.rng.random() < 0.4
        self.begin()

    def live(self, intervals: int, steps: tuple[int, ...]) -> None:
        for _ in range(intervals):
            self.interval()
            if self.rng.random() < 0.06:
                self.offset = self.rng.choice(steps)
            if self.rng.random() < 0.02:
                self.trusted = True


@pytest.mark.parametrize("seed", range(60))
def test_no_stamp_is_used_twice_whatever_clock_power_and_network_do(seed: int) -> None:
    gateway = Gateway(seed)
    gateway.live(700, STEPS_MS)
    assert len(gateway.dated) > 2000
    assert len(set(gateway.dated)) == len(gateway.dated)


@pytest.mark.parametrize("seed", range(20))
def test_an_estimate_is_never_before_what_must_be_true_as_long_as_no_trusted_clock_lies(seed: int) -> None:
    gateway = Gateway(seed)
    gateway.trusted = False
    gateway.live(300, (-HOUR_MS, -60_000, 0))
    for low, base, truth in gateway.truths:
        assert low <= truth
        assert low <= base


def test_a_clock_that_swings_between_two_hours_for_ever_needs_two_tracks() -> None:
    line = Timeline(mono_ms=0, civil=Civil(START_MS, True))
    stamps = []
    for swing in range(1, 200):
        start = swing * SEAL_MS
        civil = Civil(START_MS + start - 1 + (HOUR_MS if swing % 2 else 0), True)
        line.observe(mono_ms=start - 1, civil=civil, boundary=start, sealed_to=start)
        stamps += [line.at(mono).base + line.stamp(mono, mono) for mono in range(start, start + SEAL_MS, SLOT_MS)]
        assert not line.forced
    assert len(set(stamps)) == len(stamps)
    assert {stamp % STAMP_MS for stamp in stamps} == {0, 1}


def test_a_clock_put_back_more_often_than_there_are_tracks_is_not_followed_and_that_is_flagged() -> None:
    line = Timeline(mono_ms=0, civil=Civil(START_MS, True))
    stamps, forced = [], []
    for turn in range(1, 4 * STAMP_MS):
        start = turn * SEAL_MS
        line.observe(mono_ms=start - 1, civil=Civil(START_MS, True), boundary=start, sealed_to=start)
        segment = line.at(start)
        assert line.forced == (segment.low is not None)
        if segment.low is not None:
            assert segment.low == pytest.approx(START_MS - start, abs=STAMP_MS)
            assert segment.low < segment.base
        forced.append(line.forced)
        stamps += [line.at(mono).base + line.stamp(mono, mono) for mono in range(start, start + SEAL_MS, SLOT_MS)]
    assert len(set(stamps)) == len(stamps)
    assert not any(forced[: len(SURE) - 1]), "the same ten seconds again and again: there is a track for each of five"
    assert all(forced[len(SURE) :])
    start = 4 * STAMP_MS * SEAL_MS
    line.observe(mono_ms=start - 1, civil=Civil(START_MS + HOUR_MS, True), boundary=start, sealed_to=start)
    assert not line.forced, "as soon as there is room it is followed again"


def test_estimates_and_known_times_never_share_a_track() -> None:
    passes = Passes()
    assert {passes.place(0, each, GUESSED) % STAMP_MS for each in range(0, 80, 8)} <= set(GUESSED)
    assert not set(SURE) & set(GUESSED)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"used":[1,2],"gap":0}', '{"used":[0,0,0,0,0,0,0,"x"],"gap":0}'])
def test_what_cannot_be_read_counts_as_used_so_that_no_stamp_comes_twice(text: str) -> None:
    passes, gap_ms = recall(text, START_MS, 20_000)
    assert gap_ms == 0
    assert passes.place(START_MS, 0, SURE) >= START_MS + 20_000


def test_what_is_remembered_comes_back_with_the_end_of_the_last_batch_as_its_own_mark() -> None:
    passes = Passes([5, 4, 3, 2, 1, 0, 7, 6])
    again, gap_ms = recall(passes.text(2, 60), 1_000, 0)
    assert gap_ms == 60
    assert again.text(7, 0) == Passes([5, 4, 1_000, 2, 1, 0, 7, 6]).text(7, 0)


def test_what_waited_for_the_time_keeps_off_the_stamps_of_a_clock_that_was_ahead_before_the_power_cut() -> None:
    minute = 60_000
    ahead = Passes([START_MS + HOUR_MS, 0, 0, 0, 0, START_MS, 0, 0])
    past = Past(START_MS + HOUR_MS, True, False, True, 0, ahead.text(5, 0))
    mono = 40 * minute
    line = Timeline(mono_ms=mono, civil=Civil(START_MS + 70 * minute, True), past=past)
    waited = line.at(mono).base
    assert waited % STAMP_MS != 0, "these forty minutes begin while the clock that was ahead still had its stamps"
    tracks = {waited % STAMP_MS}
    for turn in (1, 2):
        start = mono + turn * SEAL_MS
        civil = Civil(START_MS + 70 * minute - turn * 15 * minute + start - mono, True)
        line.observe(mono_ms=start - 1, civil=civil, boundary=start, sealed_to=start)
        tracks.add(line.at(start).base % STAMP_MS)
    assert len(tracks) == 3, "what waited covers all of the forty minutes"


def test_a_stamp_that_lies_behind_the_end_of_the_last_batch_is_not_used_again_after_a_crash() -> None:
    text = Passes().text(0, 0)
    civil = Civil(START_MS + 1_000, True)
    crashed = Timeline(mono_ms=0, civil=civil, past=Past(START_MS, False, text=text), late_ms=20_000)
    stopped = Timeline(mono_ms=0, civil=civil, past=Past(START_MS, True, text=text), late_ms=20_000)
    assert (crashed.at(0).base % STAMP_MS, stopped.at(0).base % STAMP_MS) == (1, 0)
