"""How what was read is shown: a table and one line per trouble for a person, data for a script. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.commission.advice import advise
from edge_agent.commission.read_once import DeviceRead, FieldValue, Miss
from edge_agent.config import BusConfig

HEAD = ("FIELD", "VALUE", "UNIT", "QUALITY", "REGISTER", "RAW WORDS")


def as_text(read: DeviceRead, *, bus: BusConfig) -> str:
    """The device's values as a table, and below it a line for each thing that was not read; no newline at the end."""
    lines = []
    if read.values:
        lines.append(f"{read.device}: {read.profile.title} ({read.profile.profile}), unit {read.unit} on {read.bus}")
        lines += [f"  {line}" for line in _aligned([HEAD, *map(_row, read.values)])]
    lines += [_trouble(read, miss, bus) for miss in read.misses]
    return "\n".join(lines)


def as_data(read: DeviceRead, *, bus: BusConfig) -> dict[str, object]:
    """The same for JSON. Words are hexadecimal text, a value that the device does not have is null."""
    return {
        "device": read.device,
        "bus": read.bus,
        "unit_id": read.unit,
        "profile": read.profile.profile,
        "values": [
            {
                "field": each.field,
                "group": each.group,
                "value": each.value,
                "unit": each.unit,
                "quality": each.quality.name.lower(),
                "table": each.table,
                "address": each.address,
                "words": _hex(each.words),
            }
            for each in read.values
        ],
        "not_read": [
            {
                "fields": list(miss.fields),
                "cause": miss.cause.value,
                "detail": miss.detail,
                "check": advise(miss, unit=read.unit, bus=bus),
            }
            for miss in read.misses
        ],
    }


def summary(reads: Sequence[DeviceRead]) -> str:
    """How much of it was read, in one line."""
    read = sum(len(each.values) for each in reads)
    asked = read + sum(len(miss.fields) for each in reads for miss in each.misses)
    bad = [each.device for each in reads if each.misses]
    return f"{read} of {asked} fields read" + (f"; not all of {', '.join(bad)}" if bad else "")


def _row(value: FieldValue) -> tuple[str, ...]:
    number = "-" if value.value is None else repr(value.value).removesuffix(".0")
    register = f"{value.table} {value.address}"
    words = " ".join(_hex(value.words)) or "-"
    return value.field, number, value.unit, value.quality.name.lower(), register, words


def _hex(words: Sequence[int]) -> list[str]:
    return [f"{word:04X}" for word in words]


def _trouble(read: DeviceRead, miss: Miss, bus: BusConfig) -> str:
    which = f"{', '.join(miss.fields)} not read" if read.values or len(read.misses) > 1 else "not read"
    advice = advise(miss, unit=read.unit, bus=bus)
    return f"{read.device}: {which}: {miss.detail} ({miss.cause.value}, unit {read.unit} on {read.bus}); check {advice}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
