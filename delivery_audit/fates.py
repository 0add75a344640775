"""Where the batches are that never arrived: each number is looked for in every place that may vouch for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from data_contract.batch import Span as SeqSpan
from data_contract.cause import Fate
from data_contract.verdict import DROPPED
from delivery_audit.history import Closing, Digest, History
from delivery_audit.seqs import Range, common, without

EVERY = 2**62
"""Higher than the number of any batch."""


class Part(NamedTuple):
    """Batches `first` to `last` that share their evidence."""

    first: int
    last: int
    fate: Fate
    why: str = ""
    digest: Digest | None = None

    @property
    def batches(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class _Evidence:
    ranges: list[Range]
    fate: Fate
    why: str = ""
    digest: Digest | None = None


class Fates:
    """The evidence about missing batches of one gateway.

    What tells most wins: a digest counts what it replaces, also where that was refused; a batch that was refused had
    arrived; one that was set aside is no longer offered. What is pending is not lost, whatever an operator says; a
    damaged spool explains only what nothing else does.
    """

    def __init__(
        self,
        *,
        history: History,
        pending: Iterable[SeqSpan],
        damaged: Set[str],
        carried: Iterable[SeqSpan] = (),
        closed: Mapping[str, Closing],
    ) -> None:
        """`pending`: the list of the last message heard; `damaged`: runs whose spool was found damaged later on.

        `carried`: batches that could be read in it; the damage is no excuse for them. `closed`: runs of which an
        operator says that nothing more will come.
        """
        self._damaged = damaged
        self._carried: dict[str, list[Range]] = defaultdict(list)
        for run, first, last in carried:
            self._carried[run].append((first, last))
        self._of: dict[str, list[_Evidence]] = defaultdict(list)
        for digest in history.digests:
            for run, first, last in digest.replaces:
                self._of[run].append(_Evidence([(first, last)], Fate.EVICTED, f"digest {digest.seq}", digest))
        for run, ranges, why in _rejections(history.rejected):
            self._of[run].append(_Evidence(ranges, Fate.REJECTED, why))
        for run, first, last, why in history.aside:
            fate = Fate.LOST if why.startswith(DROPPED) else Fate.SET_ASIDE
            self._of[run].append(_Evidence([(first, last)], fate, why))
        for run, first, last in pending:
            self._of[run].append(_Evidence([(first, last)], Fate.PENDING))
        for run, closing in closed.items():
            self._of[run].append(_Evidence([(1, EVERY)], Fate.LOST, closing.why))

    def split(self, run: str, missing: Iterable[Range]) -> list[Part]:
        """Missing batches of a run by the evidence for each, in order of their numbers."""
        left, parts = list(missing), []
        for evidence in self._of.get(run, ()):
            found = common(left, evidence.ranges)
            parts += [Part(first, last, evidence.fate, evidence.why, evidence.digest) for first, last in found]
            left = without(left, found)
        lost = without(left, self._carried.get(run, [])) if run in self._damaged else []
        parts += [Part(first, last, Fate.LOST) for first, last in lost]
        parts += [Part(first, last, Fate.UNEXPLAINED) for first, last in without(left, lost)]
        return _merged(sorted(parts, key=lambda part: part.first))


def _rejections(rejected: Iterable[tuple[str, int, str, int]]) -> list[tuple[str, list[Range], str]]:
    by_reason: dict[tuple[str, str], list[Range]] = defaultdict(list)
    for run, seq, why, _ in rejected:
        by_reason[run, why].append((seq, seq))
    return [(run, ranges, why) for (run, why), ranges in by_reason.items()]


def _merged(parts: list[Part]) -> list[Part]:
    found: list[Part] = []
    for part in parts:
        before = found[-1] if found else None
        if before and before.last + 1 == part.first and before[2:] == part[2:]:
            found[-1] = before._replace(last=part.last)
        else:
            found.append(part)
    return found
