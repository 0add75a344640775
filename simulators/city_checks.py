"""What hangs together in a city: its areas, its days, its bins, and who fetches what from where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from simulators.mistake import Mistake, Place, unknown
from simulators.parts.areas import walk
from simulators.parts.calendar import Calendar, DayKind, day_number
from simulators.parts.collection import TIERS
from simulators.world.days import Days
from simulators.world.rounds import round_min
from simulators.world.surroundings import shares_time

if TYPE_CHECKING:
    from simulators.parts.base import DayCurve
    from simulators.parts.city import Bin
    from simulators.parts.collection import Vehicle
    from simulators.scenario import Scenario

DAY_MIN = 1440.0
UTC_OFFSET_H = Calendar().utc_offset_h
"""What stands where no local time was given."""
DAYS_OFF_MAX = 400
"""Longest holiday: a longer one has its dates mixed up."""


def check_city(scenario: Scenario) -> Iterator[Mistake]:
    """What contradicts in areas, calendar, bins, vehicles and stations."""
    yield from _areas(scenario)
    if scenario.calendar is not None:
        yield from _calendar(scenario.calendar)
    if shares_time(scenario):
        yield from _local_time(scenario)
    collected = {name for vehicle in scenario.vehicles.values() for name in vehicle.collects}
    misspelt = bool(collected - set(scenario.bins) - set(scenario.stations))  # then any bin may be meant
    for name, rule in scenario.bins.items():
        yield from _bin(name, rule, by_vehicle=name in collected, misspelt=misspelt)
        if rule.rain_deters is not None and scenario.weather is None:
            yield Mistake(("bins", name, "rain_deters"), "there is no weather", "add weather, or remove it")
    yield from _vehicles(scenario)


def _areas(scenario: Scenario) -> Iterator[Mistake]:
    if not scenario.areas:
        return
    seen: set[str] = set()
    for path, _ in walk(scenario.areas):
        if path[-1] in seen:
            keys = tuple(key for name in path for key in ("areas", name))
            yield Mistake(keys, f"there is an area {path[-1]} already", "give one of them another id")
        seen.add(path[-1])
    sections = ("bins", "plants", "parks", "trains", "vehicles", "stations")
    for section in sections:
        for name, part in getattr(scenario, section).items():
            if part.area not in seen:
                at = (section, name, "area") if "area" in part.model_fields_set else (section, name)
                yield unknown(at, "area", part.area, seen)
    if scenario.city is not None and scenario.city not in scenario.areas:
        yield unknown(("city",), "area at the root of areas", scenario.city, scenario.areas)


def _calendar(calendar: Calendar) -> Iterator[Mistake]:
    at = ("calendar", "holidays")
    wrong = [n for n, holiday in enumerate(calendar.holidays) if not 0 < len(holiday.days) <= DAYS_OFF_MAX]
    for index in wrong:
        holiday = calendar.holidays[index]
        problem = f"from {holiday.first} to {holiday.last} are not 1 to {DAYS_OFF_MAX} days"
        yield Mistake((*at, index, "last"), problem, "give another last day, or none for a single day")
    if wrong:
        return
    yield from _years(calendar)
    ordered = sorted(enumerate(calendar.holidays), key=lambda each: each[1].first)
    for (before, one), (index, other) in pairwise(ordered):
        if other.first <= (one.last or one.first):
            problem = f"overlaps holidays[{before}], which lasts until {one.last or one.first}"
            yield Mistake((*at, index, "first"), problem, "let it begin later")
    days = Days(calendar)
    for index, worked in enumerate(calendar.working_days):
        if days.kind(day_number(worked)) == "holiday":
            problem = f"{worked} is a holiday"
            yield Mistake(("calendar", "working_days", index), problem, "remove it here, or shorten the holiday")


def _years(calendar: Calendar) -> Iterator[Mistake]:
    """Days off and days worked instead that belong to other years than the calendar is for."""
    if not calendar.years:
        return
    known = ", ".join(str(year) for year in sorted(calendar.years))
    dated: list[tuple[Place, date]] = [
        (("holidays", n, "first"), each.first) for n, each in enumerate(calendar.holidays)
    ]
    dated += [(("holidays", n, "last"), each.last) for n, each in enumerate(calendar.holidays) if each.last is not None]
    dated += [(("working_days", n), each) for n, each in enumerate(calendar.working_days)]
    for at, day in dated:
        if day.year not in calendar.years:
            problem = f"{day} does not lie in {known}"
            yield Mistake(("calendar", *at), problem, "mend the date, or add its year to calendar.years")


def _local_time(scenario: Scenario) -> Iterator[Mistake]:
    offset_h = (scenario.calendar or Calendar()).utc_offset_h
    timed: list[tuple[Place, Bin | DayCurve]] = [(("bins", name), rule) for name, rule in scenario.bins.items()]
    timed += [(("plants", name, "day"), plant.day) for name, plant in scenario.plants.items() if plant.process]
    for at, part in timed:
        if part.utc_offset_h not in (UTC_OFFSET_H, offset_h):
            problem = f"a local time of its own, where the calendar has UTC{offset_h:+g}"
            yield Mistake((*at, "utc_offset_h"), problem, "remove it, or set calendar.utc_offset_h")


def _bin(name: str, rule: Bin, *, by_vehicle: bool, misspelt: bool) -> Iterator[Mistake]:
    ways = [
        way
        for way, given in (
            ("at a share of its capacity", rule.empty_at_share is not None),
            ("at an hour", rule.empty_hour is not None),
            ("by a vehicle", by_vehicle),
        )
        if given
    ]
    if not ways and not misspelt:
        mend = "give one of empty_at_share and empty_hour, or let a vehicle collect it"
        yield Mistake(("bins", name), "nobody empties it", mend)
    if len(ways) > 1:
        mend = "give one of empty_at_share and empty_hour" if not by_vehicle else "keep one of them"
        yield Mistake(("bins", name), f"emptied {' and '.join(ways)}", mend)
    yield from _windows(("bins", name, "open"), rule)


def _windows(at: Place, rule: Bin) -> Iterator[Mistake]:
    for index, window in enumerate(rule.open):
        if window.to_hour <= window.from_hour:
            problem = f"closes at {window.to_hour:g}, before it opens at {window.from_hour:g}"
            yield Mistake((*at, index, "to_hour"), problem, "give two windows for one over midnight")
    kinds: tuple[DayKind, ...] = ("workday", "weekend")
    told: set[int] = set()
    for kind in kinds:
        that_day = ((n, each) for n, each in enumerate(rule.open) if each.on(kind))
        ordered = sorted(that_day, key=lambda entry: entry[1].from_hour)
        for (before, one), (index, other) in pairwise(ordered):
            if other.from_hour < one.to_hour and index not in told:
                told.add(index)
                problem = f"overlaps open[{before}], which lasts until {one.to_hour:g}"
                yield Mistake((*at, index, "from_hour"), problem, "let it open later, or join the two")


def _vehicles(scenario: Scenario) -> Iterator[Mistake]:
    taken: dict[str, str] = {}
    for name, vehicle in scenario.vehicles.items():
        at: Place = ("vehicles", name)
        if vehicle.station not in scenario.stations:
            yield unknown((*at, "station"), "station", vehicle.station, scenario.stations)
        yield from _collects((*at, "collects"), vehicle, scenario, taken, name)
        yield from _hours((*at, "hours"), vehicle)


def _collects(at: Place, vehicle: Vehicle, scenario: Scenario, taken: dict[str, str], name: str) -> Iterator[Mistake]:
    known: Iterable[str] = (*scenario.bins, *scenario.stations)
    goal = scenario.stations.get(vehicle.station)
    for index, source in enumerate(vehicle.collects):
        station = scenario.stations.get(source) if source not in scenario.bins else None
        if source not in scenario.bins and station is None:
            yield unknown((*at, index), "bin or station", source, known)
        elif source in taken:
            mend = "let one vehicle collect it, at as many hours as are needed"
            yield Mistake((*at, index), f"{source} is already collected by {taken[source]}", mend)
        elif station is not None and goal is not None and TIERS.index(station.tier) >= TIERS.index(goal.tier):
            problem = f"from {source} ({station.tier}) to {vehicle.station} ({goal.tier}) does not go up"
            yield Mistake((*at, index), problem, f"the order is {', '.join(TIERS)}")
        taken.setdefault(source, name)


def _hours(at: Place, vehicle: Vehicle) -> Iterator[Mistake]:
    lasts_min = round_min(vehicle)
    ordered = sorted(vehicle.hours)
    if ordered[-1] * 60.0 + lasts_min >= DAY_MIN:
        mend = f"begin before {max(0.0, (DAY_MIN - lasts_min) / 60.0):.4g}, or split the round"
        yield Mistake(at, f"the round from {ordered[-1]:g} on may last {lasts_min:g} min, past midnight", mend)
    for before, after in pairwise(ordered):
        if after * 60.0 <= before * 60.0 + lasts_min:
            mend = f"leave {lasts_min / 60.0:.4g} h between them, or give another vehicle a part of the round"
            yield Mistake(
                at, f"the round from {before:g} on may last {lasts_min:g} min, into that from {after:g}", mend
            )
