"""What a simulated world is made of: trains, loads, bins, water plants and parks, as a person describes them.

The quantities of a part are named behind its own name: `train-1.feed.volume_m3`, `bin-paper.content_kg`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
UtcOffset = Annotated[float, Field(ge=-12, le=14)]

FLOW_QUANTITIES = ("volume_m3", "flow_m3_h")
TRAIN_FLOWS = ("feed", "permeate", "brine")
BRINE_FLOWS = ("brine_used", "brine_outfall")
ENERGY_QUANTITIES = ("energy.energy_kwh", "energy.power_w")
LOAD_QUANTITIES = ("energy_kwh", "power_w")
BIN_QUANTITIES = ("content_kg", "gross_kg", "mass_in_kg", "mass_out_kg", "emptyings", "door_open")
PLANT_FLOWS = ("treated", "reclaimed", "losses")
"""Flows that every water plant has; its users are named beside them."""
PARK_FLOWS = ("reuse", "fresh")

AREA = "site"
"""Area of a part that names none."""


class PartModel(BaseModel):
    """What all parts share: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DayCurve(PartModel):
    """How a flow or a load rises and falls with the hour."""

    swing: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.12, description="half-range over the mean, 1 = 100 %"
    )
    peak_hour: Annotated[float, Field(ge=0, lt=24)] = Field(default=14.0, description="local hour of the peak")
    utc_offset_h: UtcOffset = Field(default=8.0, description="local time less UTC, in h")
    wander: Annotated[float, Field(ge=0, le=0.3)] = Field(
        default=0.03, description="slow seeded variation over the mean"
    )


class Train(PartModel):
    """A desalination train: feed is split into permeate and brine, and energy follows the permeate."""

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    feed_m3_h: Annotated[float, Field(gt=0, le=100_000)] = Field(description="mean feed flow in m3/h")
    day: DayCurve = Field(default=DayCurve(), description="daily pattern of the feed")
    recovery: Annotated[float, Field(ge=0.1, le=0.85)] = Field(default=0.42, description="mean of permeate over feed")
    recovery_wander: Annotated[float, Field(ge=0, le=0.09)] = Field(
        default=0.01, description="most that it departs from its mean"
    )
    specific_energy_kwh_m3: Annotated[float, Field(ge=1, le=10)] = Field(
        default=3.0, description="mean energy of the whole plant per permeate, in kWh/m3"
    )
    specific_energy_wander: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.1, description="most that it departs from its mean, in kWh/m3"
    )
    brine_used_share: Annotated[float, Field(ge=0.05, le=0.95)] | None = Field(
        default=None, description="mean share of the brine that users take; the rest goes to the outfall"
    )
    brine_used_wander: Annotated[float, Field(ge=0, le=0.04)] = Field(
        default=0.03, description="most that this share departs from its mean"
    )

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        brine = BRINE_FLOWS if self.brine_used_share is not None else ()
        return (*of_flows(*TRAIN_FLOWS, *brine), *ENERGY_QUANTITIES)


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


def of_flows(*flows: str) -> tuple[str, ...]:
    """The quantities of these flows: a volume and a rate for each."""
    return tuple(f"{flow}.{quantity}" for flow in flows for quantity in FLOW_QUANTITIES)
