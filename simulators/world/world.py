"""The whole world of a scenario: what every quantity truly is at every moment."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from simulators.scenario import Scenario
from simulators.world.collection import collection_quantities
from simulators.world.desalination import train_quantities
from simulators.world.load import load_quantities
from simulators.world.quantity import Quantity
from simulators.world.reclaimed import park_quantities, plant_quantities
from simulators.world.surroundings import surroundings
from simulators.world.tabulated import DAY_MS
from simulators.world.weather import weather_quantities


class World:
    """Physical truth as a function of seed and civil time; asking does not change it."""

    def __init__(self, *, scenario: Scenario, origin_ms: int) -> None:
        self.origin_ms = origin_ms
        seed, found = scenario.seed, dict[str, Quantity]()
        for name, train in scenario.trains.items():
            found |= train_quantities(name, train, seed=seed, origin_ms=origin_ms)
        for name, load in scenario.loads.items():
            found |= load_quantities(name, load, seed=seed, origin_ms=origin_ms)
        around = surroundings(scenario)
        if around.sky is not None:
            found |= weather_quantities(around.sky, origin_ms=origin_ms)
        found |= collection_quantities(scenario, around, origin_ms=origin_ms)
        for name, plant in scenario.plants.items():
            found |= plant_quantities(name, plant, seed=seed, origin_ms=origin_ms, around=around)
        for name, park in scenario.parks.items():
            found |= park_quantities(name, park, seed=seed, origin_ms=origin_ms)
        self._quantities = found

    @property
    def names(self) -> tuple[str, ...]:
        """Every quantity, totals and rates."""
        return tuple(self._quantities)

    @property
    def totals(self) -> tuple[str, ...]:
        """The quantities that only rise."""
        return tuple(name for name, quantity in self._quantities.items() if quantity.total)

    def value(self, name: str, t_ms: int) -> float:
        """The true value of `name` at `t_ms` (ms UTC) in the unit of its name; totals are 0 at the origin."""
        return self._quantities[name].at((t_ms - self.origin_ms) / 1000.0)

    def column(self, name: str, t_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        """`value` for a column of times."""
        return self._quantities[name].column((t_ms - self.origin_ms) / 1000.0)

    def columns(self, names: Iterable[str], t_ms: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Columns of several quantities, taken day by day: parts that compute by the day keep a few days only."""
        found = {name: np.empty(t_ms.shape, dtype=np.float64) for name in names}
        order = np.argsort(t_ms, kind="stable")
        days = t_ms[order] // DAY_MS
        for here in np.split(order, np.flatnonzero(days[1:] != days[:-1]) + 1):
            for name, column in found.items():
                column[here] = self.column(name, t_ms[here])
        return found
