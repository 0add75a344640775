"""A digest of batches of which some arrived after all, or stand in another digest, too: what it says of others alone.

The receipts of what arrived are taken from its counts, each once: those of a digest that it stands in for include what
that one stood in for. So do those of one that tells of nothing that it does not tell of, as where an old copy of a card
gave up the same hour. Where each of two tells of batches that the other does not know, and that did not arrive, what
they counted of those that they share cannot be told from the rest: it counts twice, and the ledger says so
(`told_twice`).

Its witnesses are under the same keys as the readings of what arrived, so the store is asked how many it holds beside
those that ordinary batches brought; of these, those that other digests have told of are taken (`News`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from data_contract.receipt import BatchReceipt, DeviceReceipt
from delivery_audit.heard import Told
from delivery_audit.seqs import Range, common, count, union, without
from series_store.table import Receipt

Brought = tuple[Range, int]
"""First and last stamp (ms UTC), and how many readings."""


@dataclass(slots=True)
class Overlap:
    """By device, what must be taken from the digest's counts."""

    called: Counter[str] = field(default_factory=Counter)
    sampled: Counter[str] = field(default_factory=Counter)
    missing: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    fresh: Counter[str] = field(default_factory=Counter)
    """Witnesses that the store holds and no other receipt speaks of."""
    taken: defaultdict[str, list[Range]] = field(default_factory=lambda: defaultdict(list))
    """Run → batches of which its counts no longer tell."""


class News:
    """What digests bring of one device that nothing else brought, one digest after another.

    Digests may lie across each other without the one's naming the other: those of an hour of which some batches were in
    flight at first, or of two copies of a card. Where their stamps overlap only all of them together can be counted;
    each is told of what the ones before it leave. So their sum is right, and what of it is whose may not be.
    """

    def __init__(self) -> None:
        self._known: list[tuple[Range, int]] = []

    def whole(self, part: DeviceReceipt) -> None:
        """A digest of which all witnesses are news."""
        if part.stored:
            self._known.append(((part.first_ms, part.last_ms), part.stored))

    def around(self, part: DeviceReceipt, brought: Iterable[Brought] = ()) -> list[Range]:
        """The stamps of a digest and of all that lie across it, and across those: they must be counted together.

        So must ordinary batches that lie across an end: where a clock was put back, the stamps of one pass lie between
        those of another.
        """
        reach = [(part.first_ms, part.last_ms)] if part.stored else []
        brought = list(brought)
        while True:
            digests = (known for known, _ in self._known if _meets(known, reach))
            wider = _joined([*reach, *digests, *(each for each, _ in brought if _across(each, reach))])
            if wider == reach:
                return reach
            reach = wider

    def add(self, part: DeviceReceipt, reach: Sequence[Range], there: int) -> int:
        """How many of `there` values, all within `reach` and of no ordinary batch, this digest alone brought."""
        told = sum(news for known, news in self._known if _meets(known, reach))
        news = max(0, min(there - told, part.stored))
        self._known += [(each, news) for each in reach]
        return news


def overlap(told: Told, batches: Iterable[tuple[Receipt, BatchReceipt]]) -> Overlap:
    """`batches`: all that arrived of the time of this digest, and of those that tell of the same, once each."""
    found, arrived, others = Overlap(), {}, []
    ordinary_: defaultdict[str, list[Range]] = defaultdict(list)
    for receipt, said in batches:
        if said.replaces and said.rejected is None and not _is(told, receipt):
            others.append(Told.by(receipt, said))
        elif not said.replaces and said.rejected is None:
            arrived[receipt.run, receipt.seq] = said
            ordinary_[receipt.run].append((receipt.seq, receipt.seq))
    for run, ranges in ordinary_.items():
        ordinary_[run] = union(ranges)
    for inner in _inner(told, others, ordinary_):
        _add(found, inner.said)
        for run, ranges in inner.by_run.items():
            found.taken[run] += without(ranges, ordinary_[run])
        for (run, seq), said in arrived.items():
            if _lists(inner.said, run, seq):
                _add(found, said, -1)
    for (run, seq), said in arrived.items():
        if _lists(told.said, run, seq):
            _add(found, said)
            found.taken[run].append((seq, seq))
    return found


def _inner(told: Told, others: Iterable[Told], ordinary_: Mapping[str, list[Range]]) -> list[Told]:
    """Digests whose counts are in those of `told`, but for what arrived: the greatest that have nothing in common."""
    found: list[Told] = []
    for other in sorted(others, key=lambda other: other.rank(ordinary_), reverse=True):
        names = _lists(told.said, other.digest.run, other.digest.seq)
        within = other.rank(ordinary_) < told.rank(ordinary_) and not _beyond(other, told, ordinary_)
        if (names or within) and not any(_missing(_both(other, each), ordinary_) for each in found):
            found.append(other)
    return found


def _beyond(one: Told, other: Told, ordinary_: Mapping[str, list[Range]]) -> bool:
    """Whether it tells of batches that neither arrived nor stand in the other one."""
    theirs = other.by_run
    return _missing({run: without(ranges, theirs.get(run, [])) for run, ranges in one.by_run.items()}, ordinary_)


def _missing(batches: Mapping[str, list[Range]], ordinary_: Mapping[str, list[Range]]) -> bool:
    """Whether one of these did not arrive."""
    return any(without(ranges, ordinary_.get(run, [])) for run, ranges in batches.items())


def told_twice(digests: Iterable[tuple[Told, Overlap]]) -> Iterator[tuple[Told, Told, int, int]]:
    """Two digests, of how many batches the counts of both tell, and how many readings these are at most."""
    before: list[tuple[Told, Overlap]] = []
    for told, overlap_ in digests:
        for other, other_overlap in before:
            if not share(told, other):
                continue
            batches = 0
            for run, ranges in _both(told, other).items():
                batches += count(without(without(ranges, overlap_.taken[run]), other_overlap.taken[run]))
            if batches:
                left, other_left = _left(told, overlap_), _left(other, other_overlap)
                yield other, told, batches, sum(min(called, other_left[device]) for device, called in left.items())
        before.append((told, overlap_))


def share(one: Told, other: Told) -> bool:
    """Whether two digests tell of one batch; all of its time is in the time of either."""
    apart = one.digest.from_ms > other.digest.to_ms or other.digest.from_ms > one.digest.to_ms
    return not apart and bool(_both(one, other))


def _left(told: Told, overlap_: Overlap) -> Counter[str]:
    """Device → what it was called for in the batches that nothing else tells of."""
    found: Counter[str] = Counter()
    for device, part in told.said.devices.items():
        found[device] = sum(called for called, _, _ in part.counts.values()) - overlap_.called[device]
    return found


def _both(one: Told, other: Told) -> dict[str, list[Range]]:
    """Run → batches that two digests stand in for."""
    theirs = other.by_run
    found = {run: common(ranges, theirs.get(run, [])) for run, ranges in one.by_run.items()}
    return {run: ranges for run, ranges in found.items() if ranges}


def ordinary(batches: Iterable[tuple[Receipt, BatchReceipt]]) -> dict[str, list[Brought]]:
    """By device: what batches that are no digests brought, those together whose stamps lie across each other."""
    found: defaultdict[str, list[Brought]] = defaultdict(list)
    for _, said in batches:
        if said.rejected is None and not said.replaces:
            for device, part in said.devices.items():
                if part.stored:
                    found[device].append(((part.first_ms, part.last_ms), part.stored))
    for device, each in found.items():
        together: list[Brought] = []
        for (first, last), stored in sorted(each):
            if together and first <= together[-1][0][1]:
                (begin, end), before = together.pop()
                together.append(((begin, max(end, last)), before + stored))
            else:
                together.append(((first, last), stored))
        found[device] = together
    return dict(found)


def within(reach: Range, brought: Iterable[Brought]) -> int:
    """How many readings ordinary batches brought there."""
    return sum(stored for (first, last), stored in brought if reach[0] <= first and last <= reach[1])


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """All of them as one range."""
    found = list(ranges)
    return [(min(first for first, _ in found), max(last for _, last in found))] if found else []


def _across(one: Range, others: Iterable[Range]) -> bool:
    return any(one[0] < first <= one[1] or one[0] <= last < one[1] for first, last in others)


def _meets(one: Range, others: Iterable[Range]) -> bool:
    return any(one[0] <= last and first <= one[1] for first, last in others)


def _add(found: Overlap, said: BatchReceipt, times: int = 1) -> None:
    for device, part in said.devices.items():
        for called, sampled, missing in part.counts.values():
            found.called[device] += times * called
            found.sampled[device] += times * sampled
            found.missing[device].update({cause: times * number for cause, number in missing.items()})


def _is(told: Told, receipt: Receipt) -> bool:
    return (receipt.run, receipt.seq) == (told.digest.run, told.digest.seq)


def _lists(said: BatchReceipt, run: str, seq: int) -> bool:
    return any(run == of and first <= seq <= last for of, first, last in said.replaces)
