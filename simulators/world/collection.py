"""Bins, the vehicles that go round, and the stations they unload at, tied together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulators.parts.collection import Station, Vehicle
from simulators.world.bins import Course, bin_quantities
from simulators.world.rounds import CollectedBin, Rounds
from simulators.world.stations import Stock
from simulators.world.stepping import Column, SteppingQuantity, Steps, Times
from simulators.world.surroundings import Surroundings
from simulators.world.tabulated import HOUR_MS

if TYPE_CHECKING:
    from simulators.scenario import Scenario


def collection_quantities(scenario: Scenario, around: Surroundings, *, origin_ms: int) -> dict[str, SteppingQuantity]:
    """All quantities of bins, vehicles and stations under their full names."""
    seed = scenario.seed
    offset_ms = round((around.utc_offset_h or 0.0) * HOUR_MS)
    rounds = {
        name: Rounds(name=name, vehicle=vehicle, seed=seed, origin_ms=origin_ms, offset_ms=offset_ms, around=around)
        for name, vehicle in scenario.vehicles.items()
    }
    by = {name: vehicle for vehicle in rounds.values() for name in vehicle.vehicle.collects}
    courses = {
        name: Course(
            name=name,
            rule=rule,
            seed=seed,
            origin_ms=origin_ms,
            around=around,
            vehicle=CollectedBin(by[name], name) if name in by else None,
        )
        for name, rule in scenario.bins.items()
    }
    stocks = {name: Stock(name=name, origin_ms=origin_ms, offset_ms=offset_ms) for name in scenario.stations}
    for each in rounds.values():
        each.sources = {name: courses[name] if name in courses else stocks[name] for name in each.vehicle.collects}
        stocks[each.vehicle.station].feeders.append(each)
    for name, stock in stocks.items():
        stock.hauler = by.get(name)
    found: dict[str, SteppingQuantity] = {}
    for name, rule in scenario.bins.items():
        found |= bin_quantities(name, rule, courses[name], origin_ms=origin_ms)
    for name, each in rounds.items():
        found |= _of_vehicle(name, scenario.vehicles[name], each, origin_ms=origin_ms)
    for name, station in scenario.stations.items():
        found |= _of_station(name, station, stocks[name], origin_ms=origin_ms)
    return found


def _of_vehicle(name: str, vehicle: Vehicle, rounds: Rounds, *, origin_ms: int) -> dict[str, SteppingQuantity]:
    def of(field: int, factor: float, start: float = 0.0, *, total: bool) -> SteppingQuantity:
        return _stepping(rounds.reach, rounds.steps, {field: 1}, factor, start, origin_ms=origin_ms, total=total)

    return {
        f"{name}.load_kg": of(0, 0.001, total=False),
        f"{name}.gross_kg": of(0, 0.001, vehicle.tare_kg, total=False),
        f"{name}.collected_kg": of(1, 0.001, total=True),
        f"{name}.delivered_kg": of(2, 0.001, total=True),
        f"{name}.rounds": of(3, 1.0, total=True),
    }


def _of_station(name: str, station: Station, stock: Stock, *, origin_ms: int) -> dict[str, SteppingQuantity]:
    def of(steps: Steps, fields: dict[int, int], factor: float, *, total: bool) -> SteppingQuantity:
        return _stepping(stock.reach, steps, fields, factor, 0.0, origin_ms=origin_ms, total=total)

    moved, weighed = stock.steps, stock.weighed
    return {
        f"{name}.received_kg": of(moved, {0: 1}, 0.001, total=True),
        f"{name}.dispatched_kg": of(moved, {1: 1}, 0.001, total=True),
        f"{name}.stock_kg": of(moved, {0: 1, 1: -1}, 0.001, total=False),
        f"{name}.weighbridge.gross_kg": of(weighed, {0: 1}, 0.001, total=False),
        f"{name}.weighbridge.tare_kg": of(weighed, {1: 1}, 0.001, total=False),
        f"{name}.weighbridge.net_kg": of(weighed, {2: 1}, 0.001, total=False),
        f"{name}.weighbridge.net_total_kg": of(weighed, {3: 1}, 0.001, total=True),
        f"{name}.weighbridge.weighings": of(weighed, {4: 1}, 1.0, total=True),
    }


def _stepping(
    reach: Callable[[int], None],
    steps: Steps,
    fields: dict[int, int],
    factor: float,
    start: float,
    *,
    origin_ms: int,
    total: bool,
) -> SteppingQuantity:
    """start + factor x the signed sum of fields of the rows in `steps`, which `reach` has made up to a moment."""

    def at(t_ms: int) -> float:
        reach(t_ms)
        row = steps.at(t_ms)
        return start + factor * sum(sign * row[field] for field, sign in fields.items())

    def column(t_ms: Times) -> Column:
        if t_ms.size:
            reach(int(t_ms.max()))
        found: Column = steps.column(t_ms, next(iter(fields))) * 0.0
        for field, sign in fields.items():
            found += sign * steps.column(t_ms, field)
        return start + factor * found

    return SteppingQuantity(at, column, origin_ms, total)
