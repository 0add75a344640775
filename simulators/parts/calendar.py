"""The days of a city: its time zone, its weekend, its holidays and the days that are worked instead."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from simulators.parts.base import PartModel, UtcOffset

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DayKind = Literal["workday", "weekend", "holiday"]

EPOCH_DAY = date(1970, 1, 1).toordinal()


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - EPOCH_DAY


def weekday_of(day: int) -> Weekday:
    """The day of the week of a day counted from 1970-01-01, which was a Thursday."""
    return WEEKDAYS[(day + 3) % 7]


class Holiday(PartModel):
    """Days off, from the first to the last of them."""

    title: str = Field(default="", description="what people call it")
    first: date = Field(examples=["2026-10-01"], description="first day")
    last: date | None = Field(default=None, description="last day; default: the first")

    @property
    def days(self) -> range:
        """Its days, counted from 1970-01-01."""
        return range(day_number(self.first), day_number(self.last or self.first) + 1)


class Calendar(PartModel):
    """Which day is a workday. Holidays and the days worked instead are decreed year by year, so they are data."""

    utc_offset_h: UtcOffset = Field(default=8.0, description="local time less UTC, in h")
    years: tuple[Annotated[int, Field(ge=1970, le=2200)], ...] = Field(
        default=(), max_length=100, description="years whose decrees it holds; default: whichever it has days of"
    )
    weekend: tuple[Weekday, ...] = Field(default=("saturday", "sunday"), max_length=6, description="days of rest")
    holidays: tuple[Holiday, ...] = Field(default=(), max_length=2000, description="days off")
    working_days: tuple[date, ...] = Field(
        default=(), max_length=2000, description="days of a weekend that are worked instead of others"
    )


class Window(PartModel):
    """When a drop-off point is open."""

    from_hour: Annotated[float, Field(ge=0, lt=24)] = Field(description="local hour at which it opens")
    to_hour: Annotated[float, Field(gt=0, le=24)] = Field(description="and closes")
    days: Literal["all", "workdays", "days_off"] = Field(default="all", description="on which days")

    def on(self, kind: DayKind) -> bool:
        """Whether it is open on such a day."""
        return self.days == "all" or (self.days == "workdays") == (kind == "workday")
