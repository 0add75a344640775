"""What a meter shows, as columns: the same numbers as its `Sensor`, to the last digit, without asking one by one.

numpy computes the value before its last step of rounding, to about 1e-13. Where that could lie on either side of a
step of the display, and wherever a meter has more to it than is known here, its `Sensor` itself is asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_contract.reading import FieldKind
from device_profiles.profile import DecodeType, Profile, ProfileField
from simulators import chance
from simulators.faults import FaultPlan
from simulators.parts.fault import LINE_FAULTS, Fault
from simulators.parts.meter import Meter
from simulators.scenario import Scenario
from simulators.sensors.levels import level_of
from simulators.sensors.sensor import RESOLUTION, Sensor
from simulators.story.supply import Supply, reading_column, supply_columns
from simulators.world.world import World

Column = NDArray[np.float64]
Times = NDArray[np.int64]

KNOWN = frozenset(
    [
        *("profile", "gateway", "unit_id", "port", "line", "fields", "start", "resolution", "levels", "pipe_mm"),
        *("load_cell", "class_percent", "noise_percent"),
    ]
)
"""Keys of a meter whose meaning is computed here; a meter with any other is asked value by value."""
HARMLESS = frozenset(("silent", "exception", "late", "nan", "torn", "garbage", "wrong_unit", "flapping", *LINE_FAULTS))
"""Faults that change no value, only whether it is heard."""
PASSING = frozenset(("stuck", "spike", "saturated", "no_value", "wire_off", "power_down"))
"""Faults that leave nothing behind; after any other a meter is asked value by value to the end."""

TOLERANCE = 2e-13
"""By what relative error a column may miss a value before it is rounded."""
STEPS_EXACT_MAX = 2.0**52
"""Beyond so many steps float64 does not hold each of them."""

_FLOATS = (DecodeType.F32, DecodeType.F64, DecodeType.I32_F32)
_CONVERTER_MAX = 2.0**23


class Raw(NamedTuple):
    """Values before the last rounding, and how much larger than they the terms were that made them."""

    value: Column
    size: Column


class ShownColumns:
    """One meter of a world. `asked` counts how many values its `Sensor` was asked for."""

    def __init__(self, *, device: str, scenario: Scenario, profile: Profile, world: World) -> None:
        self.asked = 0
        self._meter: Meter = scenario.meters[device]
        self._specs = profile.fields
        self._world = world
        self._faults = FaultPlan.of_device(scenario, device, origin_ms=world.origin_ms)
        self._planned: tuple[Fault, ...] = tuple(each for each in scenario.faults if each.device == device)
        self._heard = [(self._faults, self._planned)]
        if (line := self._meter.line) is not None:
            of_line = tuple(each for each in scenario.faults if each.device == line)
            self._heard.append((FaultPlan.of_device(scenario, line, origin_ms=world.origin_ms), of_line))
        self._sensor = Sensor(
            device=device, meter=self._meter, profile=profile, world=world, faults=self._faults, seed=scenario.seed
        )
        self._of = chance.key(scenario.seed, device, "noise")
        self._plain = self._meter.model_fields_set <= KNOWN
        self._power, self._flow = (_fed(self._meter, unit) for unit in ("_w", "_m3_h"))

    @property
    def fields(self) -> tuple[str, ...]:
        """What the meter shows, as its profile names it."""
        return tuple(self._specs)

    def digits(self, field: str) -> int:
        """How many decimals the display of `field` has."""
        return max(0, -int(Decimal(repr(self._step(field))).normalize().as_tuple().exponent))

    def columns(self, t_ms: Times, fields: Iterable[str] | None = None) -> dict[str, Column]:
        """What each field shows at a column of times; not a number where the meter gives no value."""
        wanted = self.fields if fields is None else tuple(fields)
        silent = self._silent(t_ms)
        found = dict(self._numbers(t_ms, wanted))
        if silent.any():
            for column in found.values():
                column[silent] = np.nan
        return found

    def _numbers(self, t_ms: Times, fields: Iterable[str]) -> Iterable[tuple[str, Column]]:
        if not self._plain or self._strange(t_ms):
            for field in fields:
                yield field, self._ask(field, t_ms)
            return
        truths = self._world.columns(sorted(set(self._meter.fields.values())), t_ms)
        noise = 2.0 * chance.units(self._of, t_ms) - 1.0
        supply = self._supply(truths, noise, t_ms) if self._power is not None else None
        for field in fields:
            raw = self._raw(field, t_ms, truths, noise, supply)
            yield field, self._stepped(field, raw, t_ms)

    def _strange(self, t_ms: Times) -> bool:
        """Whether a fault that is not known here may have changed what is shown at one of these times."""
        if not t_ms.size:
            return False
        first_s, last_s = ((int(each) - self._world.origin_ms) / 1000.0 for each in (t_ms.min(), t_ms.max()))
        strange = (fault for fault in self._planned if fault.what not in HARMLESS | {"reboot_reset"})
        return any(
            fault.start_s <= last_s and (fault.end_s > first_s or fault.what not in PASSING) for fault in strange
        )

    def _silent(self, t_ms: Times) -> NDArray[np.bool_]:
        """When whoever asks hears no value."""
        since_s = (t_ms - self._world.origin_ms) / 1000.0
        silent = np.zeros(t_ms.shape, dtype=np.bool_)
        for plan, faults in self._heard:
            for fault in faults:
                for n in np.flatnonzero((since_s >= fault.start_s) & (since_s < fault.end_s)):
                    active = plan.active(int(t_ms[n]))
                    silent[n] |= active is not None and active.what != "late"
        return silent

    def _raw(self, field: str, t_ms: Times, truths: Mapping[str, Column], noise: Column, supply: Supply | None) -> Raw:
        spec, quantity = self._specs[field], self._meter.fields.get(field)
        if spec.kind is FieldKind.COUNTER:
            return self._total(field, spec, t_ms, truths)
        if quantity is None:
            return self._aside(field, spec, t_ms, truths, noise, supply)
        if quantity.endswith((".gross_kg", ".content_kg")):
            seen_kg = truths[quantity] * (1.0 + self._sensor.error) + self._meter.scale.noise_kg * noise
            cell = self._meter.load_cell
            if cell is None:
                return Raw(seen_kg, np.abs(seen_kg) + 1.0)
            counts = cell.zero_counts + cell.counts_per_kg * seen_kg
            beyond = np.abs(counts) >= _CONVERTER_MAX - 1.0
            return Raw(counts, np.where(beyond, np.inf, np.abs(counts) + abs(cell.zero_counts) + 1.0))
        return _plain(self._rate(truths[quantity], noise))

    def _rate(self, truth: Column, noise: Column) -> Column:
        return truth * (1.0 + self._sensor.error) * (1.0 + self._meter.noise_percent / 100.0 * noise)

    def _supply(self, truths: Mapping[str, Column], noise: Column, t_ms: Times) -> Supply:
        assert self._power is not None
        return supply_columns(self._of, self._rate(truths[self._power], noise), t_ms)

    def _total(self, field: str, spec: ProfileField, t_ms: Times, truths: Mapping[str, Column]) -> Raw:
        quantity, origin_ms = self._meter.fields.get(field), self._world.origin_ms
        since_ms = np.full(t_ms.shape, origin_ms, dtype=np.int64)
        start = np.full(t_ms.shape, self._meter.start.get(field, 0.0))
        for reset_ms in self._resets():
            since_ms[t_ms >= reset_ms], start[t_ms >= reset_ms] = reset_ms, 0.0
        passed = np.zeros(t_ms.shape)
        size = np.abs(start)
        if quantity is not None:
            moments, at = np.unique(since_ms, return_inverse=True)
            begin = np.array([self._world.value(quantity, int(each)) for each in moments], dtype=np.float64)[at]
            passed = (truths[quantity] - begin) * (1.0 + self._sensor.error)
            size = size / 256.0 + np.abs(truths[quantity]) + np.abs(begin)  # a start adds one rounding, no error
        elif spec.unit == "s":
            passed = (t_ms - since_ms) / 1000.0
        total = start + passed
        if spec.rollover is None:
            return Raw(total, size)
        rolled = np.mod(total, spec.rollover)
        edge = np.minimum(rolled, spec.rollover - rolled) <= TOLERANCE * (size + spec.rollover)
        return Raw(rolled, np.where(edge, np.inf, size))

    def _resets(self) -> list[int]:
        starts = sorted(fault.start_s for fault in self._planned if fault.what == "reboot_reset")
        return [self._world.origin_ms + round(start_s * 1000.0) for start_s in starts]

    def _aside(
        self,
        field: str,
        spec: ProfileField,
        t_ms: Times,
        truths: Mapping[str, Column],
        noise: Column,
        supply: Supply | None,
    ) -> Raw:
        if spec.kind is FieldKind.STATE:
            return _plain(np.zeros(t_ms.shape))
        if field.endswith("velocity_m_s"):
            flow = self._rate(truths[self._flow], noise) if self._flow is not None else np.zeros(t_ms.shape)
            return _plain(flow / 3600.0 / (math.pi / 4.0 * (self._meter.pipe_mm / 1000.0) ** 2))
        seen = reading_column(supply, field) if supply is not None else None
        if seen is not None:
            return _plain(seen)
        level = self._meter.levels.get(field, level_of(field, spec))
        of = chance.key(self._of, field)
        drift, jitter = chance.drifts(of, t_ms, 600_000), 2.0 * chance.units(of, t_ms) - 1.0
        return _plain(level * (1.0 + 0.01 * drift + 0.002 * jitter))

    def _step(self, field: str) -> float:
        spec = self._specs[field]
        default = RESOLUTION if spec.type in _FLOATS else spec.scale
        return self._meter.resolution.get(field) or spec.resolution or default

    def _stepped(self, field: str, raw: Raw, t_ms: Times) -> Column:
        """Raw values in whole steps of the display; those near an edge are asked for."""
        counter, step = self._specs[field].kind is FieldKind.COUNTER, self._step(field)
        steps = raw.value / step
        whole = np.floor(steps) if counter else np.rint(steps)
        from_edge = np.abs(steps - np.rint(steps)) if counter else 0.5 - np.abs(steps - whole)
        doubt = TOLERANCE * raw.size / step + 4.0 * np.spacing(np.abs(steps))
        unsure = (from_edge <= doubt) | ~(np.abs(steps) < STEPS_EXACT_MAX)
        if counter:
            unsure &= ~((steps == whole) & (raw.size == 0.0))
        digits = self.digits(field)
        shown = np.where(unsure, 0.0, whole) * round(step * 10.0**digits) / 10.0**digits + 0.0
        if unsure.any():
            shown[unsure] = self._ask(field, t_ms[unsure])
        return shown

    def _ask(self, field: str, t_ms: Times) -> Column:
        self.asked += t_ms.size
        return np.array([self._sensor.value(field, int(each)) for each in t_ms], dtype=np.float64)


def _plain(value: Column) -> Raw:
    return Raw(value, np.abs(value))


def _fed(meter: Meter, unit: str) -> str | None:
    """The first quantity of the meter's mapping that is measured in `unit`."""
    return next((quantity for quantity in meter.fields.values() if quantity.endswith(unit)), None)
