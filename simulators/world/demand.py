"""What users of reclaimed water want at each minute: by class of use, day, warmth and rain.

The hours are assumptions after common practice: industry runs through, streets are washed early and in the evening,
rivers are fed at night, parks are watered early and late in the warm months and not while it rains.
"""

from __future__ import annotations

import numpy as np

from simulators import chance
from simulators.parts.city import User
from simulators.world.surroundings import Surroundings
from simulators.world.tabulated import DAY_MS, HOUR_MS, MINUTE_MS, MINUTES
from simulators.world.waves import Column

USE_HOURS: dict[str, tuple[float, ...]] = {
    "industry": (0.85,) * 7 + (1.0, 1.15) + (1.2,) * 8 + (1.1, 1.0) + (0.9,) * 5,
    "municipal": (0.1,) * 4 + (1.0, 2.8, 3.0, 2.2) + (0.8,) * 10 + (1.6, 2.0, 1.6, 0.6) + (0.2,) * 2,
    "ecological": (1.5,) * 6 + (1.0,) * 2 + (0.7,) * 10 + (0.9,) * 2 + (1.2,) * 4,
    "landscape": (0.2,) * 4 + (1.4, 3.2, 3.4, 2.0) + (0.5,) * 9 + (1.8, 2.6, 2.0, 0.8) + (0.2,) * 3,
    "agricultural": (0.8,) * 4 + (1.6, 2.2, 2.2, 1.8) + (0.7,) * 8 + (1.2, 1.4, 1.2) + (0.6,) * 5,
}
"""Class of use -> weight of each local hour."""
WATERED = ("landscape", "agricultural")
"""Classes that drink with the warmth: nothing below 2 degrees, the mean at 14, at most one and a half times that."""
WATERING_MOST = 1.5
RAIN_MM_H = 0.1
_WANDER_MS = 2 * HOUR_MS


def day_hours(user: User) -> Column:
    """Demand over its mean for each minute of a workday, before it wanders."""
    hours = (np.arange(MINUTES) + 0.5) * MINUTE_MS / HOUR_MS
    if user.day is not None:
        turn = 2.0 * np.pi * (hours - user.day.peak_hour) / 24.0
        return 1.0 + user.day.swing * (np.cos(turn) + np.cos(2.0 * turn) / 3.0)
    weights = np.asarray(USE_HOURS[user.use])
    around = np.concatenate((weights[-1:], weights, weights[:1]))
    found: Column = np.interp(hours, np.arange(-0.5, 25.0), around)
    found /= found.mean()
    return found


def most(user: User, *, by_season: bool) -> Column:
    """A bound of the demand over its mean for each minute of any day."""
    found: Column = day_hours(user) * max(1.0, user.day_off) * (1.0 + user.curve.wander)
    return found * WATERING_MOST if by_season and user.use in WATERED else found


def demand_m3_h(user: User, day: int, *, of: int, around: Surroundings) -> Column:
    """What `user` wants at each minute of local day `day`, by the key `of`."""
    local_ms = day * DAY_MS + MINUTE_MS * np.arange(MINUTES, dtype=np.int64)
    found: Column = user.flow_m3_h * day_hours(user) * (user.day_off if around.days.is_off(day) else 1.0)
    found *= 1.0 + user.curve.wander * chance.drifts(of, local_ms, _WANDER_MS)
    if around.sky is not None and user.use in WATERED:
        weather = around.sky.of_day(day)
        warmth = float(np.clip((weather.temperature_c.mean() - 2.0) / 12.0, 0.0, WATERING_MOST))
        found *= warmth * (weather.rain_mm_h < RAIN_MM_H)
    return found
