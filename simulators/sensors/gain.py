"""The relative error of a meter through time: what it was made with, what age, warmth and a fault add to it.

What is added holds for an hour at a time, counted from the origin, so that a flow and the volume that it adds up to
depart from the truth together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulators.parts.fault import Fault
from simulators.parts.meter import Meter
from simulators.sensors.ambient import above_reference_c
from simulators.world.world import World

HOUR_MS = 3_600_000
HOURS_MAX = 36_600 * 24
"""Most hours that a totaliser with such an error is followed for; beyond them asking is refused."""

_MONTH_H = 30 * 24.0
_AT_ONCE = 240


class Gain:
    """One field's relative error. `drifts` are the timed ones."""

    def __init__(self, *, error: float, meter: Meter, world: World, drifts: Sequence[Fault] = ()) -> None:
        self._error = error
        self._meter = meter
        self._world = world
        self._drifts = tuple(drifts)
        self._steady = not (meter.drift_percent_per_month or meter.percent_per_10c or drifts)
        self._edges: dict[str, list[float]] = {}
        self._sums: dict[str, list[float]] = {}

    def at(self, t_ms: int) -> float:
        """What a true value is multiplied by at `t_ms` (ms UTC)."""
        if self._steady:
            return 1.0 + self._error
        hour = (t_ms - self._world.origin_ms) // HOUR_MS
        return float(self._factors(hour, hour + 1)[0])

    def passed(self, quantity: str, from_ms: int, to_ms: int) -> float:
        """By how much a total of the world rose between two times after the origin, as this meter counts it."""
        if self._steady:
            true = self._world.value(quantity, to_ms) - self._world.value(quantity, from_ms)
            return true * (1.0 + self._error)
        return self._counted(quantity, to_ms) - self._counted(quantity, from_ms)

    def _factors(self, begin: int, end: int) -> NDArray[np.float64]:
        """The factor of each hour in [begin, end), taken in the middle of it."""
        hours = np.arange(begin, end) + 0.5
        added = self._meter.drift_percent_per_month * hours / _MONTH_H
        if self._meter.percent_per_10c:
            times = self._world.origin_ms + (hours * HOUR_MS).astype(np.int64)
            warmer_c = above_reference_c(self._meter.ambient, self._world, times)
            added = added + self._meter.percent_per_10c * warmer_c / 10.0
        for fault in self._drifts:
            within = (hours * 3600.0 >= fault.start_s) & (hours * 3600.0 < fault.end_s)
            added = added + within * (fault.percent_per_day or 0.0) * (hours * 3600.0 - fault.start_s) / 86_400.0
        factors: NDArray[np.float64] = np.asarray(1.0 + self._error + added / 100.0, dtype=np.float64)
        return factors

    def _counted(self, quantity: str, t_ms: int) -> float:
        """What this meter would have counted since the origin: whole hours that are kept, and the hour that runs."""
        hour = (t_ms - self._world.origin_ms) // HOUR_MS
        if not 0 <= hour <= HOURS_MAX:
            raise ValueError(f"{quantity}: {t_ms} ms lies before the origin, or more than {HOURS_MAX} h after it")
        edges, sums = self._edges.setdefault(quantity, [0.0]), self._sums.setdefault(quantity, [0.0])
        while len(edges) <= hour:
            first, last = len(edges) - 1, min(hour, len(edges) - 1 + _AT_ONCE)
            times = self._world.origin_ms + np.arange(first, last + 1, dtype=np.int64) * HOUR_MS
            totals = self._world.columns([quantity], times)[quantity]
            counted = sums[-1] + np.cumsum(np.diff(totals) * self._factors(first, last))
            edges.extend(totals[1:].tolist())
            sums.extend(counted.tolist())
        rest = self._world.value(quantity, t_ms) - edges[hour]
        return sums[hour] + rest * float(self._factors(hour, hour + 1)[0])
