"""A column of numbers as few bytes, exactly: differences, their bytes sorted by significance, deflated.

Numbers that a display shows are whole multiples of a power of ten, and are kept as those; all others as the bits of
float64. Taken as integers, neighbours differ little either way, so their upper bytes are nearly all alike.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

BITS = 0x7F
"""First byte of a column of float64; any smaller one is the number of decimals."""
DIGITS_MAX = 9
_LEVEL = 1
_WHOLE_MAX = 2.0**53


def pack(column: Column, digits: int | None = None) -> bytes:
    """A column of float64 as bytes; `digits` says how many decimals its numbers have, if that is known."""
    whole = None if digits is None else _whole(column, digits)
    if whole is None:
        return _deflated(BITS, np.ascontiguousarray(column, dtype=np.float64).view(np.int64))
    return _deflated(digits or 0, whole)


def unpack(data: bytes) -> Column:
    """The column that `pack` was given, to the last bit. ValueError for bytes that are none."""
    deflated = zlib.decompressobj()
    try:
        planes = np.frombuffer(deflated.decompress(data[1:]), dtype=np.uint8)
    except zlib.error as error:
        raise ValueError(f"not a packed column: {error}") from None
    whole_stream = deflated.eof and not deflated.unused_data
    if not whole_stream or planes.size % 8 or not (data[0] == BITS or data[0] <= DIGITS_MAX):
        raise ValueError("not a packed column: cut, or followed by something else")
    steps = np.ascontiguousarray(planes.reshape(8, -1).T).reshape(-1).view("<i8")
    whole = np.cumsum(steps, dtype=np.int64)
    if data[0] == BITS:
        return whole.view(np.float64)
    column = whole / 10.0 ** data[0]
    column[whole == _NOTHING] = np.nan
    return column


_NOTHING = -(2**62)
"""Stands for: not a number."""


def _whole(column: Column, digits: int) -> NDArray[np.int64] | None:
    """The column in units of its last decimal, or None if that would lose anything."""
    if not 0 <= digits <= DIGITS_MAX:
        return None
    nothing = np.isnan(column)
    with np.errstate(over="ignore"):
        scaled = np.rint(np.where(nothing, 0.0, column) * 10.0**digits)
    if not bool(np.all(np.abs(scaled) < _WHOLE_MAX)):
        return None
    whole = scaled.astype(np.int64)
    back = whole / 10.0**digits
    if not np.array_equal(back[~nothing].view(np.int64), np.asarray(column)[~nothing].view(np.int64)):
        return None
    whole[nothing] = _NOTHING
    return whole


def _deflated(head: int, whole: NDArray[np.int64]) -> bytes:
    with np.errstate(over="ignore"):
        steps = np.diff(whole, prepend=np.int64(0))
    planes = np.ascontiguousarray(steps.astype("<i8").view(np.uint8).reshape(-1, 8).T)
    return bytes((head,)) + zlib.compress(planes.tobytes(), _LEVEL)
