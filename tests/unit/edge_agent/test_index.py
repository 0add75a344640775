"""A gateway that was cut off for days still knows of every batch on its card, and has memory left for its work."""

from __future__ import annotations

import random
import sys
import time
import tracemalloc
from array import array

import pytest

from data_contract.batch import Span
from edge_agent.keep.index import CHUNK, SEQ_MAX, Held, Index, Spans

OLD, NOW = "a" * 32, "b" * 32
Key = tuple[str, int]


def keys_of(spans: list[Span]) -> list[Key]:
    return [(run, seq) for run, first, last in spans for seq in range(first, last + 1)]


def check(index: Index, model: dict[Key, Held], chance: random.Random) -> None:
    """Compare with a plain dict whatever can be asked."""
    assert dict(index) == model
    assert list(index) == list(model), "not oldest first"
    assert list(reversed(index.values())) == list(model.values())[::-1]
    assert len(index) == len(model)
    assert index.bytes == sum(held.size for held in model.values())
    assert index.undated == sum(not held.dated for held in model.values())
    for run in (OLD, NOW):
        assert index.last(run) == max((seq for name, seq in model if name == run), default=0)
        assert (run, 0) not in index
    without = [some_span(chance) for _ in range(3)]
    gone = set(keys_of(without))
    assert keys_of(list(index.spans(without=without))) == [key for key in model if key not in gone]
    assert keys_of(list(index.spans(dated=True))) == [key for key, held in model.items() if held.dated]
    within = some_span(chance)
    inside = [held for key, held in model.items() if key in set(keys_of([within]))]
    assert keys_of(list(index.spans(within=[within]))) == [(held.run, held.seq) for held in inside]
    assert index.weigh([within]) == (len(inside), sum(held.size for held in inside))


def some_span(chance: random.Random) -> Span:
    first = chance.randint(1, 60)
    return chance.choice((OLD, NOW)), first, first + chance.choice((0, 3, 30))


@pytest.mark.parametrize("seed", range(25))
def test_no_batch_is_forgotten_or_offered_twice_whatever_is_sealed_and_deleted(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr("edge_agent.keep.index.CHUNK", chance.choice((4, 7, CHUNK)))
    index, model = Index(), dict[Key, Held]()
    seqs = {OLD: 0, NOW: 0}
    for step in range(150):
        run = OLD if step < 60 else NOW
        what = chance.random()
        if what < 0.55:
            seqs[run] += chance.choice((1, 1, 1, 2, 9))
            size, dated = chance.choice((1, 300, 70_000, 2**18)), chance.random() < 0.8
            index.add(run, seqs[run], size, dated=dated)
            model[run, seqs[run]] = Held(run, seqs[run], size, dated)
        elif what < 0.7:
            sizes = [chance.choice((5, 900, 66_000)) for _ in range(chance.randint(1, 12))]
            index.add_many(run, seqs[run] + 1, sizes)
            for size in sizes:
                seqs[run] += 1
                model[run, seqs[run]] = Held(run, seqs[run], size, True)
        elif what < 0.95:
            index.drop(span := some_span(chance))
            for key in keys_of([span]):
                model.pop(key, None)
        else:
            index.all_dated()
            model = {key: Held(*key, held.size, True) for key, held in model.items()}
        check(index, model, chance)
    for run in (OLD, NOW):
        index.drop((run, 1, SEQ_MAX))
    assert index == {} and index.bytes == index.undated == 0
    assert not index._sizes, "sizes of what is gone stay in memory"


def test_a_batch_that_is_not_held_is_not_to_be_had() -> None:
    index = Index()
    index.add(OLD, 7, 100, dated=True)
    assert index.get((OLD, 6)) is None and index.get((NOW, 7)) is None
    with pytest.raises(KeyError):
        index[OLD, 8]
    assert list(Spans([(OLD, 1, 3), (OLD, 4, 9), (NOW, 1, 1), (OLD, 2, 5)])) == [(OLD, 1, 9), (NOW, 1, 1)]


def test_a_million_and_a_half_small_batches_take_less_than_four_megabytes() -> None:
    """So many of 300 bytes fill a spool of 512 MB; an agent has some fifty MB resident."""
    sizes = array("H", [300 + n % 50 for n in range(CHUNK)])
    tracemalloc.start()
    index = Index()
    for n in range(1_500_000 // CHUNK):
        index.add_many(OLD, 1 + n * CHUNK, sizes)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index) > 1_495_000
    assert taken < 4_000_000
    assert sys.getsizeof(index) < 1000


def test_a_full_spool_does_not_slow_down_a_seal_or_a_message() -> None:
    """What is asked at each seal and each message, a thousand times; going through all batches takes a second each."""
    index = Index()
    for run in range(20):
        index.add_many(f"{run:032x}", 1, array("H", [300]) * 75_000)
    began = time.process_time()
    for seq in range(1, 1000):
        index.add(NOW, seq, 300, dated=False)
        done = [(f"{0:032x}", 1, seq), (NOW, seq, seq)]
        assert len(list(index.spans(without=done))) == 20 + (seq > 1)
        assert next(index.batches(index.spans(without=done, dated=True))).seq == seq + 1
        assert index.weigh(done)[0] == seq + 1
        assert index.undated == seq
        assert index.last(NOW) == seq
        assert index.bytes == 300 * (1_500_000 + seq)
    index.drop((f"{0:032x}", 1, 1000))
    assert time.process_time() - began < 5
