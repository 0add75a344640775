"""A digest stands in for batches that a full spool gave up, also where some of them arrived after all."""

from __future__ import annotations

import pytest

from data_contract.batch import Span
from data_contract.receipt import DeviceReceipt
from delivery_audit.ledger import Ledger
from tests.unit.delivery_audit.scene import METER, Scene, fates

MINUTE = 60_000
M1, M2 = 24, 2
"""Readings of the two devices in a minute."""


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.start(0)
    scene.schedule(0)
    scene.batch("a", 1, 0, MINUTE)
    return scene


def digest(
    scene: Scene,
    seq: int,
    from_: int,
    to: int,
    replaces: list[Span],
    *,
    stamps: list[int],
    counted: bool,
    timeout: int = 0,
) -> None:
    """A digest with witnesses of the first meter."""
    minutes = (to - from_) // MINUTE
    called = M1 * minutes
    missing = {"timeout": timeout} if timeout else {}
    values = len(stamps) * len(METER.fields)
    first, last = scene.zero + stamps[0], scene.zero + stamps[-1]
    m1 = DeviceReceipt({"main": (called, called - timeout, missing)} if counted else {}, values, first, last)
    m2 = DeviceReceipt({"slow": (M2 * minutes, M2 * minutes, {})} if counted else {})
    scene.rows(METER, stamps)
    scene.receipt("a", seq, from_, to, {"m1": m1, "m2": m2}, replaces=replaces)


def again(scene: Scene, spans: list[tuple[int, int]], arrived: tuple[int, ...] = (), newest: int = 5) -> None:
    """Digests of batches between 2 and the newest, a minute each, of which each keeps one witness."""
    for seq in arrived:
        scene.batch("a", seq, (seq - 1) * MINUTE, seq * MINUTE)
    for number, (first, last) in enumerate(spans):
        stamps = [(seq - 1) * MINUTE + 1 for seq in range(first, last + 1)]
        replaces: list[Span] = [("a", first, last)]
        digest(scene, newest + 1 + number, (first - 1) * MINUTE, last * MINUTE, replaces, stamps=stamps, counted=True)
    scene.batch("a", newest, (newest - 1) * MINUTE, newest * MINUTE)


def told_by_run() -> Scene:
    """A scene whose start record names its run, as that of every agent does."""
    scene = Scene()
    scene.start(0, run="a")
    scene.schedule(0)
    scene.batch("a", 1, 0, MINUTE)
    return scene


def rest(scene: Scene) -> Ledger:
    scene.batch("a", 5, 3 * MINUTE, 4 * MINUTE)
    return scene.audit(0, 4 * MINUTE)


def test_what_a_digest_counts_is_told_by_cause_and_its_witnesses_are_stored(scene: Scene) -> None:
    digest(scene, 4, MINUTE, 3 * MINUTE, [("a", 2, 3)], stamps=[MINUTE + 1, 2 * MINUTE + 1], counted=True, timeout=6)
    ledger = rest(scene)
    assert ledger.adds_up
    assert fates(ledger, "m1") == {"stored": 2 * M1 + 4, "timeout": 6, "evicted": 2 * M1 - 6 - 4}
    assert fates(ledger, "m2") == {"stored": 2 * M2, "evicted": 2 * M2}
    assert [(gap.what, gap.first, gap.last, gap.why) for gap in ledger.gaps] == [("evicted", 2, 3, "digest 4")]


def test_a_digest_that_counts_less_than_the_schedule_called_for_explains_only_what_it_counts() -> None:
    """As one does that was made of half of the batches it names: the other half is gone."""
    scene = told_by_run()
    m1 = DeviceReceipt({"main": (M1, M1, {})}, 2, scene.zero + MINUTE + 1, scene.zero + MINUTE + 1)
    scene.rows(METER, [MINUTE + 1])
    m2 = DeviceReceipt({"slow": (2 * M2, 2 * M2, {})})
    scene.receipt("a", 4, MINUTE, 3 * MINUTE, {"m1": m1, "m2": m2}, replaces=[("a", 2, 3)])
    ledger = rest(scene)
    assert not ledger.adds_up
    (found,) = ledger.unexplained
    assert (found.device, found.readings, found.first) == ("m1", M1, 4)
    assert fates(ledger, "m1") == {"stored": 2 * M1 + 2, "evicted": M1 - 2, "unexplained": M1}
    assert fates(ledger, "m2") == {"stored": 2 * M2, "evicted": 2 * M2}


def test_a_digest_of_slots_off_the_grid_is_not_held_against_the_schedule() -> None:
    scene = told_by_run()
    m1 = DeviceReceipt({"main": (2 * M1 - 2, 2 * M1 - 2, {})})
    m2 = DeviceReceipt({"slow": (2 * M2, 2 * M2, {})})
    scene.receipt("a", 4, MINUTE, 3 * MINUTE, {"m1": m1, "m2": m2}, replaces=[("a", 2, 3)], off_grid=True)
    assert rest(scene).adds_up


def test_without_counts_the_schedule_tells_how_much_was_evicted(scene: Scene) -> None:
    digest(scene, 4, MINUTE, 3 * MINUTE, [("a", 2, 3)], stamps=[MINUTE + 1, 2 * MINUTE + 1], counted=False)
    ledger = rest(scene)
    assert ledger.adds_up
    assert fates(ledger, "m1") == {"stored": 2 * M1 + 4, "evicted": 2 * M1 - 4}


def test_a_missing_witness_is_unexplained(scene: Scene) -> None:
    digest(scene, 4, MINUTE, 3 * MINUTE, [("a", 2, 3)], stamps=[MINUTE + 1, 2 * MINUTE + 1], counted=True)
    scene.store.delete_reading(scene.series(METER, "power_w"), scene.zero + 2 * MINUTE + 1)
    ledger = rest(scene)
    assert not ledger.adds_up
    assert [(f.device, f.readings) for f in ledger.unexplained] == [("m1", 1)]


@pytest.mark.parametrize("counted", [True, False])
def test_where_the_detail_had_arrived_after_all_it_wins_and_nothing_counts_twice(scene: Scene, counted: bool) -> None:
    scene.batch("a", 2, MINUTE, 2 * MINUTE)
    digest(scene, 4, MINUTE, 3 * MINUTE, [("a", 2, 3)], stamps=[MINUTE + 1, 2 * MINUTE + 1], counted=counted)
    ledger = rest(scene)
    assert ledger.adds_up
    witnesses = 2 if counted else 0
    assert fates(ledger, "m1") == {"stored": 3 * M1 + witnesses, "evicted": M1 - witnesses}
    assert ledger.surplus == ()


def test_causes_of_what_arrived_are_taken_from_the_counts_of_the_digest(scene: Scene) -> None:
    scene.batch("a", 2, MINUTE, 2 * MINUTE, missing={"timeout": 4})
    digest(scene, 4, MINUTE, 3 * MINUTE, [("a", 2, 3)], stamps=[MINUTE + 1, 2 * MINUTE + 1], counted=True, timeout=10)
    ledger = rest(scene)
    assert ledger.adds_up
    assert fates(ledger, "m1") == {"stored": 2 * M1 + M1 - 4 + 2, "timeout": 10, "evicted": M1 - 6 - 2}
    assert fates(ledger, "m2") == {"stored": 3 * M2, "evicted": M2}


def test_what_was_kept_beside_a_digest_in_its_hour_is_not_taken_for_its_witnesses(scene: Scene) -> None:
    """Batch 3 was in flight, so the digest stands in for 2 and 4 alone; 2 arrived after all."""
    scene.batch("a", 2, MINUTE, 2 * MINUTE)
    scene.batch("a", 3, 2 * MINUTE, 3 * MINUTE)
    stamps = [MINUTE + 1, 3 * MINUTE + 1, 4 * MINUTE - 4999]
    m1 = DeviceReceipt({"main": (2 * M1, 2 * M1, {})}, 6, scene.zero + stamps[0], scene.zero + stamps[-1])
    m2 = DeviceReceipt({"slow": (2 * M2, 2 * M2, {})})
    scene.rows(METER, stamps)
    spans: list[Span] = [("a", 2, 2), ("a", 4, 4)]
    scene.receipt("a", 5, MINUTE, 4 * MINUTE, {"m1": m1, "m2": m2}, replaces=spans)
    scene.batch("a", 6, 4 * MINUTE, 5 * MINUTE)
    ledger = scene.audit(0, 5 * MINUTE)
    assert ledger.adds_up, ledger.unexplained
    assert fates(ledger, "m1") == {"stored": 4 * M1 + 4, "evicted": M1 - 4}


def test_a_digest_of_batches_in_which_nothing_was_called_for_evicts_nothing(scene: Scene) -> None:
    """The clock was put back and forth: batch 2 held no slot of the schedule, and the time after it did not pass."""
    scene.receipt("a", 3, 1, MINUTE, {}, replaces=[("a", 2, 2)])
    scene.batch("a", 4, 2 * MINUTE, 3 * MINUTE)
    ledger = scene.audit(0, 3 * MINUTE)
    assert ledger.adds_up
    assert fates(ledger) == {"stored": 2 * (M1 + M2)}
    assert [(gap.what, gap.first) for gap in ledger.gaps] == [("evicted", 2)]


@pytest.mark.parametrize(
    "spans, arrived",
    [
        ([(2, 3), (2, 4)], ()),
        ([(2, 4), (2, 3)], ()),
        ([(2, 4), (2, 4)], ()),
        ([(2, 2), (2, 4), (2, 3)], ()),
        ([(2, 3), (2, 4)], (2,)),
        ([(2, 4), (2, 3), (4, 4)], (3,)),
        ([(2, 3), (3, 4)], (3,)),
        ([(2, 4), (2, 4)], (3,)),
        ([(2, 3), (3, 4)], (2, 4)),
        ([(2, 3), (3, 4)], (4,)),
        ([(2, 3), (3, 4), (2, 4)], (2,)),
        ([(2, 3), (3, 4), (2, 4)], (3,)),
    ],
)
def test_what_an_old_copy_of_a_card_gave_up_once_more_counts_once(
    scene: Scene, spans: list[tuple[int, int]], arrived: tuple[int, ...]
) -> None:
    """None of the digests names another one. They arrive in this order."""
    again(scene, spans, arrived)
    ledger = scene.audit(0, 5 * MINUTE)
    assert ledger.adds_up, ledger.unexplained
    assert ledger.total().expected == 5 * (M1 + M2)
    lost = 3 - len(arrived)
    assert fates(ledger, "m1") == {"stored": (5 - lost) * M1 + 2 * lost, "evicted": lost * (M1 - 2)}
    assert fates(ledger, "m2") == {"stored": (5 - lost) * M2, "evicted": lost * M2}
    assert ledger.notes == ()


@pytest.mark.parametrize("spans", [[(2, 3), (3, 4)], [(3, 4), (2, 3)], [(2, 3), (3, 4), (2, 4)]])
def test_of_two_digests_that_lie_across_each_other_the_ledger_says_how_much_may_count_twice(
    scene: Scene, spans: list[tuple[int, int]]
) -> None:
    """Both tell of batch 3, and each of another one: nothing tells what it alone counted."""
    again(scene, spans)
    ledger = scene.audit(0, 5 * MINUTE)
    assert ledger.adds_up, ledger.unexplained
    assert all(account.balances for account in ledger.accounts.values())
    assert "digest 6 of run a" in ledger.notes[0]
    assert "digest 7 of run a both tell of 1 batches that did not arrive" in ledger.notes[0]
    most = sum(int(note.split("up to ")[1].split()[0]) for note in ledger.notes)
    assert fates(ledger)["evicted"] - most <= 3 * (M1 + M2 - 2) <= fates(ledger)["evicted"]


def test_what_may_count_twice_is_no_more_than_what_did_not_arrive(scene: Scene) -> None:
    again(scene, [(2, 4), (3, 5)], (3,), newest=6)
    ledger = scene.audit(0, 6 * MINUTE)
    assert ledger.adds_up, ledger.unexplained
    (note,) = ledger.notes
    assert f"up to {2 * (M1 + M2)} readings" in note
    assert ledger.total().expected == 7 * (M1 + M2)


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("arrived", [True, False])
def test_a_digest_that_was_merged_into_a_later_one_counts_once(scene: Scene, counted: bool, arrived: bool) -> None:
    if arrived:
        digest(scene, 4, MINUTE, 2 * MINUTE, [("a", 2, 2)], stamps=[MINUTE + 1], counted=counted)
    merged: list[Span] = [("a", 2, 3), ("a", 4, 4)]
    digest(scene, 6, MINUTE, 3 * MINUTE, merged, stamps=[MINUTE + 1, 2 * MINUTE + 1], counted=counted)
    ledger = rest(scene)
    assert ledger.adds_up
    witnesses = 4 if counted or not arrived else 2
    assert fates(ledger, "m1") == {"stored": 2 * M1 + witnesses, "evicted": 2 * M1 - witnesses}


def test_a_batch_that_arrived_beside_a_digest_and_its_merger_is_subtracted_once_from_each(scene: Scene) -> None:
    scene.batch("a", 2, MINUTE, 2 * MINUTE)
    digest(scene, 5, MINUTE, 3 * MINUTE, [("a", 2, 3)], stamps=[MINUTE + 1, 2 * MINUTE + 1], counted=True)
    merged: list[Span] = [("a", 2, 4), ("a", 5, 5)]
    stamps = [MINUTE + 1, 2 * MINUTE + 1, 3 * MINUTE + 1]
    digest(scene, 6, MINUTE, 4 * MINUTE, merged, stamps=stamps, counted=True)
    scene.batch("a", 7, 4 * MINUTE, 5 * MINUTE)
    ledger = scene.audit(0, 5 * MINUTE)
    assert ledger.adds_up, ledger.unexplained
    assert fates(ledger, "m1") == {"stored": 3 * M1 + 4, "evicted": 2 * M1 - 4}


def test_a_batch_that_was_refused_and_then_digested_counts_once(scene: Scene) -> None:
    scene.rejected("a", 2, at=2 * MINUTE)
    digest(scene, 4, MINUTE, 3 * MINUTE, [("a", 2, 3)], stamps=[MINUTE + 1], counted=True)
    ledger = rest(scene)
    assert ledger.adds_up
    assert fates(ledger, "m1") == {"stored": 2 * M1 + 2, "evicted": 2 * M1 - 2}


def test_a_batch_that_names_the_digest_as_the_one_before_it_leaves_no_hole(scene: Scene) -> None:
    digest(scene, 4, MINUTE, 3 * MINUTE, [("a", 2, 3)], stamps=[MINUTE + 1], counted=True)
    scene.batch("a", 5, 3 * MINUTE, 4 * MINUTE)
    digest(scene, 6, MINUTE, 2 * MINUTE, [("b", 1, 1)], stamps=[MINUTE + 2], counted=False)
    scene.batch("a", 7, 4 * MINUTE, 5 * MINUTE, prev=2 * MINUTE)
    assert "unexplained" not in fates(scene.audit(0, 5 * MINUTE))


def test_a_digest_across_batches_that_were_sealed_early_tells_where_they_end(scene: Scene) -> None:
    digest(scene, 9, MINUTE, MINUTE + 17_000, [("a", 2, 3)], stamps=[MINUTE + 1], counted=False)
    scene.batch("a", 10, 3 * MINUTE, 4 * MINUTE, pending=[("a", 4, 8)])
    ledger = scene.audit(0, 4 * MINUTE)
    assert ledger.adds_up
    ends = [(gap.what, gap.to_ms - scene.zero) for gap in ledger.gaps]
    assert ends == [("evicted", MINUTE + 17_000), ("pending", 3 * MINUTE)]


def test_a_digest_that_is_heard_last_does_not_say_that_nothing_is_pending(scene: Scene) -> None:
    scene.batch("a", 5, 4 * MINUTE, 5 * MINUTE, pending=[("a", 2, 4)])
    digest(scene, 6, MINUTE, 3 * MINUTE, [("a", 2, 3)], stamps=[MINUTE + 1], counted=True)
    ledger = scene.audit(0, 5 * MINUTE)
    assert ledger.adds_up, ledger.unexplained
    assert fates(ledger, "m1") == {"stored": 2 * M1 + 2, "evicted": 2 * M1 - 2, "pending": M1}


def interleaved(scene: Scene, *, shared: bool) -> None:
    """Batches 2, 4 and 6 were given up first, since the others were in flight; then 3 and 5 were. Batch 2 arrived.

    Where `shared`, the digests came from two copies of one card: the other one's stands in for batch 4, too.
    """
    scene.batch("a", 2, MINUTE, 2 * MINUTE)
    firsts = [MINUTE + 1, 3 * MINUTE + 1, 4 * MINUTE - 4999, 5 * MINUTE + 1]
    others = [2 * MINUTE + 1, *([3 * MINUTE + 1] if shared else []), 4 * MINUTE + 1]
    spans: list[list[Span]] = [[("a", 2, 2), ("a", 4, 4), ("a", 6, 6)], [("a", 3, 5 if shared else 3), ("a", 5, 5)]]
    for seq, from_, to, stamps, replaces in (
        (7, MINUTE, 6 * MINUTE, firsts, spans[0]),
        (8, 2 * MINUTE, 5 * MINUTE, others, spans[1]),
    ):
        minutes = 3 if seq == 7 or shared else 2
        m1 = DeviceReceipt(
            {"main": (minutes * M1, minutes * M1, {})},
            len(stamps) * 2,
            scene.zero + stamps[0],
            scene.zero + stamps[-1],
        )
        m2 = DeviceReceipt({"slow": (minutes * M2, minutes * M2, {})})
        scene.rows(METER, stamps)
        scene.receipt("a", seq, from_, to, {"m1": m1, "m2": m2}, replaces=replaces)
    scene.batch("a", 9, 6 * MINUTE, 7 * MINUTE)


@pytest.mark.parametrize("shared", [False, True])
def test_a_witness_that_lies_in_the_time_of_a_digest_that_names_another_batch_is_still_stored(shared: bool) -> None:
    scene = Scene()
    scene.start(0)
    scene.schedule(0)
    scene.batch("a", 1, 0, MINUTE)
    interleaved(scene, shared=shared)
    ledger = scene.audit(0, 7 * MINUTE)
    assert ledger.adds_up, ledger.unexplained
    # Three batches in detail; of the digests the witnesses at five stamps that no batch in detail has.
    assert fates(ledger, "m1")["stored"] == 3 * M1 + 5 * 2
    assert ledger.surplus == ()


def test_a_merged_digest_tells_of_what_lies_between_the_batches_of_the_one_that_arrived(scene: Scene) -> None:
    """Batches 2 and 4 went into the first digest, 3 into the second, which never arrived, and both into a third."""
    stamps = [MINUTE + 1, 3 * MINUTE + 1]
    m1 = DeviceReceipt({"main": (2 * M1, 2 * M1, {})}, 4, scene.zero + stamps[0], scene.zero + stamps[-1])
    m2 = DeviceReceipt({"slow": (2 * M2, 2 * M2, {})})
    scene.rows(METER, stamps)
    scene.receipt("a", 5, MINUTE, 4 * MINUTE, {"m1": m1, "m2": m2}, replaces=[("a", 2, 2), ("a", 4, 4)])
    merged: list[Span] = [("a", 2, 4), ("a", 5, 6)]
    digest(scene, 7, MINUTE, 4 * MINUTE, merged, stamps=[MINUTE + 1, 2 * MINUTE + 1, 3 * MINUTE + 1], counted=True)
    scene.batch("a", 8, 4 * MINUTE, 5 * MINUTE)
    ledger = scene.audit(0, 5 * MINUTE)
    assert ledger.adds_up, ledger.unexplained
    assert fates(ledger, "m1") == {"stored": 2 * M1 + 6, "evicted": 3 * M1 - 6}
