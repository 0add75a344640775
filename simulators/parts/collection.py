"""Who fetches what bins hold, and where it is weighed: vehicles and stations, as a person describes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulators.parts.base import AREA, Id, PartModel
from simulators.parts.calendar import Weekday

STATION_QUANTITIES = (
    "received_kg",
    "dispatched_kg",
    "stock_kg",
    "weighbridge.gross_kg",
    "weighbridge.tare_kg",
    "weighbridge.net_kg",
    "weighbridge.net_total_kg",
    "weighbridge.weighings",
)
VEHICLE_QUANTITIES = ("load_kg", "gross_kg", "collected_kg", "delivered_kg", "rounds")

Tier = Literal["drop_off", "transfer", "sorting"]
TIERS: tuple[Tier, ...] = ("drop_off", "transfer", "sorting")
"""What is collected goes up these."""


class Station(PartModel):
    """Where vehicles are weighed full, unloaded, and weighed empty."""

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    tier: Tier = Field(default="transfer", description="what it is in the chain from bins to sorting")

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        return STATION_QUANTITIES


class Vehicle(PartModel):
    """It goes round in a fixed order, loads what it finds, and takes it to a station."""

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    collects: tuple[Id, ...] = Field(
        min_length=1, max_length=500, description="bins, or stations, in the order of the round"
    )
    station: Id = Field(description="where it unloads")
    hours: tuple[Annotated[float, Field(ge=0, lt=24)], ...] = Field(
        min_length=1, max_length=12, description="local hours at which its rounds begin", examples=[(9.25, 20.5)]
    )
    days: tuple[Weekday, ...] | None = Field(default=None, description="days of the week; default: every day")
    holidays: bool = Field(default=True, description="whether it also goes round on holidays")
    tare_kg: Annotated[float, Field(gt=0, le=50_000)] = Field(default=5600.0, description="mass of the empty vehicle")
    capacity_kg: Annotated[float, Field(gt=0, le=50_000)] = Field(
        default=4000.0, description="what it carries; a bin that would be too much stays as it is"
    )
    from_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="it passes by a bin that is filled to less than this share"
    )
    stop_min: Annotated[float, Field(ge=1, le=120)] = Field(default=6.0, description="minutes from stop to stop")
    drive_min: Annotated[float, Field(ge=1, le=600)] = Field(
        default=30.0, description="minutes from the last stop to the station"
    )
    late_min: Annotated[float, Field(ge=0, le=120)] = Field(
        default=15.0, description="most minutes that a round begins late"
    )

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        return VEHICLE_QUANTITIES
