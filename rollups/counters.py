"""Readings of a totaliser, by column, to the volume that passed in a window; only steps that are odd go to the
counter law.

Volume between two readings is attributed evenly to the time that they span, so that windows that touch add up to what
the meter showed, wherever their edges lie. That holds for a total that moves in steps, too: nobody saw when between the
two readings the step was, so each side of an edge gets its likely share, and the step as a whole stands in the interval
of either window (`slack`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contract.counter_law import DISPLAY_MS, HOLD_MS, Law, Span, StepKind, Walk

Ms = NDArray[np.int64]
Values = NDArray[np.float64]

_MS_PER_H = 3_600_000


@dataclass(frozen=True, slots=True)
class Volumes:
    """What passed in (from_ms[i], to_ms[i]]: `delta[i]`, in time order and without overlap, and the odd steps."""

    from_ms: Ms
    to_ms: Ms
    delta: Values
    odd: tuple[Span, ...]


def volumes(t: Ms, value: Values, law: Law, steps: Ms | None = None) -> Volumes:
    """The volumes between readings of one meter: `t` in ms UTC, strictly rising, `value` the total.

    `steps`: how many steps each step stands for, where readings between were given up as being in line.
    """
    if len(t) < 2:
        return Volumes(t[:0], t[:0], value[:0], ())
    steps = np.ones(len(t) - 1, dtype=np.int64) if steps is None else steps
    rise = np.diff(value)
    most: Values | float = np.inf
    if law.rate_max_per_h is not None:
        most = law.rate_max_per_h * (np.diff(t) + steps * DISPLAY_MS) / _MS_PER_H + steps * law.step_max
    suspicious = np.flatnonzero(~((rise >= 0) & (rise <= most)))
    if not len(suspicious):
        return Volumes(t[:-1], t[1:], rise, ())
    return _walked(t, value, steps, suspicious, law)


def _walked(t: Ms, value: Values, steps: Ms, suspicious: NDArray[np.intp], law: Law) -> Volumes:
    """Plain columns up to each suspicious step, then reading by reading until the doubt has ended."""
    kept: list[tuple[Ms, Ms, Values]] = []
    odd: list[Span] = []
    at, rise = 0, np.diff(value)
    while at < len(rise):
        later = suspicious[np.searchsorted(suspicious, at) :]
        first = int(later[0]) if len(later) else len(rise)
        kept.append((t[at:first], t[at + 1 : first + 1], rise[at:first]))
        spans, at = _walk_from(t, value, steps, first, law)
        kept.append(_columns([span for span in spans if span.believed]))
        odd += [span for span in spans if span.kind is not StepKind.ORDINARY]
    from_ms, to_ms, delta = (np.concatenate(column) for column in zip(*kept, strict=True))
    return Volumes(from_ms, to_ms, delta, tuple(odd))


def _walk_from(t: Ms, value: Values, steps: Ms, first: int, law: Law) -> tuple[list[Span], int]:
    """The spans from reading `first` on until the walk has settled, and the reading at which it has."""
    if first >= len(t) - 1:
        return [], len(t) - 1
    walk = Walk(law, int(t[first]), float(value[first]), _shown_since(t, value, first))
    spans: list[Span] = []
    for index in range(first + 1, len(t)):
        late_ms = (int(steps[index - 1]) - 1) * DISPLAY_MS
        spans += walk.take(int(t[index]), float(value[index]), late_ms)
        if walk.settled:
            return spans, index
    return spans, len(t) - 1


def _shown_since(t: Ms, value: Values, index: int) -> int:
    """When the value of reading `index` was first shown, looking back HOLD_MS at most."""
    begin_ms = int(t[index]) - HOLD_MS
    # A reading before that shows the same value: it has been shown all the time, wherever the next one lies.
    oldest = max(int(np.searchsorted(t, begin_ms, side="right")) - 1, 0)
    other = np.flatnonzero(value[oldest:index] != value[index])
    first = oldest + int(other[-1]) + 1 if len(other) else oldest
    return max(int(t[first]), begin_ms)


def _columns(spans: list[Span]) -> tuple[Ms, Ms, Values]:
    return (
        np.array([span.from_ms for span in spans], dtype=np.int64),
        np.array([span.to_ms for span in spans], dtype=np.int64),
        np.array([span.delta for span in spans], dtype=np.float64),
    )


def within(passed: Volumes, from_ms: int, to_ms: int) -> float:
    """The volume in (from_ms, to_ms]. The sum is exactly rounded, so it depends on nothing but the spans in the
    window.
    """
    first = int(np.searchsorted(passed.to_ms, from_ms, side="right"))
    last = int(np.searchsorted(passed.from_ms, to_ms, side="left"))
    begin, end, delta = (column[first:last] for column in (passed.from_ms, passed.to_ms, passed.delta))
    overlap = np.minimum(end, to_ms) - np.maximum(begin, from_ms)
    whole = overlap == end - begin
    return math.fsum(np.where(whole, delta, delta * (overlap / np.maximum(end - begin, 1))).tolist())
