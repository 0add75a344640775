"""A scale: class, noise at rest, a zero that moves, and the creep of its load cell.

Creep is what a load adds to the reading while it lies there, and what goes back after it is gone. It grows about as an
exponential and is given relative to the load that lies there, after 30 min (HBM, "Relative creep"). The time constant
of 18 min follows from the ratio of creep after 30 and after 60 min, 0.84 on average of 65 cells (Bartel and Yaniv:
Creep and creep recovery response of load cells, J. Res. NIST 102, 1997), and it keeps 5.5.1 of OIML R 60-1: from 20 to
30 min at most 0.15 / 0.7 of the whole. Those cells recovered 0.86 of their creep on average; this one recovers all.
"""

from __future__ import annotations

import math

import numpy as np

from simulators import chance
from simulators.parts.meter import Meter
from simulators.sensors.ambient import above_reference_c
from simulators.sensors.memory import remembered
from simulators.sensors.upsets import CONVERTER_ENDS
from simulators.world.world import World

CREEP_GIVEN_S = 1800.0
"""After which time the size of a creep is given."""

_MONTH_MS = 30 * 86_400_000


class LoadOnScale:
    """What one scale shows of a load; `of` is the key of its noise."""

    def __init__(self, *, meter: Meter, world: World, of: int) -> None:
        self._scale = meter.scale
        self._cell = meter.load_cell
        self._ambient = meter.ambient
        self._world = world
        self._of = of
        given = -math.expm1(-CREEP_GIVEN_S / meter.scale.creep_s)
        self._creep = meter.scale.creep_percent / 100.0 / given

    def shown(self, quantity: str, t_ms: int, *, gain: float, lag_s: float | None) -> float:
        """What lies on the scale at `t_ms`, in kg or in the counts of its load cell."""
        true_kg = self._world.value(quantity, t_ms) if lag_s is None else self._past(quantity, t_ms, lag_s)
        if self._creep:
            true_kg += self._creep * self._past(quantity, t_ms, self._scale.creep_s)
        seen_kg = true_kg * gain
        seen_kg += self._scale.noise_kg * chance.jitter(self._of, t_ms)
        seen_kg += self._zero_kg(t_ms)
        if self._cell is None or not quantity.endswith(".gross_kg"):
            return seen_kg
        low, high = CONVERTER_ENDS
        return min(max(self._cell.zero_counts + self._cell.counts_per_kg * seen_kg, low), high)

    def _past(self, quantity: str, t_ms: int, tau_s: float) -> float:
        world = self._world
        return remembered(lambda at_ms: world.column(quantity, at_ms), t_ms, tau_s, since_ms=world.origin_ms)

    def _zero_kg(self, t_ms: int) -> float:
        moved = self._scale.zero_kg_per_month * (t_ms - self._world.origin_ms) / _MONTH_MS
        if self._scale.zero_kg_per_10c:
            at_ms = np.array([t_ms], dtype=np.int64)
            moved += self._scale.zero_kg_per_10c * float(above_reference_c(self._ambient, self._world, at_ms)[0]) / 10
        return moved
