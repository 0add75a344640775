"""What receipts claim to be in the store, by ranges of stamps, to be held against what the store counts there.

A receipt tells for each device how many values it stored and the stamps of the first and the last. Ranges that overlap
(after a clock was put back) can only be counted together. Claims of one hour are counted together first, and one by one
only where the numbers differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

TOGETHER_MS = 3_600_000
"""Claims whose first stamps lie in one such window are counted in one question to the store."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Between `must` and `may` values of a device lie at stamps from `first_ms` to `last_ms`, both included.

    They differ only where a digest repeats values that also arrived in detail. The batches that claim it account for
    [begin_ms, end_ms); `streak` is the same as long as batches follow each other without a break; `inside`: one of the
    batches begins in the audited time.
    """

    first_ms: int
    last_ms: int
    must: int
    may: int
    begin_ms: int
    end_ms: int
    streak: int
    inside: bool

    def fits(self, found: int) -> bool:
        """Whether a count in the store agrees."""
        return self.must <= found <= self.may


def add(claims: list[Claim], claim: Claim) -> None:
    """Append a claim, or widen the last one where both belong to one hour and no batch is missing between them."""
    last = claims[-1] if claims else None
    together = last and (last.streak, last.inside) == (claim.streak, claim.inside)
    if last and together and last.first_ms // TOGETHER_MS == claim.first_ms // TOGETHER_MS:
        claims[-1] = _both(last, claim)
    else:
        claims.append(claim)


def apart(claims: Iterable[Claim]) -> list[Claim]:
    """The claims by first stamp, those that overlap joined into one."""
    found: list[Claim] = []
    for claim in sorted(claims, key=lambda claim: (claim.first_ms, claim.last_ms)):
        if found and claim.first_ms <= found[-1].last_ms:
            found[-1] = _both(found[-1], claim)
        else:
            found.append(claim)
    return found


def total(claims: Sequence[Claim]) -> Claim:
    """All claims as one."""
    whole = claims[0]
    for claim in claims[1:]:
        whole = _both(whole, claim)
    return whole


def _both(a: Claim, b: Claim) -> Claim:
    return replace(
        a,
        first_ms=min(a.first_ms, b.first_ms),
        last_ms=max(a.last_ms, b.last_ms),
        must=a.must + b.must,
        may=a.may + b.may,
        begin_ms=min(a.begin_ms, b.begin_ms),
        end_ms=max(a.end_ms, b.end_ms),
        inside=a.inside or b.inside,
    )
