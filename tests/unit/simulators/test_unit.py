"""A simulated device must refuse what the real one refuses, or the agent's manners are never tested."""

from __future__ import annotations

import struct

import pytest

from tests.unit.simulators.plant import ORIGIN_MS, fault, units


def test_fields_wholly_inside_the_request_are_noted_and_no_others() -> None:
    unit = units()["energy-meter"]
    words, fields = unit.answer(4, 0x00, 4, ORIGIN_MS)
    assert [shown.field for shown in fields] == ["voltage_l1_v", "voltage_l2_v"]
    assert fields[0].words == f"{words[0]:04x} {words[1]:04x}"
    _, half = unit.answer(4, 0x01, 2, ORIGIN_MS)
    assert half == []


def test_a_field_cut_by_the_request_shows_the_registers_that_are_inside() -> None:
    unit = units()["energy-meter"]
    whole, _ = unit.answer(4, 0x00, 2, ORIGIN_MS)
    cut, _ = unit.answer(4, 0x01, 2, ORIGIN_MS)
    assert cut[0] == whole[1]


def test_registers_between_fields_read_as_zero() -> None:
    words, fields = units()["energy-meter"].answer(4, 0x0A, 0x2C, ORIGIN_MS)
    assert words[2:-2] == [0] * 0x28
    assert [shown.field for shown in fields] == ["current_l3_a", "power_w"]


def test_a_split_total_comes_low_word_first() -> None:
    words, fields = units()["feed-meter"].answer(3, 8, 4, ORIGIN_MS)
    (whole,) = struct.unpack(">i", struct.pack(">HH", words[1], words[0]))
    assert whole == 12_345
    assert fields[0].value == 12_345.0


@pytest.mark.parametrize(
    "function, address, count, code",
    [
        (4, 0, 82, 3),  # more than the device gives at once
        (4, 0, 3, 3),  # an odd number, where only even ones are allowed
        (4, 1, 2, 2),  # an odd start
        (4, 0x64, 2, 2),  # beyond the last register
        (4, 0x5E, 4, 2),  # touches forbidden registers
        (3, 0, 2, 2),  # the other table, which this device does not have
        (6, 0, 2, 1),  # a write
    ],
)
def test_requests_that_the_device_forbids_are_refused(function: int, address: int, count: int, code: int) -> None:
    unit = units()["energy-meter"]
    refusal = unit.refuse(function, address, count, ORIGIN_MS)
    assert refusal is not None
    assert refusal.code == code
    assert unit.refuse(4, 0, 80, ORIGIN_MS) is None


def test_faults_begin_and_end_on_time() -> None:
    unit = units(faults=[fault("silent"), fault("exception", "feed-meter", exception_code=6)])["energy-meter"]
    other = units(faults=[fault("exception", "feed-meter", exception_code=6)])["feed-meter"]
    for since_s, refused in ((99.999, False), (100, True), (149.999, True), (150, False)):
        t_ms = ORIGIN_MS + int(since_s * 1000)
        assert (unit.refuse(4, 0, 2, t_ms) is not None) is refused
        answer = other.refuse(3, 0, 2, t_ms)
        assert (None if answer is None else answer.code) == (6 if refused else None)


def test_a_silent_device_has_no_exception_code_at_all() -> None:
    refusal = units(faults=[fault("silent")])["energy-meter"].refuse(4, 9999, 999, ORIGIN_MS + 100_000)
    assert refusal is not None
    assert refusal.code is None


def test_not_a_number_is_noted_as_no_value() -> None:
    unit = units(faults=[fault("nan")])["energy-meter"]
    words, fields = unit.answer(4, 0, 2, ORIGIN_MS + 100_000)
    assert words == [0x7FC0, 0x0000]
    assert fields[0].value is None
    assert unit.answer(4, 0, 2, ORIGIN_MS)[1][0].value is not None
