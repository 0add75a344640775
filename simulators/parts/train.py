"""A desalination train as a person describes it: its flows, and if wanted its membranes, its pumps and its sea."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simulators.parts.base import AREA, DayCurve, Id, PartModel, of_flows

TRAIN_FLOWS = ("feed", "permeate", "brine")
BRINE_FLOWS = ("brine_used", "brine_outfall")
ENERGY_QUANTITIES = ("energy.energy_kwh", "energy.power_w")
PUMPS = ("hp_pump", "booster", "feed_pump", "rest")
"""Where a train with `ro` spends its energy; together they are `energy`."""
MEMBRANE_QUANTITIES = (
    "feed.pressure_bar",
    "feed.temperature_c",
    "feed.salinity_g_l",
    "feed.conductivity_us_cm",
    "permeate.salinity_mg_l",
    "permeate.conductivity_us_cm",
    "brine.pressure_bar",
    "brine.salinity_g_l",
    "brine.conductivity_us_cm",
    "membranes.fouling_factor",
    "membranes.cleanings",
)
"""What a train with `ro` has besides flows, salt and energy."""


class Sea(PartModel):
    """The sea at an intake. No series of measurements was found: the defaults are assumptions for Bohai Bay."""

    temperature_c: Annotated[float, Field(ge=0, le=35)] = Field(default=14.0, description="mean over the year")
    temperature_swing_c: Annotated[float, Field(ge=0, le=20)] = Field(
        default=12.5, description="by how much the warmest day of the year is above the mean"
    )
    temperature_peak_day: Annotated[float, Field(ge=1, le=366)] = Field(
        default=227.0, description="day of the year that is the warmest; 227 is 15 August"
    )
    temperature_wander_c: Annotated[float, Field(ge=0, le=3)] = Field(
        default=1.0, description="most that the weather adds or takes"
    )
    salinity_g_l: Annotated[float, Field(ge=10, le=45)] = Field(default=30.0, description="mean salt over the year")
    salinity_swing_g_l: Annotated[float, Field(ge=0, le=10)] = Field(
        default=1.2, description="by how much the saltiest day of the year is above the mean"
    )
    salinity_peak_day: Annotated[float, Field(ge=1, le=366)] = Field(
        default=135.0, description="day of the year that is the saltiest; 135 is 15 May, before the rains"
    )
    salinity_wander_g_l: Annotated[float, Field(ge=0, le=3)] = Field(
        default=0.5, description="most that rain, rivers and currents add or take"
    )


class Fouling(PartModel):
    """How membranes age, and when they are cleaned. The rates are assumptions within what plants report."""

    loss_percent: Annotated[float, Field(ge=0, le=50)] = Field(
        default=10.0, description="normalised permeate flow that is lost in loss_days, and comes back by cleaning"
    )
    loss_days: Annotated[float, Field(ge=5, le=3650)] = Field(default=90.0, description="in how many days it is lost")
    restored: Annotated[float, Field(ge=0.5, le=1)] = Field(
        default=0.95, description="share of it that a cleaning restores"
    )
    clean_at_percent: Annotated[float, Field(ge=1, le=40)] = Field(
        default=10.0, description="they are cleaned at the midnight after this much of it is lost"
    )
    clean_every_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        default=None, description="they are cleaned every so many days instead, whatever is lost"
    )
    yearly_percent: Annotated[float, Field(ge=0, le=20)] = Field(
        default=4.0, description="loss in a year that no cleaning brings back"
    )
    replace_at_percent: Annotated[float, Field(ge=1, le=50)] = Field(
        default=18.0, description="membranes are replaced once this much is lost for good"
    )


class Ro(PartModel):
    """How a seawater reverse osmosis train is built. Defaults: an element of 37 m2 (FilmTec SW30HRLE-400) and a plant
    with isobaric energy recovery."""

    sea: Sea = Field(default=Sea(), description="what it draws from")
    fouling: Fouling = Field(default=Fouling(), description="how its membranes age")
    vessels: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="pressure vessels in parallel; default: as many as bring the mean flow near flux_lmh"
    )
    flux_lmh: Annotated[float, Field(ge=2, le=40)] = Field(
        default=13.5, description="mean permeate in L/h per m2 that the number of vessels is chosen for"
    )
    elements: Annotated[int, Field(ge=1, le=12)] = Field(default=7, description="membrane elements in a vessel")
    element_m2: Annotated[float, Field(ge=1, le=100)] = Field(default=37.0, description="active area of an element")
    water_lmh_bar: Annotated[float, Field(ge=0.3, le=5)] = Field(
        default=1.15, description="permeability to water at 25 degrees C, in L/(m2 h bar)"
    )
    salt_lmh: Annotated[float, Field(ge=0.005, le=1)] = Field(
        default=0.057, description="permeability to salt at 25 degrees C, in L/(m2 h)"
    )
    vessel_drop_bar: Annotated[float, Field(ge=0, le=5)] = Field(
        default=1.2, description="pressure that is lost along a vessel"
    )
    pressure_max_bar: Annotated[float, Field(ge=20, le=150)] = Field(
        default=83.0, description="most that the elements may be fed with"
    )
    hp_efficiency: Annotated[float, Field(ge=0.3, le=1)] = Field(
        default=0.845, description="efficiency of the pump of high pressure with its motor"
    )
    booster_efficiency: Annotated[float, Field(ge=0.3, le=1)] = Field(
        default=0.8, description="efficiency of the booster pump behind the energy recovery"
    )
    erd_efficiency: Annotated[float, Field(ge=0.5, le=1)] = Field(
        default=0.97, description="energy recovery: pressure that the seawater gets over what the brine had"
    )
    erd_leakage: Annotated[float, Field(ge=0, le=0.1)] = Field(
        default=0.01, description="share of the brine that slips through the energy recovery and is pumped again"
    )
    erd_mixing: Annotated[float, Field(ge=0, le=0.2)] = Field(
        default=0.0, description="share of the brine that mixes into the seawater there; 0.06 is usual of rotors"
    )
    feed_pump_bar: Annotated[float, Field(ge=0, le=15)] = Field(
        default=3.0, description="what the feed pump lifts, and the filters consume"
    )
    feed_pump_efficiency: Annotated[float, Field(ge=0.3, le=1)] = Field(
        default=0.8, description="efficiency of the feed pump with its motor"
    )
    rest_kwh_m3: Annotated[float, Field(ge=0, le=5)] = Field(
        default=0.7, description="intake, pretreatment, post-treatment and delivery, in kWh per m3 of permeate"
    )


class Train(PartModel):
    """A desalination train: feed is split into permeate and brine, and energy follows the permeate.

    With `ro` pressures, salt and energy follow from its membranes and the sea, minute by minute.
    """

    title: str = Field(default="", description="what people call it")
    area: Id = Field(default=AREA, description="area that its figures belong to")
    feed_m3_h: Annotated[float, Field(gt=0, le=100_000)] = Field(description="mean feed flow in m3/h", examples=[40.0])
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
    ro: Ro | None = Field(default=None, description="how its membranes, pumps and energy recovery are built")

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        brine = BRINE_FLOWS if self.brine_used_share is not None else ()
        return (*of_flows(*TRAIN_FLOWS, *brine), *ENERGY_QUANTITIES, *self._by_ro())

    def _by_ro(self) -> tuple[str, ...]:
        if self.ro is None:
            return ()
        salt = tuple(f"{stream}.{what}" for stream in TRAIN_FLOWS for what in ("salt_kg", "salt_kg_h"))
        pumps = tuple(f"{pump}.{what}" for pump in PUMPS for what in ("energy_kwh", "power_w"))
        return (*MEMBRANE_QUANTITIES, *salt, *pumps)
