"""One gateway for a few minutes, and one test for each way in which a reading can end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_contract import receipt as wire
from data_contract.cause import Missing
from data_contract.schedule import Schedule
from delivery_audit.ledger import Ledger
from tests.unit.delivery_audit.scene import METER, NOON, SHANGHAI, SLOW, Scene, fates

MINUTE = 60_000
PER_MINUTE = 12 * 2 + 2
"""Readings: twelve slots of two fields, two slots of one."""


@pytest.fixture
def scene() -> Scene:
    return Scene()


def begin(scene: Scene) -> None:
    scene.start(0)
    scene.schedule(0)


def gaps(ledger: Ledger) -> list[tuple[str, int, int, int]]:
    return [(gap.what, gap.from_ms - NOON, gap.to_ms - NOON, gap.readings) for gap in ledger.gaps]


def test_what_arrived_and_is_in_the_store_is_stored(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 12, 0, 2 * MINUTE)
    ledger = scene.audit(0, 2 * MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": 2 * PER_MINUTE}
    assert ledger.total().expected == ledger.total().sampled == 2 * PER_MINUTE
    assert gaps(ledger) == []
    assert ledger.notes == ()


def test_values_that_were_refused_are_rejected_and_not_missing(scene: Scene) -> None:
    begin(scene)
    scene.batch("a", 1, 0, MINUTE, bad=4)
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": PER_MINUTE - 4, "rejected": 4}


def test_a_batch_that_was_refused_whole_is_rejected(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.rejected("a", 7, "bad field name")
    scene.batch("a", 8, MINUTE + 10_000, 2 * MINUTE)
    ledger = scene.audit(0, 2 * MINUTE)
    assert ledger.adds_up
    assert gaps(ledger) == [("rejected", MINUTE, MINUTE + 10_000, 5)]
    assert ledger.gaps[0].why == "bad field name"


def test_a_rejected_batch_that_was_stored_later_is_stored(scene: Scene) -> None:
    begin(scene)
    scene.rejected("a", 2)
    scene.batches("a", 1, 6, 0, MINUTE)
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": PER_MINUTE}


@pytest.mark.parametrize("cause", [*Missing, "one that a later version counts"])
def test_what_was_not_sampled_keeps_its_cause(scene: Scene, cause: str) -> None:
    begin(scene)
    scene.batch("a", 1, 0, MINUTE, missing={cause: 6})
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": PER_MINUTE - 6, cause: 6}
    assert ledger.total().sampled == PER_MINUTE - 6


def test_what_the_newest_batch_says_is_still_in_the_spool_is_pending(scene: Scene) -> None:
    begin(scene)
    scene.batch("a", 1, 0, MINUTE)
    scene.batch("a", 3, 2 * MINUTE, 3 * MINUTE, pending=[("a", 2, 2)])
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert gaps(ledger) == [("pending", MINUTE, 2 * MINUTE, PER_MINUTE)]


def test_what_only_an_older_batch_called_pending_has_no_evidence_any_more(scene: Scene) -> None:
    begin(scene)
    scene.batch("a", 1, 0, MINUTE)
    scene.batch("a", 3, 2 * MINUTE, 3 * MINUTE, pending=[("a", 2, 2)])
    scene.batch("a", 4, 3 * MINUTE, 4 * MINUTE)
    ledger = scene.audit(0, 4 * MINUTE)
    assert not ledger.adds_up
    assert fates(ledger)["unexplained"] == PER_MINUTE


def test_what_the_gateway_no_longer_offers_is_set_aside(scene: Scene) -> None:
    begin(scene)
    scene.batch("a", 1, 0, MINUTE)
    scene.batch("a", 3, 2 * MINUTE, 3 * MINUTE, aside=[("a", 2, 2, "unanswered")])
    scene.batch("a", 4, 3 * MINUTE, 4 * MINUTE)
    ledger = scene.audit(0, 4 * MINUTE)
    assert ledger.adds_up
    assert gaps(ledger) == [("set_aside", MINUTE, 2 * MINUTE, PER_MINUTE)]
    assert ledger.gaps[0].why == "unanswered"


def test_after_the_last_message_a_gateway_is_silent(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert gaps(ledger) == [("silent", MINUTE, 3 * MINUTE, 2 * PER_MINUTE)]


def test_nothing_is_expected_after_now(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    assert fates(scene.audit(0, 60 * MINUTE, now=2 * MINUTE))["silent"] == PER_MINUTE


def test_nothing_is_expected_before_the_first_run(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    assert scene.audit(-10 * MINUTE, MINUTE).total().expected == PER_MINUTE


def test_after_a_kill_one_seal_interval_is_unsealed_and_the_rest_down(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.start(2 * MINUTE + 3_000, scene.previous("a", 6, MINUTE, clean=False))
    scene.schedule(2 * MINUTE + 3_000)
    scene.batches("b", 1, 6, 2 * MINUTE + 3_000, 3 * MINUTE)
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert gaps(ledger) == [
        ("unsealed", MINUTE, MINUTE + 10_000, 5),
        ("down", MINUTE + 10_000, 2 * MINUTE + 3_000, PER_MINUTE - 5 + 3),
    ]


def test_after_a_clean_stop_nothing_is_unsealed(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE - 1_000)
    scene.stop(MINUTE - 1_000)
    scene.start(2 * MINUTE, scene.previous("a", 6, MINUTE - 1_000, clean=True))
    scene.batches("b", 1, 6, 2 * MINUTE, 3 * MINUTE)
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert [gap[:3] for gap in gaps(ledger)] == [("down", MINUTE - 1_000, 2 * MINUTE)]


def test_the_stop_record_tells_of_a_clean_stop_where_the_next_start_does_not(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.stop(MINUTE)
    scene.batch("b", 2, 2 * MINUTE, 3 * MINUTE, pending=[("b", 1, 1)])
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert [gap[0] for gap in gaps(ledger)] == ["down", "pending"]


def test_the_end_of_a_run_that_did_not_arrive_is_found_by_the_next_start(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 3, 0, 30_000)
    scene.start(2 * MINUTE, scene.previous("a", 6, MINUTE, clean=False))
    scene.batch("b", 1, 2 * MINUTE, 3 * MINUTE, pending=[("a", 4, 6)])
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert [gap[:3] for gap in gaps(ledger)] == [
        ("pending", 30_000, MINUTE),
        ("unsealed", MINUTE, MINUTE + 10_000),
        ("down", MINUTE + 10_000, 2 * MINUTE),
    ]


def test_batches_in_a_damaged_spool_are_lost(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 3, 0, 30_000)
    scene.start(2 * MINUTE, scene.previous("a", 6, MINUTE, clean=False), damaged="disk image is malformed")
    scene.batch("b", 1, 2 * MINUTE, 3 * MINUTE)
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert gaps(ledger)[0][:3] == ("lost", 30_000, MINUTE)


def test_damage_is_no_excuse_for_what_could_be_read_of_the_spool(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 3, 0, 30_000)
    previous = scene.previous("a", 6, MINUTE, clean=False)
    scene.start(2 * MINUTE, previous, damaged="cut short", carried=[("a", 2, 4), ("a", 6, 6)])
    scene.batch("b", 1, 2 * MINUTE, 3 * MINUTE, pending=[("a", 6, 6)])
    ledger = scene.audit(0, 3 * MINUTE)
    assert [gap[0] for gap in gaps(ledger)][:3] == ["unexplained", "lost", "pending"]
    assert not ledger.adds_up


def test_a_start_with_a_damaged_spool_that_knows_no_run_before_loses_the_time_between(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 3, 0, 30_000)
    scene.start(2 * MINUTE, damaged="disk image is malformed")
    scene.batch("b", 1, 2 * MINUTE, 3 * MINUTE)
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert [gap[:3] for gap in gaps(ledger)] == [("lost", 30_000, 2 * MINUTE)]


def test_a_run_of_which_nothing_arrived_is_unexplained_unless_something_vouches_for_it(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.start(4 * MINUTE, scene.previous("ghost", 6, 3 * MINUTE, clean=False))
    scene.batches("b", 1, 6, 4 * MINUTE, 5 * MINUTE)
    ledger = scene.audit(0, 5 * MINUTE)
    assert not ledger.adds_up
    assert gaps(ledger) == [
        ("unsealed", MINUTE, MINUTE + 10_000, 5),
        ("down", MINUTE + 10_000, 2 * MINUTE, PER_MINUTE - 5),
        ("unexplained", 2 * MINUTE, 3 * MINUTE, PER_MINUTE),
        ("unsealed", 3 * MINUTE, 3 * MINUTE + 10_000, 5),
        ("down", 3 * MINUTE + 10_000, 4 * MINUTE, PER_MINUTE - 5),
    ]
    assert [(f.run, f.first, f.last) for f in ledger.unexplained] == [("ghost", 1, 6)]
    scene.batch("b", 7, 5 * MINUTE, 6 * MINUTE, pending=[("ghost", 1, 6)])
    assert scene.audit(0, 6 * MINUTE).adds_up


def test_runs_that_only_the_pending_list_names_are_pending(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.start(9 * MINUTE, scene.previous("c", 6, 8 * MINUTE, clean=True))
    scene.batch("d", 1, 9 * MINUTE, 10 * MINUTE, pending=[("b", 1, 6), ("c", 1, 6)])
    ledger = scene.audit(0, 10 * MINUTE)
    assert ledger.adds_up
    pending = [(gap.run, gap.first, gap.last) for gap in ledger.gaps if gap.what == "pending"]
    assert pending == [("b", 1, 6), ("c", 1, 6)]
    assert fates(ledger)["pending"] == 2 * PER_MINUTE
    assert ledger.total().expected == 10 * PER_MINUTE


def test_a_run_of_many_early_batches_does_not_reach_back_into_the_run_before_it(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.start(4 * MINUTE, scene.previous("ghost", 500, 3 * MINUTE, clean=True))
    scene.batch("b", 1, 4 * MINUTE, 5 * MINUTE, pending=[("ghost", 1, 500)])
    ledger = scene.audit(0, 5 * MINUTE)
    assert ledger.adds_up
    assert [gap[:3] for gap in gaps(ledger)] == [
        ("pending", MINUTE, 3 * MINUTE),
        ("down", 3 * MINUTE, 4 * MINUTE),
    ]
    assert ledger.gaps[0].estimated


def test_a_run_of_which_everything_was_refused_is_rejected(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    for seq in range(1, 7):
        scene.rejected("b", seq, at=2 * MINUTE + seq * 10_000)
    scene.batch("c", 2, 3 * MINUTE + 10_000, 4 * MINUTE, pending=[("c", 1, 1)])
    ledger = scene.audit(0, 4 * MINUTE)
    assert ledger.adds_up
    assert ("rejected", "b", 1, 6, PER_MINUTE) in [(g.what, g.run, g.first, g.last, g.readings) for g in ledger.gaps]
    assert ledger.total().expected == 4 * PER_MINUTE


def test_a_newest_run_of_which_everything_was_refused_is_rejected_and_then_silent(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    for seq in (1, 2, 3):
        scene.rejected("b", seq, at=2 * MINUTE + seq * 10_000)
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert [(gap.what, gap.run, gap.estimated) for gap in ledger.gaps] == [
        ("rejected", "b", True),
        ("silent", "b", False),
    ]


def test_time_that_a_forward_clock_step_left_out_is_not_expected(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.batches("a", 7, 12, 5 * MINUTE, 6 * MINUTE)
    ledger = scene.audit(0, 6 * MINUTE)
    assert ledger.adds_up
    assert gaps(ledger) == [("clock_step", MINUTE, 5 * MINUTE, 0)]
    assert ledger.total().expected == 2 * PER_MINUTE


def test_time_that_passed_between_two_batches_and_that_neither_accounts_for_is_unexplained(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.batch("a", 7, 2 * MINUTE, 3 * MINUTE, prev=MINUTE)
    ledger = scene.audit(0, 3 * MINUTE)
    assert not ledger.adds_up
    assert gaps(ledger) == [("unexplained", MINUTE, 2 * MINUTE, PER_MINUTE)]


def test_what_a_backward_clock_step_made_the_gateway_sample_twice_is_counted_twice(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.batch("a", 7, MINUTE - 20_000 + 1, MINUTE, prev=MINUTE - 20_000 + 1, late=7)
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": PER_MINUTE + 6}


def test_a_batch_with_a_guessed_time_is_counted_by_its_own_counts(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.receipt("a", 7, MINUTE, MINUTE + 7_777, {}, unsure=(scene.zero, scene.zero + MINUTE))
    ledger = scene.audit(0, MINUTE + 7_777)
    assert ledger.adds_up
    assert ledger.notes == ()


def test_redelivered_batches_are_counted_and_booked_once(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.batch("a", 2, 10_000, 20_000)
    scene.batch("a", 2, 10_000, 20_000)
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": PER_MINUTE}
    assert ledger.redelivered == 2
    total = ledger.total(["m1"])
    assert (total.redelivered, total.redelivered_readings) == (2, 8)


def test_of_several_receipts_of_one_batch_the_one_that_tells_of_most_values_counts(scene: Scene) -> None:
    begin(scene)
    scene.batch("a", 1, 0, MINUTE)
    scene.batch("a", 1, 0, MINUTE, bad=4)
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": PER_MINUTE}


def test_fates_that_share_one_break_are_told_apart_by_the_seal_boundaries(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.rejected("a", 7)
    scene.rejected("a", 8)
    scene.batch("a", 12, MINUTE + 50_000, 2 * MINUTE, pending=[("a", 9, 9)], aside=[("a", 10, 11, "unanswered")])
    ledger = scene.audit(0, 2 * MINUTE)
    assert ledger.adds_up
    assert [gap[:3] for gap in gaps(ledger)] == [
        ("rejected", MINUTE, MINUTE + 20_000),
        ("pending", MINUTE + 20_000, MINUTE + 30_000),
        ("set_aside", MINUTE + 30_000, MINUTE + 50_000),
    ]
    assert not any(gap.estimated for gap in ledger.gaps)


def test_a_break_with_batches_that_were_sealed_early_says_that_it_is_estimated(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.rejected("a", 7)
    scene.batch("a", 10, MINUTE + 10_000, 2 * MINUTE, pending=[("a", 8, 9)])
    ledger = scene.audit(0, 2 * MINUTE)
    assert ledger.adds_up
    assert all(gap.estimated for gap in ledger.gaps)
    assert sum(gap.readings for gap in ledger.gaps) == 5


def test_a_new_schedule_counts_from_its_record_on(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.stop(MINUTE)
    slower = METER.model_copy(update={"every_ms": 10_000})
    schedule = Schedule(seal_every_ms=10_000, polls=(slower,))
    scene.start(3 * MINUTE, scene.previous("a", 6, MINUTE, clean=True))
    scene.schedule(3 * MINUTE, schedule)
    scene.batch("b", 1, 3 * MINUTE, 4 * MINUTE, polls=[slower])
    ledger = scene.audit(0, 5 * MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": PER_MINUTE + 12, "down": 2 * PER_MINUTE, "silent": 12}
    assert ledger.notes == ()


def test_a_batch_that_called_for_less_than_the_schedule_does_not_add_up(scene: Scene) -> None:
    scene.start(0, run="a")
    scene.schedule(0)
    scene.batch("a", 1, 0, MINUTE)
    scene.batch("a", 2, MINUTE, 2 * MINUTE, polls=[METER])
    ledger = scene.audit(0, 2 * MINUTE)
    assert not ledger.adds_up
    assert fates(ledger) == {"stored": 2 * PER_MINUTE - 2, "unexplained": 2}
    assert [(found.device, found.readings, found.first, found.last) for found in ledger.unexplained] == [
        ("m2", 2, 2, 2)
    ]
    assert "called for 0 readings where the schedule says 2" in ledger.unexplained[0].text


def test_a_batch_sampled_before_the_clock_was_trusted_may_lie_off_the_grid_of_its_schedule(scene: Scene) -> None:
    scene.start(0, run="a")
    scene.schedule(0)
    scene.receipt("a", 1, 0, MINUTE, {"m1": wire.DeviceReceipt({"main": (22, 0, {"timeout": 22})})}, off_grid=True)
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"timeout": 22}


def test_a_batch_that_called_for_more_than_the_schedule_is_remarked_upon(scene: Scene) -> None:
    scene.start(0, run="a")
    scene.schedule(0)
    faster = METER.model_copy(update={"every_ms": 1_000})
    scene.batch("a", 1, 0, MINUTE, polls=[faster, SLOW])
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert any("where the schedule says" in note for note in ledger.notes)


def test_a_run_whose_own_schedule_has_not_arrived_is_not_held_against_that_of_the_run_before(scene: Scene) -> None:
    scene.start(0, run="a")
    scene.schedule(0)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.batch("b", 2, MINUTE + 20_000, 2 * MINUTE, polls=[METER])
    ledger = scene.audit(MINUTE + 20_000, 2 * MINUTE)
    assert fates(ledger) == {"stored": 16}


def test_each_day_of_the_zone_has_its_own_account() -> None:
    midnight_in_shanghai = 1_767_283_200_000
    scene = Scene(zero=midnight_in_shanghai, zone=SHANGHAI)
    scene.start(-MINUTE)
    scene.schedule(-MINUTE)
    scene.batches("a", 1, 6, -MINUTE, 0)
    scene.batch("a", 8, 2 * MINUTE, 3 * MINUTE, pending=[("a", 7, 7)])
    ledger = scene.audit(-MINUTE, 3 * MINUTE)
    m1 = {day: (a.expected, a.fates["pending"]) for (device, day), a in ledger.accounts.items() if device == "m1"}
    assert m1 == {"2026-01-01": (24, 0), "2026-01-02": (72, 48)}


def test_readings_that_disagree_within_a_receipt_are_unexplained(scene: Scene) -> None:
    begin(scene)
    scene.batch("a", 1, 0, MINUTE)
    receipt = scene.receipts()[0]
    said = wire.read(receipt.counts)
    part = said.devices["m1"]
    scene.store.delete_receipt(receipt)
    scene.receipt("a", 1, 0, MINUTE, {**said.devices, "m1": replace(part, counts={"main": (26, 26, {})})})
    ledger = scene.audit(0, MINUTE)
    assert not ledger.adds_up
    assert fates(ledger)["unexplained"] == 2
    assert ledger.unexplained[0].device == "m1"


def test_rows_without_receipt_are_surplus_and_no_failure(scene: Scene) -> None:
    begin(scene)
    scene.batches("a", 1, 6, 0, MINUTE)
    scene.rows(SLOW, [12_345])
    scene.rows(METER, [12_345])
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert [(f.device, f.readings) for f in ledger.surplus] == [("m2", 1), ("m1", 2)]
    for finding in ledger.surplus:
        assert finding.from_ms <= scene.zero + 12_345 < finding.to_ms
