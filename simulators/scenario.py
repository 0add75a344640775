"""The model of a scenario: one YAML file says what exists in a simulated world, how it is metered, what goes wrong.

Everything that follows from it is drawn from its seed; the world begins at its origin, with its totals at 0. Whether
its parts fit together is looked at one floor up, in checked_scenario.py.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simulators.parts.areas import Area
from simulators.parts.base import Id, PartModel
from simulators.parts.calendar import Calendar
from simulators.parts.city import Bin, Load, Park, Plant
from simulators.parts.collection import Station, Vehicle
from simulators.parts.fault import Fault
from simulators.parts.meter import Line, Meter
from simulators.parts.train import Train
from simulators.parts.weather import WEATHER, Weather


class Scenario(PartModel):
    """One simulated world."""

    scenario: Id = Field(description="its name")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=1, description="every chance is drawn from it")
    gateway: Id = Field(default="gw-1", description="gateway that is meant to read the meters")
    city: Id | None = Field(default=None, description="area that holds all others")
    areas: dict[Id, Area] = Field(
        default={}, max_length=100, description="the tree of areas; with it, a part's area must be in it"
    )
    calendar: Calendar | None = Field(default=None, description="workdays, weekends and holidays")
    weather: Weather | None = Field(default=None, description="how warm it is, and when it rains")
    bins: dict[Id, Bin] = Field(default={}, description="bins by name")
    vehicles: dict[Id, Vehicle] = Field(default={}, max_length=1000, description="collecting vehicles by name")
    stations: dict[Id, Station] = Field(default={}, max_length=1000, description="stations with a weighbridge, by name")
    plants: dict[Id, Plant] = Field(default={}, description="reclaimed-water plants by name")
    parks: dict[Id, Park] = Field(default={}, description="industry that recirculates water, by name")
    trains: dict[Id, Train] = Field(default={}, description="desalination trains by name")
    loads: dict[Id, Load] = Field(default={}, description="electrical loads by name")
    lines: dict[Id, Line] = Field(default={}, description="shared lines by name")
    meters: dict[Id, Meter] = Field(min_length=1, max_length=1000, description="meters by device id")
    faults: tuple[Fault, ...] = Field(default=(), max_length=10_000, description="what goes wrong when")

    def quantities(self) -> frozenset[str]:
        """The names of everything in this world that a meter can show."""
        parts = (self.trains, self.loads, self.bins, self.plants, self.parks, self.vehicles, self.stations)
        found = {
            f"{name}.{quantity}" for named in parts for name, part in named.items() for quantity in part.quantities()
        }
        if self.weather is not None:
            found |= {f"{WEATHER}.{quantity}" for quantity in self.weather.quantities()}
        return frozenset(found)

    def gateway_of(self, device: str) -> str:
        """The gateway that is meant to read `device`."""
        return self.meters[device].gateway or self.gateway
