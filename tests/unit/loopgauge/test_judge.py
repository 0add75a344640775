"""The judge: what was served against what is stored, value by value, and what a report says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from delivery_audit.ledger import Account, Ledger
from edge_agent.weigh.bin import FIELDS as MADE_OF_WEIGHTS
from loopgauge.judge import Point, Row, Verdict, judge, judge_gateway, match, stretch, totals
from simulators.truth.record import Record, RecordWriter
from simulators.truth.rows import Shown
from tests.twins.loop import run_virtual
from tests.unit.delivery_audit.scene import GATEWAY, METER, SCHEDULE, SLOW, Scene

MINUTE = 60_000


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.start(0)
    scene.schedule(0)
    scene.batches("a", 1, 12, 0, 2 * MINUTE)
    return scene


def record_of(folder: Path, scene: Scene, *, but: Iterable[tuple[str, int]] = (), also: Iterable[Row] = ()) -> Record:
    """What the scene's meters served: the stored values 3 ms after their stamps, but for some (device, stamp)."""
    writer = RecordWriter(path=folder / "record.db")
    writer.open({})
    for poll in (METER, SLOW):
        for slot in range(0, 2 * MINUTE, poll.every_ms):
            stamp = slot + 1
            if (poll.device, stamp) not in set(but):
                shown = [Shown(field, float(stamp % 1000), "") for field in poll.fields]
                writer.note(scene.zero + stamp + 3, GATEWAY, poll.device, shown)
    for row in also:
        writer.note(scene.zero + row.t_ms, GATEWAY, row.device, [Shown(row.field, row.value, "")])
    writer.close()
    return Record.open_readonly(folder / "record.db")


def verdict_of(scene: Scene, record: Record, to: int = 2 * MINUTE) -> Verdict:
    return run_virtual(judge(record, scene.store, GATEWAY, SCHEDULE, scene.zero, scene.zero + to, 50))


def test_what_was_served_and_is_stored_is_delivered(tmp_path: Path, scene: Scene) -> None:
    verdict = verdict_of(scene, record_of(tmp_path, scene))
    assert (verdict.delivered, verdict.missing, verdict.foreign, verdict.invalid) == (52, 0, 0, 0)
    assert verdict.devices == ("m1", "m2")


def test_a_lost_value_is_missing_and_named(tmp_path: Path, scene: Scene) -> None:
    scene.store.delete_reading(scene.series(METER, "energy_kwh"), scene.zero + 5_001)
    verdict = verdict_of(scene, record_of(tmp_path, scene))
    assert (verdict.delivered, verdict.missing, verdict.foreign) == (51, 1, 0)
    assert verdict.missing_rows == (Row("m1", "energy_kwh", scene.zero + 5_004, 1.0),)


def test_a_value_that_nobody_served_is_foreign_and_named(tmp_path: Path, scene: Scene) -> None:
    verdict = verdict_of(scene, record_of(tmp_path, scene, but=[("m2", 30_001)]))
    assert (verdict.delivered, verdict.missing, verdict.foreign) == (51, 0, 1)
    assert verdict.foreign_rows == (Row("m2", "volume_m3", scene.zero + 30_001, 1.0),)


def test_a_value_that_was_changed_on_the_way_is_missing_and_foreign(tmp_path: Path, scene: Scene) -> None:
    changed = [Row("m2", "volume_m3", 30_004, 1.0000000001)]
    verdict = verdict_of(scene, record_of(tmp_path, scene, but=[("m2", 30_001)], also=changed))
    assert (verdict.delivered, verdict.missing, verdict.foreign) == (51, 1, 1)


def test_a_value_that_was_stored_twice_is_foreign(tmp_path: Path, scene: Scene) -> None:
    record = record_of(tmp_path, scene)
    scene.rows(SLOW, [30_002])
    assert verdict_of(scene, record).foreign == 1


def test_a_field_that_no_device_served_is_foreign_but_for_the_gateway_itself(tmp_path: Path, scene: Scene) -> None:
    record = record_of(tmp_path, scene)
    scene.rows(SLOW.model_copy(update={"fields": ("flow_m3_h",)}), [30_001])
    scene.rows(SLOW.model_copy(update={"device": "gateway", "kind": "gateway"}), [30_001])
    assert [row.field for row in verdict_of(scene, record).foreign_rows] == ["flow_m3_h"]


def test_an_answer_that_is_no_number_is_not_to_be_stored(tmp_path: Path, scene: Scene) -> None:
    writer = RecordWriter(path=tmp_path / "record.db")
    writer.open({})
    writer.note(scene.zero + 7_000, GATEWAY, "m2", [Shown("volume_m3", None, "7fc00000")])
    writer.close()
    verdict = verdict_of(scene, record_of(tmp_path, scene))
    assert (verdict.invalid, verdict.missing) == (1, 0)


def test_a_value_served_just_inside_the_period_and_stamped_just_outside_counts(tmp_path: Path, scene: Scene) -> None:
    record = record_of(tmp_path, scene)
    verdict = run_virtual(judge(record, scene.store, GATEWAY, SCHEDULE, scene.zero + 2, scene.zero + MINUTE + 3, 50))
    assert (verdict.delivered, verdict.missing, verdict.foreign) == (26, 0, 0)


@pytest.mark.parametrize(
    "served, stored, pairs",
    [
        ([(0, 1.0), (10, 1.0)], [(9, 1.0), (11, 1.0)], [(0, 0), (1, 1)]),
        ([(0, 1.0), (10, 2.0)], [(1, 2.0), (11, 1.0)], [(1, 0)]),
        ([(0, 1.0), (10, 1.0), (20, 1.0)], [(20, 1.0)], [(1, 0)]),
        ([(0, 1.0)], [(10, 1.0)], [(0, 0)]),
        ([(0, 1.0)], [(11, 1.0)], []),
        ([(11, 1.0)], [(0, 1.0)], []),
        ([(0, 1.0)], [(0, 1.0), (0, 1.0)], [(0, 0)]),
        ([], [(0, 1.0)], []),
        ([(0, 1.0)], [], []),
    ],
)
def test_values_are_paired_in_order_of_time(
    served: list[Point], stored: list[Point], pairs: list[tuple[int, int]]
) -> None:
    assert match(served, stored, 10) == pairs


def totals_of(scene: Scene, record: Record, to: int) -> dict[str, object]:
    return totals(verdict_of(scene, record, to), scene.audit(0, to))


def test_a_report_adds_up_to_what_was_expected(tmp_path: Path, scene: Scene) -> None:
    scene.batch("a", 13, 2 * MINUTE, 3 * MINUTE, missing={"timeout": 24})
    scene.batch("a", 2, 10_000, 20_000)
    record = record_of(tmp_path, scene, also=[Row("m2", "volume_m3", 2 * MINUTE + n * 30_000 + 4, 1.0) for n in (0, 1)])
    assert totals_of(scene, record, 3 * MINUTE) == {
        "expected": 78,
        "sampled": 54,
        "delivered": 54,
        "duplicates": 0,
        "redelivered": 4,
        "missing": {"timeout": 24},
    }


def test_what_ledger_and_record_disagree_about_is_unexplained(tmp_path: Path, scene: Scene) -> None:
    changed = [Row("m2", "volume_m3", 30_004, 7.0)]
    said = totals_of(scene, record_of(tmp_path, scene, but=[("m2", 30_001)], also=changed), 2 * MINUTE)
    assert (said["expected"], said["delivered"], said["duplicates"]) == (52, 51, 1)
    assert said["missing"] == {"unexplained": 1}


def test_a_device_that_never_answered_does_not_count(tmp_path: Path, scene: Scene) -> None:
    slots = [("m2", slot + 1) for slot in range(0, 2 * MINUTE, 30_000)]
    said = totals_of(scene, record_of(tmp_path, scene, but=slots), 2 * MINUTE)
    assert (said["expected"], said["delivered"], said["missing"]) == (48, 48, {})
    assert said["duplicates"] == 4


def test_a_gateway_is_judged_from_its_first_batch_to_the_end_of_its_last(tmp_path: Path, scene: Scene) -> None:
    record = record_of(tmp_path, scene)
    now = scene.zero + 60 * MINUTE
    said = run_virtual(judge_gateway(record, scene.store, GATEWAY, now_ms=now, tolerance_ms=50))
    assert (said["expected"], said["delivered"], said["missing"]) == (52, 52, {})
    with pytest.raises(LookupError, match="pi9"):
        run_virtual(judge_gateway(record, scene.store, "pi9", now_ms=now, tolerance_ms=50))


def test_what_a_gateway_makes_of_a_weight_itself_is_neither_expected_nor_foreign(tmp_path: Path, scene: Scene) -> None:
    """No bin serves its totals, so no record could judge them; its served field counts as any other."""
    bin_ = SLOW.model_copy(update={"device": "bin", "kind": "bin", "fields": ("gross_kg", *MADE_OF_WEIGHTS)})
    scene.schedule(0, SCHEDULE.model_copy(update={"polls": (METER, SLOW, bin_)}))
    stamps = [n * 30_000 + 1 for n in range(4)]
    scene.rows(bin_, stamps)
    served = [Row("bin", "gross_kg", stamp, float(stamp % 1000)) for stamp in stamps]
    record = record_of(tmp_path, scene, also=served)
    polls = (METER, SLOW, bin_)
    verdict = run_virtual(judge(record, scene.store, GATEWAY, polls, scene.zero, scene.zero + 2 * MINUTE, 50))
    assert (verdict.delivered, verdict.foreign) == (52 + 4, 0)
    account = Account(expected=20, sampled=15, fates=Counter({"stored": 15, "timeout": 5}))
    ledger = Ledger(GATEWAY, 0, 1, {("bin", "2026-01-01"): account})
    said = totals(Verdict(GATEWAY, 0, 1, ("bin",), 3, 1, 0, 0), ledger, polls)
    assert said["expected"] == 4 and said["sampled"] == 3 and said["missing"] == {"timeout": 1}


def test_a_load_cell_whose_wire_is_off_for_one_slot_leaves_nothing_unexplained() -> None:
    """Then a count and the weight that is made of it are no value, while the lid and the totals go on."""
    bin_ = SLOW.model_copy(
        update={"device": "bin", "kind": "bin", "fields": ("raw_count", "door_open", *MADE_OF_WEIGHTS)}
    )
    account = Account(expected=600, sampled=598, fates=Counter({"stored": 598, "invalid": 2}))
    ledger = Ledger(GATEWAY, 0, 1, {("bin", "2026-01-01"): account})
    said = totals(Verdict(GATEWAY, 0, 1, ("bin",), 199, 0, 0, 1), ledger, (bin_,))
    assert said["expected"] == 200 and said["missing"] == {"invalid": 1}


def test_a_gateway_can_be_judged_before_and_after_a_pause(tmp_path: Path, scene: Scene) -> None:
    scene.stop(2 * MINUTE)
    scene.start(10 * MINUTE, scene.previous("a", 12, 2 * MINUTE, clean=True), run="b")
    scene.schedule(10 * MINUTE)
    scene.batches("b", 1, 6, 10 * MINUTE, 11 * MINUTE)
    again = [
        Row(poll.device, field, 10 * MINUTE + slot + 4, float((slot + 1) % 1000))
        for poll in (METER, SLOW)
        for slot in range(0, MINUTE, poll.every_ms)
        for field in poll.fields
    ]
    record, cut, now = record_of(tmp_path, scene, also=again), scene.zero + 5 * MINUTE, scene.zero + 20 * MINUTE
    before = run_virtual(judge_gateway(record, scene.store, GATEWAY, now_ms=now, tolerance_ms=50, to_ms=cut))
    after = run_virtual(judge_gateway(record, scene.store, GATEWAY, now_ms=now, tolerance_ms=50, from_ms=cut))
    for said, expected in ((before, 52), (after, 26)):
        assert (said["expected"], said["delivered"], said["duplicates"]) == (expected, expected, 0)
        assert said["missing"] == {}, "the pause belongs to neither"


def test_a_batch_belongs_to_the_period_in_which_it_begins(scene: Scene) -> None:
    inside = scene.zero + 65_000
    before = run_virtual(stretch(scene.store, GATEWAY, 0, inside))
    after = run_virtual(stretch(scene.store, GATEWAY, inside, scene.zero + 95_000))
    assert before == (scene.zero, scene.zero + 70_000)
    assert after == (scene.zero + 70_000, scene.zero + 100_000)
    assert run_virtual(stretch(scene.store, GATEWAY, scene.zero + 5 * MINUTE, 2**53)) is None
