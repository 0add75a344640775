"""When a load has come to rest, and at which level. Pure."""

from __future__ import annotations

from collections import deque
from statistics import median


class Steady:
    """The last `samples` loads; steady while they lie within `span_kg`. Wind and a leaning hand keep it restless."""

    def __init__(self, *, samples: int, span_kg: float) -> None:
        self._span_kg = span_kg
        self._loads: deque[float] = deque(maxlen=samples)

    def feed(self, load_kg: float) -> float | None:
        """The level of rest, or None while there is none."""
        self._loads.append(load_kg)
        if len(self._loads) < (self._loads.maxlen or 0) or max(self._loads) - min(self._loads) > self._span_kg:
            return None
        return median(self._loads)

    def disturbed(self) -> None:
        """Something happened: what was seen before says nothing of the level after it."""
        self._loads.clear()
