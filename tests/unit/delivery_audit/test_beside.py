"""What the store holds beside ordinary batches, where a digest's witnesses lie among their stamps."""

from __future__ import annotations

from data_contract.batch import Counts
from data_contract.receipt import BatchReceipt, DeviceReceipt
from delivery_audit.overlap import News, ordinary, within
from series_store.table import Receipt


def batch(seq: int, first_ms: int, last_ms: int, stored: int) -> tuple[Receipt, BatchReceipt]:
    receipt = Receipt(seq, "gw-1", "w1", "run", seq, first_ms, last_ms, stored, 0, "")
    counts: dict[str, Counts] = {"main": (stored, stored, {})}
    return receipt, BatchReceipt({"meter": DeviceReceipt(counts, stored, first_ms, last_ms)} if stored else {})


def test_batches_whose_stamps_lie_across_each_other_are_counted_together() -> None:
    found = ordinary([batch(3, 300, 316, 3), batch(1, 100, 116, 3), batch(2, 110, 130, 2), batch(4, 400, 400, 0)])
    assert found == {"meter": [((100, 130), 5), ((300, 316), 3)]}


def test_ordinary_batches_that_lie_across_the_ends_of_a_digests_stamps_are_counted_with_them() -> None:
    """The digest's stamps lie among theirs, a track further: the clock was put back by an hour."""
    brought = [((100, 116), 3), ((200, 216), 3), ((300, 316), 3), ((400, 416), 3)]
    digest = DeviceReceipt({}, stored=5, first_ms=101, last_ms=301)
    news = News()
    assert news.around(digest) == [(101, 301)]
    (reach,) = news.around(digest, brought)
    assert reach == (100, 316)
    assert within(reach, brought) == 9
    assert news.add(digest, [reach], 14 - 9) == 5


def test_a_second_digest_is_told_of_what_the_first_one_leaves() -> None:
    brought = [((100, 116), 3), ((200, 216), 3)]
    first, second = DeviceReceipt({}, 2, 101, 201), DeviceReceipt({}, 2, 205, 216)
    news = News()
    assert news.add(first, news.around(first, brought), 4) == 2
    reach = news.around(second, brought)
    assert reach == [(100, 216)], "it lies across what was counted with the first"
    assert news.add(second, reach, 4) == 2
