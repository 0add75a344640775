"""Whether a reclaimed-water plant with `process` can give what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from simulators.city_checks import UTC_OFFSET_H
from simulators.mistake import Mistake, Place
from simulators.parts.base import DayCurve
from simulators.parts.calendar import Calendar
from simulators.parts.city import PLANT_FLOWS
from simulators.parts.process import PROCESS_ENERGY, PROCESS_FLOWS
from simulators.world.demand import day_hours, most
from simulators.world.plant_days import MINUTE_H, capacity_m3_h, leak_factor, pressure_bar
from simulators.world.sewage import day_shape
from simulators.world.surroundings import shares_time
from simulators.world.tabulated import MINUTES

if TYPE_CHECKING:
    from simulators.parts.city import Plant
    from simulators.parts.process import Process
    from simulators.scenario import Scenario
    from simulators.world.waves import Column

RESERVED = (*PLANT_FLOWS, *PROCESS_FLOWS, *PROCESS_ENERGY, "network", "storage", "supply_share")


def check_process(scenario: Scenario, name: str, plant: Plant) -> Iterator[Mistake]:
    """What contradicts in a plant and its process."""
    process = plant.process
    assert process is not None, "asked of plants with a process"
    at: Place = ("plants", name)
    for user in plant.users:
        if user in RESERVED:
            yield Mistake((*at, "users", user), f"{user} is a part of the plant itself", "rename the user")
    yield from _days(at, scenario, plant)
    network = process.network
    if network.drop_bar >= network.pressure_bar:
        problem = f"at the mean draw {network.drop_bar:g} of {network.pressure_bar:g} bar would be lost"
        yield Mistake((*at, "process", "network", "drop_bar"), problem, f"keep it below {network.pressure_bar:g}")
        return
    if process.yield_share + process.yield_wander >= 1.0:
        problem = "more would be produced than is taken in"
        yield Mistake((*at, "process", "yield_wander"), problem, f"keep it below {1.0 - process.yield_share:g}")
    if process.runoff_m3_per_mm and scenario.weather is None:
        yield Mistake((*at, "process", "runoff_m3_per_mm"), "there is no weather", "add weather, or remove it")
    if capacity_m3_h(plant, process) < plant.treated_m3_h:
        problem = f"it could not treat the mean of {plant.treated_m3_h:g} m3/h"
        yield Mistake((*at, "process", "capacity_m3_h"), problem, "raise it above the mean")
    yield from _water(at, scenario, plant, process)


def _days(at: Place, scenario: Scenario, plant: Plant) -> Iterator[Mistake]:
    """Its day follows from its people, and its users live by its clock."""
    usual = type(plant).model_fields["day"].default
    for key in ("swing", "peak_hour", "wander"):
        if getattr(plant.day, key) in (getattr(usual, key), getattr(DayCurve(), key)):
            continue
        yield Mistake((*at, "day", key), "its day follows from process", "remove it, or set what is in process")
    offset_h = (scenario.calendar or Calendar()).utc_offset_h if shares_time(scenario) else plant.day.utc_offset_h
    for name, user in plant.users.items():
        if user.curve.utc_offset_h not in (UTC_OFFSET_H, offset_h):
            problem = f"a local time of its own, where the plant has UTC{offset_h:+g}"
            yield Mistake((*at, "users", name, "day", "utc_offset_h"), problem, "remove it")


def _water(at: Place, scenario: Scenario, plant: Plant, process: Process) -> Iterator[Mistake]:
    """Whether users and leaks leave something of what the plant yields, on the mean day, and at each minute of it."""
    wants, yields = _mean_day(plant, process)
    if wants.mean() > yields.mean():
        problem = (
            f"users and losses take {wants.mean():.4g} m3/h on a dry workday, of which the plant yields "
            f"{yields.mean():.4g}"
        )
        yield Mistake(
            (*at, "treated_m3_h"), problem, "raise it, the yield or the line, or lower the flows of the users"
        )
        return
    if process.storage is None:
        wants, yields = _hardest_day(scenario, plant, process)
        worst = int((wants - yields).argmax())
        if wants[worst] > yields[worst]:
            problem = (
                f"at {worst // 60:02d}:{worst % 60:02d} users and losses may take {wants[worst]:.4g} m3/h, of which "
                f"the plant yields {yields[worst]:.4g}, and nothing is stored"
            )
            yield Mistake((*at, "process"), problem, f"add storage: {{volume_m3: {_needed_m3(wants, yields):.3g}}}")
        return
    needed_m3 = _needed_m3(wants, yields)
    if needed_m3 > process.storage.volume_m3 * process.storage.target_share:
        problem = f"on a dry workday {needed_m3:.4g} m3 are taken before the plant makes up for them"
        mend = f"{1.2 * needed_m3 / process.storage.target_share:.3g} would do"
        yield Mistake((*at, "process", "storage", "volume_m3"), problem, mend)


def _mean_day(plant: Plant, process: Process) -> tuple[Column, Column]:
    """What is wanted and what can be yielded at each minute of a dry workday."""
    drawn = sum((user.flow_m3_h * day_hours(user) for user in plant.users.values()), np.zeros(MINUTES))
    return drawn + _leaks(plant, process, drawn), _yields(plant, process, 1.0, process.yield_share)


def _hardest_day(scenario: Scenario, plant: Plant, process: Process) -> tuple[Column, Column]:
    """The same at the bounds of what may be."""
    by_season = scenario.weather is not None
    drawn = sum((user.flow_m3_h * most(user, by_season=by_season) for user in plant.users.values()), np.zeros(MINUTES))
    leaks = _leaks(plant, process, np.zeros(MINUTES)) * (1.0 + plant.losses_wander)
    least = (1.0 - process.wander) * min(1.0, process.weekend)
    return drawn + leaks, _yields(plant, process, least, process.yield_share - process.yield_wander)


def _leaks(plant: Plant, process: Process, drawn: Column) -> Column:
    mean = sum(user.flow_m3_h for user in plant.users.values())
    found: Column = plant.losses_m3_h * leak_factor(process.network, pressure_bar(process.network, drawn / mean))
    return found


def _yields(plant: Plant, process: Process, share: float, yield_share: float) -> Column:
    shape = day_shape(process.population, process.morning_hour, process.evening_hour)
    treated = np.minimum(plant.treated_m3_h * share * shape, capacity_m3_h(plant, process))
    found: Column = yield_share * np.minimum(treated, process.line_m3_h or np.inf)
    return found


def _needed_m3(wants: Column, yields: Column) -> float:
    """The most that is taken beyond what is yielded in any stretch of two such days, one after the other."""
    lacking = np.cumsum(np.tile(wants - yields, 2)) * MINUTE_H
    before = np.minimum.accumulate(np.concatenate(((0.0,), lacking[:-1])))
    return float(max(0.0, (lacking - before).max()))
