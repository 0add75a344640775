"""A meter as a Modbus unit: which request it answers at a given moment, with which registers, and what they show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from device_profiles.profile import Profile, ProfileField, RegisterTable, WordOrder
from simulators import chance
from simulators.devices.encode import Words, encode, encode_nan, shown
from simulators.faults import FaultPlan
from simulators.parts.fault import LINE_FAULTS, Fault
from simulators.truth.rows import Shown

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
"""Exception codes of the Modbus application protocol V1.1b3, section 7."""

SILENT = ("silent", "reboot_reset", "reboot", "flapping", "power_down", *LINE_FAULTS)
"""Faults under which a device answers nothing at all."""
SPOILING = ("torn", "garbage", "wrong_unit")
"""Faults under which something leaves that is no answer to the request."""

_TABLES = {3: RegisterTable.HOLDING, 4: RegisterTable.INPUT}


class Gauge(Protocol):
    """What a meter would show if its registers were wide enough."""

    def value(self, field: str, t_ms: int) -> float:
        """The value of `field` at `t_ms` (ms UTC), in the unit of the profile and in whole steps of its resolution.

        NaN: no value; only for a field that has a sign for it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets no values; without a code it gets no answer at all."""

    reason: str
    code: int | None = None


@dataclass(frozen=True, slots=True)
class _Cell:
    """A field of the profile with its place and its two encoders."""

    name: str
    first: int
    count: int
    spec: ProfileField
    order: WordOrder
    nothing: frozenset[Words]
    """What its registers hold for: no value."""

    def show(self, value: float) -> tuple[Words, float | None]:
        kind, scale, mask = self.spec.type, self.spec.scale, self.spec.mask
        words = encode(value, kind=kind, order=self.order, scale=scale, mask=mask)
        if words in self.nothing:
            return words, None
        return words, shown(value, kind=kind, scale=scale, mask=mask)

    def show_nan(self) -> Words | None:
        return encode_nan(kind=self.spec.type, order=self.order, sentinels=self.spec.sentinels)


class Unit:
    """One device on a bus. It has no state but its faults, so equal requests at equal times get equal answers."""

    def __init__(
        self,
        *,
        device: str,
        gateway: str,
        profile: Profile,
        unit_id: int,
        gauge: Gauge,
        faults: FaultPlan,
        line: FaultPlan | None = None,
    ) -> None:
        """`line` are the faults of the line that it shares with others."""
        self.device = device
        self.gateway = gateway
        self.unit_id = unit_id
        self._profile = profile
        self._gauge = gauge
        self._faults = faults
        self._line = line
        self._cells: dict[RegisterTable, list[_Cell]] = {table: [] for table in RegisterTable}
        for name, spec in profile.fields.items():
            # Modbus itself fixes the bytes of a single register; a device's word order speaks of longer values
            device_order = profile.modbus.word_order if spec.type.registers > 1 else WordOrder.ABCD
            order = spec.word_order or device_order
            self._cells[spec.table].append(
                _Cell(name, spec.address, spec.type.registers, spec, order, _nothing(spec, order))
            )

    def extent(self, table: RegisterTable) -> int:
        """How many registers the table has, counted from address 0."""
        ends = [cell.first + cell.count for cell in self._cells[table]]
        ends += [span.last + 1 for span in self._profile.forbidden if span.table is table and ends]
        return max(ends, default=0)

    def late_ms(self, t_ms: int) -> int:
        """By how many real ms the answer to a request at `t_ms` comes late."""
        fault = self._faults.active(t_ms)
        if fault is None or fault.what != "late":
            return 0
        return fault.late_ms + int((fault.jitter_ms + 1) * chance.unit(self._faults.of ^ 1, t_ms))

    def spoiling(self, t_ms: int) -> Fault | None:
        """The fault that makes something else of an answer at `t_ms`, or None."""
        fault = self._faults.active(t_ms)
        return fault if fault is not None and fault.what in SPOILING else None

    def refuse(self, function: int, address: int, count: int, t_ms: int) -> Refusal | None:
        """Why whoever asks gets no values, or None if they do: whatever the device and the line then send instead."""
        fault = self.spoiling(t_ms)
        return Refusal(fault.what) if fault is not None else self.decline(function, address, count, t_ms)

    def decline(self, function: int, address: int, count: int, t_ms: int) -> Refusal | None:
        """Why the device gives no values for this request, or None if it does."""
        for plan in (self._faults, self._line):
            fault = plan.active(t_ms) if plan is not None else None
            if fault is not None and fault.what in SILENT:
                return Refusal(fault.what)
            if fault is not None and fault.what == "exception":
                return Refusal(f"exception {fault.exception_code}", fault.exception_code)
        table = _TABLES.get(function)
        if table is None:
            return Refusal("a function that the device does not have", ILLEGAL_FUNCTION)
        limits = self._profile.modbus
        if not 1 <= count <= limits.registers_max or (limits.even_only and count % 2):
            return Refusal("a number of registers that the device refuses", ILLEGAL_VALUE)
        if address + count > self.extent(table) or (limits.even_only and address % 2):
            return Refusal("an address that the device does not have", ILLEGAL_ADDRESS)
        for span in self._profile.forbidden:
            if span.table is table and address <= span.last and span.first < address + count:
                return Refusal("forbidden registers", ILLEGAL_ADDRESS)
        return None

    def answer(self, function: int, address: int, count: int, t_ms: int) -> tuple[list[int], list[Shown]]:
        """The registers from `address` on, and what the fields that lie wholly inside them show at `t_ms`."""
        fault = self._faults.active(t_ms)
        nan = fault is not None and fault.what == "nan"
        words, fields = [0] * count, []
        for cell in self._cells[_TABLES[function]]:
            offset = cell.first - address
            if offset + cell.count <= 0 or offset >= count:
                continue
            held, value = self._hold(cell, t_ms, nan=nan)
            for n, word in enumerate(held, start=offset):
                if 0 <= n < count:
                    words[n] = word
            if offset >= 0 and offset + cell.count <= count:
                fields.append(Shown(cell.name, value, " ".join(f"{word:04x}" for word in held)))
        return words, fields

    def _hold(self, cell: _Cell, t_ms: int, *, nan: bool) -> tuple[Words, float | None]:
        nothing = cell.show_nan() if nan else None
        if nothing is not None:
            return nothing, None
        value = self._gauge.value(cell.name, t_ms)
        nothing = cell.show_nan() if math.isnan(value) else None
        return (nothing, None) if nothing is not None else cell.show(value)


def _nothing(spec: ProfileField, order: WordOrder) -> frozenset[Words]:
    signs = (encode_nan(kind=spec.type, order=order, sentinels=(sentinel,)) for sentinel in spec.sentinels)
    return frozenset(words for words in signs if words is not None)
