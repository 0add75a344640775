"""The mass that a bin has taken in, as its scale showed it: emptyings by the drop of the level, and the content beside.

A level is what two readings in a row agree on while the lid is not seen to be open. It is a rule of its own, simpler
than a gateway's, so that the two can differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from simulators.truth.line import Line

AGREE_KG = 0.15
"""Two readings that differ by less show the same level."""

BURST_MS = 45_000
"""A gateway asks a chip for several conversions at once; what follows within this time is of the same burst."""

Weights = Sequence[tuple[int, float]]
"""(ms UTC, gross mass in kg), in order of time, without what was shown while the lid was open."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A level that two readings in a row agreed on, and what had come and gone since the first of them, in kg."""

    t_ms: int
    total_kg: float
    """Put in and left there, or emptied out."""
    gone_kg: float
    """Falls too small for an emptying: taken out again, or a hand that leaned on the lid for two readings."""


def rests(weights: Weights, *, emptying_kg: float) -> list[Rest]:
    """Every level of rest, in order of time: the sum of emptyings, plus the change of content.

    A fall from one level to the next of at least `emptying_kg` is an emptying.
    """
    first: float | None = None
    level, emptied, gone, found = 0.0, 0.0, 0.0, list[Rest]()
    for (_, before), (t_ms, weight) in pairwise(weights):
        if abs(weight - before) >= AGREE_KG:
            continue
        seen = 0.5 * (before + weight)
        if first is None:
            first = level = seen
        if level - seen >= emptying_kg:
            emptied += level - seen
        elif level - seen >= AGREE_KG:
            gone += level - seen
        level = seen
        found.append(Rest(t_ms, emptied + level - first, gone))
    return found


def collected(weights: Weights, *, emptying_kg: float) -> Line:
    """Mass put in since the first level, in kg, after each reading; between levels it stays what it was."""
    at_rest = {rest.t_ms: rest.total_kg for rest in rests(weights, emptying_kg=emptying_kg)}
    total: float | None = None
    line = list[tuple[int, float]]()
    for t_ms, _ in weights:
        total = at_rest.get(t_ms, total)
        if total is not None and (not line or t_ms > line[-1][0]):
            line.append((t_ms, total))
    return line


def between(found: Sequence[Rest], from_ms: int, to_ms: int) -> tuple[float, float]:
    """The least and the most mass that was put in from one moment to another, in kg; `found` has one rest at least.

    At each moment it lies between the levels of rest before and after, each of which is known as well as two readings
    agree: while people throw things in, or the lid is open, these can be far apart. Whether what was gone again counts
    as put in is a matter of the rule; by this one it does not, so at the most it did.
    """
    (low_from, high_from), (low_to, high_to) = _about(found, from_ms), _about(found, to_ms)
    gone_kg = _after(found, to_ms).gone_kg - _before(found, from_ms).gone_kg
    return max(0.0, low_to - high_from), high_to - low_from + gone_kg


def _about(found: Sequence[Rest], t_ms: int) -> tuple[float, float]:
    low, high = sorted((_before(found, t_ms).total_kg, _after(found, t_ms).total_kg))
    return low - AGREE_KG / 2, high + AGREE_KG / 2


def _before(found: Sequence[Rest], t_ms: int) -> Rest:
    return next((rest for rest in reversed(found) if rest.t_ms <= t_ms), found[0])


def _after(found: Sequence[Rest], t_ms: int) -> Rest:
    return next((rest for rest in found if rest.t_ms >= t_ms), found[-1])


def one_of_each_burst(weights: Weights) -> Weights:
    """The first of each burst. Two conversions a moment apart always agree, and say nothing of rest."""
    kept: list[tuple[int, float]] = []
    for t_ms, weight in weights:
        if not kept or t_ms - kept[-1][0] >= BURST_MS:
            kept.append((t_ms, weight))
    return kept
