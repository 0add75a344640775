"""How a reclaimed-water plant is built: its sewers, its line of treatment, its store and its network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simulators.parts.base import PartModel, of_flows

PROCESS_FLOWS = (
    "inflow",
    "sewage",
    "infiltration",
    "overflow",
    "discharge",
    "intake",
    "backwash",
    "product",
)
"""Flows that a plant has with `process`, besides those of every plant."""
PROCESS_ENERGY = ("energy", "treatment", "reclaiming")
PROCESS_QUANTITIES = ("supply_share", "network.pressure_bar")
STORE_QUANTITIES = ("storage.volume_m3", "storage.level_m", "storage.net_m3_h")


class Storage(PartModel):
    """A clear-water store between the plant and its network."""

    volume_m3: Annotated[float, Field(gt=0, le=1e7)] = Field(description="usable volume in m3")
    depth_m: Annotated[float, Field(ge=0.5, le=30)] = Field(default=4.5, description="level when it is full, in m")
    start_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.6, description="how full it is before the first day"
    )
    target_share: Annotated[float, Field(ge=0.05, le=1)] = Field(
        default=0.7, description="how full the plant tries to keep it"
    )
    return_h: Annotated[float, Field(ge=0.5, le=100)] = Field(
        default=6.0, description="in how many hours it makes up for what is missing"
    )


class Network(PartModel):
    """The pipes to the users: the more is drawn, the less pressure is left, and the less leaks."""

    pressure_bar: Annotated[float, Field(gt=0, le=16)] = Field(default=4.0, description="while nothing is drawn")
    drop_bar: Annotated[float, Field(ge=0, le=10)] = Field(
        default=1.2, description="what is lost on the way at the mean draw; it grows with the square"
    )
    least_bar: Annotated[float, Field(ge=0, le=10)] = Field(default=0.5, description="it never falls below this")
    leak_exponent: Annotated[float, Field(ge=0, le=2.5)] = Field(
        default=1.0, description="losses rise with this power of the pressure (FAVAD: 0.5 to 1.5)"
    )


class Process(PartModel):
    """Sewage in, reclaimed water out, minute by minute. `treated_m3_h` is the mean dry-weather sewage of a workday."""

    population: Annotated[float, Field(ge=100, le=5e7)] = Field(
        description="people on its sewers; the fewer, the higher the daily peak (Harmon)"
    )
    morning_hour: Annotated[float, Field(ge=5, le=13)] = Field(
        default=10.25, description="local hour of the first peak"
    )
    evening_hour: Annotated[float, Field(ge=14, le=23)] = Field(default=19.75, description="and of the second")
    weekend: Annotated[float, Field(ge=0.5, le=1.5)] = Field(
        default=1.06, description="sewage of a day off over that of a workday"
    )
    wander: Annotated[float, Field(ge=0, le=0.2)] = Field(
        default=0.03, description="slow seeded variation of the sewage"
    )
    capacity_m3_h: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        default=None, description="what it can treat; more overflows to the river; default: 1.25 times the dry peak"
    )
    runoff_m3_per_mm: Annotated[float, Field(ge=0, le=1e6)] = Field(
        default=0.0, description="rain that finds its way into the sewers, in m3 per mm of rain; needs weather"
    )
    recession_h: Annotated[float, Field(ge=0.5, le=240)] = Field(
        default=8.0, description="after how many hours a third of it is still to come"
    )
    line_m3_h: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        default=None, description="most that its line for reclaimed water takes in; default: all that is treated"
    )
    yield_share: Annotated[float, Field(ge=0.3, le=0.99)] = Field(
        default=0.9, description="product over what the line takes in; the rest is backwash"
    )
    yield_wander: Annotated[float, Field(ge=0, le=0.1)] = Field(
        default=0.01, description="most that it departs from its mean"
    )
    treatment_kwh_m3: Annotated[float, Field(ge=0, le=3)] = Field(default=0.3, description="energy per m3 treated")
    reclaiming_kwh_m3: Annotated[float, Field(ge=0, le=3)] = Field(default=0.45, description="energy per m3 of product")
    storage: Storage | None = Field(default=None, description="store of reclaimed water; default: none")
    network: Network = Field(default=Network(), description="pipes to the users")

    def quantities(self) -> tuple[str, ...]:
        """The names of what a plant has more by it."""
        energy = tuple(f"{part}.{what}" for part in PROCESS_ENERGY for what in ("energy_kwh", "power_w"))
        store = STORE_QUANTITIES if self.storage is not None else ()
        return (*of_flows(*PROCESS_FLOWS), *energy, *PROCESS_QUANTITIES, *store)
