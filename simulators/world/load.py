"""Electrical loads, and columns of values like a real meter's for benchmarks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulators import chance
from simulators.parts.city import Load
from simulators.world.quantity import Waving, shaped

Column = NDArray[np.float64]
Times = NDArray[np.int64]

_INSTALLED_MS = 1_704_067_200_000
"""When these meters began to count: 2024-01-01 UTC."""


def load_quantities(name: str, load: Load, *, seed: int, origin_ms: int) -> dict[str, Waving]:
    """Energy in kWh and power in W of a load, under their full names."""
    power_w = shaped(load.power_w, load.day, of=chance.key(seed, name, "power"), origin_ms=origin_ms)
    return {
        f"{name}.power_w": Waving(power_w, total=False),
        f"{name}.energy_kwh": Waving(power_w, total=True, factor=0.001),
    }


def series_values(seed: int, device: str, field: str, t_ms: Times) -> Column:
    """Values of one field of one device at the times `t_ms` (shape (n,), ms UTC), as a meter would show them.

    The name of the field decides: its unit stands at its end. Totalisers (`_kwh`, `_m3`) rise; all others wander and
    jitter about a level of their own. The same arguments give the same column in every process.
    """
    of = chance.key(seed, device, field)
    for ending, shape in _SHAPES:
        if field.endswith(ending):
            return shape(of, t_ms.astype(np.int64))
    return _about(of, t_ms.astype(np.int64), level=100.0, spread=0.5, slow=0.05, fast=0.005, digits=2)


def _about(of: int, t_ms: Times, *, level: float, spread: float, slow: float, fast: float, digits: int) -> Column:
    """A level drawn within +- `spread` of `level`, wandering by `slow` and jittering by `fast`, all relative."""
    own = level * (1.0 + spread * (2.0 * chance.unit(of) - 1.0))
    wander = chance.drifts(of ^ 1, t_ms, 600_000)
    jitter = 2.0 * chance.units(of ^ 2, t_ms) - 1.0
    return np.round(own * (1.0 + slow * wander + fast * jitter), digits)


def _rising(of: int, t_ms: Times, *, per_h: float, digits: int) -> Column:
    """A totaliser at a rate drawn within +- 50 % of `per_h` that varies by 30 % over 24 h; it counts whole steps."""
    rate_per_ms = per_h * (0.5 + chance.unit(of)) / 3.6e6
    omega = 2.0 * np.pi / 86.4e6
    phase = 2.0 * np.pi * chance.unit(of, 1)
    total: Column = rate_per_ms * ((t_ms - _INSTALLED_MS) + 0.3 / omega * np.sin(omega * (t_ms % 86_400_000) + phase))
    step = 10.0**-digits
    return np.round(np.floor(total / step) * step, digits)


def _shape(**how: float) -> Callable[[int, Times], Column]:
    digits = int(how.pop("digits"))
    if "per_h" in how:
        return lambda of, t_ms: _rising(of, t_ms, per_h=how["per_h"], digits=digits)
    return lambda of, t_ms: _about(of, t_ms, **how, digits=digits)


_SHAPES: tuple[tuple[str, Callable[[int, Times], Column]], ...] = (
    ("_kwh", _shape(per_h=4.0, digits=2)),
    ("_m3", _shape(per_h=120.0, digits=3)),
    ("_v", _shape(level=230.0, spread=0.01, slow=0.01, fast=0.001, digits=2)),
    ("_a", _shape(level=60.0, spread=0.8, slow=0.2, fast=0.01, digits=3)),
    ("_hz", _shape(level=50.0, spread=0.0, slow=0.0005, fast=0.0001, digits=3)),
    ("_w", _shape(level=40_000.0, spread=0.8, slow=0.2, fast=0.01, digits=1)),
    ("_va", _shape(level=42_000.0, spread=0.8, slow=0.2, fast=0.01, digits=1)),
    ("_var", _shape(level=12_000.0, spread=0.8, slow=0.2, fast=0.01, digits=1)),
    ("power_factor", _shape(level=0.95, spread=0.03, slow=0.01, fast=0.002, digits=3)),
    ("_m3_h", _shape(level=120.0, spread=0.5, slow=0.1, fast=0.005, digits=3)),
)
