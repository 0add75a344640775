"""`simulators.electrical` for columns of times: the same supply, minute for minute, to within the last digits."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators import chance
from simulators.electrical import NOMINAL_HZ, NOMINAL_V

Column = NDArray[np.float64]
Times = NDArray[np.int64]

_PHASE = re.compile(r"_l([123])(?:_l([123]))?_")
_KEYS = 1 << 64


@dataclass(frozen=True, slots=True)
class Supply:
    """Per phase V, A and W; power factor; Hz."""

    volts: tuple[Column, ...]
    amps: tuple[Column, ...]
    watts: tuple[Column, ...]
    power_factor: Column
    hertz: Column


def supply_columns(of: int, power_w: Column, t_ms: Times) -> Supply:
    """What `electrical.three_phase` says at each of these times."""

    def drift(n: int, every_ms: int) -> Column:
        return chance.drifts((of + n) % _KEYS, t_ms, every_ms)

    def jitter(n: int) -> Column:
        return 2.0 * chance.units((of + n) % _KEYS, t_ms) - 1.0

    volts = tuple(NOMINAL_V * (1.0 + 0.012 * drift(n, 600_000) + 0.001 * jitter(n)) for n in (1, 2, 3))
    power_factor = 0.95 + 0.02 * drift(4, 900_000) + 0.002 * jitter(4)
    uneven = [1.0 + 0.05 * drift(n, 300_000) for n in (5, 6, 7)]
    total = uneven[0] + uneven[1] + uneven[2]
    watts = tuple(power_w * share / total for share in uneven)
    amps = tuple(w / (v * power_factor) for w, v in zip(watts, volts, strict=True))
    hertz = NOMINAL_HZ + 0.03 * drift(8, 60_000) + 0.003 * jitter(8)
    return Supply(volts, amps, watts, power_factor, hertz)


def reading_column(supply: Supply, field: str) -> Column | None:
    """What `electrical.reading` says of `field`, or None where it says nothing."""
    phase = _PHASE.search(field)
    one = int(phase[1]) - 1 if phase else None
    if field.endswith("_v"):
        volts = _of(supply.volts, one) / (1.0 if one is not None else 3.0)
        return volts * np.sqrt(3.0) if phase is not None and phase[2] else volts
    if field.endswith("_a"):
        return _of(supply.amps, one)
    if field.startswith("power_factor"):
        return supply.power_factor
    if field.endswith("_hz"):
        return supply.hertz
    watts = _of(supply.watts, one)
    if field.endswith("_w"):
        return watts
    if field.endswith("_va"):
        return watts / supply.power_factor
    if field.endswith("_var"):
        reactive: Column = watts * np.sqrt(1.0 / supply.power_factor**2 - 1.0)
        return reactive
    return None


def _of(phases: tuple[Column, ...], one: int | None) -> Column:
    return phases[one] if one is not None else phases[0] + phases[1] + phases[2]
