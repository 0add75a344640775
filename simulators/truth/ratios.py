"""Which totals of the world make which indicator in which area, said by the scenario alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.parts.areas import inside, walk

if TYPE_CHECKING:
    from simulators.scenario import Scenario

PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """factor x what the totals `over` rose by / what the totals `under` rose by."""

    id: str
    area: str
    over: tuple[str, ...]
    under: tuple[str, ...]
    factor: float = PERCENT


def ratios(scenario: Scenario) -> Iterator[Ratio]:
    """Every indicator of each area that has a part in it or below it, and of the city that holds all areas."""
    if scenario.areas:
        for path, _ in walk(scenario.areas):
            yield from _of_area(scenario, path[-1], inside(scenario.areas, path[-1]))
        return
    parts = (scenario.bins, scenario.plants, scenario.parks, scenario.trains)
    areas = sorted({part.area for named in parts for part in named.values()})
    for area in areas:
        yield from _of_area(scenario, area, (area,))
    if scenario.city is not None and scenario.city not in areas:
        yield from _of_area(scenario, scenario.city, areas)


def _of_area(scenario: Scenario, area: str, within: Collection[str]) -> Iterator[Ratio]:
    plants = {name: plant for name, plant in scenario.plants.items() if plant.area in within}
    used = tuple(f"{name}.{user}.volume_m3" for name, plant in plants.items() for user in plant.users)
    yield from _one("reclaimed_water_utilisation", area, used, _volumes(plants, "treated"))
    parks = [name for name, park in scenario.parks.items() if park.area in within]
    reuse, fresh = _volumes(parks, "reuse"), _volumes(parks, "fresh")
    yield from _one("industrial_water_reuse", area, reuse, reuse + fresh)
    bins = {name: rule for name, rule in scenario.bins.items() if rule.area in within}
    recycling = tuple(f"{name}.mass_in_kg" for name, rule in bins.items() if rule.role == "recycling")
    yield from _one("waste_diversion", area, recycling, tuple(f"{name}.mass_in_kg" for name in bins))
    trains = {name: train for name, train in scenario.trains.items() if train.area in within}
    permeate, energy = _volumes(trains, "permeate"), tuple(f"{name}.energy.energy_kwh" for name in trains)
    yield from _one("desalination_recovery", area, permeate, _volumes(trains, "feed"))
    yield from _one("desalination_specific_energy", area, energy, permeate, factor=1.0)
    split = [name for name, train in trains.items() if train.brine_used_share is not None]
    users, outfall = _volumes(split, "brine_used"), _volumes(split, "brine_outfall")
    yield from _one("brine_utilisation", area, users, users + outfall)


def _one(
    indicator: str, area: str, over: tuple[str, ...], under: tuple[str, ...], factor: float = PERCENT
) -> Iterator[Ratio]:
    if under:
        yield Ratio(indicator, area, over, under, factor)


def _volumes(names: Iterable[str], flow: str) -> tuple[str, ...]:
    return tuple(f"{name}.{flow}.volume_m3" for name in names)
