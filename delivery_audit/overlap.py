"""A digest of batches of which some arrived after all: what it says of the others alone.

The receipts of what arrived are taken from its counts, each once: those of a digest that it stands in for include what
that one stood in for. Its witnesses are under the same keys as the readings of what arrived, so the store is asked how
many lie where no other receipt tells of any.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from data_contract.receipt import BatchReceipt, DeviceReceipt
from delivery_audit.heard import Told
from delivery_audit.seqs import Range, union, without
from series_store.table import Receipt


@dataclass(slots=True)
class Overlap:
    """By device, what must be taken from the digest's counts, and where in time others have readings (both ends)."""

    called: Counter[str] = field(default_factory=Counter)
    sampled: Counter[str] = field(default_factory=Counter)
    missing: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    others: defaultdict[str, list[Range]] = field(default_factory=lambda: defaultdict(list))
    fresh: Counter[str] = field(default_factory=Counter)
    """Witnesses that the store holds and no other receipt speaks of."""

    def left(self, device: str, part: DeviceReceipt) -> list[Range]:
        """Where in time only this digest can have brought readings."""
        return without([(part.first_ms, part.last_ms)], self.others[device]) if part.stored else []


def overlap(told: Told, batches: Iterable[tuple[Receipt, BatchReceipt]]) -> Overlap:
    """`batches`: every batch that arrived of the digest's time, once each."""
    found = Overlap()
    arrived = [each for each in batches if each[1].rejected is None and not _is(told, each[0])]
    replaced = [each for each in arrived if _names(told.said, each[0])]
    inner = [said for _, said in replaced if said.replaces]
    for said in (said for _, said in arrived if not _stands_in(said, told)):
        for device, part in said.devices.items():
            if part.stored:
                found.others[device] = union([*found.others[device], (part.first_ms, part.last_ms)])
    for receipt, said in replaced:
        # What stands in a digest that arrived, too, is in that one's counts.
        if not any(_names(digest, receipt) for digest in inner):
            _add(found, said)
    return found


def _add(found: Overlap, said: BatchReceipt) -> None:
    for device, part in said.devices.items():
        for called, sampled, missing in part.counts.values():
            found.called[device] += called
            found.sampled[device] += sampled
            found.missing[device].update(missing)


def _is(told: Told, receipt: Receipt) -> bool:
    return (receipt.run, receipt.seq) == (told.digest.run, told.digest.seq)


def _stands_in(said: BatchReceipt, told: Told) -> bool:
    """Whether it is a later digest, which repeats the witnesses of this one."""
    return _lists(said, told.digest.run, told.digest.seq)


def _names(said: BatchReceipt, receipt: Receipt) -> bool:
    return _lists(said, receipt.run, receipt.seq)


def _lists(said: BatchReceipt, run: str, seq: int) -> bool:
    return any(run == of and first <= seq <= last for of, first, last in said.replaces)
