"""A three-phase supply around 230 V and 50 Hz whose voltages, currents, powers and power factor agree."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from simulators import chance

NOMINAL_V = 230.0
NOMINAL_HZ = 50.0
"""EN 50160: nominal voltage and frequency of a public low-voltage supply."""

_PHASE = re.compile(r"_l([123])(?:_l([123]))?_")


@dataclass(frozen=True, slots=True)
class ThreePhase:
    """One moment: per phase V, A and W; power factor; Hz."""

    volts: tuple[float, ...]
    amps: tuple[float, ...]
    watts: tuple[float, ...]
    power_factor: float
    hertz: float


def three_phase(of: int, power_w: float, t_ms: int) -> ThreePhase:
    """The supply of the device with key `of` at `t_ms` while it draws `power_w` in all."""
    volts = tuple(
        NOMINAL_V * (1.0 + 0.012 * chance.drift(of + n, t_ms, 600_000) + 0.001 * chance.jitter(of + n, t_ms))
        for n in (1, 2, 3)
    )
    power_factor = 0.95 + 0.02 * chance.drift(of + 4, t_ms, 900_000) + 0.002 * chance.jitter(of + 4, t_ms)
    uneven = [1.0 + 0.05 * chance.drift(of + n, t_ms, 300_000) for n in (5, 6, 7)]
    watts = tuple(power_w * share / math.fsum(uneven) for share in uneven)
    amps = tuple(w / (v * power_factor) for w, v in zip(watts, volts, strict=True))
    hertz = NOMINAL_HZ + 0.03 * chance.drift(of + 8, t_ms, 60_000) + 0.003 * chance.jitter(of + 8, t_ms)
    return ThreePhase(volts, amps, watts, power_factor, hertz)


def reading(supply: ThreePhase, field: str) -> float | None:
    """What `field` shows of the supply, by its name (`voltage_l1_v`, `current_l2_a`, `power_w`), or None."""
    phase = _PHASE.search(field)
    one = int(phase[1]) - 1 if phase else None
    if field.endswith("_v"):
        volts = supply.volts[one] if one is not None else math.fsum(supply.volts) / 3.0
        return volts * math.sqrt(3.0) if phase is not None and phase[2] else volts
    if field.endswith("_a"):
        return supply.amps[one] if one is not None else math.fsum(supply.amps)
    if field.startswith("power_factor"):
        return supply.power_factor
    if field.endswith("_hz"):
        return supply.hertz
    watts = supply.watts[one] if one is not None else math.fsum(supply.watts)
    if field.endswith("_w"):
        return watts
    if field.endswith("_va"):
        return watts / supply.power_factor
    if field.endswith("_var"):
        return watts * math.sqrt(1.0 / supply.power_factor**2 - 1.0)
    return None
