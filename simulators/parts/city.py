"""What stands in a city, as a person describes it: loads, bins, reclaimed-water plants and industrial parks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulators.parts.base import AREA, DayCurve, Id, PartModel, UtcOffset, of_flows
from simulators.parts.calendar import Window
from simulators.parts.process import Process

LOAD_QUANTITIES = ("energy_kwh", "power_w")
BIN_QUANTITIES = ("content_kg", "gross_kg", "mass_in_kg", "mass_out_kg", "emptyings", "door_open")
BODY_QUANTITIES = ("volume_m3", "fill_ratio", "level_mm")
PLANT_FLOWS = ("treated", "reclaimed", "losses")
"""Flows that every water plant has; its users are named beside them."""
PARK_FLOWS = ("reuse", "fresh")


class Load(PartModel):
    """Something that draws electrical power."""

    power_w: Annotated[float, Field(gt=0, le=1e8)] = Field(description="mean active power in W", examples=[7500.0])
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


BULK_KG_M3: dict[str, float] = {
    "paper": 63.0,
    "plastic": 24.0,
    "glass": 225.0,
    "cans": 40.0,
    "textile": 89.0,
    "mixed": 82.0,
}
"""Material -> loose bulk density. Volume-to-weight factors of the US EPA (2016); paper as flattened cardboard."""


class Body(PartModel):
    """The inside of a bin, and the sensor that looks down into it. Volume and mass come from the same deposits."""

    area_m2: Annotated[float, Field(gt=0, le=100)] = Field(description="area of its floor")
    height_mm: Annotated[float, Field(ge=100, le=6000)] = Field(description="from its floor to its rim")
    bulk_kg_m3: Annotated[float, Field(ge=5, le=3000)] | None = Field(
        default=None, description="bulk density of what is put in; default: the material's"
    )
    bulk_sigma: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.2, description="sigma of its logarithm from deposit to deposit"
    )
    compaction: Annotated[float, Field(ge=0.5, le=1)] = Field(
        default=0.85, description="volume that is left of it under what lies on top"
    )
    cone_mm: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=0.0, description="most by which it heaps up under the opening, where the sensor looks"
    )
    sensor_mm: Annotated[float, Field(ge=0, le=2000)] = Field(
        default=300.0, description="how far above the rim the sensor sits"
    )

    @property
    def volume_ml(self) -> float:
        """Its volume in ml."""
        return self.area_m2 * self.height_mm * 1000.0


class Bin(PartModel):
    """A bin on a scale: people put things in, and one of three empties it: a crew that is called (`empty_at_share`), a
    daily one (`empty_hour`), or a vehicle of the scenario."""

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    role: Literal["recycling", "residual"] = Field(default="recycling", description="what becomes of its content")
    material: Material = Field(description="what is put in; it decides the mass of a deposit")
    capacity_kg: Annotated[float, Field(gt=0, le=20_000)] = Field(
        description="a deposit beyond it is turned away", examples=[120.0]
    )
    tare_kg: Annotated[float, Field(ge=0, le=5000)] = Field(default=0.0, description="mass of the empty bin")
    deposits_per_day: Annotated[float, Field(gt=0, le=5000)] = Field(
        description="mean number on a weekday", examples=[70.0]
    )
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
    body: Body | None = Field(default=None, description="its inside; without it it has a mass alone")
    open: tuple[Window, ...] = Field(
        default=(), max_length=24, description="when it can be reached; who would come else comes then; default: always"
    )
    holiday: Annotated[float, Field(ge=0, le=5)] = Field(
        default=1.2, description="how many times as many come on a holiday as on a workday"
    )
    rain_deters: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="share of people who stay at home while it rains; default with weather: 0.3"
    )

    @property
    def bulk_kg_m3(self) -> float:
        """Mean loose bulk density of what is put in."""
        given = self.body.bulk_kg_m3 if self.body is not None else None
        return given or BULK_KG_M3[self.material]

    @property
    def deposit(self) -> tuple[float, float]:
        """Median in kg and sigma of the mass of one deposit."""
        median_kg, sigma = DEPOSIT_KG[self.material]
        return self.median_kg or median_kg, sigma if self.sigma is None else self.sigma

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        return BIN_QUANTITIES + (BODY_QUANTITIES if self.body is not None else ())


class User(PartModel):
    """Somebody who takes reclaimed water."""

    use: Literal["industry", "municipal", "ecological", "landscape", "agricultural"] = Field(description="class of use")
    flow_m3_h: Annotated[float, Field(gt=0, le=100_000)] = Field(description="mean flow in m3/h", examples=[210.0])
    day: DayCurve | None = Field(
        default=None, description="daily pattern; default: with process that of its class of use, else a slight one"
    )
    weekend: Annotated[float, Field(ge=0, le=3)] | None = Field(
        default=None, description="with process: flow of a day off over that of a workday; default: 1"
    )

    @property
    def curve(self) -> DayCurve:
        """Its daily pattern where its class of use has none."""
        return self.day or DayCurve()

    @property
    def day_off(self) -> float:
        """Flow of a day off over that of a workday."""
        return 1.0 if self.weekend is None else self.weekend


class Plant(PartModel):
    """A reclaimed-water plant: it treats sewage, and sends out what its users take and what its pipes lose.

    With `process` it knows people, rain, yield, store and pressure, minute by minute.
    """

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    treated_m3_h: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        description="mean flow of treated sewage in m3/h", examples=[900.0]
    )
    day: DayCurve = Field(default=DayCurve(swing=0.2, peak_hour=20.0), description="daily pattern of the sewage")
    users: dict[Id, User] = Field(min_length=1, max_length=100, description="who takes the water, by name")
    losses_m3_h: Annotated[float, Field(gt=0, le=100_000)] = Field(
        description="mean loss between plant and users", examples=[12.0]
    )
    losses_wander: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.05, description="slow seeded variation over the mean loss; leaks know no hour of the day"
    )
    process: Process | None = Field(default=None, description="how it is built")

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        more = self.process.quantities() if self.process is not None else ()
        return (*of_flows(*PLANT_FLOWS, *self.users), *more)


class Park(PartModel):
    """Industry that recirculates its water: what it uses is what it reuses and what it takes in fresh."""

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    used_m3_h: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        description="mean of all water used, in m3/h", examples=[120.0]
    )
    day: DayCurve = Field(default=DayCurve(), description="daily pattern of the use")
    reuse_share: Annotated[float, Field(ge=0.1, le=0.99)] = Field(
        description="mean share that is water used again", examples=[0.9]
    )
    reuse_wander: Annotated[float, Field(ge=0, le=0.05)] = Field(
        default=0.005, description="most that this share departs from its mean"
    )

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        return of_flows(*PARK_FLOWS)
