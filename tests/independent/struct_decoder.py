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


class Device(NamedTuple):
    """A document: its table, the number that it prints for the first register, and which register comes first."""

    rows: dict[str, Row]
    first_printed: int
    low_register_first: bool


DEVICES = {
    "eastron-sdm630": Device(_SDM630, 30001, low_register_first=False),
    "tuf-2000m": Device(_TUF2000M, 1, low_register_first=True),
}


def decode_file(device: str, recording: Path) -> dict[str, float]:
    """Field -> value for every row of the device's table whose registers are in the recording."""
    held = _registers(yaml.safe_load(recording.read_text(encoding="utf-8")))
    document = DEVICES[device]
    values = {}
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


def _value(row: Row, registers: list[bytes], low_register_first: bool) -> float:
    if row.form == "LONG+REAL4":
        whole = struct.unpack(">i", _joined(registers[:2], low_register_first))[0]
        fraction = struct.unpack(">f", _joined(registers[2:], low_register_first))[0]
        return float(Decimal(whole) + Decimal(_shown(fraction)))
    value = struct.unpack(row.form, _joined(registers, low_register_first))[0]
    if row.form == ">f":
        return float(_shown(value))
    return float(value % 256 if row.low_byte else value)


def _joined(registers: list[bytes], low_register_first: bool) -> bytes:
    return b"".join(reversed(registers) if low_register_first else registers)


def _shown(value: float) -> str:
    """The decimal that numpy prints for a float32: the shortest that names it."""
    return np.format_float_positional(np.float32(value), unique=True, trim="0")
