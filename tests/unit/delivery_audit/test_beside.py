"""What the store holds beside ordinary batches, where a digest's witnesses lie among their stamps."""

from __future__ import annotations

from data_contract.receipt import BatchReceipt, Counts, DeviceReceipt
from delivery_audit.overlap import beside, ordinary
from series_store.table import Receipt


def batch(seq: int, first_ms: int, last_ms: int, stored: int) -> tuple[Receipt, BatchReceipt]:
    receipt = Receipt(seq, "gw-1", "w1", "run", seq, first_ms, last_ms, stored, 0, "")
    counts: dict[str, Counts] = {"main": (stored, stored, {})}
    return receipt, BatchReceipt({"meter": DeviceReceipt(counts, stored, first_ms, last_ms)} if stored else {})


def test_batches_whose_stamps_lie_across_each_other_are_counted_together() -> None:
    found = ordinary([batch(3, 300, 316, 3), batch(1, 100, 116, 3), batch(2, 110, 130, 2), batch(4, 400, 400, 0)])
    assert found == {"meter": [((100, 130), 5), ((300, 316), 3)]}


def test_what_was_brought_within_a_digests_stamps_is_told_to_the_reading() -> None:
    brought = [((100, 116), 3), ((200, 216), 3), ((300, 316), 3)]
    # The digest's own stamps lie among theirs, one track further: the clock was put back by an hour.
    assert beside([(1, 399)], brought) == [((1, 399), 9)]
    assert beside([(150, 250)], brought) == [((150, 250), 3)]
    assert beside([], brought) == []


def test_of_what_lies_across_an_end_nobody_can_say_how_much_is_inside() -> None:
    brought = [((100, 116), 3), ((200, 216), 3), ((300, 316), 3)]
    assert beside([(101, 310)], brought) == [((117, 299), 3)]
    assert beside([(105, 110)], brought) == []
    assert beside([(100, 316)], brought) == [((100, 316), 9)], "an end that is its own end is not within it"
