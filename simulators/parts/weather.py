"""The weather of a city as a person describes it: how warm the year and the day are, and when it rains how much."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simulators.parts.base import PartModel

WEATHER = "weather"
"""Its quantities stand behind this name."""
WEATHER_QUANTITIES = ("temperature_c", "rain_mm_h", "rain_mm")


class Rain(PartModel):
    """Events of constant intensity that come independently of one another, most in the rainy season."""

    events_per_year: Annotated[float, Field(ge=0, le=365)] = Field(default=60.0, description="mean number in a year")
    peak_day: Annotated[float, Field(ge=1, le=366)] = Field(
        default=206.0, description="day of the year around which most come; 206 is 25 July"
    )
    season: Annotated[float, Field(ge=0, le=8)] = Field(
        default=1.4, description="how closely they crowd around it: the concentration of a von Mises law; 0: not at all"
    )
    depth_mm: Annotated[float, Field(gt=0, le=200)] = Field(
        default=9.0, description="mean depth of an event; depths are exponential"
    )
    duration_h: Annotated[float, Field(ge=0.1, le=12)] = Field(
        default=4.0, description="mean duration of an event; durations are exponential"
    )


class Weather(PartModel):
    """The weather of a city. The defaults are round figures for a warm and rainy summer and a cold and dry winter."""

    temperature_c: Annotated[float, Field(ge=-20, le=35)] = Field(default=13.0, description="mean over the year")
    temperature_swing_c: Annotated[float, Field(ge=0, le=30)] = Field(
        default=15.5, description="by how much the warmest day of the year is above the mean"
    )
    temperature_peak_day: Annotated[float, Field(ge=1, le=366)] = Field(
        default=204.0, description="day of the year that is the warmest; 204 is 23 July"
    )
    day_swing_c: Annotated[float, Field(ge=0, le=15)] = Field(
        default=5.0, description="by how much the afternoon is above the mean of its day"
    )
    warmest_hour: Annotated[float, Field(ge=0, lt=24)] = Field(default=15.0, description="local hour")
    wander_c: Annotated[float, Field(ge=0, le=15)] = Field(
        default=6.0, description="most that the days are warmer or colder than usual"
    )
    rain: Rain = Field(default=Rain(), description="when it rains, and how much")

    def quantities(self) -> tuple[str, ...]:
        """The names of what it has."""
        return WEATHER_QUANTITIES
