"""What a schema cannot say about a profile: fields against each other, against the device, against themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Literal, NamedTuple

from data_contract.reading import PSEUDONYM_SUFFIX, FieldKind, is_field, is_pseudonym
from device_profiles.profile import DecodeType, ForbiddenSpan, Profile, ProfileField, WordOrder
from device_profiles.units import promised_unit

Level = Literal["error", "warning"]

ADDRESSES = 65536
"""Size of a register table."""

EVERY_S_MIN = 0.001
"""Shortest sampling interval: slots are counted in ms."""

RESERVED = frozenset({"time", "gateway", "device"})
"""What the stores call their own columns; a field of that name would be shadowed."""

_INTEGERS = {
    DecodeType.I16: (-(2**15), 2**15 - 1),
    DecodeType.U16: (0, 2**16 - 1),
    DecodeType.I32: (-(2**31), 2**31 - 1),
    DecodeType.U32: (0, 2**32 - 1),
    DecodeType.I64: (-(2**63), 2**63 - 1),
    DecodeType.U64: (0, 2**64 - 1),
}
_FLOATS = (DecodeType.F32, DecodeType.F64)


class Finding(NamedTuple):
    """One thing that is wrong (error), or probably not meant (warning). `key` is dotted."""

    level: Level
    key: str
    problem: str
    mend: str


def lint(profile: Profile) -> list[Finding]:
    """All findings, in the order of the file's sections."""
    findings = [*_groups(profile), *_forbidden(profile)]
    for name, field in profile.fields.items():
        key = f"fields.{name}"
        findings += _name(key, name)
        findings += _unit(key, name, field)
        findings += _registers(key, field, profile)
        findings += _values(key, field)
        findings += _kind(key, field)
        findings += _personal(key, name, field)
    findings += _overlaps(profile)
    return findings


def _groups(profile: Profile) -> Iterator[Finding]:
    if not profile.fields:
        yield Finding("error", "fields", "no fields", "add what the device measures")
    used = {field.group for field in profile.fields.values()}
    for name in profile.groups:
        if name not in used:
            yield Finding("warning", f"groups.{name}", "no field is in this group", "put one into it, or delete it")
    for name, field in profile.fields.items():
        if field.group not in profile.groups:
            mend = _meant(field.group, profile.groups, f"add groups.{field.group}, or use one that is there")
            yield Finding("error", f"fields.{name}.group", f"no group {field.group!r}", mend)
    for name, group in profile.groups.items():
        if group.every_s < EVERY_S_MIN:
            problem = f"{group.every_s:g} s is shorter than time is counted here, {EVERY_S_MIN:g} s"
            yield Finding("error", f"groups.{name}.every_s", problem, "write it in seconds, such as 1")
    limits = profile.modbus
    if limits.even_only and limits.registers_max < 2:
        problem = f"{limits.registers_max} at most, on a device that gives only even numbers of them"
        yield Finding("error", "modbus.registers_max", problem, "write what the device gives, or delete even_only")
    elif limits.even_only and limits.registers_max % 2:
        mend = f"write {limits.registers_max - 1}"
        yield Finding("warning", "modbus.registers_max", f"{limits.registers_max} is odd on an even-only device", mend)


def _forbidden(profile: Profile) -> Iterator[Finding]:
    for index, span in enumerate(profile.forbidden):
        key = f"forbidden[{index}]"
        if span.first > span.last:
            yield Finding("error", key, f"begins at {span.first} and ends before, at {span.last}", "swap them")
        for name, field in profile.fields.items():
            asked = _asked(field) if profile.modbus.even_only else _needed(field)
            if _reaches(span, field, asked) and not _reaches(span, field, _needed(field)):
                problem = f"is asked for in even pairs, with a register that forbidden[{index}] excludes"
                yield Finding("error", f"fields.{name}.address", problem, "correct the address, or narrow the span")
            elif _reaches(span, field, asked):
                problem = f"needs a register that forbidden[{index}] ({span.first} to {span.last}) excludes"
                yield Finding("error", f"fields.{name}.address", problem, "correct the address, or narrow the span")


def _name(key: str, name: str) -> Iterator[Finding]:
    if not is_field(name):
        mend = "use at most 63 lower-case letters, digits and _, beginning with a letter, not with q_"
        yield Finding("error", key, "not a usable field name", mend)
    elif name in RESERVED:
        yield Finding("error", key, "a name that the stores use themselves", f"call it {name}_value or better")


def _unit(key: str, name: str, field: ProfileField) -> Iterator[Finding]:
    promised = promised_unit(name)
    if promised is not None and promised != field.unit:
        problem = f"{field.unit!r}, but the name ends as for {promised!r}"
        yield Finding("error", f"{key}.unit", problem, f"write {promised}, or rename the field")


def _registers(key: str, field: ProfileField, profile: Profile) -> Iterator[Finding]:
    limits, count = profile.modbus, field.type.registers
    if field.address + count > ADDRESSES:
        problem = f"{count} registers from {field.address} end beyond {ADDRESSES - 1}"
        yield Finding("error", f"{key}.address", problem, "correct address or type")
    if limits.even_only and field.address % 2:
        mend = f"correct it to {field.address - 1} or {field.address + 1}; addresses are 0-based"
        yield Finding("error", f"{key}.address", f"{field.address} is odd on an even-only device", mend)
    if count > limits.registers_max:
        problem = f"{field.type} takes {count} registers, the device gives {limits.registers_max} at once"
        yield Finding("error", f"{key}.type", problem, "correct the type, or modbus.registers_max")
    if count == 1 and field.word_order in (WordOrder.ABCD, WordOrder.CDAB):
        problem = f"{field.word_order} means nothing for a single register"
        yield Finding("warning", f"{key}.word_order", problem, "delete it, or write BADC where its bytes are swapped")


def _values(key: str, field: ProfileField) -> Iterator[Finding]:
    if field.scale == 0:
        yield Finding("error", f"{key}.scale", "0 makes every value 0", "write the factor of the document, such as 0.1")
    if field.scale != 1 and field.type in _FLOATS:
        mend = "delete it, unless the document says so for this very value"
        yield Finding("warning", f"{key}.scale", f"{field.type} is rarely scaled", mend)
    if field.mask is not None and field.type is not DecodeType.U16:
        yield Finding("error", f"{key}.mask", f"{field.type} cannot be masked", "use type u16, or delete the mask")
    bits = 16 * field.type.registers
    for sentinel in field.sentinels:
        if sentinel >= 2**bits:
            mend = f"write the registers as one integer of {bits} bits"
            yield Finding("error", f"{key}.sentinels", f"{sentinel:#x} cannot occur in {field.type}", mend)
    yield from _range(key, field)


def _range(key: str, field: ProfileField) -> Iterator[Finding]:
    if field.range is None:
        return
    low, high = field.range
    if low >= high:
        yield Finding("error", f"{key}.range", f"{low:g} is not below {high:g}", "write the lower limit first")
        return
    held = _INTEGERS.get(field.type)
    if held is not None and field.scale:
        least, most = sorted(limit * field.scale for limit in held)
        if high < least or low > most:
            problem = f"{field.type} x {field.scale:g} gives {least:g} to {most:g}, never {low:g} to {high:g}"
            yield Finding("error", f"{key}.range", problem, "correct range, scale or type")


def _kind(key: str, field: ProfileField) -> Iterator[Finding]:
    if field.kind is FieldKind.COUNTER:
        if field.rate_max_per_h is None:
            mend = "add rate_max_per_h, so that an impossible step can be told from consumption"
            yield Finding("warning", key, "a counter without a largest rate", mend)
        return
    for name in ("rollover", "rate_max_per_h"):
        if getattr(field, name) is not None:
            yield Finding(
                "error", f"{key}.{name}", f"meant for counters, not for a {field.kind}", "delete it, or kind: counter"
            )


def _personal(key: str, name: str, field: ProfileField) -> Iterator[Finding]:
    if field.personal != is_pseudonym(name):
        mend = f"name it ...{PSEUDONYM_SUFFIX}" if field.personal else "personal: true, or another name"
        yield Finding("error", key, f"what is personal is called ...{PSEUDONYM_SUFFIX}, and nothing else is", mend)
    if not field.personal:
        return
    if field.kind is not FieldKind.STATE or field.unit != "1":
        yield Finding("error", key, "the number of a person is no quantity", "kind: state, unit: 1")
    if field.type.value[0] not in "iu" or field.type is DecodeType.I32_F32 or field.scale != 1:
        yield Finding("error", key, f"the number of a person is whole, not {field.type} x {field.scale:g}", "type: u32")


def _overlaps(profile: Profile) -> Iterator[Finding]:
    fields = sorted(profile.fields.items(), key=lambda item: (item[1].table, item[1].address))
    for index, (name, field) in enumerate(fields):
        for other_name, other in fields[index + 1 :]:
            if other.table != field.table or other.address >= field.address + field.type.registers:
                break
            if not _share_bits(field, other):
                problem = f"register {other.address} also belongs to {name} ({field.type} at {field.address})"
                yield Finding("error", f"fields.{other_name}.address", problem, "correct an address or a type")


def _share_bits(one: ProfileField, other: ProfileField) -> bool:
    """Two flags or numbers in different bits of one register are no mistake."""
    return one.mask is not None and other.mask is not None and not one.mask & other.mask


def _needed(field: ProfileField) -> tuple[int, int]:
    """First and last register of the value."""
    return field.address, field.address + field.type.registers - 1


def _asked(field: ProfileField) -> tuple[int, int]:
    """First and last register of the smallest request for it, where start and count have to be even."""
    first, last = _needed(field)
    return first - first % 2, last | 1


def _reaches(span: ForbiddenSpan, field: ProfileField, registers: tuple[int, int]) -> bool:
    first, last = registers
    return field.table == span.table and first <= span.last and last >= span.first


def _meant(name: str, names: Iterable[str], otherwise: str) -> str:
    close = get_close_matches(name, list(names), n=1)
    return f"did you mean {close[0]}?" if close else otherwise
