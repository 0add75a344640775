"""A slow answer must not give two readings of one field the same stamp: the store would keep only the later one."""

from __future__ import annotations

import random

from data_contract.schedule import Poll
from edge_agent.keep.dating import Timeline
from edge_agent.keep.passes import STAMP_MS
from edge_agent.ports import Civil
from edge_agent.read.pace import Pace

UTC_MS = 1_700_000_000_000
EVERY_MS = 1_000


def _pace(*devices: str) -> Pace:
    polls = [Poll(device=each, kind="meter", group="main", every_ms=EVERY_MS, fields=("power_w",)) for each in devices]
    timeline = Timeline(mono_ms=0, civil=Civil(UTC_MS, True))
    return Pace(polls=polls, timeline=timeline, start_mono=0, seal_every_ms=2_000)


def test_a_slot_whose_last_request_is_made_late_shares_no_stamp_with_the_next_slot() -> None:
    pace = _pace("meter")
    late = [pace.stamp(mono, 0, 0) for mono in (990, 1_001, 1_003)]
    prompt = [pace.stamp(mono, EVERY_MS, 0) for mono in (1_004, 1_005, 1_006)]
    assert late == [984, 1_000, 1_000]
    assert max(late) < min(prompt)
    assert all(stamp <= 1_006 + STAMP_MS for stamp in prompt)


def test_requests_of_one_slot_may_share_a_stamp_and_so_may_two_devices() -> None:
    pace = _pace("one", "other")
    assert [pace.stamp(1, 0, index) for index in (0, 0, 1)] == [0, 0, 0]
    assert [pace.stamp(EVERY_MS, EVERY_MS, index) for index in (0, 1)] == [1_000, 1_000]


def test_whenever_requests_are_made_the_stamps_of_a_device_rise_from_slot_to_slot() -> None:
    rng = random.Random(11)
    for _ in range(200):
        pace, mono, newest = _pace("meter"), 0, -1
        for slot in range(30):
            due = slot * EVERY_MS
            mono = max(mono, due)
            stamps = []
            for _ in range(3):
                mono += rng.choice((0, 1, 3, 400))
                stamps.append(pace.stamp(mono, due, 0))
            assert min(stamps) > newest
            assert min(stamps) >= due
            assert all(abs(stamp - mono) <= 400 * 2 + 2 * STAMP_MS for stamp in stamps)
            newest = max(stamps)
