"""Registers to values, against printed examples, numpy and decimal arithmetic."""

from __future__ import annotations

import random
import struct
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from data_contract.reading import Quality
from device_profiles.profile import DecodeType, ProfileField, WordOrder
from device_profiles.registers import NO_VALUE, Value, decode, decoder, shortest_float32

ABCD, CDAB, BADC, DCBA = WordOrder.ABCD, WordOrder.CDAB, WordOrder.BADC, WordOrder.DCBA


def _field(kind: str, **more: Any) -> ProfileField:
    plain = {"table": "input", "address": 0, "type": kind, "unit": "1", "kind": "gauge"}
    return ProfileField.model_validate(plain | more)


def _words(wire: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(wire) // 2}H", wire)


def _good(value: float) -> Value:
    return Value(value, Quality.GOOD)


# What documents print, as they print it: (type, word order, registers, printed value, its last printed digit).
PRINTED = [
    pytest.param("f32", ABCD, "4366 3334", "230.2", id="Eastron SDM320Y User Manual V1.0 p42"),
    pytest.param("f32", ABCD, "42C8 0000", "100", id="Eastron SDM320Y User Manual V1.0 p42, pulse width"),
    pytest.param("i32", CDAB, "FFC8 FFFF", "-56", id="Gambit Labs TUF-2000M capture, REG 0021-0022"),
    pytest.param("f32", CDAB, "3CD0 40E3", "7.101173", id="Gambit Labs TUF-2000M capture, REG 0033-0034"),
    pytest.param("f32", CDAB, "806B 4212", "36.6254", id="TUF-2000M, temperature 1 of a tested device"),
    pytest.param("f32", DCBA, "1E85 0B3F", "0.545", id="Kaifeng Xintai water meter, flow"),
]


@pytest.mark.parametrize("kind, order, words, printed", PRINTED)
def test_an_example_of_a_manual_decodes_to_the_value_that_the_manual_prints(
    kind: str, order: WordOrder, words: str, printed: str
) -> None:
    read = decode(_field(kind), [int(word, 16) for word in words.split()], order)

    last_digit = 10.0 ** -len(printed.partition(".")[2])
    assert read.value == pytest.approx(float(printed), abs=last_digit / 2)
    assert read.quality is Quality.GOOD


def test_a_float32_shows_the_decimal_that_the_meter_meant() -> None:
    assert decode(_field("f32"), [0x4366, 0x3333], ABCD) == _good(230.2)
    assert decode(_field("f32"), [0x4366, 0x3334], ABCD) == _good(230.20001)
    assert decode(_field("f32"), [0x3DCC, 0xCCCD], ABCD) == _good(0.1)


_LETTERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
_LETTERS_64 = {
    "ABCD": (0, 1, 2, 3, 4, 5, 6, 7),
    "CDAB": (6, 7, 4, 5, 2, 3, 0, 1),
    "BADC": (1, 0, 3, 2, 5, 4, 7, 6),
    "DCBA": (7, 6, 5, 4, 3, 2, 1, 0),
}


@pytest.mark.parametrize("order", list(WordOrder))
@pytest.mark.parametrize(
    "kind, form, value",
    [
        ("i32", ">i", -19088744),
        ("u32", ">I", 4275878552),
        ("f32", ">f", -1234.5),
        ("i64", ">q", -81985529216486896),
        ("u64", ">Q", 18364758544493064720),
        ("f64", ">d", 123456.789),
    ],
)
def test_each_word_order_is_undone_byte_by_byte(order: WordOrder, kind: str, form: str, value: float) -> None:
    plain = struct.pack(form, value)
    letters = _LETTERS if len(plain) == 4 else _LETTERS_64
    wire = bytes(plain[i] for i in letters[order])

    assert decode(_field(kind), _words(wire), order) == _good(float(value))


@pytest.mark.parametrize("order", list(WordOrder))
def test_integer_and_fraction_have_the_word_order_each_by_itself(order: WordOrder) -> None:
    halves = [struct.pack(">i", 1234567), struct.pack(">f", 0.7181)]
    wire = b"".join(bytes(half[i] for i in _LETTERS[order]) for half in halves)

    assert decode(_field("i32_f32"), _words(wire), order) == _good(1234567.7181)


def test_a_field_may_have_another_word_order_than_its_device() -> None:
    assert decode(_field("u32", word_order="ABCD"), [1, 2], CDAB) == _good(0x10002)
    assert decode(_field("u32"), [1, 2], CDAB) == _good(0x20001)


@pytest.mark.parametrize("order", list(WordOrder))
def test_a_status_register_is_not_swapped_because_the_floats_of_the_device_are(order: WordOrder) -> None:
    assert decode(_field("u16"), [0x1234], order) == _good(0x1234)
    assert decode(_field("i16"), [0xFFFE], order) == _good(-2)


def test_a_single_register_is_swapped_where_its_own_field_says_so() -> None:
    assert decode(_field("u16", word_order="BADC"), [0x1234], ABCD) == _good(0x3412)
    assert decode(_field("i16", word_order="DCBA"), [0xFEFF], ABCD) == _good(-2)


def test_a_scaled_integer_is_the_exact_decimal() -> None:
    assert decode(_field("u16", scale=0.1), [17], ABCD) == _good(1.7)
    rng = random.Random(3)
    for kind, form in (("i32", ">i"), ("i64", ">q"), ("u16", ">H"), ("u64", ">Q")):
        for scale in (0.1, 0.01, 0.001, 1e-6, 1.5, 0.25, 1000.0, 0.3, 3.6):
            decode_one = decoder(_field(kind, scale=scale), ABCD)
            for _ in range(50):
                raw = rng.randbytes(struct.calcsize(form))
                expected = float(Decimal(struct.unpack(form, raw)[0]) * Decimal(str(scale)))
                assert decode_one(_words(raw)) == _good(expected)


def test_a_total_of_integer_and_fraction_is_the_exact_decimal_sum() -> None:
    rng = random.Random(4)
    decode_one, scaled = decoder(_field("i32_f32"), ABCD), decoder(_field("i32_f32", scale=0.001), ABCD)
    for _ in range(500):
        whole, fraction = rng.randrange(-(2**31), 2**31) >> rng.randrange(31), np.float32(rng.random())
        wire = struct.pack(">if", whole, float(fraction))
        total = Decimal(whole) + Decimal(np.format_float_positional(fraction, unique=True))
        assert decode_one(_words(wire)) == _good(float(total))
        assert scaled(_words(wire)) == _good(float(total / 1000))


def test_any_float32_reads_as_the_shortest_decimal_that_names_it() -> None:
    rng = random.Random(5)
    patterns = [rng.getrandbits(32) for _ in range(5000)]
    patterns += [(exponent << 23) + step for exponent in range(60, 200) for step in (-1, 0, 1)]
    for pattern in patterns:
        value = struct.unpack(">f", struct.pack(">I", pattern))[0]
        if np.isfinite(value) and 1e-30 < abs(value) < 1e24:
            assert shortest_float32(value) == float(str(np.float32(value))), hex(pattern)


def test_a_display_of_six_digits_is_shown_digit_by_digit() -> None:
    # Just below a power of ten and above a power of two, float32 is coarser than seven digits: 0.00098 and the like.
    rng = random.Random(6)
    for low, high in ((976563, 999999), (100000, 999999), (859000, 999999)):
        for exponent in (-15, -9, -6, -3, 0, 4):
            for _ in range(300):
                shown = float(f"{rng.randrange(low, high)}e{exponent}")
                assert shortest_float32(float(np.float32(shown))) == shown


@pytest.mark.parametrize("words", ["7FC0 0000", "7FA0 0000", "7F80 0000", "FF80 0000", "FFFF FFFF"])
def test_nan_and_infinity_are_no_value(words: str) -> None:
    raw = [int(word, 16) for word in words.split()]

    assert decode(_field("f32"), raw, ABCD) == NO_VALUE
    assert decode(_field("f32", scale=10.0), raw, ABCD) == NO_VALUE
    assert decode(_field("i32_f32"), [0, 5, *raw], ABCD) == NO_VALUE
    assert Value(None, Quality.INVALID) == NO_VALUE


def test_nan_and_infinity_of_double_precision_are_no_value() -> None:
    for value in (float("nan"), float("inf"), float("-inf")):
        assert decode(_field("f64"), _words(struct.pack(">d", value)), ABCD) == NO_VALUE


def test_a_product_beyond_every_number_is_no_value() -> None:
    assert decode(_field("f64", scale=1e10), _words(struct.pack(">d", 1e300)), ABCD) == NO_VALUE


@pytest.mark.parametrize(
    "kind, words, sentinel",
    [
        ("i16", "8000", 0x8000),
        ("i16", "7FFF", 0x7FFF),
        ("u16", "FFFF", 0xFFFF),
        ("i32", "7FFF FFFF", 0x7FFFFFFF),
        ("f32", "4120 0000", 0x41200000),
        ("u64", "FFFF FFFF FFFF FFFF", 2**64 - 1),
        ("i32_f32", "FFFF FFFF 0000 0000", 0xFFFFFFFF00000000),
    ],
)
def test_a_devices_mark_for_no_value_is_no_value_in_its_word_order(kind: str, words: str, sentinel: int) -> None:
    raw = [int(word, 16) for word in words.split()]
    swapped = [raw[1], raw[0], *raw[:1:-1]] if len(raw) == 4 and kind == "i32_f32" else raw[::-1]

    field = _field(kind, sentinels=[1, sentinel])
    assert decode(field, raw, ABCD) == NO_VALUE
    assert decode(field, swapped, CDAB) == NO_VALUE
    assert decode(_field(kind), raw, ABCD).value is not None


def test_a_sentinel_is_looked_for_before_the_mask_hides_it() -> None:
    field = _field("u16", mask=0x00FF, sentinels=[0xFFFF])

    assert decode(field, [0xFFFF], ABCD) == NO_VALUE
    assert decode(field, [0x00FF], ABCD) == _good(255)


def test_a_mask_keeps_its_bits_where_they_are() -> None:
    assert decode(_field("u16", mask=0x00FF), [0x0326], ABCD) == _good(38)
    assert decode(_field("u16", mask=0xFF00), [0x0326], ABCD) == _good(0x0300)


def test_a_value_outside_its_range_is_kept_and_marked() -> None:
    field = _field("i16", range=[-5, 5])

    assert decode(field, [5], ABCD) == _good(5)
    assert decode(field, [0xFFFB], ABCD) == _good(-5)
    assert decode(field, [6], ABCD) == Value(6, Quality.OUT_OF_RANGE)
    assert decode(field, [0xFFFA], ABCD) == Value(-6, Quality.OUT_OF_RANGE)


def test_an_integer_too_long_for_float64_becomes_its_neighbour() -> None:
    assert decode(_field("u64"), [0xFFFF] * 4, ABCD) == _good(18446744073709551616.0)
    assert decode(_field("i64"), [0x0020, 0, 0, 1], ABCD) == _good(9007199254740992.0)


def test_a_negative_zero_is_a_zero() -> None:
    for kind, words in (("f32", [0x8000, 0]), ("f64", [0x8000, 0, 0, 0]), ("i32_f32", [0, 0, 0x8000, 0])):
        assert str(decode(_field(kind), words, ABCD).value) == "0.0"


@pytest.mark.parametrize("kind", list(DecodeType))
def test_too_few_or_too_many_registers_never_decode(kind: DecodeType) -> None:
    decode_one = decoder(_field(kind), ABCD)
    for count in range(6):
        if count != kind.registers:
            with pytest.raises(ValueError, match="registers expected"):
                decode_one([0] * count)
    assert decode_one([0] * kind.registers) == _good(0)


@pytest.mark.parametrize("word", [-1, 65536])
def test_what_no_register_can_hold_never_decodes(word: int) -> None:
    with pytest.raises(ValueError, match="a register holds 0 to 65535"):
        decode(_field("u16"), [word], ABCD)


def test_a_mask_on_a_number_that_has_no_bits_of_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match="needs type u16"):
        decoder(_field("i16", mask=1), ABCD)
