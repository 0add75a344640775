"""What the meters of a fleet show, by column: loads with a day of their own, totals that are exactly their integral,
a grid that sags under load, noise, and steps of each field's resolution. Pure, and the same in every process.

A load is a sum of waves about its mean (a day, half a day and two short ones), so that its energy has a closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators import chance

Keys = NDArray[np.uint64]
"""One key for each meter, shape (meters, 1): see `keys_of`."""
Times = NDArray[np.int64]
"""ms UTC, shape (meters, n)."""
Columns = NDArray[np.float64]

INSTALLED_MS = 1_704_067_200_000
"""When these meters began to count: 2024-01-01 UTC."""
DAY_MS = 86_400_000
_PERIODS_MS = (DAY_MS, DAY_MS // 2, 2_820_000, 660_000)
_AMPLITUDES = (0.45, 0.15, 0.08, 0.04)
"""Of each wave, relative to the mean load, at most; they add up to less than 1, so that no total ever falls."""
NOISE = 0.002
"""Relative noise of an instantaneous value."""


@dataclass(frozen=True, slots=True)
class FleetField:
    """One field of a meter: what it is called, how it adds up, and how many decimals it shows."""

    name: str
    unit: str
    kind: str
    digits: int


FIELDS = (
    FleetField("energy_import_kwh", "kW.h", "counter", 2),
    FleetField("power_w", "W", "gauge", 1),
    FleetField("voltage_l1_v", "V", "gauge", 2),
    FleetField("current_l1_a", "A", "gauge", 3),
    FleetField("power_factor", "1", "gauge", 3),
    FleetField("frequency_hz", "Hz", "gauge", 3),
    FleetField("voltage_l2_v", "V", "gauge", 2),
    FleetField("voltage_l3_v", "V", "gauge", 2),
    FleetField("current_l2_a", "A", "gauge", 3),
    FleetField("current_l3_a", "A", "gauge", 3),
    FleetField("power_l1_w", "W", "gauge", 1),
    FleetField("power_l2_w", "W", "gauge", 1),
    FleetField("power_l3_w", "W", "gauge", 1),
    FleetField("reactive_power_var", "var", "gauge", 1),
    FleetField("apparent_power_va", "V.A", "gauge", 1),
    FleetField("energy_reactive_kvarh", "kvar.h", "counter", 2),
)
"""All that a meter can show; a fleet takes the first of them."""


def keys_of(seed: int, names: list[tuple[str, str]]) -> Keys:
    """A key for each (gateway, meter), shape (len(names), 1)."""
    return np.array([[chance.key(seed, gateway, meter)] for gateway, meter in names], dtype=np.uint64)


def columns(keys: Keys, t_ms: Times, fields: int) -> Columns:
    """The first `fields` of FIELDS at the times `t_ms` of each meter, shape (meters, fields, n), in whole steps."""
    t_ms = np.ascontiguousarray(t_ms, dtype=np.int64)
    load = _Load(keys, t_ms)
    out = np.empty((len(keys), fields, t_ms.shape[1]))
    for index, field in enumerate(FIELDS[:fields]):
        steps_per_unit = 10.0**field.digits
        shown = _SHOWN[field.name](load)
        # A totaliser counts whole steps, and never shows one that has not come yet.
        whole = np.floor(shown * steps_per_unit) if field.kind == "counter" else np.rint(shown * steps_per_unit)
        out[:, index, :] = whole / steps_per_unit + 0.0  # + 0.0: no minus zero
    return out


def _unit(keys: Keys, salt: int) -> Columns:
    """One number in [0, 1) for each meter, shape (meters, 1)."""
    return chance.units(keys, np.full((1, 1), -1 - salt, dtype=np.int64))


class _Load:
    """Power and energy of each meter, and what the fields share."""

    def __init__(self, keys: Keys, t_ms: Times) -> None:
        self.keys = keys
        self.t_ms = t_ms
        self.mean_w = 2_000.0 * 30.0 ** _unit(keys, 1)
        since_ms = (t_ms - INSTALLED_MS).astype(np.float64)
        shape, integral_ms = np.ones_like(since_ms), since_ms.copy()
        for number, (period_ms, amplitude) in enumerate(zip(_PERIODS_MS, _AMPLITUDES, strict=True)):
            own = amplitude * (0.4 + 0.6 * _unit(keys, 10 + number))
            omega, phase = 2.0 * np.pi / period_ms, 2.0 * np.pi * _unit(keys, 20 + number)
            angle = omega * (since_ms % period_ms) + phase
            shape += own * np.cos(angle)
            integral_ms += own / omega * (np.sin(angle) - np.sin(phase))
        self.power_w = self.mean_w * shape
        self.energy_kwh = self.mean_w * integral_ms / 3.6e9 + 50_000.0 * _unit(keys, 2)
        self.level = 0.88 + 0.1 * _unit(keys, 3)
        self._shape = shape

    def noisy(self, salt: int, share: float = NOISE) -> Columns:
        """A factor about 1, new with every millisecond."""
        return 1.0 + share * (2.0 * chance.units(self.keys ^ np.uint64(salt), self.t_ms) - 1.0)

    def factor(self) -> Columns:
        """Power factor: better under load."""
        return np.minimum(0.999, self.level + 0.02 * (self._shape - 1.0))

    def volts(self, phase: int) -> Columns:
        """Voltage of a phase against neutral: its level less the sag under load."""
        level = 231.0 + 3.0 * _unit(self.keys, 30 + phase)
        return (level - 2.0 * self._shape) * self.noisy(100 + phase, 0.0005)

    def share(self, phase: int) -> Columns:
        """The part of the load that hangs on a phase; the three add up to 1."""
        first, second = (0.28 + 0.1 * _unit(self.keys, 40 + n) for n in (1, 2))
        return (first, second, 1.0 - first - second)[phase - 1]

    def amps(self, phase: int) -> Columns:
        """Current of a phase."""
        return self.power_w * self.share(phase) / (230.0 * self.factor()) * self.noisy(110 + phase)


def _reactive(load: _Load) -> Columns:
    return np.tan(np.arccos(load.factor()))


_SHOWN: dict[str, Callable[[_Load], Columns]] = {
    "energy_import_kwh": lambda load: load.energy_kwh,
    "power_w": lambda load: load.power_w * load.noisy(1),
    "voltage_l1_v": lambda load: load.volts(1),
    "voltage_l2_v": lambda load: load.volts(2),
    "voltage_l3_v": lambda load: load.volts(3),
    "current_l1_a": lambda load: load.amps(1),
    "current_l2_a": lambda load: load.amps(2),
    "current_l3_a": lambda load: load.amps(3),
    "power_factor": lambda load: np.minimum(1.0, load.factor() * load.noisy(2)),
    "frequency_hz": lambda load: 50.0 * load.noisy(3, 0.0004),
    "power_l1_w": lambda load: load.power_w * load.share(1) * load.noisy(4),
    "power_l2_w": lambda load: load.power_w * load.share(2) * load.noisy(5),
    "power_l3_w": lambda load: load.power_w * load.share(3) * load.noisy(6),
    "reactive_power_var": lambda load: load.power_w * _reactive(load) * load.noisy(7),
    "apparent_power_va": lambda load: load.power_w / load.factor() * load.noisy(8),
    "energy_reactive_kvarh": lambda load: load.energy_kwh * np.tan(np.arccos(load.level)),
}
