"""The printed audit and its JSON: what a person and a script find in them."""

from __future__ import annotations

import json
from datetime import UTC

from delivery_audit.ledger import Gap, Ledger
from delivery_audit.table import LINES_MAX, as_json, as_text
from tests.unit.delivery_audit.scene import METER, NOON, SHANGHAI, Scene

MINUTE = 60_000


def broken() -> Ledger:
    """A minute with timeouts, one that is missing, one in which a row was deleted."""
    scene = Scene()
    scene.start(0)
    scene.schedule(0)
    scene.batch("a", 1, 0, MINUTE, missing={"timeout": 4})
    scene.batch("a", 3, 2 * MINUTE, 3 * MINUTE)
    scene.store.delete_reading(scene.series(METER, "power_w"), NOON + 2 * MINUTE + 1)
    return scene.audit(0, 3 * MINUTE)


def test_the_table_shows_what_occurs_and_leaves_out_what_does_not() -> None:
    lines = as_text([broken()], UTC).splitlines()
    assert lines[0] == "pi1, 2026-01-01 04:00:00 to 2026-01-01 04:03:00: DOES NOT ADD UP"
    assert lines[2].split() == ["device", "day", "expected", "stored", "timeout", "unexplained", "redelivered"]
    assert lines[3].split() == ["m1", "2026-01-01", "72", "43", "4", "25", "0"]
    assert lines[5].split() == ["all", "78", "47", "4", "27", "0"]


def test_every_gap_and_finding_is_printed_with_its_time_and_cause() -> None:
    text = as_text([broken()], SHANGHAI)
    assert "2026-01-01 12:01:00 to 2026-01-01 12:02:00  unexplained  26 readings  run a batches 2-2" in text
    assert "no receipt for batch 2 of run a, and nothing says where they are" in text
    assert "m1  1 readings  the store holds 23 of 24 values that receipts say were stored" in text


def test_the_json_is_complete_and_plain() -> None:
    said = json.loads(json.dumps(as_json([broken()], SHANGHAI)))
    assert said["adds_up"] is False
    [gateway] = said["gateways"]
    assert gateway["total"]["fates"] == {"stored": 47, "timeout": 4, "unexplained": 27}
    assert gateway["accounts"][0] | {"fates": None} == {
        "device": "m1",
        "day": "2026-01-01",
        "expected": 72,
        "sampled": 44,
        "fates": None,
        "redelivered_batches": 0,
        "redelivered_readings": 0,
    }
    assert gateway["gaps"][0]["batches"] == [2, 2]
    assert [finding["readings"] for finding in gateway["unexplained"]] == [26, 1]


def test_a_list_without_end_is_cut_and_says_so() -> None:
    gaps = tuple(Gap(NOON + n, NOON + n + 1, "down", 0) for n in range(LINES_MAX + 7))
    text = as_text([Ledger("pi1", NOON, NOON + 1000, {}, gaps)], UTC)
    assert "and 7 more, see --json" in text
    assert text.count(" down ") == LINES_MAX


def test_an_account_without_devices_says_that_nothing_was_expected() -> None:
    assert "no reading was expected" in as_text([Ledger("pi1", NOON, NOON + 1000, {})], UTC)
