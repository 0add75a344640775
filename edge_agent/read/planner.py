"""Fields to requests: which registers to ask for together. Pure, and made once per device and poll group.

Values that lie close are read at once; unused registers between them are bridged up to the profile's `bridge_max`, but
never forbidden ones, and never beyond the device's largest request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from device_profiles.profile import ForbiddenSpan, ModbusDefaults, ProfileField


@dataclass(frozen=True, slots=True)
class Request:
    """One Modbus request: registers [address, address + count) of a table, and the fields inside it."""

    table: str
    address: int
    count: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    first: int
    last: int
    fields: tuple[str, ...]

    def joined(self, other: _Span) -> _Span:
        return _Span(min(self.first, other.first), max(self.last, other.last), (*self.fields, *other.fields))


def _aligned(span: _Span, even: bool) -> tuple[int, int]:
    """First address and count as they may be asked for."""
    first = span.first - span.first % 2 if even else span.first
    count = span.last - first + 1
    return first, count + count % 2 if even else count


def _crosses(span: _Span, table: str, forbidden: Iterable[ForbiddenSpan], even: bool) -> bool:
    first, count = _aligned(span, even)
    return any(f.table == table and f.first < first + count and f.last >= first for f in forbidden)


def plan(
    fields: Mapping[str, ProfileField], modbus: ModbusDefaults, forbidden: Iterable[ForbiddenSpan]
) -> tuple[Request, ...]:
    """The requests that read all `fields`, in order of table and address."""
    forbidden = tuple(forbidden)
    spans: dict[str, list[_Span]] = {}
    for name, field in sorted(fields.items(), key=lambda item: (item[1].table, item[1].address)):
        span = _Span(field.address, field.address + field.type.registers - 1, (name,))
        done = spans.setdefault(field.table.value, [])
        if done:
            wider = done[-1].joined(span)
            gap = span.first - done[-1].last - 1
            fits = _aligned(wider, modbus.even_only)[1] <= modbus.registers_max
            if (
                gap <= modbus.bridge_max
                and fits
                and not _crosses(wider, field.table.value, forbidden, modbus.even_only)
            ):
                done[-1] = wider
                continue
        done.append(span)
    return tuple(
        Request(table, *_aligned(span, modbus.even_only), span.fields) for table, many in spans.items() for span in many
    )
