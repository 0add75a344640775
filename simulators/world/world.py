"""The whole world of a scenario: what every quantity truly is at every moment."""

from __future__ import annotations

from simulators.scenario import Scenario
from simulators.world.bins import bin_quantities
from simulators.world.desalination import train_quantities
from simulators.world.load import load_quantities
from simulators.world.quantity import Quantity
from simulators.world.reclaimed import park_quantities, plant_quantities


class World:
    """Physical truth as a function of seed and civil time; asking does not change it."""

    def __init__(self, *, scenario: Scenario, origin_ms: int) -> None:
        self.origin_ms = origin_ms
        seed, found = scenario.seed, dict[str, Quantity]()
        for name, train in scenario.trains.items():
            found |= train_quantities(name, train, seed=seed, origin_ms=origin_ms)
        for name, load in scenario.loads.items():
            found |= load_quantities(name, load, seed=seed, origin_ms=origin_ms)
        for name, rule in scenario.bins.items():
            found |= bin_quantities(name, rule, seed=seed, origin_ms=origin_ms)
        for name, plant in scenario.plants.items():
            found |= plant_quantities(name, plant, seed=seed, origin_ms=origin_ms)
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
