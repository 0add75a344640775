"""How membranes foul, are cleaned and are replaced: the share of their normalised permeate flow that is left.

Losses are kept as logarithms, so that they add: what cleaning brings back, and what it does not. Within a day they grow
steadily; cleaning and replacing happen at local midnight and take no time, which flatters the plant by some hours in a
quarter. That dirt comes faster on some days is an assumption, as are the rates.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simulators import chance
from simulators.parts.train import Fouling
from simulators.world.waves import Column

YEAR_DAYS = 365.25
UNEVEN = 0.5
"""The loss of a day lies within +- this share of its mean."""


class Membranes(NamedTuple):
    """The state of a train's membranes."""

    lost: float = 0.0
    """-ln of what is left, as far as cleaning brings it back."""
    lost_for_good: float = 0.0
    cleanings: int = 0
    days_since: int = 0
    """Days since the last cleaning or replacement."""


def at_midnight(rule: Fouling, state: Membranes) -> Membranes:
    """What the crew leaves behind at the begin of a day."""
    if _loss(state.lost_for_good) >= rule.replace_at_percent:
        return Membranes(cleanings=state.cleanings)
    if rule.clean_every_days is None:
        due = _loss(state.lost) >= rule.clean_at_percent
    else:
        due = state.days_since >= rule.clean_every_days
    if not due:
        return state
    return Membranes((1.0 - rule.restored) * state.lost, state.lost_for_good, state.cleanings + 1, 0)


def through_day(rule: Fouling, state: Membranes, *, of: int, day: int, minutes: int) -> tuple[Column, Membranes]:
    """What is left of the normalised flow in the middle of each of the day's `minutes`, and the state at its end."""
    grown = _per_day(rule) * (1.0 + UNEVEN * (2.0 * chance.unit(of, day) - 1.0))
    aged = _per_day_for_good(rule)
    passed = (np.arange(minutes) + 0.5) / minutes
    left = np.exp(-(state.lost + state.lost_for_good + (grown + aged) * passed))
    return left, Membranes(state.lost + grown, state.lost_for_good + aged, state.cleanings, state.days_since + 1)


def least(rule: Fouling) -> float:
    """A bound below which the normalised flow never falls."""
    most_per_day = (1.0 + UNEVEN) * _per_day(rule)
    if rule.clean_every_days is None:
        lost = -math.log1p(-rule.clean_at_percent / 100.0) + most_per_day
    else:
        lost = rule.clean_every_days * most_per_day / rule.restored
    return math.exp(-lost + math.log1p(-rule.replace_at_percent / 100.0) - _per_day_for_good(rule))


def _loss(lost: float) -> float:
    """In percent."""
    return -100.0 * math.expm1(-lost)


def _per_day(rule: Fouling) -> float:
    return -math.log1p(-rule.loss_percent / 100.0) / rule.loss_days


def _per_day_for_good(rule: Fouling) -> float:
    return -math.log1p(-rule.yearly_percent / 100.0) / YEAR_DAYS
