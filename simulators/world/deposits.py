"""Who comes to a bin on one day, and what each puts in: a non-homogeneous Poisson process of lognormal masses.

The hours that people come at, and how heavy their bags are, are assumptions: no survey was found. Times come from one
unit-rate process whose clock runs by the expected number (Cinlar: Introduction to stochastic processes, 1975, ch. 4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from simulators import chance
from simulators.parts.city import Bin
from simulators.world.surroundings import NOWHERE, Surroundings

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000

WEEKDAY_HOURS = (0.0,) * 6 + (1.0, 3.0, 3.0) + (1.0,) * 9 + (3.0, 3.0) + (1.0, 1.0) + (0.0, 0.0)
"""Weight of each local hour: from 6 to 22, most before and after work."""
WEEKEND_HOURS = (0.0,) * 6 + (0.5, 1.0, 1.0, 2.0, 3.0, 3.0) + (1.5,) * 6 + (2.0, 2.0) + (1.0, 1.0) + (0.0, 0.0)
"""At the weekend the morning begins later."""


class Deposit(NamedTuple):
    """One deposit: when, in ms after local midnight, and how much."""

    ms: int
    grams: int


class _Piece(NamedTuple):
    """A stretch of the day in h, and the weight of all of it."""

    from_hour: float
    hours: float
    weight: float


RAIN_MM_H = 0.1
"""From here on people notice that it rains."""
RAIN_DETERS = 0.3
"""Share of them who then stay at home. An assumption."""


def expected(rule: Bin, day: int, around: Surroundings = NOWHERE) -> float:
    """How many deposits `day` brings on average while it is dry."""
    kind = around.days.kind(day)
    return rule.deposits_per_day * {"workday": 1.0, "weekend": rule.weekend, "holiday": rule.holiday}[kind]


def of_day(rule: Bin, day: int, *, seed: int, name: str, around: Surroundings = NOWHERE) -> list[Deposit]:
    """The deposits of local day `day` (counted from 1970-01-01) at the bin `name`, in order of time.

    Where the bin is open for some hours only, all who would come that day come then.
    """
    of = chance.key(seed, name, "deposits", str(day))
    mean_number, pieces = expected(rule, day, around), _pieces(rule, day, around)
    if not pieces or mean_number <= 0.0:
        return []
    of_one = math.fsum(piece.weight for piece in pieces) / mean_number
    median_kg, sigma = rule.deposit
    found: list[Deposit] = []
    weight, n = 0.0, 0
    while True:
        weight += -math.log1p(-chance.unit(of, n)) * of_one
        hour = _hour(pieces, weight)
        if hour is None:
            return list(_undeterred(rule, day, found, of=chance.key(seed, name, "rain", str(day)), around=around))
        kg = median_kg * math.exp(sigma * _normal(of, n + 1))
        found.append(Deposit(int(hour * HOUR_MS), max(1, round(kg * 1000.0))))
        n += 3


def _pieces(rule: Bin, day: int, around: Surroundings) -> list[_Piece]:
    """The hours in which somebody may come, with their weights."""
    kind = around.days.kind(day)
    weights = WEEKDAY_HOURS if kind == "workday" else WEEKEND_HOURS
    if not rule.open:
        return [_Piece(hour, 1.0, weight) for hour, weight in enumerate(weights)]
    found = []
    for window in sorted((each for each in rule.open if each.on(kind)), key=lambda each: each.from_hour):
        for hour, weight in enumerate(weights):
            begin, end = max(window.from_hour, float(hour)), min(window.to_hour, hour + 1.0)
            if begin < end:
                found.append(_Piece(begin, end - begin, weight * (end - begin)))
    if found and not any(piece.weight for piece in found):  # at hours that nobody would choose, all are alike
        return [piece._replace(weight=piece.hours) for piece in found]
    return found


def _undeterred(
    rule: Bin, day: int, deposits: Sequence[Deposit], *, of: int, around: Surroundings
) -> Iterator[Deposit]:
    """Those who come although it may rain."""
    if around.sky is None:
        yield from deposits
        return
    rain_mm_h = around.sky.of_day(day).rain_mm_h
    deters = RAIN_DETERS if rule.rain_deters is None else rule.rain_deters
    for n, deposit in enumerate(deposits):
        if rain_mm_h[deposit.ms // MINUTE_MS] < RAIN_MM_H or chance.unit(of, n) >= deters:
            yield deposit


def _hour(pieces: Sequence[_Piece], weight: float) -> float | None:
    """The hour of the day by which `weight` has passed, or None if the day is over before."""
    for piece in pieces:
        if weight < piece.weight:
            return piece.from_hour + weight / piece.weight * piece.hours
        weight -= piece.weight
    return None


def _normal(of: int, n: int) -> float:
    """A standard normal number, from two uniform ones (Box and Muller, 1958)."""
    radius = math.sqrt(-2.0 * math.log1p(-chance.unit(of, n)))
    return radius * math.cos(math.tau * chance.unit(of, n + 1))
