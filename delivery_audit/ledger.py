"""The account of a gateway: what was expected of each device on each day, and where it is now.

A batch is booked whole on the day, and in the period, in which it begins. Inside batches their own counts hold; the
time between them is counted by the schedule in force. Expected and accounted for are added up separately, so that a
ledger that does not balance shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from data_contract.cause import Fate
from delivery_audit.arrivals import Seen
from delivery_audit.cover import Cover, Span

UNEXPLAINED = Fate.UNEXPLAINED.value
NOTES_MAX = 50
"""Remarks that are kept; the rest is counted."""


@dataclass(slots=True)
class Account:
    """One device on one day, in readings; `redelivered` counts batches that arrived more than once."""

    expected: int = 0
    sampled: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    """Fate or cause → readings. `sampled` is not one of them: it is what the gateway says it had."""
    redelivered: int = 0
    redelivered_readings: int = 0

    @property
    def balances(self) -> bool:
        """Whether every expected reading has exactly one fate."""
        return self.expected == sum(self.fates.values()) and min(self.fates.values(), default=0) >= 0

    def add(self, other: Account) -> None:
        """Add another account to this one."""
        self.expected += other.expected
        self.sampled += other.sampled
        self.fates.update(other.fates)
        self.redelivered += other.redelivered
        self.redelivered_readings += other.redelivered_readings


@dataclass(frozen=True, slots=True)
class Gap:
    """Time that no batch accounts for, with its explanation and the readings expected in it."""

    from_ms: int
    to_ms: int
    what: str
    readings: int
    run: str = ""
    first: int = 0
    last: int = 0
    why: str = ""
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Readings of a device, or of all (""), that something is wrong with, in [from_ms, to_ms)."""

    from_ms: int
    to_ms: int
    readings: int
    text: str
    device: str = ""
    run: str = ""
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """The audit of one gateway over [from_ms, to_ms)."""

    gateway: str
    from_ms: int
    to_ms: int
    accounts: dict[tuple[str, str], Account]
    """(device, ISO day) → account."""
    gaps: tuple[Gap, ...] = ()
    unexplained: tuple[Finding, ...] = ()
    surplus: tuple[Finding, ...] = ()
    """More than was claimed: a receipt is missing, or something else writes to the store."""
    notes: tuple[str, ...] = ()
    notes_left_out: int = 0
    redelivered: int = 0
    """Batches that arrived more than once; an account counts them for each of its devices."""
    seen: Seen | None = None
    """What rollups have seen of all this; None where nobody asked."""

    @property
    def adds_up(self) -> bool:
        """Whether every expected reading is accounted for, with evidence."""
        no_rest = all(account.balances and not account.fates[UNEXPLAINED] for account in self.accounts.values())
        return no_rest and not self.unexplained

    @property
    def passes(self) -> bool:
        """Whether it adds up, and rollups have seen what they ought to have."""
        return self.adds_up and (self.seen is None or not self.seen.at_fault)

    def total(self, devices: Iterable[str] | None = None) -> Account:
        """The sum over days, and over these devices or all."""
        wanted = None if devices is None else set(devices)
        whole = Account()
        for (device, _), account in self.accounts.items():
            if wanted is None or device in wanted:
                whole.add(account)
        return whole


def gap_of(span: Span, readings: int) -> Gap:
    """A span as the ledger lists it."""
    what = span.what.value
    return Gap(span.from_ms, span.to_ms, what, readings, span.run, span.first, span.last, span.why, span.estimated)


def clipped(spans: Iterable[Span], from_ms: int, to_ms: int) -> list[Span]:
    """What needs an explanation in [from, to): gaps cut to it, and the empty ones that lie in it."""
    found = []
    for span in spans:
        if span.what is Cover.BATCHES:
            continue
        if span.from_ms == span.to_ms:
            if from_ms <= span.from_ms < to_ms and span.first:
                found.append(span)
        elif span.from_ms < to_ms and span.to_ms > from_ms:
            found.append(replace(span, from_ms=max(span.from_ms, from_ms), to_ms=min(span.to_ms, to_ms)))
    return sorted(found, key=lambda span: (span.from_ms, span.to_ms))
