"""What the store knows of one gateway's batches, reduced to what cover needs.

Batches that follow each other without a break become one stretch, so that a healthy month takes no more memory than its
irregularities. Times are ms UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from data_contract.batch import Span as SeqSpan
from data_contract.batch import Start


@dataclass(frozen=True, slots=True)
class Stretch:
    """Ordinary batches `first` to `last` of a run, received without a break: they account for [from_ms, to_ms)."""

    run: str
    first: int
    last: int
    from_ms: int
    to_ms: int
    prev_ms: int | None
    """Where the batch before `first` ended, as told by `first` itself."""
    last_from_ms: int
    """Begin of the batch `last`."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A batch that stands in for others, which a full spool gave up."""

    run: str
    seq: int
    from_ms: int
    to_ms: int
    replaces: tuple[SeqSpan, ...]


@dataclass(frozen=True, slots=True)
class Began:
    """A start record: a run began at `t_ms`."""

    t_ms: int
    start: Start


@dataclass(frozen=True, slots=True)
class Closing:
    """An operator said at `at_ms` that nothing more comes of a run."""

    at_ms: int
    by: str
    reason: str

    @property
    def why(self) -> str:
        """Who, when and why, as the ledger prints it."""
        return f"closed by {self.by or 'an operator'} on {utc(self.at_ms)} UTC: {self.reason or 'no reason given'}"


def utc(t_ms: int) -> str:
    """An instant to the second, for people."""
    return datetime.fromtimestamp(t_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True, slots=True)
class History:
    """All that is known: what arrived, what is said to be elsewhere, and how runs began and ended."""

    stretches: tuple[Stretch, ...] = ()
    digests: tuple[Digest, ...] = ()
    rejected: tuple[tuple[str, int, str, int], ...] = ()
    """(run, seq, reason, time of the receipt) of batches that were refused whole."""
    aside: tuple[tuple[str, int, int, str], ...] = ()
    pending: Mapping[str, tuple[SeqSpan, ...]] = field(default_factory=dict)
    """Run → the pending list of its highest batch that arrived."""
    since_ms: int = 0
    """Batches before this have not all been read: a refused one from then may belong to a run unknown here."""
    starts: tuple[Began, ...] = ()
    stops: tuple[int, ...] = ()
    closed: Mapping[str, Closing] = field(default_factory=dict)
    """Beginning of a run's id → the operator's word that closed it."""
    parked: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Board → when ingest said that it parks it."""


def join(before: Stretch, after: Stretch) -> Stretch | None:
    """Both as one stretch, where `after` begins in number and in time where `before` ends; else None."""
    follows = after.run == before.run and after.first == before.last + 1
    if not follows or not before.to_ms == after.prev_ms == after.from_ms:
        return None
    return replace(before, last=after.last, to_ms=after.to_ms, last_from_ms=after.last_from_ms)


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches by run and number, joined where they can be; what lies within another is left out."""
    found: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda s: (s.run, s.first, -s.last)):
        before = found[-1] if found else None
        if before and before.run == stretch.run and stretch.last <= before.last:
            continue
        whole = join(before, stretch) if before else None
        if whole:
            found[-1] = whole
        else:
            found.append(stretch)
    return found
