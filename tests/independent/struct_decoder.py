"""A second reading of every recording in the catalog: tables typed from documents, struct and numpy; nothing of ours.

A profile, our decoder and a recording can agree with each other and all be wrong. What stands here was copied from the
register tables by hand, in the numbers that they print, and is never read from a profile.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml


class Row(NamedTuple):
    """One line of a printed register table."""

    table: str
    printed: int
    """The register's number as the document prints it."""
    form: str
    """A format of struct, or LONG+REAL4 for an integer part followed by a fraction."""
    low_byte: bool = False
    factor: str = "1"
    """Value = number x factor, in decimal."""
    none: tuple[int, ...] = ()
    """Numbers that the document gives for "no value"."""


# SDM630-Modbus MID V2 user manual and SDM630 Modbus Protocol V1.8, section 1.2.1: input registers 3xxxx, 4 byte floats.
_SDM630 = {
    "voltage_l1_v": Row("input", 30001, ">f"),
    "voltage_l2_v": Row("input", 30003, ">f"),
    "voltage_l3_v": Row("input", 30005, ">f"),
    "current_l1_a": Row("input", 30007, ">f"),
    "current_l2_a": Row("input", 30009, ">f"),
    "current_l3_a": Row("input", 30011, ">f"),
    "power_w": Row("input", 30053, ">f"),
    "power_factor": Row("input", 30063, ">f"),
    "frequency_hz": Row("input", 30071, ">f"),
    "energy_import_kwh": Row("input", 30073, ">f"),
    "energy_export_kwh": Row("input", 30075, ">f"),
    "energy_total_kwh": Row("input", 30343, ">f"),
}

# TUF-2000F User Manual, section 5.1.1: registers 0001 and up, REAL4 and LONG "lower byte first".
_TUF2000M = {
    "flow_m3_h": Row("holding", 1, ">f"),
    "velocity_m_s": Row("holding", 5, ">f"),
    "volume_m3": Row("holding", 9, "LONG+REAL4"),
    "volume_reverse_m3": Row("holding", 13, "LONG+REAL4"),
    "error_bits": Row("holding", 72, ">H"),
    "signal_quality": Row("holding", 92, ">H", low_byte=True),
    "working_time_s": Row("holding", 103, ">I"),
}

# SD01189C/07/EN/04.17, 8.3.2: numbered from 0, FLOAT and UNSIGNED8; "1-0-3-2" puts the low register first.
_CM44X = {
    "conductivity_us_cm": Row("input", 0, ">f"),
    "conductivity_state": Row("input", 2, ">H"),
    "turbidity_ntu": Row("input", 4, ">f"),
    "turbidity_state": Row("input", 6, ">H"),
    "ph": Row("input", 8, ">f"),
    "ph_state": Row("input", 10, ">H"),
    "temperature_c": Row("input", 12, ">f"),
    "temperature_state": Row("input", 14, ">H"),
}

# TLU manual, page 34: holding registers 4xxxx, weights as H and L without decimal point, here with two decimals.
_TLB4 = {
    "status_bits": Row("holding", 40007, ">H"),
    "gross_weight_kg": Row("holding", 40008, ">I", factor="0.01"),
    "net_weight_kg": Row("holding", 40010, ">I", factor="0.01"),
}

# HX711 data sheet, page 4: 24 bits in two's complement, here extended to 32; the ends of the range are no values.
_HX711 = {
    "raw_count": Row("holding", 0, ">i", none=(8388607, -8388608)),
    "door_open": Row("holding", 2, ">H"),
}


class Device(NamedTuple):
    """A document: its table, the number that it prints for the first register, and which register comes first."""

    rows: dict[str, Row]
    first_printed: int
    low_register_first: bool


DEVICES = {
    "eastron-sdm630": Device(_SDM630, 30001, low_register_first=False),
    "tuf-2000m": Device(_TUF2000M, 1, low_register_first=True),
    "eh-cm44x": Device(_CM44X, 0, low_register_first=True),
    "laumas-tlb4": Device(_TLB4, 40001, low_register_first=False),
    "avia-hx711": Device(_HX711, 0, low_register_first=False),
}


def decode_file(device: str, recording: Path) -> dict[str, float | None]:
    """Field -> value for every row of the device's table whose registers are in the recording."""
    held = _registers(yaml.safe_load(recording.read_text(encoding="utf-8")))
    document = DEVICES[device]
    values: dict[str, float | None] = {}
    for name, row in document.rows.items():
        wire = row.printed - document.first_printed
        count = 4 if row.form == "LONG+REAL4" else struct.calcsize(row.form) // 2
        places = [(row.table, wire + i) for i in range(count)]
        if all(place in held for place in places):
            values[name] = _value(row, [held[place] for place in places], document.low_register_first)
    return values


def _registers(recording: Any) -> dict[tuple[str, int], bytes]:
    held = {}
    for frame in recording["frames"]:
        for offset, word in enumerate(frame["words"].split()):
            held[frame["table"], frame["address"] + offset] = bytes.fromhex(word)
    return held


def _value(row: Row, registers: list[bytes], low_register_first: bool) -> float | None:
    if row.form == "LONG+REAL4":
        whole = struct.unpack(">i", _joined(registers[:2], low_register_first))[0]
        fraction = struct.unpack(">f", _joined(registers[2:], low_register_first))[0]
        return float(Decimal(whole) + Decimal(_shown(fraction)))
    value = struct.unpack(row.form, _joined(registers, low_register_first))[0]
    if value in row.none or value != value:
        return None
    if row.form == ">f":
        return float(_shown(value))
    return float(Decimal(value % 256 if row.low_byte else value) * Decimal(row.factor))


def _joined(registers: list[bytes], low_register_first: bool) -> bytes:
    return b"".join(reversed(registers) if low_register_first else registers)


def _shown(value: float) -> str:
    """The decimal that numpy prints for a float32: the shortest that names it."""
    return np.format_float_positional(np.float32(value), unique=True, trim="0")
