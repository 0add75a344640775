"""Who comes to a bin on one day, and what each puts in: a non-homogeneous Poisson process of lognormal masses.

The hours that people come at, and how heavy their bags are, are assumptions: no survey was found. Times come from one
unit-rate process whose clock runs by the expected number (Cinlar: Introduction to stochastic processes, 1975, ch. 4).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from simulators import chance
from simulators.parts.city import Bin

HOUR_MS, DAY_MS = 3_600_000, 86_400_000

WEEKDAY_HOURS = (0.0,) * 6 + (1.0, 3.0, 3.0) + (1.0,) * 9 + (3.0, 3.0) + (1.0, 1.0) + (0.0, 0.0)
"""Weight of each local hour: from 6 to 22, most before and after work."""
WEEKEND_HOURS = (0.0,) * 6 + (0.5, 1.0, 1.0, 2.0, 3.0, 3.0) + (1.5,) * 6 + (2.0, 2.0) + (1.0, 1.0) + (0.0, 0.0)
"""At the weekend the morning begins later."""


class Deposit(NamedTuple):
    """One deposit: when, in ms after local midnight, and how much."""

    ms: int
    grams: int


def is_weekend(day: int) -> bool:
    """Whether local day `day` (days since 1970-01-01, a Thursday) is a Saturday or a Sunday."""
    return (day + 3) % 7 >= 5


def expected(rule: Bin, day: int) -> float:
    """How many deposits `day` brings on average."""
    return rule.deposits_per_day * (rule.weekend if is_weekend(day) else 1.0)


def of_day(rule: Bin, day: int, *, seed: int, name: str) -> list[Deposit]:
    """The deposits of local day `day` at the bin `name`, in order of time."""
    of = chance.key(seed, name, "deposits", str(day))
    mean_number = expected(rule, day)
    hours = WEEKEND_HOURS if is_weekend(day) else WEEKDAY_HOURS
    of_one = math.fsum(hours) / mean_number
    median_kg, sigma = rule.deposit
    found: list[Deposit] = []
    weight, n = 0.0, 0
    while True:
        weight += -math.log1p(-chance.unit(of, n)) * of_one
        hour = _hour(hours, weight)
        if hour is None:
            return found
        kg = median_kg * math.exp(sigma * _normal(of, n + 1))
        found.append(Deposit(int(hour * HOUR_MS), max(1, round(kg * 1000.0))))
        n += 3


def _hour(hours: tuple[float, ...], weight: float) -> float | None:
    """The hour of the day by which `weight` has passed, or None if the day is over before."""
    for hour, share in enumerate(hours):
        if weight < share:
            return hour + weight / share
        weight -= share
    return None


def _normal(of: int, n: int) -> float:
    """A standard normal number, from two uniform ones (Box and Muller, 1958)."""
    radius = math.sqrt(-2.0 * math.log1p(-chance.unit(of, n)))
    return radius * math.cos(math.tau * chance.unit(of, n + 1))
