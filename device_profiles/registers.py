"""Registers -> values: the only place that knows word order, scale and sentinel.

A meter shows decimals; its registers hold a float32 or a scaled integer. What comes out here is the float64 nearest to
the decimal that the meter meant: 230.2 rather than 230.1999969482422, 1.7 for 17 x 0.1. A value is decoded by a closure
made once per field, since a gateway decodes hundreds of them a second.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import NamedTuple

from data_contract.reading import Quality
from device_profiles.profile import DecodeType, Profile, ProfileField, WordOrder


class Value(NamedTuple):
    """What a field reads: a number in the field's unit, or None with the reason why there is none."""

    value: float | None
    quality: Quality


Decoder = Callable[[Sequence[int]], Value]
"""The registers of one field, in the order of their addresses -> its value. ValueError for another number of them."""

NO_VALUE = Value(None, Quality.INVALID)

_Number = Callable[[bytes], float | None]
"""Bytes, most significant first -> the number after scale, or None where they hold NaN, infinity or a sentinel."""


def decode(field: ProfileField, words: Sequence[int], order: WordOrder) -> Value:
    """Decode once. `order` is the device's; the field's own wins. Use `decoder` where it happens more than once."""
    return decoder(field, order)(words)


def decoders(profile: Profile) -> dict[str, Decoder]:
    """A decoder for each field of `profile`, by name."""
    return {name: decoder(field, profile.modbus.word_order) for name, field in profile.fields.items()}


def decoder(field: ProfileField, order: WordOrder) -> Decoder:
    """Prepare the decoding of `field` on a device whose word order is `order`.

    An integer beyond 2**53 becomes the nearest float64. A value outside `range` is kept and marked. ValueError where
    the field asks for what its type cannot give (a mask on anything but u16).
    """
    if field.mask is not None and field.type is not DecodeType.U16:
        raise ValueError(f"a mask needs type u16, not {field.type}")
    to_bytes = _byte_orderer(field, order)
    number = _refusing(field.sentinels, _number(field))
    good, outside = Quality.GOOD, Quality.OUT_OF_RANGE
    low, high = field.range if field.range is not None else (float("-inf"), float("inf"))

    def decode_words(words: Sequence[int]) -> Value:
        value = number(to_bytes(words))
        if value is None:
            return NO_VALUE
        # A negative zero is a zero; as text it would be another value.
        return Value(value + 0.0, good if low <= value <= high else outside)

    return decode_words


def whole(field: ProfileField, order: WordOrder) -> Callable[[Sequence[int]], int]:
    """Prepare reading all bits of `field` as one unsigned number, with the word order undone."""
    to_bytes = _byte_orderer(field, order)
    return lambda words: int.from_bytes(to_bytes(words), "big")


def shortest_float32(value: float) -> float:
    """The float64 of the shortest decimal that is stored as the float32 `value`: 230.2 for 230.1999969482422.

    Six digits always survive a float32 and nine always name one, so at most four are tried. (At a few powers of two
    beyond 1e24 a digit could still be saved; no meter shows them.)
    """
    raw = _F32.pack(value)
    for digits in (".6g", ".7g", ".8g"):
        short = float(format(value, digits))
        if _packs_to(short, raw):
            return short
    return float(format(value, ".9g"))


_F32 = struct.Struct(">f")
_F32_SAFE = 3.4e38
"""Less than the largest float32, 3.4028235e38, which six digits would round up beyond itself."""


def _packs_to(value: float, raw: bytes) -> bool:
    try:
        return _F32.pack(value) == raw
    except OverflowError:
        # Rounded up beyond the largest float32.
        return False


def _byte_orderer(field: ProfileField, order: WordOrder) -> Callable[[Sequence[int]], bytes]:
    """Words -> bytes, most significant first, with the word order undone."""
    count = field.type.registers
    # Modbus fixes the order inside a register, so a device's word order speaks of longer values only.
    order = field.word_order or (order if count > 1 else WordOrder.ABCD)
    pack = struct.Struct(f"{'<' if order in (WordOrder.BADC, WordOrder.DCBA) else '>'}{count}H").pack
    reverse = order in (WordOrder.CDAB, WordOrder.DCBA)
    halves = field.type is DecodeType.I32_F32

    def to_bytes(words: Sequence[int]) -> bytes:
        if len(words) != count:
            raise ValueError(f"{count} registers expected, got {len(words)}")
        try:
            if not reverse:
                return pack(*words)
            if halves:
                return pack(words[1], words[0], words[3], words[2])
            return pack(*words[::-1])
        except struct.error:
            raise ValueError("a register holds 0 to 65535") from None

    return to_bytes


def _refusing(sentinels: tuple[int, ...], number: _Number) -> _Number:
    if not sentinels:
        return number
    marks = frozenset(sentinels)

    def checked(raw: bytes) -> float | None:
        return None if int.from_bytes(raw, "big") in marks else number(raw)

    return checked


def _number(field: ProfileField) -> _Number:
    match field.type:
        case DecodeType.F32:
            return _float32(field.scale)
        case DecodeType.F64:
            return _float64(field.scale)
        case DecodeType.I32_F32:
            return _integer_and_fraction(field.scale)
        case _:
            return _integer(field.type, field.scale, field.mask)


def _integer(kind: DecodeType, scale: float, mask: int | None) -> _Number:
    signed = kind in (DecodeType.I16, DecodeType.I32, DecodeType.I64)
    above, below = _exact(scale).as_integer_ratio()
    bits = -1 if mask is None else mask

    def number(raw: bytes) -> float:
        # Python divides integers of any size with one rounding, so this is the float64 nearest to the exact decimal.
        return (int.from_bytes(raw, "big", signed=signed) & bits) * above / below

    return number


def _float32(scale: float) -> _Number:
    pack, unpack = _F32.pack, _F32.unpack

    def number(raw: bytes) -> float | None:
        value: float = unpack(raw)[0]
        if not isfinite(value):
            return None
        # What most meters show has six digits at most; a gateway does this hundreds of times a second.
        short = float(f"{value:.6g}")
        if -_F32_SAFE < short < _F32_SAFE and pack(short) == raw:
            return short
        return shortest_float32(value)

    return number if scale == 1 else _scaled(number, scale)


def _float64(scale: float) -> _Number:
    unpack = struct.Struct(">d").unpack

    def number(raw: bytes) -> float | None:
        value: float = unpack(raw)[0]
        return value if isfinite(value) else None

    return number if scale == 1 else _scaled(number, scale)


def _integer_and_fraction(scale: float) -> _Number:
    unpack = struct.Struct(">if").unpack
    factor = Decimal(repr(scale))

    def number(raw: bytes) -> float | None:
        whole, fraction = unpack(raw)
        if not isfinite(fraction):
            return None
        # Added as decimals: in binary the fraction's own rounding would show up beside the integer.
        return _finite((Decimal(whole) + Decimal(repr(shortest_float32(fraction)))) * factor)

    return number


def _scaled(number: _Number, scale: float) -> _Number:
    factor = Decimal(repr(scale))

    def scaled(raw: bytes) -> float | None:
        value = number(raw)
        return None if value is None else _finite(Decimal(repr(value)) * factor)

    return scaled


def _exact(scale: float) -> Fraction:
    """The decimal that a person wrote, not the binary number next to it."""
    return Fraction(repr(scale))


def _finite(value: Decimal) -> float | None:
    result = float(value)
    return result if isfinite(result) else None
