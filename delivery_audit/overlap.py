"""A digest of batches of which some arrived after all: what it says of the others alone.

The receipts of what arrived are taken from its counts, each once: those of a digest that it stands in for include what
that one stood in for. Its witnesses are under the same keys as the readings of what arrived, so the store is asked how
many lie where no ordinary batch has any; of these, those that other digests have told of are taken (`News`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from data_contract.receipt import BatchReceipt, DeviceReceipt
from delivery_audit.heard import Told
from delivery_audit.seqs import Range, union
from series_store.table import Receipt


@dataclass(slots=True)
class Overlap:
    """By device, what must be taken from the digest's counts."""

    called: Counter[str] = field(default_factory=Counter)
    sampled: Counter[str] = field(default_factory=Counter)
    missing: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    fresh: Counter[str] = field(default_factory=Counter)
    """Witnesses that the store holds and no other receipt speaks of."""


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

    def around(self, part: DeviceReceipt) -> list[Range]:
        """The stamps of a digest and of all that lie across it, and across those: they must be counted together."""
        reach = [(part.first_ms, part.last_ms)] if part.stored else []
        while True:
            wider = _joined([*reach, *(known for known, _ in self._known if _meets(known, reach))])
            if wider == reach:
                return reach
            reach = wider

    def add(self, part: DeviceReceipt, there: int) -> int:
        """How many of `there` values, at the stamps `around` it and of no ordinary batch, are this digest's news."""
        reach = self.around(part)
        told = sum(news for known, news in self._known if _meets(known, reach))
        news = max(0, min(there - told, part.stored))
        if part.stored:
            self._known.append(((part.first_ms, part.last_ms), news))
        return news


def overlap(told: Told, batches: Iterable[tuple[Receipt, BatchReceipt]]) -> Overlap:
    """`batches`: every batch that arrived of the digest's time, once each."""
    found = Overlap()
    arrived = [each for each in batches if each[1].rejected is None and not _is(told, each[0])]
    replaced = [each for each in arrived if _names(told.said, each[0])]
    inner = [said for _, said in replaced if said.replaces]
    for receipt, said in replaced:
        # What stands in a digest that arrived, too, is in that one's counts.
        if not any(_names(digest, receipt) for digest in inner):
            _add(found, said)
    return found


def ordinary(batches: Iterable[tuple[Receipt, BatchReceipt]]) -> dict[str, list[Range]]:
    """Device -> where in time batches that are no digests brought readings (both ends)."""
    found: defaultdict[str, list[Range]] = defaultdict(list)
    for _, said in batches:
        if said.rejected is None and not said.replaces:
            for device, part in said.devices.items():
                if part.stored:
                    found[device].append((part.first_ms, part.last_ms))
    return {device: union(ranges) for device, ranges in found.items()}


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """All of them as one range."""
    found = list(ranges)
    return [(min(first for first, _ in found), max(last for _, last in found))] if found else []


def _meets(one: Range, others: Iterable[Range]) -> bool:
    return any(one[0] <= last and first <= one[1] for first, last in others)


def _add(found: Overlap, said: BatchReceipt) -> None:
    for device, part in said.devices.items():
        for called, sampled, missing in part.counts.values():
            found.called[device] += called
            found.sampled[device] += sampled
            found.missing[device].update(missing)


def _is(told: Told, receipt: Receipt) -> bool:
    return (receipt.run, receipt.seq) == (told.digest.run, told.digest.seq)


def _names(said: BatchReceipt, receipt: Receipt) -> bool:
    return _lists(said, receipt.run, receipt.seq)


def _lists(said: BatchReceipt, run: str, seq: int) -> bool:
    return any(run == of and first <= seq <= last for of, first, last in said.replaces)
