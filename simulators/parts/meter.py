"""A meter as a person describes it: what it measures, on which line it answers, how far it departs from the truth."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulators.parts.base import Id, PartModel, UtcOffset

FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Port = Annotated[int, Field(ge=0, le=65535)]

FED_PROFILES = ("avia-hx711",)
"""Devices that are chips on a gateway's pins: their conversions are fetched from here, not read over Modbus."""

Positive = Annotated[float, Field(gt=0)]


class Line(PartModel):
    """A line that several units share: a TCP port as of a gateway with an RS-485 line, or such a line itself."""

    port: Port = Field(default=0, description="TCP port; 0 takes a free one")
    serial: bool = Field(default=False, description="a serial line (Modbus RTU on a pseudo-terminal) and no TCP port")
    baud: Annotated[int, Field(ge=300, le=1_000_000)] = Field(default=9600, description="serial: bits per second")


class LoadCell(PartModel):
    """A load cell behind a converter that shows counts: raw = zero_counts + counts_per_kg x gross mass."""

    zero_counts: Annotated[int, Field(ge=-(2**23), lt=2**23)] = Field(description="counts of the empty platform")
    counts_per_kg: Annotated[float, Field(ge=-1e6, le=1e6)] = Field(
        description="counts that one kilogram adds; negative where the cell hangs upside down"
    )

    def kilograms(self, counts: float) -> float:
        """The mass that `counts` stand for."""
        return (counts - self.zero_counts) / self.counts_per_kg


class Scale(PartModel):
    """How a scale departs from the load on it, besides its class."""

    noise_kg: Annotated[float, Field(ge=0, le=100)] = Field(
        default=0.02, description="most that it departs from its own level at rest, in kg"
    )
    creep_percent: Annotated[float, Field(ge=-5, le=5)] = Field(
        default=0.0, description="what 30 min under a load add to its reading, in % of the load; it goes back alike"
    )
    creep_s: Annotated[float, Field(ge=1, le=21_600)] = Field(
        default=1080.0, description="time constant of creep and recovery, in s"
    )
    zero_kg_per_10c: Annotated[float, Field(ge=-100, le=100)] = Field(
        default=0.0, description="how its zero moves with 10 degrees C more than 20, in kg"
    )
    zero_kg_per_month: Annotated[float, Field(ge=-100, le=100)] = Field(
        default=0.0, description="how its zero moves in 30 days, in kg"
    )


class Ambient(PartModel):
    """The air around a meter: a curve of the day and of the year, or a temperature of the world."""

    quantity: str | None = Field(default=None, description="quantity of the world that it follows, in degrees C")
    mean_c: Annotated[float, Field(ge=-40, le=60)] = Field(default=20.0, description="mean of the year, in degrees C")
    day_swing_c: Annotated[float, Field(ge=0, le=30)] = Field(
        default=0.0, description="half-range of a day, in degrees C; warmest at 15 h"
    )
    year_swing_c: Annotated[float, Field(ge=0, le=40)] = Field(
        default=0.0, description="half-range of a year, in degrees C; warmest in the last week of July"
    )
    utc_offset_h: UtcOffset = Field(default=8.0, description="local time less UTC, in h")


class Meter(PartModel):
    """A device: which profile it answers by, what it measures, and how well."""

    profile: str = Field(description="id of the device profile", examples=["eastron-sdm630"])
    gateway: Id | None = Field(default=None, description="gateway that is meant to read it; default: the scenario's")
    unit_id: Annotated[int, Field(ge=1, le=247)] | None = Field(
        default=None, description="Modbus unit id; default: the profile's"
    )
    port: Port | None = Field(default=None, description="a TCP port of its own; 0, and the default, takes a free one")
    line: str | None = Field(default=None, description="or the line that it shares with other units")
    fields: dict[FieldName, str] = Field(default={}, description="profile field -> quantity of the world that it shows")
    start: dict[FieldName, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="profile field -> what its totaliser showed at the origin"
    )
    resolution: dict[FieldName, Positive] = Field(
        default={}, description="profile field -> smallest step that it shows; default: the profile's, else 0.01"
    )
    levels: dict[FieldName, float] = Field(
        default={}, description="profile field -> level about which it wanders, where nothing in the world feeds it"
    )
    pipe_mm: Annotated[float, Field(gt=0, le=5000)] = Field(
        default=100.0, description="inner diameter of the pipe that a flow meter is on; its velocity follows"
    )
    load_cell: LoadCell | None = Field(default=None, description="a gross_kg is shown in counts of this load cell")
    scale: Scale = Field(default=Scale(), description="how a gross_kg or content_kg departs from the load")
    class_percent: Annotated[float, Field(ge=0, le=20)] = Field(
        default=1.0, description="class: the meter's one relative error is drawn from within +- this, in %"
    )
    offset: dict[FieldName, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="profile field -> class in its own unit: an offset is drawn from within +- this"
    )
    noise_percent: Annotated[float, Field(ge=0, le=50)] = Field(
        default=0.2, description="most that an instantaneous value departs from its own level, in %"
    )
    drift_percent_per_month: Annotated[float, Field(ge=-50, le=50)] = Field(
        default=0.0, description="how its relative error grows in 30 days from the origin on, in %"
    )
    percent_per_10c: Annotated[float, Field(ge=-10, le=10)] = Field(
        default=0.0, description="what 10 degrees C more than 20 add to its relative error, in %"
    )
    ambient: Ambient = Field(default=Ambient(), description="the temperature of the meter")
    lag_s: dict[FieldName, Annotated[float, Field(gt=0, le=21_600)]] = Field(
        default={}, description="profile field -> time constant, in s, with which it follows (first order)"
    )
    ends: dict[FieldName, tuple[float, float]] = Field(
        default={}, description="profile field -> lowest and highest value that the sensor can show"
    )
    beyond: Literal["end", "no_value"] = Field(
        default="end", description="what it shows beyond these ends: the end, or the profile's sign for no value"
    )
    rolls_over: dict[FieldName, Positive | Literal["register"]] = Field(
        default={},
        description="counter -> total at which it begins again at 0, or register: by the width of its registers;"
        " default: the profile's rollover",
    )
    pulse: dict[FieldName, Positive] = Field(
        default={},
        description="counter in float32 -> what the device adds at a time; at 2^24 times that it stops counting",
    )
