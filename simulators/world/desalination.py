"""A desalination train with a closed balance: what is fed leaves as permeate or brine, energy follows the permeate.

Feed, recovery and specific energy are sums of cosines; permeate = recovery x feed, brine = feed - permeate and power =
specific energy x permeate are then sums of cosines too, so every total is exact at every moment. So is the share of the
brine that users take; the outfall has the rest. A train whose membranes are described follows from them instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulators import chance
from simulators.parts.train import Train
from simulators.world.quantity import Quantity, Waving, flow_quantities, shaped
from simulators.world.ro_days import ro_quantities
from simulators.world.waves import CosineSum, Wave, wandering


def train_quantities(name: str, train: Train, *, seed: int, origin_ms: int) -> Mapping[str, Quantity]:
    """All quantities of a train under their full names: m3, m3/h, kWh and W, and with `ro` more."""
    if train.ro is not None:
        return ro_quantities(name, train, train.ro, seed=seed, origin_ms=origin_ms)
    origin_s = origin_ms / 1000.0

    def slow(what: str, size: float) -> tuple[Wave, ...]:
        return wandering(size=size, of=chance.key(seed, name, what), origin_s=origin_s)

    feed = shaped(train.feed_m3_h, train.day, of=chance.key(seed, name, "feed"), origin_ms=origin_ms)
    recovery = CosineSum(train.recovery, slow("recovery", train.recovery_wander))
    assert feed.least() > 0.0 and recovery.least() > 0.0, "the bounds of the scenario keep every total rising"
    permeate = feed * recovery
    brine = feed - permeate
    power_kw = permeate * CosineSum(train.specific_energy_kwh_m3, slow("energy", train.specific_energy_wander))
    flows = {"feed": feed, "permeate": permeate, "brine": brine}
    if train.brine_used_share is not None:
        used = brine * CosineSum(train.brine_used_share, slow("brine used", train.brine_used_wander))
        flows |= {"brine_used": used, "brine_outfall": brine - used}
    found = flow_quantities(name, flows)
    found[f"{name}.energy.energy_kwh"] = Waving(power_kw, total=True)
    found[f"{name}.energy.power_w"] = Waving(power_kw, total=False, factor=1000.0)
    return found
