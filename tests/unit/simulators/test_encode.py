"""A register that holds something else than the record says would make every comparison with the record worthless."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from device_profiles.profile import DecodeType, WordOrder
from simulators.devices.encode import encode, encode_nan, shown

FORMATS = {"i16": ">h", "u16": ">H", "i32": ">i", "u32": ">I", "i64": ">q", "u64": ">Q", "f32": ">f", "f64": ">d"}
VALUES = {
    "i16": (0, 1, -1, 12_345, -32_768, 32_767),
    "u16": (0, 1, 65_535),
    "i32": (0, -1, 70_000, -(2**31), 2**31 - 1),
    "u32": (0, 70_000, 2**32 - 1),
    "i64": (0, -1, 123_456_789_012, -(2**53)),
    "u64": (0, 123_456_789_012, 2**53),
    "f32": (0.0, 230.2, -1.5, 1e-3, 123_456.78),
    "f64": (0.0, 230.2, -1.5, 1e-300, 123_456_789.123),
}


def wire(words: tuple[int, ...]) -> bytes:
    return b"".join(struct.pack(">H", word) for word in words)


def sorted_out(data: bytes, order: str) -> bytes:
    """Wire bytes -> most significant byte first, by the letters of the order alone (8 bytes: the same by pairs)."""
    if order in ("BADC", "DCBA"):
        data = b"".join(data[at + 1 : at + 2] + data[at : at + 1] for at in range(0, len(data), 2))
    if order in ("CDAB", "DCBA"):
        data = b"".join(data[at : at + 2] for at in range(len(data) - 2, -1, -2))
    return data


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize("kind", list(FORMATS))
def test_registers_hold_exactly_the_value_that_the_record_notes(kind: str, order: str) -> None:
    for value in VALUES[kind]:
        words = encode(value, kind=DecodeType(kind), order=WordOrder(order))
        (held,) = struct.unpack(FORMATS[kind], sorted_out(wire(words), order))
        noted = shown(value, kind=DecodeType(kind))
        if kind == "f32":
            assert np.float32(noted) == np.float32(held) == np.float32(value)
            assert len(repr(noted)) <= 12  # the decimal that a person reads, not the binary's 20 digits
        else:
            assert noted == held == value


@pytest.mark.parametrize(
    "value, order, expected",
    [
        (230.2, "ABCD", "4366 3333"),  # IEEE 754: 0x43663333 is the float32 nearest to 230.2
        (230.20001, "ABCD", "4366 3334"),  # the words that Eastron's protocol documents print for 230.2
        (36.62541, "CDAB", "806b 4212"),  # words read from a TUF-2000M
        (230.2, "DCBA", "3333 6643"),
        (230.2, "BADC", "6643 3333"),
        (1.0, "ABCD", "3f80 0000"),
        (1.0, "CDAB", "0000 3f80"),
    ],
)
def test_golden_words(value: float, order: str, expected: str) -> None:
    words = encode(value, kind=DecodeType.F32, order=WordOrder(order))
    assert " ".join(f"{word:04x}" for word in words) == expected


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize("value", [0.0, 0.001, 12_345.678, 99_999.999, -12.5, 2_147_483_646.5, 7.0])
def test_a_split_total_is_its_whole_part_and_its_fraction(value: float, order: str) -> None:
    words = encode(value, kind=DecodeType.I32_F32, order=WordOrder(order))
    (whole,) = struct.unpack(">i", sorted_out(wire(words[:2]), order))
    (fraction,) = struct.unpack(">f", sorted_out(wire(words[2:]), order))
    assert abs(fraction) < 1.0
    assert whole + fraction == pytest.approx(value, abs=1e-7)
    assert shown(value, kind=DecodeType.I32_F32) == value


def test_a_fraction_that_rounds_up_to_one_is_carried() -> None:
    words = encode(41.999999999, kind=DecodeType.I32_F32, order=WordOrder.ABCD)
    assert words == (0, 42, 0, 0)
    assert shown(41.999999999, kind=DecodeType.I32_F32) == 42.0


def test_a_scaled_integer_shows_a_clean_decimal() -> None:
    assert encode(230.7, kind=DecodeType.U16, order=WordOrder.ABCD, scale=0.1) == (2307,)
    assert shown(230.7, kind=DecodeType.U16, scale=0.1) == 230.7
    assert shown(123_456.78, kind=DecodeType.I32, scale=0.01) == 123_456.78
    assert shown(5000.0, kind=DecodeType.U16, scale=10.0) == 5000.0


def test_a_register_too_narrow_shows_its_end_and_never_wraps() -> None:
    assert encode(70_000, kind=DecodeType.U16, order=WordOrder.ABCD) == (0xFFFF,)
    assert shown(70_000, kind=DecodeType.U16) == 65_535
    assert encode(-1, kind=DecodeType.U32, order=WordOrder.ABCD) == (0, 0)
    assert encode(-40_000, kind=DecodeType.I16, order=WordOrder.ABCD) == (0x8000,)
    assert math.isfinite(shown(1e39, kind=DecodeType.F32))


def test_bits_outside_the_mask_are_filled_so_that_a_reader_must_mask() -> None:
    (word,) = encode(85, kind=DecodeType.U16, order=WordOrder.ABCD, mask=0x00FF)
    assert word & 0x00FF == 85
    assert word >> 8 != 0
    assert shown(85, kind=DecodeType.U16, mask=0x00FF) == 85


def test_no_value_is_a_nan_or_the_sentinel_of_the_device() -> None:
    assert encode_nan(kind=DecodeType.F32, order=WordOrder.CDAB) == (0x0000, 0x7FC0)
    assert encode_nan(kind=DecodeType.U32, order=WordOrder.CDAB, sentinels=(0x7FFFFFFE,)) == (0xFFFE, 0x7FFF)
    assert encode_nan(kind=DecodeType.U16, order=WordOrder.ABCD) is None
    words = encode_nan(kind=DecodeType.I32_F32, order=WordOrder.ABCD)
    assert words is not None
    assert math.isnan(struct.unpack(">f", wire(words[2:]))[0])
