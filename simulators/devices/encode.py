"""How a simulated device puts a value into its registers, written from the Modbus and IEEE 754 texts alone.

It shares nothing with the decoder that reads the registers, so a wrong word order on one side cannot cancel on the
other. A register that is too narrow for a value shows the end of its range.
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal

import numpy as np

from device_profiles.profile import DecodeType, WordOrder

Words = tuple[int, ...]

_PACK = {
    DecodeType.I16: ">h",
    DecodeType.U16: ">H",
    DecodeType.I32: ">i",
    DecodeType.U32: ">I",
    DecodeType.I64: ">q",
    DecodeType.U64: ">Q",
    DecodeType.F32: ">f",
    DecodeType.F64: ">d",
}
_ENDS = {
    DecodeType.I16: (-(2**15), 2**15 - 1),
    DecodeType.U16: (0, 2**16 - 1),
    DecodeType.I32: (-(2**31), 2**31 - 1),
    DecodeType.U32: (0, 2**32 - 1),
    DecodeType.I64: (-(2**63), 2**63 - 1),
    DecodeType.U64: (0, 2**64 - 1),
}
_F32_MAX = 3.4028234663852886e38
_FILLER = 0xA5A5


def encode(value: float, *, kind: DecodeType, order: WordOrder, scale: float = 1.0, mask: int | None = None) -> Words:
    """The registers, in the order of their addresses, that show `value` (in engineering units; value = raw x scale)."""
    if kind is DecodeType.I32_F32:
        whole, fraction = _split(value / scale)
        return _order(struct.pack(">i", whole), order) + _order(struct.pack(">f", fraction), order)
    raw = _raw(value, kind, scale)
    if mask is not None:
        raw = (int(raw) & mask) | (_FILLER & ~mask)
    return _order(struct.pack(_PACK[kind], raw), order)


def shown(value: float, *, kind: DecodeType, scale: float = 1.0, mask: int | None = None) -> float:
    """The exact decimal value that the registers of `encode` hold: a float32 as the shortest decimal that names it."""
    if kind is DecodeType.I32_F32:
        whole, fraction = _split(value / scale)
        return _scaled(Decimal(whole) + Decimal(_f32_text(fraction)), scale)
    raw = _raw(value, kind, scale)
    if kind is DecodeType.F32:
        return float(_f32_text(raw)) if scale == 1.0 else _scaled(Decimal(_f32_text(raw)), scale)
    if mask is not None:
        raw = int(raw) & mask
    return float(raw) if scale == 1.0 else _scaled(Decimal(repr(raw)), scale)


def encode_nan(*, kind: DecodeType, order: WordOrder, sentinels: tuple[int, ...] = ()) -> Words | None:
    """The registers that say "no value": the device's own pattern, else a quiet NaN; None if the type has neither."""
    if sentinels:
        return _order(sentinels[0].to_bytes(2 * kind.registers, "big"), order)
    if kind is DecodeType.I32_F32:
        return _order(bytes(4), order) + _order(struct.pack(">f", math.nan), order)
    if kind in (DecodeType.F32, DecodeType.F64):
        return _order(struct.pack(_PACK[kind], math.nan), order)
    return None


def _raw(value: float, kind: DecodeType, scale: float) -> int | float:
    """The number in the registers: rounded to what the type can hold, and kept within its ends."""
    raw = value if scale == 1.0 else value / scale
    if kind is DecodeType.F64:
        return raw
    if kind is DecodeType.F32:
        return float(np.float32(min(max(raw, -_F32_MAX), _F32_MAX)))
    low, high = _ENDS[kind]
    return min(max(round(raw), low), high)


def _split(value: float) -> tuple[int, float]:
    """A total as integer part and float32 fraction of the same sign; the fraction stays below 1."""
    low, high = _ENDS[DecodeType.I32]
    whole = min(max(math.trunc(value), low), high)
    # through the decimal text: 12345.678 leaves .678 and not the .67800000000034 that binary subtraction leaves
    fraction = float(np.float32(float(Decimal(repr(value)) - math.trunc(value))))
    if abs(fraction) >= 1.0:
        return min(max(whole + int(fraction), low), high), 0.0
    return whole, fraction


def _order(data: bytes, order: WordOrder) -> Words:
    """Bytes, most significant first, as registers: low word first (CDAB, DCBA), low byte first (BADC, DCBA)."""
    pairs = [data[at : at + 2] for at in range(0, len(data), 2)]
    if order in (WordOrder.CDAB, WordOrder.DCBA):
        pairs.reverse()
    swap = order in (WordOrder.BADC, WordOrder.DCBA)
    return tuple(int.from_bytes(pair, "little" if swap else "big") for pair in pairs)


def _f32_text(value: float) -> str:
    return str(np.float32(value))


def _scaled(raw: Decimal, scale: float) -> float:
    return float(raw * Decimal(repr(scale)))
