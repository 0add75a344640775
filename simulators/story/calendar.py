"""The days of a story: local days, one after the other, each cut into equal steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from simulators.scenario import Scenario

DAY_MS, HOUR_MS, SECOND_MS = 86_400_000, 3_600_000, 1000
DAYS_MAX = 36_500
STEPS_MAX = 86_400
"""Most steps of a day: one a second."""

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days from `from_ms` (ms UTC) on, and the moments in each at which everything is looked at."""

    from_ms: int
    every_ms: int
    offset_ms: int
    """Local time less UTC."""

    def __post_init__(self) -> None:
        if self.every_ms < SECOND_MS or DAY_MS % self.every_ms:
            raise ValueError(f"a step of {self.every_ms} ms does not divide a day; give 1s, 10s, 1m, 15m or the like")

    def begin_ms(self, day: int) -> int:
        """When the day with this number, counted from 0, begins."""
        return self.from_ms + day * DAY_MS

    def times(self, day: int) -> Times:
        """The moments of a day, its begin included and its end not."""
        return self.begin_ms(day) + np.arange(0, DAY_MS, self.every_ms, dtype=np.int64)

    def date(self, day: int) -> str:
        """The local date of the begin of a day, such as 2025-07-01."""
        return self.local(self.begin_ms(day))[:10]

    def local(self, t_ms: int) -> str:
        """ISO date and time of the zone, to the second."""
        return iso(t_ms, self.offset_ms)


def iso(t_ms: int, offset_ms: int) -> str:
    """ISO date and time, to the second, with the offset of its zone."""
    moment = datetime.fromtimestamp((t_ms + offset_ms) // 1000, UTC)
    sign, minutes = "-" if offset_ms < 0 else "+", abs(offset_ms) // 60_000
    return f"{moment:%Y-%m-%dT%H:%M:%S}{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def instant_ms(text: str, offset_ms: int) -> int:
    """ms UTC of an ISO date or time; without an offset it is meant in the zone. ValueError for other text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text}: no ISO date or time; write 2025-07-01 or 2025-07-01T06:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC) - timedelta(milliseconds=offset_ms)
    return round(moment.timestamp() * 1000)


def offset_ms_of(scenario: Scenario) -> int:
    """Local time less UTC in ms, by what most parts of the scenario say; 8 h where none says anything."""
    said = Counter(_offsets(scenario))
    hours = min(said, key=lambda each: (-said[each], each)) if said else 8.0
    return round(hours * HOUR_MS)


def _offsets(part: object) -> list[float]:
    """Every `utc_offset_h` in a scenario, however deep."""
    if isinstance(part, BaseModel):
        found = [float(part.utc_offset_h)] if hasattr(part, "utc_offset_h") else []
        return found + [each for name in type(part).model_fields for each in _offsets(getattr(part, name))]
    if isinstance(part, Mapping):
        return [each for value in part.values() for each in _offsets(value)]
    return []
