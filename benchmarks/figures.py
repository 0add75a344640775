"""What a bench says, what it was to reach, and how it looks on the terminal and in the file. Pure."""

from __future__ import annotations

import operator
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

NEAR = 0.3
"""A ratio within this share of its goal is measured again: one pair of runs cannot tell on which side it lies."""
PAIRS = 5
"""How often, then."""

_GOAL = re.compile(r"(<=|>=) ([0-9.]+)(?: (\S.*))?")
_COMPARE: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Goal:
    """`<= 9 B` bounds the figure itself; `>= 0.5`, without a unit, bounds its ratio to the limit."""

    text: str
    sign: str
    bound: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Read `SIGN BOUND` or `SIGN BOUND UNIT`; ValueError for any other text."""
        match = _GOAL.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no goal; write '<= 9 B' or '>= 0.5'")
        return cls(text, match[1], float(match[2]), match[3] or "")

    def met(self, value: float) -> bool:
        """Whether a value lies on the right side."""
        return _COMPARE[self.sign](value, self.bound)


@dataclass(frozen=True, slots=True)
class Figure:
    """One bar: `ours` in `unit`, the `limit` measured beside it in the same unit, and what was to be reached.

    `ours` is None where it could not be measured; `note` then says why, otherwise what a reader should know.
    """

    name: str
    ours: float | None
    unit: str
    goal: Goal | None = None
    limit: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        assert self.goal is None or not (self.goal.unit and self.limit is not None), "an absolute goal has no limit"

    @property
    def ratio(self) -> float | None:
        """ours / limit, None without a limit."""
        return self.ours / self.limit if self.ours is not None and self.limit else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met: never, where nothing was measured; None, where there is no goal."""
        if self.goal is None:
            return None
        value = self.ours if self.goal.unit else self.ratio
        return value is not None and self.goal.met(value)


def as_json(figure: Figure) -> dict[str, str | float | bool | None]:
    """The object that scripts read; its keys are fixed."""
    return {
        "name": figure.name,
        "ours": figure.ours,
        "limit": figure.limit,
        "unit": figure.unit,
        "ratio": figure.ratio,
        "goal": figure.goal.text if figure.goal else None,
        "met": figure.met,
    }


def near(ratio: float, goal: Goal) -> bool:
    """Whether noise alone could have put a ratio on the other side of its goal."""
    return abs(ratio - goal.bound) <= NEAR * goal.bound


Pair = tuple[float, float]
"""(ours, limit), measured one right after the other."""


def median_pair(pairs: Sequence[Pair]) -> Pair:
    """The pair whose ratio is the median; of an even number, the lower of the middle two."""
    return sorted(pairs, key=lambda pair: pair[0] / pair[1])[(len(pairs) - 1) // 2]


def spread(pairs: Sequence[Pair]) -> str:
    """The ratios of all pairs, and how far apart they lie, for a reader."""
    ratios = [ours / limit for ours, limit in pairs]
    if len(ratios) == 1:
        return f"one pair: ratio {ratios[0]:.3g}"
    middle = statistics.median(ratios)
    each = ", ".join(f"{ratio:.3g}" for ratio in sorted(ratios))
    return f"{len(ratios)} pairs: ratios {each}; spread {100 * (max(ratios) - min(ratios)) / middle:.0f} %"


def pairs_of(measure: Callable[[], Pair], goal: Goal) -> list[Pair]:
    """One pair, or `PAIRS` of them where the first lies near the goal."""
    pairs = [measure()]
    if near(pairs[0][0] / pairs[0][1], goal):
        pairs += [measure() for _ in range(PAIRS - 1)]
    return pairs


_HEAD = ("name", "ours", "limit", "unit", "ratio", "goal", "met")
_MET = {True: "yes", False: "NO", None: ""}


def table(figures: Sequence[Figure]) -> str:
    """A table for a terminal, and under it what there is to say about its rows."""
    rows = [_HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = [f"{figure.name}: {figure.note}" for figure in figures if figure.note]
    return "\n".join([*lines, "", *notes] if notes else lines)


def _row(figure: Figure) -> tuple[str, ...]:
    goal = figure.goal.text if figure.goal else ""
    ours = "not measured" if figure.ours is None else f"{figure.ours:.4g}"
    limit, ratio = ("" if value is None else f"{value:.4g}" for value in (figure.limit, figure.ratio))
    return figure.name, ours, limit, figure.unit, ratio, goal, _MET[figure.met]
