"""The mass that a bin has taken in, as its scale showed it: emptyings by the drop of the level, and the content beside.

A level is what two readings in a row agree on while the lid is not seen to be open. It is a rule of its own, simpler
than a gateway's, so that the two can differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from simulators.truth.line import Line

AGREE_KG = 0.15
"""Two readings that differ by less show the same level."""

BURST_MS = 45_000
"""A gateway asks a chip for several conversions at once; what follows within this time is of the same burst."""

Weights = Sequence[tuple[int, float]]
"""(ms UTC, gross mass in kg), in order of time, without what was shown while the lid was open."""


def collected(weights: Weights, *, emptying_kg: float) -> Line:
    """Mass put in since the first level, in kg, after each reading: sum of emptyings, plus the change of content.

    A fall from one level to the next of at least `emptying_kg` is an emptying.
    """
    first: float | None = None
    level, emptied, line = 0.0, 0.0, list[tuple[int, float]]()
    for (_, before), (t_ms, weight) in pairwise(weights):
        if abs(weight - before) < AGREE_KG:
            seen = 0.5 * (before + weight)
            if first is None:
                first = level = seen
            if level - seen >= emptying_kg:
                emptied += level - seen
            level = seen
        if first is not None and (not line or t_ms > line[-1][0]):
            line.append((t_ms, emptied + level - first))
    return line


def one_of_each_burst(weights: Weights) -> Weights:
    """The first of each burst. Two conversions a moment apart always agree, and say nothing of rest."""
    kept: list[tuple[int, float]] = []
    for t_ms, weight in weights:
        if not kept or t_ms - kept[-1][0] >= BURST_MS:
            kept.append((t_ms, weight))
    return kept
