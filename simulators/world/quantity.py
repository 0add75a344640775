"""What a quantity of the world is: a value at every moment, and whether it is a total that only rises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from simulators.parts.base import DayCurve
from simulators.world.waves import Column, CosineSum, day_curve, wandering


class Quantity(Protocol):
    """Something that can be known of the world."""

    @property
    def total(self) -> bool:
        """It only rises, and is 0 at the origin."""
        ...

    def at(self, tau_s: float) -> float:
        """The value `tau_s` seconds after the origin."""
        ...

    def column(self, tau_s: Column) -> Column:
        """The values at a column of times, equal to those of `at` within 1e-12."""
        ...


@dataclass(frozen=True, slots=True)
class Waving:
    """A rate that is a sum of cosines, or (`total`) its integral over hours, times `factor`."""

    rate: CosineSum
    total: bool
    factor: float = 1.0

    def at(self, tau_s: float) -> float:
        """The value `tau_s` seconds after the origin; totals are 0 there."""
        if self.total:
            return self.rate.integral(tau_s) * self.factor / 3600.0
        return self.rate.at(tau_s) * self.factor

    def column(self, tau_s: Column) -> Column:
        """The values at a column of times."""
        if self.total:
            return self.rate.integral_column(tau_s) * (self.factor / 3600.0)
        return self.rate.column(tau_s) * self.factor


def flow_quantities(name: str, flows: Mapping[str, CosineSum]) -> dict[str, Waving]:
    """Volume in m3 and rate in m3/h of each flow of the part `name`, under their full names."""
    found = {f"{name}.{flow}.volume_m3": Waving(rate, total=True) for flow, rate in flows.items()}
    return found | {f"{name}.{flow}.flow_m3_h": Waving(rate, total=False) for flow, rate in flows.items()}


def shaped(mean: float, day: DayCurve, *, of: int, origin_ms: int) -> CosineSum:
    """A rate about `mean` that follows the hour of the day and wanders by the key `of`."""
    origin_s = origin_ms / 1000.0
    waves = day_curve(
        swing=day.swing, peak_hour=day.peak_hour, origin_local_s=origin_s + day.utc_offset_h * 3600.0
    ) + wandering(size=day.wander, of=of, origin_s=origin_s)
    return CosineSum(1.0, waves) * CosineSum(mean)
