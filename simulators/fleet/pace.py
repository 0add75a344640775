"""How the fleet's own civil time runs: with the clock, or faster or slower, so that a wanted rate comes out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.fleet.plan import BadPlan


@dataclass(frozen=True, slots=True)
class Pace:
    """Civil time of the fleet: `start_ms` (ms UTC) at the first moment, then `speed` times as fast as real time."""

    start_ms: int
    speed: float

    def now_ms(self, real_s: float) -> int:
        """Civil time after so many real s, ms UTC."""
        return self.start_ms + int(real_s * 1000 * self.speed)


def pace_of(
    *, natural_rate: float, rate: float | None, for_s: float | None, now_ms: int, clock_speed: float, seal_ms: int
) -> Pace:
    """The pace at which a fleet that is called for `natural_rate` readings per civil s gives `rate` per real s.

    A faster fleet begins in the past, so that it has reached the present when it ends: nobody stores the future.
    Raises BadPlan.
    """
    speed = clock_speed if rate is None else rate / natural_rate
    if speed > clock_speed:
        if for_s is None:
            raise BadPlan(
                f"--rate {rate:g}: the gateways make {natural_rate * clock_speed:g} readings/s by themselves; to be"
                " faster they must begin in the past, so say how long it lasts (--for)"
            )
        now_ms -= round(for_s * 1000 * (speed - clock_speed))
    return Pace(now_ms // seal_ms * seal_ms, speed)


@dataclass(frozen=True, slots=True)
class Outage:
    """A share of the gateways loses its connection at `start_s` and may come back after `duration_s`, all at once."""

    start_s: float
    duration_s: float
    share: float

    @classmethod
    def parse(cls, text: str) -> Outage:
        """`START,DURATION,SHARE`, as `60,30,0.5`: s after the begin, s, and a share from 0 to 1. Raises ValueError."""
        start_s, duration_s, share = map(float, text.split(","))
        if not (start_s >= 0 and duration_s >= 0 and 0 <= share <= 1):
            raise ValueError(text)
        return cls(start_s, duration_s, share)
