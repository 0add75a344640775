"""What stands in a city, as a person describes it: loads, bins, reclaimed-water plants and industrial parks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulators.parts.base import AREA, DayCurve, Id, PartModel, UtcOffset, of_flows

LOAD_QUANTITIES = ("energy_kwh", "power_w")
BIN_QUANTITIES = ("content_kg", "gross_kg", "mass_in_kg", "mass_out_kg", "emptyings", "door_open")
PLANT_FLOWS = ("treated", "reclaimed", "losses")
"""Flows that every water plant has; its users are named beside them."""
PARK_FLOWS = ("reuse", "fresh")


class Load(PartModel):
    """Something that draws electrical power."""

    power_w: Annotated[float, Field(gt=0, le=1e8)] = Field(description="mean active power in W")
    day: DayCurve = Field(default=DayCurve(), description="daily pattern of the power")

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        return LOAD_QUANTITIES


Material = Literal["paper", "plastic", "glass", "cans", "textile", "mixed"]

DEPOSIT_KG: dict[str, tuple[float, float]] = {
    "paper": (1.0, 0.7),
    "plastic": (0.25, 0.6),
    "glass": (0.8, 0.6),
    "cans": (0.2, 0.6),
    "textile": (1.5, 0.6),
    "mixed": (0.6, 0.8),
}
"""Material -> median in kg and sigma of the lognormal mass of one deposit. Assumptions: no survey was found."""


class Bin(PartModel):
    """A bin on a scale: people put things in, a crew empties it. Exactly one of `empty_at_share` and `empty_hour`."""

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    role: Literal["recycling", "residual"] = Field(default="recycling", description="what becomes of its content")
    material: Material = Field(description="what is put in; it decides the mass of a deposit")
    capacity_kg: Annotated[float, Field(gt=0, le=20_000)] = Field(description="a deposit beyond it is turned away")
    tare_kg: Annotated[float, Field(ge=0, le=5000)] = Field(default=0.0, description="mass of the empty bin")
    deposits_per_day: Annotated[float, Field(gt=0, le=5000)] = Field(description="mean number on a weekday")
    weekend: Annotated[float, Field(gt=0, le=5)] = Field(
        default=1.2, description="how many times as many come on a day of the weekend, and later in the morning"
    )
    median_kg: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="median mass of a deposit; default: the material's"
    )
    sigma: Annotated[float, Field(ge=0, le=2)] | None = Field(
        default=None, description="sigma of its logarithm; default: the material's"
    )
    empty_at_share: Annotated[float, Field(gt=0.1, le=1)] | None = Field(
        default=None, description="a crew is called at this share of the capacity"
    )
    empty_within_h: Annotated[float, Field(ge=0.25, le=24)] = Field(
        default=1.0, description="and comes within this time"
    )
    empty_hour: Annotated[float, Field(ge=0, le=23)] | None = Field(
        default=None, description="or it comes every day at this local hour, at most 20 min late"
    )
    utc_offset_h: UtcOffset = Field(default=8.0, description="local time less UTC, in h")

    @property
    def deposit(self) -> tuple[float, float]:
        """Median in kg and sigma of the mass of one deposit."""
        median_kg, sigma = DEPOSIT_KG[self.material]
        return self.median_kg or median_kg, sigma if self.sigma is None else self.sigma

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        return BIN_QUANTITIES


class User(PartModel):
    """Somebody who takes reclaimed water."""

    use: Literal["industry", "municipal", "ecological", "landscape", "agricultural"] = Field(description="class of use")
    flow_m3_h: Annotated[float, Field(gt=0, le=100_000)] = Field(description="mean flow in m3/h")
    day: DayCurve = Field(default=DayCurve(), description="daily pattern")


class Plant(PartModel):
    """A reclaimed-water plant: it treats sewage, and sends out what its users take and what its pipes lose."""

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    treated_m3_h: Annotated[float, Field(gt=0, le=1_000_000)] = Field(description="mean flow of treated sewage in m3/h")
    day: DayCurve = Field(default=DayCurve(swing=0.2, peak_hour=20.0), description="daily pattern of the sewage")
    users: dict[Id, User] = Field(min_length=1, max_length=100, description="who takes the water, by name")
    losses_m3_h: Annotated[float, Field(gt=0, le=100_000)] = Field(description="mean loss between plant and users")
    losses_wander: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.05, description="slow seeded variation over the mean loss; leaks know no hour of the day"
    )

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        return of_flows(*PLANT_FLOWS, *self.users)


class Park(PartModel):
    """Industry that recirculates its water: what it uses is what it reuses and what it takes in fresh."""

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    used_m3_h: Annotated[float, Field(gt=0, le=1_000_000)] = Field(description="mean of all water used, in m3/h")
    day: DayCurve = Field(default=DayCurve(), description="daily pattern of the use")
    reuse_share: Annotated[float, Field(ge=0.1, le=0.99)] = Field(description="mean share that is water used again")
    reuse_wander: Annotated[float, Field(ge=0, le=0.05)] = Field(
        default=0.005, description="most that this share departs from its mean"
    )

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        return of_flows(*PARK_FLOWS)
