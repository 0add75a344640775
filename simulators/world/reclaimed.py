"""Water that is used again: a plant with its users and its losses, and industry that recirculates its own.

What the users take and what the pipes lose are sums of cosines, and the plant sends out their sum; what it treats and
does not send out goes to the river. A park reuses a share of what it uses and takes in the rest. So every balance
closes by construction, at every moment. A plant whose process is described follows from that instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add

from simulators import chance
from simulators.parts.base import DayCurve
from simulators.parts.city import Park, Plant
from simulators.world.plant_days import process_quantities
from simulators.world.quantity import Quantity, Waving, flow_quantities, shaped
from simulators.world.surroundings import NOWHERE, Surroundings
from simulators.world.waves import CosineSum, wandering


def plant_quantities(
    name: str, plant: Plant, *, seed: int, origin_ms: int, around: Surroundings = NOWHERE
) -> Mapping[str, Quantity]:
    """All quantities of a plant under their full names: `treated`, `reclaimed` (its outlet), each user, `losses`.

    With `process` there are more, and they know days and weather.
    """
    if plant.process is not None:
        return process_quantities(name, plant, plant.process, seed=seed, origin_ms=origin_ms, around=around)

    def flow(what: str, mean: float, day: DayCurve) -> CosineSum:
        return shaped(mean, day, of=chance.key(seed, name, what), origin_ms=origin_ms)

    treated = flow("treated", plant.treated_m3_h, plant.day)
    users = {user: flow(user, each.flow_m3_h, each.curve) for user, each in plant.users.items()}
    leaks = DayCurve(swing=0.0, wander=0.0)
    slow = wandering(size=plant.losses_wander, of=chance.key(seed, name, "losses"), origin_s=origin_ms / 1000.0)
    losses = shaped(plant.losses_m3_h, leaks, of=0, origin_ms=origin_ms) * CosineSum(1.0, slow)
    reclaimed = reduce(add, users.values(), losses)
    return flow_quantities(name, {"treated": treated, "reclaimed": reclaimed, **users, "losses": losses})


def park_quantities(name: str, park: Park, *, seed: int, origin_ms: int) -> dict[str, Waving]:
    """All quantities of a park under their full names: `reuse` and `fresh`."""
    used = shaped(park.used_m3_h, park.day, of=chance.key(seed, name, "used"), origin_ms=origin_ms)
    slow = wandering(size=park.reuse_wander, of=chance.key(seed, name, "reuse"), origin_s=origin_ms / 1000.0)
    reuse = used * CosineSum(park.reuse_share, slow)
    return flow_quantities(name, {"reuse": reuse, "fresh": used - reuse})
