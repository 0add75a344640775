"""How much room deposits take in a bin, and what a sensor sees that looks down on them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators import chance
from simulators.parts.city import Bin, Body


class Heap:
    """The volume of each deposit by its mass and a bulk density of its own, in whole millilitres."""

    def __init__(self, rule: Bin, *, of: int) -> None:
        body = rule.body
        assert body is not None, "only a bin with a body has a heap"
        self._of = of
        self._sigma = body.bulk_sigma
        # lognormal volume per mass with the mean that the bulk density says
        self._ml_g = 1000.0 / rule.bulk_kg_m3 * body.compaction * math.exp(-0.5 * body.bulk_sigma**2)

    def volume_ml(self, t_ms: int, grams: int) -> int:
        """Volume that a deposit of `grams` at `t_ms` takes under what comes upon it, in ml."""
        radius = math.sqrt(-2.0 * math.log1p(-chance.unit(self._of, 2 * t_ms)))
        normal = radius * math.cos(math.tau * chance.unit(self._of, 2 * t_ms + 1))
        return max(1, round(grams * self._ml_g * math.exp(self._sigma * normal)))

    def cone_share(self, t_ms: int) -> float:
        """How much of the highest cone a deposit at `t_ms` leaves, in [0, 1)."""
        return chance.unit(self._of ^ 1, t_ms)


def level_mm(
    body: Body, held_ml: float | NDArray[np.float64], cone_share: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance from the sensor to what it sees, in mm: the content, heaped up by its cone but never above the rim."""
    height_mm = np.asarray(held_ml, dtype=np.float64) / (body.area_m2 * 1000.0)
    # a cone is never higher than what it is made of: one of height c over a mean level h needs 3 h
    cone_mm = np.minimum(np.asarray(cone_share) * body.cone_mm, 2.0 * height_mm)
    seen: NDArray[np.float64] = body.sensor_mm + body.height_mm - np.minimum(body.height_mm, height_mm + cone_mm)
    return seen
