"""Gateways in a storm of faults, drawn from a seed: what is served is stored once, or the audit says why not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from itertools import pairwise
from pathlib import Path

import pytest

from data_contract import receipt
from data_contract.receipt import BatchReceipt, DeviceReceipt
from loopgauge.judge import Row
from series_store.table import Receipt
from tests.chaos.fleet import Fleet, shipped_broker
from tests.chaos.plan import DISK, KINDS, STOP, STOP_S_MAX, plan
from tests.chaos.soak import HOMES, storm
from tests.chaos.storm import Storm, now_ms
from tests.chaos.verdict import LATE_MS, Excuses, Offsets, judge, match
from tests.e2e.halts import Halts
from tests.e2e.kills import STEPS
from tests.e2e.servers import wait_until

SEEDS = {"sqlite": 11, "influxdb": 12}
STORM_S = 130.0
QUIET_S = 8.0


@pytest.mark.parametrize("home", HOMES)
def test_a_storm_of_kills_stops_cuts_full_disks_clock_steps_and_torn_spools_costs_only_what_is_named(
    home: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = storm(home, SEEDS[home], STORM_S, tmp_path)
    with capsys.disabled():
        print(f"\n{said}")
    harms = said.splitlines()[1]
    assert all(f" {kind}" in harms for kind in KINDS if kind != DISK or "no disk was filled" not in said), harms


HARMS = {
    "a row is deleted": "DELETE FROM reading WHERE (series, t) IN (SELECT series, t FROM ({of}))",
    "a value is changed": "UPDATE reading SET value = value + 0.5 WHERE (series, t) IN (SELECT series, t FROM ({of}))",
    "a value is stored twice": "INSERT INTO reading SELECT series, t - 60000, value FROM ({of})",
    "a receipt is deleted": "DELETE FROM receipt WHERE seq = 2 AND gateway = 'plain-1'",
}
_OF = (
    "SELECT series, t, value FROM reading JOIN series ON id = series"
    " WHERE gateway = 'plain-1' AND device = 'feed-meter' AND field = 'flow_m3_h' ORDER BY t LIMIT 1"
)


def test_what_is_deleted_changed_or_stored_twice_after_a_storm_does_not_pass_for_exact(tmp_path: Path) -> None:
    with (
        shipped_broker(tmp_path / "broker") as broker,
        Fleet(folder=tmp_path, broker=broker, influx=None, workers=1, rights=True) as fleet,
    ):
        fleet.start()
        quiet = Storm(fleet, [], 1)
        quiet.run(QUIET_S)
        quiet.calm()
        assert "none changed" in judge(fleet, quiet)
        store, sound = tmp_path / "store", tmp_path / "sound"
        shutil.copytree(store, sound)
        for harm, statement in HARMS.items():
            db = sqlite3.connect(store / "readings.db")
            changed = db.execute(statement.format(of=_OF)).rowcount
            db.commit()
            db.close()
            assert changed >= 1, harm  # a receipt may be there twice
            with pytest.raises(AssertionError):
                judge(fleet, quiet)
            shutil.copytree(sound, store, dirs_exist_ok=True)
        assert "none changed" in judge(fleet, quiet), "the store was not put back"


def test_one_seed_plans_the_same_storm_with_every_kind_of_fault_and_never_two_at_once_on_one_victim() -> None:
    victims = dict.fromkeys(KINDS, ("a", "b"))
    faults, same, other = (plan(seed, length_s=600, victims=victims, steps=STEPS) for seed in (7, 7, 8))
    assert faults == same != other
    assert {fault.kind for fault in faults} == set(KINDS)
    assert all(1 <= fault.last_s <= STOP_S_MAX for fault in faults if fault.kind == STOP)
    for victim in ("a", "b"):
        own = [fault for fault in faults if fault.victim == victim]
        assert all(before.at_s + before.last_s < after.at_s for before, after in pairwise(own))


def _alike(t_ms: int) -> int:
    return 0


def test_a_value_is_found_under_the_time_of_a_stepped_clock_and_under_no_other() -> None:
    served = [(100_000, 1.0), (200_000, 1.0)]
    stepped = Offsets([(0, 0), (150_000, 9_000)])
    assert match(served, [(100_000, 1.0), (209_000, 1.0)], stepped, _alike).foreign == []
    assert len(match(served, [(109_000, 1.0), (209_000, 1.0)], stepped, _alike).foreign) == 1
    assert len(match(served, [(100_000, 1.0), (100_100, 1.0)], stepped, _alike).foreign) == 1


def test_what_comes_late_is_the_same_reading_where_the_machine_was_seen_to_halt_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Halts(tmp_path) as halts:
        monkeypatch.setattr(os, "fsync", lambda _: time.sleep(1.5))
        assert wait_until(lambda: halts.late_ms(now_ms()) >= 1_000)
    at_ms, long_ago_ms = now_ms(), now_ms() - 600_000

    def foreign(t_ms: int) -> int:
        offsets = Offsets([(0, 0)], halts.late_ms)
        return len(match([(t_ms, 1.0)], [(t_ms - LATE_MS - 1_000, 1.0)], offsets, _alike).foreign)

    assert foreign(at_ms) == 0
    assert foreign(long_ago_ms) == 1


def test_of_equal_values_as_many_as_possible_find_a_partner() -> None:
    both_ways = Offsets([(0, 0), (90_000, 1_000)])
    served = [(100_000, 0.0), (101_000, 0.0), (102_000, 0.0)]
    # Whatever the first one takes, there is a way to give each of the three its own.
    found = match(served, [(101_000, 0.0), (102_000, 0.0), (102_001, 0.0)], both_ways, _alike)
    assert (found.delivered, found.missing, found.foreign) == (3, [], [])


@pytest.mark.parametrize("excused", [100_000, 101_000])
def test_of_equal_values_the_one_that_may_be_missing_is_left_over(excused: int) -> None:
    both_ways = Offsets([(0, 0), (90_000, 1_000)])
    served = [(100_000, 0.0), (101_000, 0.0)]
    found = match(served, [(101_000, 0.0)], both_ways, lambda t_ms: int(t_ms == excused))
    assert [row.t_ms for row in found.missing] == [excused]


def _counting(seq: int, from_ms: int, to_ms: int, missing: int) -> Receipt:
    """The receipt of a batch in which so many readings of the meter are missing."""
    counts = receipt.write(BatchReceipt({"meter": DeviceReceipt({"main": (9, 9 - missing, {"disk_full": missing})})}))
    return Receipt(seq, "gw-1", "w1", "run", seq, from_ms, to_ms, 0, 0, counts)


def test_what_a_batch_counts_as_missing_excuses_as_many_served_readings_and_no_more() -> None:
    batches = [_counting(2, 58_000, 66_000, 2), _counting(1, 48_000, 56_000, 3)]
    excuses = Excuses([], batches, Offsets([(0, 0)]), [])
    # Those at 58 s may also be late answers of the first batch; it has no room for them beside its own.
    early = [Row("meter", "b", t_ms, 1.0) for t_ms in (49_000, 50_000, 51_000)]
    late = [Row("meter", "a", t_ms, 1.0) for t_ms in (58_000, 58_500)]
    assert excuses.unexplained([*late, *early]) == []
    more = Row("meter", "b", 52_000, 1.0)
    assert excuses.unexplained([*late, *early, more]) == [more]
    assert excuses.unexplained([Row("another", "b", 52_000, 1.0)]) != []


def test_a_stamp_is_as_far_off_as_its_own_batch_says_and_no_further() -> None:
    moved_on = receipt.write(BatchReceipt(unsure=(1_000, 6_000)))
    batch = Receipt(1, "gw-1", "w1", "run", 1, 48_000, 56_000, 9, 0, moved_on)
    excuses = Excuses([], [batch], Offsets([(0, 0)]), [])

    def foreign(stored: tuple[int, float]) -> int:
        return len(match([(45_000, 1.0)], [stored], Offsets([(0, 0)]), _alike, excuses.unsure_ms).foreign)

    assert foreign((50_000, 1.0)) == 0
    assert foreign((50_300, 1.0)) == 1, "more than the bounds allow"
    assert foreign((47_000, 1.0)) == 1, "another batch, which is sure of its time"
