"""Electrical loads."""

from __future__ import annotations

from simulators import chance
from simulators.parts.city import Load
from simulators.world.quantity import Waving, shaped


def load_quantities(name: str, load: Load, *, seed: int, origin_ms: int) -> dict[str, Waving]:
    """Energy in kWh and power in W of a load, under their full names."""
    power_w = shaped(load.power_w, load.day, of=chance.key(seed, name, "power"), origin_ms=origin_ms)
    return {
        f"{name}.power_w": Waving(power_w, total=False),
        f"{name}.energy_kwh": Waving(power_w, total=True, factor=0.001),
    }
