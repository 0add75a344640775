"""An indicator over an area and a period: the ratio of two sums over meters, and how far it can be trusted.

Completeness of a meter is the share of its time in service that its readings cover; that of a figure is the
completeness of its least complete meter, because a ratio is no better than the worst of what it is made of, and a
mean would hide a dead meter behind its healthy neighbours. A totaliser counts on while nobody reads it, so the value
may be exact where the completeness is not: what the gaps can change is in the interval.

The interval [low, high] joins two things. The classes of the meters are propagated to first order as independent errors
(JCGM 100:2008, 5.1.2), a meter that stands in both sums being one and the same error. What gaps, resets, jumps and
estimated times leave open is added at its worst; where all that is above stands below, too, the figure is a share, and
never more than the whole. Either end is None where it is not bounded, for example because a class is not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rollups.assets import Asset
from rollups.catalog import Indicator, Term
from rollups.hours import Stretch
from rollups.slack import slack_of

PARTIAL_BELOW = 0.99
"""A figure less complete than this is marked partial: a quarter of an hour is missing of a day, half a minute of an
hour.
"""


@dataclass(frozen=True, slots=True)
class MeterSum:
    """What one meter counted for one term. `stretch` is None where it has no readings at all.

    [from_ms, to_ms) is the part of the period in which it was in service.
    """

    asset: Asset
    term: Term
    from_ms: int
    to_ms: int
    stretch: Stretch | None

    @property
    def delta(self) -> float | None:
        """What it counted, None if that cannot be told."""
        return None if self.stretch is None else self.stretch.delta

    @property
    def completeness(self) -> float:
        """Covered share of its time, 0 to 1."""
        length = self.to_ms - self.from_ms
        return min(1.0, self.stretch.covered_ms / length) if self.stretch is not None and length > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Contribution:
    """One meter's part in a figure."""

    asset: str
    role: str
    delta: float | None
    completeness: float
    odd: int
    """Steps that were not ordinary."""


@dataclass(frozen=True, slots=True)
class Figure:
    """An indicator's value over exactly [from_ms, to_ms), or the reason why there is none; a note may stand beside a
    value.
    """

    indicator: str
    area: str
    from_ms: int
    to_ms: int
    value: float | None
    reason: str
    numerator: float | None
    denominator: float | None
    completeness: float
    partial: bool
    low: float | None
    high: float | None
    rule: str
    simulated: bool
    contributions: tuple[Contribution, ...]
    summarised: int = 0
    """Readings of its meters that a full gateway gave up, and of which digests tell."""
    time_unsure: int = 0
    """Readings of its meters that may belong to a neighbouring period, their time being an estimate."""


def evaluate(
    indicator_id: str,
    indicator: Indicator,
    area: str,
    from_ms: int,
    to_ms: int,
    sums: Mapping[Term, Sequence[MeterSum]],
) -> Figure:
    """The figure from what the meters of each term counted."""
    meters = [meter for term in indicator.terms for meter in sums[term]]
    above, below = ([m for term in side for m in sums[term]] for side in (indicator.numerator, indicator.denominator))
    numerator, denominator = _sum(above), _sum(below)
    reason = _why_not(indicator, area, sums, denominator)
    value = None
    if not reason and numerator is not None and denominator is not None:
        value = indicator.factor * numerator / denominator
        reason = _note(meters)
    low, high = (None, None) if value is None else _interval(indicator.factor, above, below)
    told = all(sums[term] for term in indicator.terms)
    completeness = min((meter.completeness for meter in meters), default=0.0) if told else 0.0
    return Figure(
        indicator=indicator_id,
        area=area,
        from_ms=from_ms,
        to_ms=to_ms,
        value=value,
        reason=reason,
        numerator=numerator,
        denominator=denominator,
        completeness=completeness,
        partial=completeness < PARTIAL_BELOW,
        low=low,
        high=high,
        rule=f"{indicator_id}@{indicator.version}",
        simulated=any(meter.asset.simulated for meter in meters),
        contributions=tuple(_contribution(meter) for meter in meters),
        summarised=sum(meter.stretch.summarised for meter in meters if meter.stretch is not None),
        time_unsure=sum(meter.stretch.doubts.readings for meter in meters if meter.stretch is not None),
    )


def _sum(meters: Sequence[MeterSum]) -> float | None:
    told = [meter.delta for meter in meters if meter.delta is not None]
    return math.fsum(told) if told else None


def _why_not(
    indicator: Indicator, area: str, sums: Mapping[Term, Sequence[MeterSum]], denominator: float | None
) -> str:
    """Why there can be no value, "" if there can."""
    for term in indicator.terms:
        if not sums[term]:
            return f"no asset in {area} has the role {term.role} in this period"
        if all(meter.delta is None for meter in sums[term]):
            return f"no readings of {', '.join(meter.asset.id for meter in sums[term])} to tell {term.delta} by"
    if denominator is None or denominator <= 0:
        names = ", ".join(meter.asset.id for term in indicator.denominator for meter in sums[term])
        return f"the denominator is 0: {names} did not count"
    return ""


def _note(meters: Sequence[MeterSum]) -> str:
    silent = sorted({meter.asset.id for meter in meters if meter.delta is None})
    return f"without {', '.join(silent)}: no readings" if silent else ""


def _contribution(meter: MeterSum) -> Contribution:
    odd = 0 if meter.stretch is None else len(meter.stretch.odd)
    return Contribution(meter.asset.id, meter.term.role, meter.delta, meter.completeness, odd)


def _interval(factor: float, above: Sequence[MeterSum], below: Sequence[MeterSum]) -> tuple[float | None, float | None]:
    """(low, high) around factor x sum of above / sum of below."""
    error = _class_error(above, below)
    if error is None:
        return None, None
    own = {(meter.asset.id, meter.term) for meter in above}
    rest = [meter for meter in below if (meter.asset.id, meter.term) not in own]
    if len(rest) == len(below) - len(above):
        least, most = _share_bounds(above, rest)
        return factor * least * (1 - error), factor * min(1.0, most * (1 + error))
    (n_low, n_high), (d_low, d_high) = _bounds(above), _bounds(below)
    low = None if d_high is None else factor * n_low / d_high * (1 - error)
    high = None if n_high is None or d_low <= 0 else factor * n_high / d_low * (1 + error)
    return low, high


def _share_bounds(part: Sequence[MeterSum], rest: Sequence[MeterSum]) -> tuple[float, float]:
    """(low, high) of part / (part + rest): more of the part is more of the whole, so they are never at their worst
    against each other.
    """
    (low, high), (rest_low, rest_high) = _bounds(part), _bounds(rest)
    least = 0.0 if rest_high is None or low + rest_high <= 0 else low / (low + rest_high)
    most = 1.0 if high is None or high + rest_low <= 0 else high / (high + rest_low)
    return least, most


def _class_error(above: Sequence[MeterSum], below: Sequence[MeterSum]) -> float | None:
    """The relative error of the ratio from the meters' classes, None where one is not known."""
    n, d = _sum(above), _sum(below)
    if not n or not d:
        return 0.0
    by_meter: dict[str, float] = {}
    for meters, total, sign in ((above, n, 1), (below, d, -1)):
        for meter in meters:
            if meter.asset.accuracy_percent is None:
                return None
            error = sign * (meter.delta or 0.0) / total * meter.asset.accuracy_percent / 100
            by_meter[meter.asset.id] = by_meter.get(meter.asset.id, 0.0) + error
    return math.sqrt(math.fsum(error * error for error in by_meter.values()))


def _bounds(meters: Sequence[MeterSum]) -> tuple[float, float | None]:
    """The least and the greatest that the meters can have counted together."""
    total = _sum(meters) or 0.0
    slacks = [slack_of(meter.stretch, meter.asset.law, meter.from_ms, meter.to_ms) for meter in meters]
    more = [slack.more for slack in slacks]
    low = max(0.0, total - math.fsum(slack.less for slack in slacks))
    return low, None if None in more else total + math.fsum(one for one in more if one is not None)
