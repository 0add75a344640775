"""The whole world of a scenario: what every quantity truly is at every moment."""

from __future__ import annotations

from simulators.scenario import Scenario
from simulators.world.desalination import Quantity, train_quantities
from simulators.world.load import load_quantities


class World:
    """Physical truth as a function of civil time; it has no state, so asking does not change it."""

    def __init__(self, *, scenario: Scenario, origin_ms: int) -> None:
        self.origin_ms = origin_ms
        self._quantities: dict[str, Quantity] = {}
        for name, train in scenario.trains.items():
            self._quantities |= train_quantities(name, train, seed=scenario.seed, origin_ms=origin_ms)
        for name, load in scenario.loads.items():
            self._quantities |= load_quantities(name, load, seed=scenario.seed, origin_ms=origin_ms)

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
