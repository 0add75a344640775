"""The weather of every local day from the seed: air temperature, and rain as rectangular pulses.

Events come as a Poisson process whose rate follows the season by a von Mises law; depth and duration are exponential,
intensity is constant within an event (Rodriguez-Iturbe, Cox, Isham: Proceedings of the Royal Society A 410, 1987).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from simulators import chance
from simulators.parts.weather import WEATHER, Rain, Weather
from simulators.world.tabulated import DAY_MS, HOUR_MS, MINUTE_MS, MINUTES, Integral, Tabulated, TabulatedQuantity
from simulators.world.waves import Column

YEAR_DAYS = 365.2425
WANDER_MS = 4 * DAY_MS

DURATION_H_MAX = 48.0
"""Longest event; durations are drawn from the exponential law below it."""
_DAYS_BACK = 2
DAYS_KEPT_MAX = 8


class Event(NamedTuple):
    """Rain: begin in ms of local time since 1970-01-01, duration in h, depth in mm."""

    begin_ms: int
    duration_h: float
    depth_mm: float


class DayWeather(NamedTuple):
    """One local day, minute by minute."""

    temperature_c: Column
    rain_mm_h: Column


class Sky:
    """The weather of a scenario; a day that is asked for by many parts is made once."""

    def __init__(self, weather: Weather, *, seed: int, utc_offset_h: float) -> None:
        self.utc_offset_h = utc_offset_h
        self._weather = weather
        self._seed = seed
        self._wander = chance.key(seed, WEATHER, "temperature")
        self._kept: OrderedDict[int, DayWeather] = OrderedDict()

    def of_day(self, day: int) -> DayWeather:
        """The weather of local day `day`, counted from 1970-01-01; the columns are shared and must not be changed."""
        if day not in self._kept:
            self._kept[day] = DayWeather(self._temperature(day), self._rain(day))
        self._kept.move_to_end(day)
        while len(self._kept) > DAYS_KEPT_MAX:
            self._kept.popitem(last=False)
        return self._kept[day]

    def state0(self) -> None:
        """The weather of a day needs nothing of the day before."""
        return

    def day(self, day: int, state: None) -> tuple[Mapping[str, Column], None]:
        """The columns of a day."""
        return self.of_day(day)._asdict(), state

    def _temperature(self, day: int) -> Column:
        weather = self._weather
        local_ms = day * DAY_MS + MINUTE_MS * np.arange(MINUTES, dtype=np.int64) + MINUTE_MS // 2
        year = np.cos(2.0 * np.pi * (local_ms / DAY_MS - (weather.temperature_peak_day - 0.5)) / YEAR_DAYS)
        hour = np.cos(2.0 * np.pi * ((local_ms % DAY_MS) / HOUR_MS - weather.warmest_hour) / 24.0)
        wander: Column = weather.wander_c * chance.drifts(self._wander, local_ms, WANDER_MS)
        return weather.temperature_c + weather.temperature_swing_c * year + weather.day_swing_c * hour + wander

    def _rain(self, day: int) -> Column:
        begin_ms = day * DAY_MS + MINUTE_MS * np.arange(MINUTES, dtype=np.float64)
        rain = np.zeros(MINUTES)
        for back in range(_DAYS_BACK, -1, -1):
            for event in rain_of_day(self._weather.rain, day - back, seed=self._seed):
                end_ms = event.begin_ms + event.duration_h * HOUR_MS
                wet_ms = np.minimum(begin_ms + MINUTE_MS, end_ms) - np.maximum(begin_ms, event.begin_ms)
                rain += np.maximum(0.0, wet_ms) / MINUTE_MS * (event.depth_mm / event.duration_h)
        return rain


def rain_of_day(rain: Rain, day: int, *, seed: int) -> list[Event]:
    """The events that begin on local day `day`, in order of time."""
    of = chance.key(seed, WEATHER, "rain", str(day))
    per_day = events_per_day(rain, day)
    found: list[Event] = []
    at_day, n = 0.0, 0
    while per_day > 0.0:
        at_day += -math.log1p(-chance.unit(of, n)) / per_day
        if at_day >= 1.0:
            break
        dry = -math.expm1(-DURATION_H_MAX / rain.duration_h)
        duration_h = -rain.duration_h * math.log1p(-dry * chance.unit(of, n + 1))
        depth_mm = -rain.depth_mm * math.log1p(-chance.unit(of, n + 2))
        found.append(Event(day * DAY_MS + int(at_day * DAY_MS), max(1.0 / 60.0, duration_h), depth_mm))
        n += 3
    return found


def events_per_day(rain: Rain, day: int) -> float:
    """How many events local day `day` brings on average."""
    phase = 2.0 * math.pi * (day - (rain.peak_day - 1.0)) / YEAR_DAYS
    crowd = math.exp(rain.season * math.cos(phase)) / float(np.i0(rain.season))
    return rain.events_per_year / YEAR_DAYS * crowd


def weather_quantities(sky: Sky, *, origin_ms: int) -> dict[str, TabulatedQuantity]:
    """Air temperature, intensity of the rain and its depth since the origin."""
    table = Tabulated(
        sky,
        name=WEATHER,
        origin_ms=origin_ms,
        utc_offset_h=sky.utc_offset_h,
        integrals={"rain_mm": Integral("rain_mm_h")},
    )
    return table.quantities(("temperature_c", "rain_mm_h"))
