"""What the cloud itself says of a gateway: replayed dead letters, closed runs, parked boards, batches dropped there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from data_contract import receipt as wire
from data_contract.receipt import BatchReceipt, DeviceReceipt
from delivery_audit.ledger import Ledger
from tests.unit.delivery_audit.scene import METER, Scene, fates

MINUTE = 60_000
A, B = "a" * 32, "b" * 32


def begin(scene: Scene, run: str = A, t: int = 0) -> None:
    scene.start(t, run=run)
    scene.schedule(t)


def closed(scene: Scene, t: int, run: str = A, **more: object) -> None:
    scene.record("cloud-closed", t, {"run": run, "reason": "card replaced", "by": "mei", **more})


def gaps(scene: Scene, ledger: Ledger) -> list[tuple[str, int, int]]:
    return [(gap.what, gap.from_ms - scene.zero, gap.to_ms - scene.zero) for gap in ledger.gaps]


def restored(
    scene: Scene, run: str, seq: int, from_: int, to: int, letter: str, stamps: Sequence[int], device: str = "m1"
) -> None:
    """The receipt of a dead letter that was replayed."""
    part = DeviceReceipt({}, 2 * len(stamps), scene.zero + stamps[0], scene.zero + stamps[-1])
    said = BatchReceipt(devices={device: part}, restored=letter)
    scene._receipt(run, seq, scene.zero + from_, scene.zero + to - 1, wire.write(said), said)


def four_bad() -> Scene:
    """A minute of which one batch had four values refused: two stamps of the meter."""
    scene = Scene()
    begin(scene)
    scene.batches(A, 1, 3, 0, MINUTE // 2)
    scene.batch(A, 4, MINUTE // 2, MINUTE // 2 + 10_000, bad=4)
    scene.batches(A, 5, 6, MINUTE // 2 + 10_000, MINUTE)
    assert fates(scene.audit(0, MINUTE))["rejected"] == 4
    return scene


def test_what_was_replayed_is_stored_and_no_longer_rejected() -> None:
    scene = four_bad()
    scene.rows(METER, [30_001, 35_001])
    restored(scene, A, 4, 30_000, 40_000, "letter-1", [30_001])
    ledger = scene.audit(0, MINUTE)
    assert (fates(ledger)["rejected"], ledger.adds_up) == (2, True)
    assert sum(extra.readings for extra in ledger.surplus) == 2, "the other letter has no receipt yet"
    restored(scene, A, 4, 30_000, 40_000, "letter-2", [35_001])
    ledger = scene.audit(0, MINUTE)
    assert "rejected" not in fates(ledger)
    assert (ledger.adds_up, ledger.surplus, ledger.redelivered) == (True, (), 0)


def test_a_letter_that_was_replayed_again_after_a_crash_counts_once() -> None:
    scene = four_bad()
    scene.rows(METER, [30_001])
    for _ in range(3):
        restored(scene, A, 4, 30_000, 40_000, "letter-1", [30_001])
    ledger = scene.audit(0, MINUTE)
    assert (fates(ledger)["rejected"], ledger.adds_up, ledger.surplus, ledger.notes) == (2, True, (), ())


def test_more_than_was_refused_is_never_booked() -> None:
    scene = four_bad()
    scene.rows(METER, [30_001, 35_001])
    for letter in ("1", "2", "3"):
        restored(scene, A, 4, 30_000, 40_000, letter, [30_001, 35_001])
    ledger = scene.audit(0, MINUTE)
    assert "rejected" not in fates(ledger)
    assert (ledger.adds_up, ledger.surplus) == (True, ())


def test_a_replayed_value_that_is_gone_from_the_store_is_named() -> None:
    scene = four_bad()
    scene.rows(METER, [30_001])
    restored(scene, A, 4, 30_000, 40_000, "letter-1", [30_001])
    scene.store.delete_reading(scene.series(METER, "power_w"), scene.zero + 30_001)
    ledger = scene.audit(0, MINUTE)
    assert not ledger.adds_up
    assert [(finding.device, finding.readings) for finding in ledger.unexplained] == [("m1", 1)]


@pytest.mark.parametrize("page_ms", [5 * MINUTE, 7_000])
def test_the_newest_batch_with_a_replayed_letter_still_says_what_is_pending(page_ms: int) -> None:
    scene = Scene()
    begin(scene)
    scene.batch(A, 1, 0, 10_000)
    scene.batch(A, 3, 20_000, 30_000, bad=2, pending=[(A, 2, 2)])
    scene.rows(METER, [25_001])
    restored(scene, A, 3, 20_000, 30_000, "letter-1", [25_001])
    ledger = scene.audit(0, 30_000, page_ms=page_ms)
    assert gaps(scene, ledger) == [("pending", 10_000, 20_000)]
    assert "rejected" not in fates(ledger)
    assert (ledger.adds_up, ledger.surplus) == (True, ())


def test_a_deleted_receipt_is_not_made_up_for_by_that_of_a_replay() -> None:
    scene = four_bad()
    scene.rows(METER, [30_001])
    restored(scene, A, 4, 30_000, 40_000, "letter-1", [30_001])
    [original] = [r for r in scene.receipts() if r.seq == 4 and wire.read(r.counts).restored is None]
    scene.store.delete_receipt(original)
    ledger = scene.audit(0, MINUTE)
    assert [(finding.first, finding.last) for finding in ledger.unexplained] == [(4, 4)]
    assert any("were replayed, but it has no receipt" in note for note in ledger.notes)


def test_what_was_pending_on_a_card_that_was_replaced_is_lost_with_the_operators_word() -> None:
    scene = Scene()
    begin(scene)
    scene.batches(A, 1, 4, 0, 40_000)
    scene.batch(A, 7, MINUTE, MINUTE + 10_000, pending=[(A, 5, 6)])
    begin(scene, B, 5 * MINUTE)
    scene.batches(B, 1, 6, 5 * MINUTE, 6 * MINUTE)
    before = scene.audit(0, 6 * MINUTE)
    assert not before.adds_up, "nothing says where they are"
    assert [(f.run, f.first, f.last) for f in before.unexplained] == [(A, 5, 6)]
    closed(scene, 10 * MINUTE, run=A[:8])
    ledger = scene.audit(0, 6 * MINUTE, now=11 * MINUTE)
    assert ledger.adds_up
    assert gaps(scene, ledger) == [("lost", 40_000, MINUTE), ("lost", MINUTE + 10_000, 5 * MINUTE)]
    assert {gap.why for gap in ledger.gaps} == {"closed by mei on 2026-01-01 04:10:00 UTC: card replaced"}


def test_a_run_that_was_opened_again_is_as_it_was() -> None:
    scene = Scene()
    begin(scene)
    scene.batch(A, 1, 0, 10_000)
    scene.batch(A, 3, 20_000, 30_000)
    closed(scene, MINUTE)
    assert scene.audit(0, 30_000, now=5 * MINUTE).adds_up
    closed(scene, 2 * MINUTE, reopened=True)
    assert not scene.audit(0, 30_000, now=5 * MINUTE).adds_up
    closed(scene, 3 * MINUTE)
    assert scene.audit(0, 30_000, now=5 * MINUTE).adds_up


def test_what_an_operator_calls_lost_is_pending_where_the_gateway_still_has_it() -> None:
    scene = Scene()
    begin(scene)
    scene.batches(A, 1, 4, 0, 40_000)
    again = scene.previous(A, 6, MINUTE, clean=True)
    scene.start(MINUTE, again, run=B)
    scene.schedule(MINUTE)
    closed(scene, MINUTE + 1)
    scene.batch(B, 1, MINUTE, MINUTE + 10_000, pending=[(A, 5, 6)])
    assert [gap[0] for gap in gaps(scene, scene.audit(0, MINUTE + 10_000))] == ["pending"]


def test_after_the_last_run_was_closed_nothing_more_is_expected_of_the_gateway() -> None:
    scene = Scene()
    begin(scene)
    scene.batches(A, 1, 6, 0, MINUTE)
    assert gaps(scene, scene.audit(0, 10 * MINUTE)) == [("silent", MINUTE, 10 * MINUTE)]
    closed(scene, 3 * MINUTE)
    ledger = scene.audit(0, 10 * MINUTE)
    assert gaps(scene, ledger) == [("lost", MINUTE, 3 * MINUTE), ("closed", 3 * MINUTE, 10 * MINUTE)]
    assert [gap.readings > 0 for gap in ledger.gaps] == [True, False]
    assert ledger.adds_up
    scene.batch(A, 7, MINUTE, 9 * MINUTE)
    assert gaps(scene, scene.audit(0, 10 * MINUTE)) == [("silent", 9 * MINUTE, 10 * MINUTE)], "it is heard again"


def test_a_run_whose_successor_tells_how_it_ended_is_not_lost_in_between() -> None:
    scene = Scene()
    begin(scene)
    scene.batches(A, 1, 6, 0, MINUTE)
    scene.start(3 * MINUTE, scene.previous(A, 6, MINUTE, clean=False), run=B)
    scene.schedule(3 * MINUTE)
    scene.batches(B, 1, 6, 3 * MINUTE, 4 * MINUTE)
    closed(scene, 5 * MINUTE)
    assert [gap[0] for gap in gaps(scene, scene.audit(0, 4 * MINUTE))] == ["unsealed", "down"]


@pytest.mark.parametrize("known", ["nothing", "an older run", "this run", "not arrived"])
def test_a_run_of_which_the_next_card_knows_nothing_is_named_with_the_mend(known: str) -> None:
    scene = Scene()
    begin(scene)
    scene.batches(A, 1, 6, 0, MINUTE)
    previous = {
        "nothing": None,
        "an older run": scene.previous("c" * 32, 0, 0, clean=True),
        "this run": scene.previous(A, 6, MINUTE, clean=False),
    }
    if known in previous:
        scene.start(3 * MINUTE, previous[known], run=B)
    scene.schedule(3 * MINUTE)
    scene.batches(B, 1, 6, 3 * MINUTE, 4 * MINUTE)
    found = scene.audit(0, 4 * MINUTE).gaps
    assert [gap.what for gap in found] == ["unsealed", "down"]
    named = [f"`loopgauge audit close --run {A[:8]}`" in gap.why for gap in found]
    assert named == [known in ("nothing", "an older run")] * 2


def test_a_board_that_is_parked_is_set_aside_from_then_on_until_a_batch_of_it_is_let_in() -> None:
    scene = Scene()
    begin(scene)
    scene.batches(A, 1, 6, 0, MINUTE)
    scene.record("cloud-parked", 3 * MINUTE, {"board": "b2"})
    scene.record("cloud-parked", 4 * MINUTE, {"board": "b2"})
    ledger = scene.audit(0, 5 * MINUTE)
    assert gaps(scene, ledger) == [("silent", MINUTE, 3 * MINUTE), ("set_aside", 3 * MINUTE, 5 * MINUTE)]
    assert ledger.gaps[1].why == "board b2 is parked"
    assert ["b2" in note for note in ledger.notes] == [True]
    scene.record("cloud-parked", 5 * MINUTE, {"board": "b2", "allowed": True, "by": "mei"})
    begin(scene, B, 2 * MINUTE)
    scene.batches(B, 1, 12, 2 * MINUTE, 4 * MINUTE)
    ledger = scene.audit(0, 5 * MINUTE)
    assert gaps(scene, ledger)[-1] == ("silent", 4 * MINUTE, 5 * MINUTE)
    assert ledger.notes == ()


def test_a_cloned_card_beside_the_true_one_costs_a_note_and_no_reading() -> None:
    scene = Scene()
    begin(scene)
    scene.record("cloud-parked", 30_000, {"board": "b2"})
    scene.batches(A, 1, 6, 0, MINUTE)
    ledger = scene.audit(0, MINUTE)
    assert (ledger.adds_up, ledger.gaps) == (True, ())
    assert ledger.notes == (
        "board b2 has been parked since 2026-01-01 04:00:30 UTC; `loopgauge ingest gateway allow` lets it speak",
    )
    assert gaps(scene, scene.audit(0, 2 * MINUTE)) == [("silent", MINUTE, 2 * MINUTE)], "it was heard after that"


def test_batches_that_an_operator_dropped_at_the_gateway_are_lost_and_others_set_aside() -> None:
    scene = Scene()
    begin(scene)
    scene.batches(A, 1, 3, 0, 30_000)
    aside = [(A, 4, 4, "dropped by mei: poison"), (A, 5, 5, "unanswered")]
    scene.batch(A, 6, 50_000, MINUTE, aside=aside)
    ledger = scene.audit(0, MINUTE)
    assert gaps(scene, ledger) == [("lost", 30_000, 40_000), ("set_aside", 40_000, 50_000)]
    assert [gap.why for gap in ledger.gaps] == ["dropped by mei: poison", "unanswered"]
    assert ledger.adds_up


def test_word_that_cannot_be_read_is_remarked_upon_and_changes_nothing() -> None:
    scene = Scene()
    begin(scene)
    scene.batches(A, 1, 6, 0, MINUTE)
    scene.record("cloud-closed", MINUTE, {"run": 5})
    scene.record("cloud-parked", MINUTE, {})
    ledger = scene.audit(0, MINUTE)
    assert ledger.adds_up
    assert len(ledger.notes) == 2
