"""The gauge behind the registers of one meter: the world as it shows it, in whole steps of its resolution."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from data_contract.reading import FieldKind
from device_profiles.profile import DecodeType, Profile, ProfileField
from simulators import chance, electrical
from simulators.faults import FaultPlan
from simulators.parts.meter import Meter
from simulators.sensors.gain import Gain
from simulators.sensors.levels import level_of
from simulators.sensors.load import LoadOnScale
from simulators.sensors.memory import remembered
from simulators.sensors.totals import float32_total, rolled
from simulators.sensors.upsets import upset
from simulators.world.world import World

RESOLUTION = 0.01
"""Step of a field for which neither the scenario nor the profile has one."""

_FLOATS = (DecodeType.F32, DecodeType.F64, DecodeType.I32_F32)


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
        self._made = chance.key(seed, device, "offset")
        self._meter = meter
        self._world = world
        self._faults = faults
        self._noise = meter.noise_percent / 100.0
        self._gain = self._gain_of(None)
        self._load = LoadOnScale(meter=meter, world=world, of=self._of)
        self._feeds = {unit: quantity for unit in ("_w", "_m3_h") if (quantity := _fed(meter, unit)) is not None}
        self._supply: tuple[int, electrical.ThreePhase] | None = None
        self._read = {
            name: upset(self._reader(name, spec), name, spec=spec, meter=meter, faults=faults)
            for name, spec in profile.fields.items()
        }

    def value(self, field: str, t_ms: int) -> float:
        """What the meter shows of `field` at `t_ms` (ms UTC), in whole steps of its resolution; NaN: no value."""
        return self._read[field](t_ms)

    def _gain_of(self, field: str | None) -> Gain:
        faults = self._faults.of_whole_sensor() if field is None else self._faults.of_field(field)
        drifts = [fault for fault in faults if fault.what == "drift"]
        return Gain(error=self.error, meter=self._meter, world=self._world, drifts=drifts)

    def _reader(self, field: str, spec: ProfileField) -> Callable[[int], float]:
        step = (
            self._meter.resolution.get(field) or spec.resolution or (RESOLUTION if spec.type in _FLOATS else spec.scale)
        )
        digits = max(0, -int(Decimal(repr(step)).normalize().as_tuple().exponent))
        gain = self._gain_of(field)
        if spec.kind is FieldKind.COUNTER:
            if field in self._meter.pulse:  # its steps are those of its float32
                return lambda t_ms: self._total(field, spec, gain, t_ms)
            # a totaliser counts whole steps and never rounds up to one that has not come yet
            return lambda t_ms: round(math.floor(self._total(field, spec, gain, t_ms) / step) * step, digits)
        follow = self._gauge(field, spec, gain)
        made = self._meter.offset.get(field, 0.0) * (2.0 * chance.unit(chance.key(self._made, field)) - 1.0)
        low, high = self._meter.ends.get(field, (-math.inf, math.inf))
        nothing = self._meter.beyond == "no_value"

        def shown(t_ms: int) -> float:
            value = follow(t_ms) + made
            if nothing and not low <= value <= high:
                return math.nan
            return round(round(min(max(value, low), high) / step) * step, digits)

        return shown

    def _gauge(self, field: str, spec: ProfileField, gain: Gain) -> Callable[[int], float]:
        """An instantaneous value, before the ends of the sensor and the steps of what it shows."""
        quantity, lag_s = self._meter.fields.get(field), self._meter.lag_s.get(field)
        if quantity is None:
            of = chance.key(self._of, field)
            return lambda t_ms: self._aside(field, spec, of, t_ms)
        if quantity.endswith((".gross_kg", ".content_kg")):
            return lambda t_ms: self._load.shown(quantity, t_ms, gain=gain.at(t_ms), lag_s=lag_s)
        return lambda t_ms: self._rate(quantity, gain, t_ms, lag_s)

    def _total(self, field: str, spec: ProfileField, gain: Gain, t_ms: int) -> float:
        """The totaliser: its start and what has passed since, seen through the error; a reset begins again at 0."""
        start, since_ms = self._meter.start.get(field, 0.0), self._world.origin_ms
        reset_ms = self._faults.counting_since_ms(t_ms, field)
        if reset_ms is not None:
            start, since_ms = 0.0, reset_ms
        quantity, pulse = self._meter.fields.get(field), self._meter.pulse.get(field)
        if quantity is not None:
            spans = self._faults.counted_spans_ms(field, since_ms, t_ms)
            passed = math.fsum(gain.passed(quantity, begin_ms, end_ms) for begin_ms, end_ms in spans)
            if pulse is not None:
                start, passed = float32_total(start, pulse, int(passed / pulse)), 0.0
            start += passed
        elif spec.unit == "s":  # a working timer
            booted_ms = self._faults.booted_ms(t_ms)
            if booted_ms is not None:
                start, since_ms = 0.0, max(since_ms, booted_ms)
            start += (t_ms - since_ms) / 1000.0
        return rolled(start, self._meter.rolls_over.get(field, spec.rollover), kind=spec.type, scale=spec.scale)

    def _rate(self, quantity: str, gain: Gain, t_ms: int, lag_s: float | None = None) -> float:
        """An instantaneous value with the meter's error and its noise, which all fields fed by `quantity` share."""
        noise = self._noise * chance.jitter(self._of, t_ms)
        if lag_s is None:
            true = self._world.value(quantity, t_ms)
        else:
            world = self._world
            true = remembered(lambda at_ms: world.column(quantity, at_ms), t_ms, lag_s, since_ms=world.origin_ms)
        return true * gain.at(t_ms) * (1.0 + noise)

    def _aside(self, field: str, spec: ProfileField, of: int, t_ms: int) -> float:
        """A field that the scenario does not mention: what follows from those that it does, or a healthy level."""
        if spec.kind is FieldKind.STATE:
            return 0.0
        if field.endswith("velocity_m_s"):
            flow_m3_h = self._rate(self._feeds["_m3_h"], self._gain, t_ms) if "_m3_h" in self._feeds else 0.0
            return flow_m3_h / 3600.0 / (math.pi / 4.0 * (self._meter.pipe_mm / 1000.0) ** 2)
        seen = electrical.reading(self._supply_at(t_ms), field) if "_w" in self._feeds else None
        if seen is not None:
            return seen
        level = self._meter.levels.get(field, level_of(field, spec))
        return level * (1.0 + 0.01 * chance.drift(of, t_ms, 600_000) + 0.002 * chance.jitter(of, t_ms))

    def _supply_at(self, t_ms: int) -> electrical.ThreePhase:
        if self._supply is None or self._supply[0] != t_ms:
            power_w = self._rate(self._feeds["_w"], self._gain, t_ms)
            self._supply = (t_ms, electrical.three_phase(self._of, power_w, t_ms))
        return self._supply[1]


def _fed(meter: Meter, unit: str) -> str | None:
    """The first quantity of the scenario's mapping that is measured in `unit`."""
    return next((quantity for quantity in meter.fields.values() if quantity.endswith(unit)), None)
