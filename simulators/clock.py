"""Civil time for everything simulated: the wall clock, scaled for a demo in the same way as in all other processes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from data_contract.civil import CLOCK_VARIABLE, ScaledClock


class CivilClock:
    """Says which civil time it is; deadlines and time-outs are not its business."""

    def __init__(self, *, scaled: ScaledClock) -> None:
        self._scaled = scaled

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> CivilClock:
        """The clock that LOOPGAUGE_CLOCK asks for, real time if it is unset. ValueError says what is wrong with it."""
        return cls(scaled=ScaledClock.parse(environment.get(CLOCK_VARIABLE)))

    @property
    def origin_ms(self) -> int | None:
        """Civil time at which the demo began, in ms UTC; None in real time, which begins nowhere."""
        return self._scaled.origin_ms or None

    def now_ms(self) -> int:
        """Civil time in ms UTC."""
        return self._scaled.now_ms(time.time() * 1000)

    def real_s(self, civil_ms: float) -> float:
        """How many real seconds a civil span of `civil_ms` lasts."""
        return self._scaled.real_s(civil_ms)
