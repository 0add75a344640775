"""Something is taken away behind everyone's back, and the audit names it: which device, when, how many, which batch."""

from __future__ import annotations

import pytest

from tests.unit.delivery_audit.scene import METER, SLOW, Scene, fates

MINUTE = 60_000


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.start(0)
    scene.schedule(0)
    scene.batches("a", 1, 30, 0, 5 * MINUTE)
    assert scene.audit(0, 5 * MINUTE).adds_up
    return scene


def test_a_deleted_row_is_named_with_its_device_and_time(scene: Scene) -> None:
    t = 2 * MINUTE + 5_001
    scene.store.delete_reading(scene.series(METER, "energy_kwh"), scene.zero + t)
    ledger = scene.audit(0, 5 * MINUTE)
    assert not ledger.adds_up
    assert fates(ledger)["unexplained"] == 1
    [finding] = ledger.unexplained
    assert (finding.device, finding.readings) == ("m1", 1)
    assert finding.from_ms <= scene.zero + t < finding.to_ms <= finding.from_ms + 10_000


def test_a_deleted_row_is_not_made_up_for_by_one_that_nobody_claims(scene: Scene) -> None:
    scene.store.delete_reading(scene.series(SLOW, "volume_m3"), scene.zero + 30_001)
    [receipt] = [r for r in scene.receipts() if r.seq == 13]
    scene.store.delete_receipt(receipt)
    ledger = scene.audit(0, 5 * MINUTE)
    assert ("m2", 1) in [(finding.device, finding.readings) for finding in ledger.unexplained]
    assert ("m2", 1) in [(extra.device, extra.readings) for extra in ledger.surplus]


def test_each_of_several_deleted_rows_is_named_apart(scene: Scene) -> None:
    times = [5_001, 2 * MINUTE + 1, 4 * MINUTE + 55_001]
    for t in times:
        for name in METER.fields:
            scene.store.delete_reading(scene.series(METER, name), scene.zero + t)
    ledger = scene.audit(0, 5 * MINUTE)
    assert [finding.readings for finding in ledger.unexplained] == [2, 2, 2]
    for finding, t in zip(ledger.unexplained, times, strict=True):
        assert finding.from_ms <= scene.zero + t < finding.to_ms


def test_all_rows_of_a_device_gone_are_named_as_one(scene: Scene) -> None:
    for slot in range(0, 5 * MINUTE, 5_000):
        for name in METER.fields:
            scene.store.delete_reading(scene.series(METER, name), scene.zero + slot + 1)
    ledger = scene.audit(0, 5 * MINUTE)
    assert [(f.device, f.readings) for f in ledger.unexplained] == [("m1", 120)]
    assert fates(ledger, "m1") == {"unexplained": 120}


@pytest.mark.parametrize("seq", [1, 2, 17, 29])
def test_a_deleted_receipt_is_named_with_its_batch_and_its_rows_are_surplus(scene: Scene, seq: int) -> None:
    [receipt] = [r for r in scene.receipts() if r.seq == seq]
    scene.store.delete_receipt(receipt)
    ledger = scene.audit(0, 5 * MINUTE)
    assert not ledger.adds_up
    [finding] = ledger.unexplained
    assert (finding.run, finding.first, finding.last) == ("a", seq, seq)
    assert (finding.from_ms, finding.to_ms) == (receipt.from_ms, receipt.to_ms)
    assert finding.readings == receipt.readings == sum(extra.readings for extra in ledger.surplus)
    for extra in ledger.surplus:
        assert extra.from_ms < receipt.to_ms
        assert extra.to_ms > receipt.from_ms


def test_a_deleted_first_receipt_of_a_run_is_named_with_the_begin_that_its_start_record_tells(scene: Scene) -> None:
    begin = 6 * MINUTE + 3_500
    scene.start(begin, scene.previous("a", 30, 5 * MINUTE, clean=True))
    scene.schedule(begin)
    scene.batches("b", 1, 6, begin, 7 * MINUTE)
    for receipt in [r for r in scene.receipts() if r.run == "b" and r.seq <= 2]:
        scene.store.delete_receipt(receipt)
    scene.rejected("b", 2)
    ledger = scene.audit(0, 7 * MINUTE)
    gaps = [(gap.what, gap.from_ms - scene.zero, gap.to_ms - scene.zero, gap.estimated) for gap in ledger.gaps]
    assert gaps == [
        ("down", 5 * MINUTE, begin, False),
        ("unexplained", begin, 6 * MINUTE + 10_000, False),
        ("rejected", 6 * MINUTE + 10_000, 6 * MINUTE + 20_000, False),
    ]


def test_the_receipt_of_the_newest_batch_cannot_be_missed_but_its_rows_are_surplus(scene: Scene) -> None:
    [receipt] = [r for r in scene.receipts() if r.seq == 30]
    scene.store.delete_receipt(receipt)
    ledger = scene.audit(0, 5 * MINUTE)
    assert fates(ledger)["silent"] == receipt.readings
    assert sum(extra.readings for extra in ledger.surplus) == receipt.readings


def test_a_batch_that_vanished_from_the_spool_is_named(scene: Scene) -> None:
    scene.batch("a", 32, 5 * MINUTE + 10_000, 6 * MINUTE)
    ledger = scene.audit(0, 6 * MINUTE)
    assert not ledger.adds_up
    [finding] = ledger.unexplained
    assert (finding.run, finding.first, finding.last, finding.readings) == ("a", 31, 31, 5)
    assert ledger.surplus == ()


def test_a_deleted_stop_at_the_end_of_a_run_turns_up_in_the_next_start(scene: Scene) -> None:
    scene.start(6 * MINUTE, scene.previous("a", 31, 5 * MINUTE + 3_000, clean=True))
    scene.batches("b", 1, 6, 6 * MINUTE, 7 * MINUTE)
    ledger = scene.audit(0, 7 * MINUTE)
    [finding] = ledger.unexplained
    assert (finding.run, finding.first, finding.last) == ("a", 31, 31)
    assert [gap.what for gap in ledger.gaps] == ["unexplained", "down"]


def test_a_receipt_that_cannot_be_read_is_as_good_as_none_and_said_so(scene: Scene) -> None:
    [receipt] = [r for r in scene.receipts() if r.seq == 7]
    scene.store.delete_receipt(receipt)
    scene.broken_receipt(receipt)
    ledger = scene.audit(0, 5 * MINUTE)
    assert [(f.first, f.last) for f in ledger.unexplained] == [(7, 7)]
    assert "receipt of batch a 7 cannot be read" in ledger.notes[0]


def test_a_gap_at_the_edge_of_the_audited_time_is_explained_by_what_lies_beyond(scene: Scene) -> None:
    scene.batch("a", 40, 100 * MINUTE, 101 * MINUTE, pending=[("a", 31, 39)])
    for from_, to in ((10 * MINUTE, 20 * MINUTE), (2 * MINUTE, 20 * MINUTE), (90 * MINUTE, 101 * MINUTE)):
        ledger = scene.audit(from_, to, now=102 * MINUTE)
        assert ledger.adds_up
        assert fates(ledger)["pending"] > 0


def test_time_without_any_batch_is_explained_by_the_run_before_it(scene: Scene) -> None:
    scene.batches("b", 2, 6, 9 * MINUTE + 10_000, 10 * MINUTE)
    scene.batch("b", 7, 10 * MINUTE, 11 * MINUTE, pending=[("b", 1, 1)])
    ledger = scene.audit(8 * MINUTE, 11 * MINUTE, page_ms=7_000)
    assert [(gap.what, gap.from_ms - scene.zero) for gap in ledger.gaps] == [
        ("down", 8 * MINUTE),
        ("pending", 9 * MINUTE),
    ]


def test_time_without_any_batch_is_explained_by_the_run_after_it(scene: Scene) -> None:
    scene.start(60 * MINUTE, damaged="malformed")
    scene.batches("b", 1, 6, 60 * MINUTE, 61 * MINUTE)
    scene.start(62 * MINUTE, scene.previous("b", 6, 61 * MINUTE, clean=False))
    scene.batches("c", 1, 6, 62 * MINUTE, 63 * MINUTE)
    ledger = scene.audit(8 * MINUTE, 11 * MINUTE, now=64 * MINUTE, page_ms=7_000)
    assert [gap.what for gap in ledger.gaps] == ["lost"]


def test_batches_that_a_wrong_clock_dated_years_ahead_are_found_before_anything_is_called_unexplained() -> None:
    scene = Scene()
    year = 365 * 24 * 60 * MINUTE
    scene.start(4 * year)
    scene.schedule(4 * year)
    scene.batches("a", 1, 6, 4 * year, 4 * year + MINUTE)
    scene.batches("a", 7, 12, 0, MINUTE)
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert ledger.total().expected == 26


def test_batches_that_a_wrong_clock_dated_years_back_are_found_before_anything_is_called_unexplained() -> None:
    scene = Scene()
    decade = 10 * 365 * 24 * 60 * MINUTE
    scene.start(-decade)
    scene.schedule(-decade)
    scene.batches("a", 1, 6, -decade, -decade + MINUTE)
    scene.batches("a", 7, 12, 0, MINUTE)
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": 26}


def test_without_any_schedule_a_missing_batch_is_still_named() -> None:
    scene = Scene()
    scene.batch("z", 3, 0, MINUTE)
    scene.batch("z", 5, 2 * MINUTE, 3 * MINUTE)
    ledger = scene.audit(0, 3 * MINUTE)
    assert not ledger.adds_up
    assert (ledger.unexplained[-1].first, ledger.unexplained[-1].last, ledger.unexplained[-1].readings) == (4, 4, 0)
