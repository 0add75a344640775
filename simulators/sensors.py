"""How a meter sees the world: with one relative error of its own, a little noise, and in steps of its resolution."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from data_contract.reading import FieldKind
from device_profiles.profile import DecodeType, Profile, ProfileField
from simulators import chance, electrical
from simulators.faults import FaultPlan
from simulators.scenario import Meter
from simulators.world.world import World

RESOLUTION = 0.01
"""Step of a field for which neither the scenario nor the profile has one."""

GAUGE_NOISE = 0.002
"""Relative noise of an instantaneous value."""

SCALE_NOISE_KG = 0.02
"""Most that a scale at rest departs from its own level, in kg; a load cell does so whatever the load."""

_FLOATS = (DecodeType.F32, DecodeType.F64, DecodeType.I32_F32)

_LEVELS = {
    "sound_speed_m_s": 1480.0,
    "signal_quality": 85.0,
    "travel_time_ratio_percent": 100.0,
    "_cel": 15.0,
    "_degc": 15.0,
    "_mm": 250.0,
}
"""What a healthy meter shows of itself, by the end of the field's name."""


def class_error(seed: int, device: str, class_percent: float) -> float:
    """The relative error that `device` was made with: uniform within its class (accuracy in % of the reading)."""
    return class_percent / 100.0 * (2.0 * chance.unit(chance.key(seed, device, "class")) - 1.0)


class Sensor:
    """The gauge behind one unit's registers; see `simulators.devices.unit.Gauge`."""

    def __init__(
        self, *, device: str, meter: Meter, profile: Profile, world: World, faults: FaultPlan, seed: int
    ) -> None:
        self.error = class_error(seed, device, meter.class_percent)
        self._of = chance.key(seed, device, "noise")
        self._meter = meter
        self._world = world
        self._faults = faults
        self._feeds = {unit: quantity for unit in ("_w", "_m3_h") if (quantity := _fed(meter, unit)) is not None}
        self._read = {name: self._reader(name, spec) for name, spec in profile.fields.items()}
        self._supply: tuple[int, electrical.ThreePhase] | None = None

    def value(self, field: str, t_ms: int) -> float:
        """What the meter shows of `field` at `t_ms` (ms UTC), in whole steps of its resolution."""
        return self._read[field](t_ms)

    def _reader(self, field: str, spec: ProfileField) -> Callable[[int], float]:
        step = (
            self._meter.resolution.get(field) or spec.resolution or (RESOLUTION if spec.type in _FLOATS else spec.scale)
        )
        digits = max(0, -int(Decimal(repr(step)).normalize().as_tuple().exponent))
        of = chance.key(self._of, field)
        if spec.kind is FieldKind.COUNTER:
            # a totaliser counts whole steps and never rounds up to one that has not come yet
            return lambda t_ms: round(math.floor(self._total(field, spec, t_ms) / step) * step, digits)
        if field in self._meter.fields:
            quantity = self._meter.fields[field]
            if quantity.endswith((".gross_kg", ".content_kg")):
                return lambda t_ms: round(round(self._load(quantity, t_ms) / step) * step, digits)
            return lambda t_ms: round(round(self._rate(quantity, t_ms) / step) * step, digits)
        return lambda t_ms: round(round(self._aside(field, spec, of, t_ms) / step) * step, digits)

    def _total(self, field: str, spec: ProfileField, t_ms: int) -> float:
        """The totaliser: its start and what has passed since, seen through the error; a reset begins again at 0."""
        start, since_ms = self._meter.start.get(field, 0.0), self._world.origin_ms
        reset_ms = self._faults.counting_since_ms(t_ms)
        if reset_ms is not None:
            start, since_ms = 0.0, reset_ms
        quantity = self._meter.fields.get(field)
        if quantity is not None:
            passed = self._world.value(quantity, t_ms) - self._world.value(quantity, since_ms)
            start += passed * (1.0 + self.error)
        elif spec.unit == "s":  # a working timer
            start += (t_ms - since_ms) / 1000.0
        return start if spec.rollover is None else start % spec.rollover

    def _rate(self, quantity: str, t_ms: int) -> float:
        """An instantaneous value with the meter's error and its noise, which all fields fed by `quantity` share."""
        noise = GAUGE_NOISE * chance.jitter(self._of, t_ms)
        return self._world.value(quantity, t_ms) * (1.0 + self.error) * (1.0 + noise)

    def _load(self, quantity: str, t_ms: int) -> float:
        """What lies on a scale, in kg or in the counts of its load cell, with its error and its noise."""
        gross_kg = self._world.value(quantity, t_ms) * (1.0 + self.error)
        gross_kg += SCALE_NOISE_KG * chance.jitter(self._of, t_ms)
        cell = self._meter.load_cell
        return gross_kg if cell is None else cell.zero_counts + cell.counts_per_kg * gross_kg

    def _aside(self, field: str, spec: ProfileField, of: int, t_ms: int) -> float:
        """A field that the scenario does not mention: what follows from those that it does, or a healthy level."""
        if spec.kind is FieldKind.STATE:
            return 0.0
        if field.endswith("velocity_m_s"):
            flow_m3_h = self._rate(self._feeds["_m3_h"], t_ms) if "_m3_h" in self._feeds else 0.0
            return flow_m3_h / 3600.0 / (math.pi / 4.0 * (self._meter.pipe_mm / 1000.0) ** 2)
        seen = electrical.reading(self._supply_at(t_ms), field) if "_w" in self._feeds else None
        if seen is not None:
            return seen
        level = self._meter.levels.get(field, _level(field, spec))
        return level * (1.0 + 0.01 * chance.drift(of, t_ms, 600_000) + 0.002 * chance.jitter(of, t_ms))

    def _supply_at(self, t_ms: int) -> electrical.ThreePhase:
        if self._supply is None or self._supply[0] != t_ms:
            power_w = self._rate(self._feeds["_w"], t_ms)
            self._supply = (t_ms, electrical.three_phase(self._of, power_w, t_ms))
        return self._supply[1]


def _fed(meter: Meter, unit: str) -> str | None:
    """The first quantity of the scenario's mapping that is measured in `unit`."""
    return next((quantity for quantity in meter.fields.values() if quantity.endswith(unit)), None)


def _level(field: str, spec: ProfileField) -> float:
    for ending, level in _LEVELS.items():
        if field.endswith(ending):
            return level
    if spec.range is None:
        return 0.0
    low, high = spec.range
    return low + 0.5 * (high - low)
