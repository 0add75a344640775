"""How far what a meter counted in a stretch can be off because of what nobody saw: gaps across its ends, resets, jumps;
and because of readings across its ends whose time is an estimate.

A gap inside costs nothing, since the totaliser counted on. Across an end it is not known how much of its volume
passed on which side; the same holds for a single step of a total that moves in steps. Where there is no reading on one
side, or the total began again, the meter's largest rate bounds what passed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from data_contract.counter_law import Law, StepKind
from rollups.hours import Gap, Stretch

_MS_PER_H = 3_600_000


class Slack(NamedTuple):
    """So much less or more than was counted can have passed; `more` is None where nothing bounds it."""

    less: float
    more: float | None


def slack_of(stretch: Stretch | None, law: Law, from_ms: int, to_ms: int) -> Slack:
    """The slack of a meter over [from_ms, to_ms); None: it has no readings."""
    if stretch is None or stretch.delta is None:
        return Slack(0.0, _passable(law, to_ms - from_ms))
    found = [_of_odd(span.kind, span.delta, span.to_ms - span.from_ms, law) for span in stretch.odd if span.believed]
    if stretch.lead is not None and stretch.lead == stretch.tail:
        found.append(_across(stretch.lead, from_ms, to_ms, law))
    else:
        found += [_across(gap, from_ms, to_ms, law) for gap in (stretch.lead, stretch.tail) if gap is not None]
    found.append(_of_doubts(stretch))
    more = [slack.more for slack in found]
    return Slack(
        less=math.fsum(slack.less for slack in found),
        more=None if None in more else math.fsum(one for one in more if one is not None),
    )


def _of_doubts(stretch: Stretch) -> Slack:
    """What was counted here and may have passed elsewhere, and the reverse, because the time is an estimate."""
    _, volume, lead, tail = stretch.doubts
    return Slack(volume, (lead.before if lead else 0.0) + (tail.after if tail else 0.0))


def _passable(law: Law, elapsed_ms: int) -> float | None:
    if law.rate_max_per_h is None:
        return None
    return law.rate_max_per_h * max(elapsed_ms, 0) / _MS_PER_H + law.step_max


def _of_odd(kind: StepKind, delta: float, elapsed_ms: int, law: Law) -> Slack:
    if kind is StepKind.ROLLOVER:
        return Slack(0.0, 0.0)
    most = _passable(law, elapsed_ms)
    return Slack(0.0, None if most is None else max(0.0, most - delta))


def _across(gap: Gap, from_ms: int, to_ms: int, law: Law) -> Slack:
    if gap.from_ms is None or gap.to_ms is None:
        begin = from_ms if gap.from_ms is None else max(gap.from_ms, from_ms)
        end = to_ms if gap.to_ms is None else min(gap.to_ms, to_ms)
        return Slack(0.0, _passable(law, end - begin))
    share = (min(gap.to_ms, to_ms) - max(gap.from_ms, from_ms)) / (gap.to_ms - gap.from_ms)
    return Slack(gap.delta * share, gap.delta * (1 - share))
