"""What all parts of a city share: its days, its weather and its local time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.parts.calendar import Calendar
from simulators.world.days import Days
from simulators.world.weather import Sky

if TYPE_CHECKING:
    from simulators.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The days and the weather; `utc_offset_h` is None where each part keeps a local time of its own."""

    days: Days
    sky: Sky | None = None
    utc_offset_h: float | None = None


def surroundings(scenario: Scenario) -> Surroundings:
    """Those of a scenario: without calendar and weather, the usual weekend and no rain."""
    calendar, weather = scenario.calendar or Calendar(), scenario.weather
    sky = Sky(weather, seed=scenario.seed, utc_offset_h=calendar.utc_offset_h) if weather is not None else None
    return Surroundings(Days(calendar), sky, calendar.utc_offset_h if shares_time(scenario) else None)


def shares_time(scenario: Scenario) -> bool:
    """Whether all parts keep the local time of the calendar, because a calendar, weather or vehicles tie them."""
    return scenario.calendar is not None or scenario.weather is not None or bool(scenario.vehicles)


NOWHERE = Surroundings(Days(Calendar()))
"""Without calendar and weather."""
