"""A desalination train with a closed balance: what is fed leaves as permeate or brine, energy follows the permeate.

Feed, recovery and specific energy are sums of cosines; permeate = recovery x feed, brine = feed - permeate and power =
specific energy x permeate are then sums of cosines too, so every total is exact at every moment.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulators import chance
from simulators.scenario import Train
from simulators.world.waves import CosineSum, Wave, day_curve, wandering


@dataclass(frozen=True, slots=True)
class Quantity:
    """A named quantity of the world: a rate itself, or (`total`) its integral over hours, times `factor`."""

    rate: CosineSum
    total: bool
    factor: float = 1.0

    def at(self, tau_s: float) -> float:
        """The value `tau_s` seconds after the origin; totals are 0 there."""
        if self.total:
            return self.rate.integral(tau_s) * self.factor / 3600.0
        return self.rate.at(tau_s) * self.factor


def train_quantities(name: str, train: Train, *, seed: int, origin_ms: int) -> dict[str, Quantity]:
    """All quantities of a train under their full names: m3, m3/h, kWh and W."""
    origin_s = origin_ms / 1000.0
    day = day_curve(
        swing=train.day.swing,
        peak_hour=train.day.peak_hour,
        origin_local_s=origin_s + train.day.utc_offset_h * 3600.0,
    )

    def slow(what: str, size: float) -> tuple[Wave, ...]:
        return wandering(size=size, of=chance.key(seed, name, what), origin_s=origin_s)

    feed = CosineSum(1.0, day + slow("feed", train.day.wander)) * CosineSum(train.feed_m3_h)
    recovery = CosineSum(train.recovery, slow("recovery", train.recovery_wander))
    assert feed.least() > 0.0 and recovery.least() > 0.0, "the bounds of the scenario keep every total rising"
    permeate = feed * recovery
    brine = feed - permeate
    power_kw = permeate * CosineSum(train.specific_energy_kwh_m3, slow("energy", train.specific_energy_wander))
    flows = {"feed": feed, "permeate": permeate, "brine": brine}
    found = {f"{name}.{part}.volume_m3": Quantity(flow, total=True) for part, flow in flows.items()}
    found |= {f"{name}.{part}.flow_m3_h": Quantity(flow, total=False) for part, flow in flows.items()}
    found[f"{name}.energy.energy_kwh"] = Quantity(power_kw, total=True)
    found[f"{name}.energy.power_w"] = Quantity(power_kw, total=False, factor=1000.0)
    return found
