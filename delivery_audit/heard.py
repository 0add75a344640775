"""What the batches of a gateway say beyond their counts: which they are, and where the others are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_contract.batch import Span as SeqSpan
from data_contract.receipt import BatchReceipt
from delivery_audit.history import Began, Digest, History, Stretch, join
from delivery_audit.seqs import Range, common, count, union, without
from series_store.table import Receipt


class Told(NamedTuple):
    """A digest with what its receipt says."""

    digest: Digest
    said: BatchReceipt
    at_us: int

    @classmethod
    def by(cls, receipt: Receipt, said: BatchReceipt) -> Told:
        """The digest of which this is the receipt."""
        digest = Digest(receipt.run, receipt.seq, receipt.from_ms, receipt.to_ms, said.replaces)
        return cls(digest, said, receipt.at_us)

    @property
    def counted(self) -> bool:
        """Whether it tells what was called for. One that names no device does: nothing was, in all of its batches."""
        return not self.said.devices or any(part.counts for part in self.said.devices.values())

    @property
    def by_run(self) -> dict[str, list[Range]]:
        """Run → batches that it stands in for."""
        found: defaultdict[str, list[Range]] = defaultdict(list)
        for run, first, last in self.digest.replaces:
            found[run].append((first, last))
        return found

    def rank(self, ordinary: Mapping[str, list[Range]]) -> tuple[int, str, int]:
        """How much it tells of that did not arrive itself, as `ordinary` batches (run → numbers) did.

        Of two digests that tell of the same, the counts of the lesser are taken from those of the greater.
        """
        left = sum(count(without(ranges, ordinary.get(run, []))) for run, ranges in self.by_run.items())
        return left, self.digest.run, self.digest.seq


class Heard:
    """Collects a history, receipt by receipt."""

    def __init__(self) -> None:
        self._stretches: list[Stretch] = []
        self._digests: dict[tuple[str, int], Told] = {}
        self._rejected: dict[tuple[str, int], tuple[str, int]] = {}
        self._aside: dict[tuple[str, int, int, str], None] = {}
        self._pending: dict[str, tuple[int, tuple[SeqSpan, ...]]] = {}

    def add(self, receipt: Receipt, said: BatchReceipt) -> None:
        """A batch that arrived. The same one may be told again."""
        key = (receipt.run, receipt.seq)
        if said.rejected is not None:
            self._rejected[key] = (said.rejected, receipt.at_us // 1000)
            return
        self._aside.update(dict.fromkeys(said.aside))
        # A digest is sealed where there was no room, and does not say what else there is.
        if not said.replaces and receipt.seq >= self._pending.get(receipt.run, (0, ()))[0]:
            self._pending[receipt.run] = (receipt.seq, said.pending)
        if said.replaces:
            self._digests[key] = Told.by(receipt, said)
            return
        fresh = Stretch(*key, receipt.seq, receipt.from_ms, receipt.to_ms, said.prev_ms, receipt.from_ms)
        whole = join(self._stretches[-1], fresh) if self._stretches else None
        if whole:
            self._stretches[-1] = whole
        else:
            self._stretches.append(fresh)

    def history(self, starts: Sequence[Began], stops: Sequence[int], since_ms: int = 0) -> History:
        """All of it, for `cover`; batches from `since_ms` on have been read."""
        return History(
            stretches=tuple(self._stretches),
            digests=tuple(told.digest for told in self.digests()),
            rejected=tuple((run, seq, why, at_ms) for (run, seq), (why, at_ms) in sorted(self._rejected.items())),
            aside=tuple(self._aside),
            pending={run: spans for run, (_, spans) in self._pending.items()},
            since_ms=since_ms,
            starts=tuple(starts),
            stops=tuple(stops),
        )

    def digests(self) -> list[Told]:
        """Every digest, in the order of arrival."""
        return sorted(self._digests.values(), key=lambda told: told.at_us)

    def sole(self) -> list[Told]:
        """Digests that stand in for nothing that arrived otherwise, or in a lesser one: all their values are news."""
        taken: defaultdict[str, list[Range]] = defaultdict(list)
        for stretch in self._stretches:
            taken[stretch.run].append((stretch.first, stretch.last))
        ranked = sorted(self.digests(), key=lambda told: told.rank(taken))
        for run, seq in self._digests:
            taken[run].append((seq, seq))
        found = []
        for told in ranked:
            if not any(common(taken[run], [(first, last)]) for run, first, last in told.digest.replaces):
                found.append(told)
            for run, first, last in told.digest.replaces:
                taken[run] = union([*taken[run], (first, last)])
        return found
