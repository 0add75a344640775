"""Frames of Modbus RTU and TCP as a device sees them, written from the specifications alone.

Modbus over Serial Line V1.02, 2.5.1 and 6.2.2; Modbus Messaging on TCP/IP V1.0b, 3.1.3.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

READ_BYTES = 8
"""A request of unit, function, address, count or value, and checksum: functions 1 to 6 and 8."""
BARE_BYTES = 4
"""A request of unit, function and checksum."""
WRITE_HEAD_BYTES = 9
"""Without what a request writes: functions 15 and 16."""

RTU_BYTES_MAX = 256
"""Longest RTU frame."""

MBAP_BYTES = 7
PDU_BYTES_MAX = 253

_EIGHT = frozenset((1, 2, 3, 4, 5, 6, 8))
_BARE = frozenset((7, 11, 12, 17))
_WRITES = frozenset((15, 16))


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
        entries.append(byte)
    return tuple(entries)


_CRC = _table()


def checksum(frame: bytes) -> bytes:
    """CRC-16 of an RTU frame, low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def rtu_frame(unit_id: int, pdu: bytes) -> bytes:
    """Function and data of an answer as an RTU frame."""
    frame = bytes((unit_id,)) + pdu
    return frame + checksum(frame)


def rtu_request(held: bytes, units: Container[int]) -> tuple[bytes, bytes] | None:
    """The first sound request to one of `units` in `held`, and what comes after it; what stands before it is lost."""
    for at in range(len(held) - BARE_BYTES + 1):
        if held[at] not in units:
            continue
        size = _size(held, at)
        frame = held[at : at + size]
        if size and len(frame) == size and checksum(frame[:-2]) == frame[-2:]:
            return frame, held[at + size :]
    return None


def _size(held: bytes, at: int) -> int:
    """How long the request that begins at `at` has to be; 0: no function that asks for anything."""
    function = held[at + 1]
    if function in _EIGHT:
        return READ_BYTES
    if function in _BARE:
        return BARE_BYTES
    if function in _WRITES and len(held) > at + 6:
        return WRITE_HEAD_BYTES + held[at + 6]
    return 0


class TcpRequest(NamedTuple):
    """One request: its transaction, the unit that it asks, function and data."""

    transaction: int
    unit_id: int
    pdu: bytes


def tcp_requests(held: bytes) -> tuple[list[TcpRequest], bytes | None]:
    """The whole requests in `held` and what comes after them; None in its place if no request can begin there."""
    found = list[TcpRequest]()
    while len(held) >= MBAP_BYTES:
        protocol, length = int.from_bytes(held[2:4], "big"), int.from_bytes(held[4:6], "big")
        if protocol or not 2 <= length <= PDU_BYTES_MAX + 1:
            return found, None
        end = MBAP_BYTES - 1 + length
        if len(held) < end:
            break
        found.append(TcpRequest(int.from_bytes(held[:2], "big"), held[6], held[MBAP_BYTES:end]))
        held = held[end:]
    return found, held


def tcp_frame(transaction: int, unit_id: int, pdu: bytes) -> bytes:
    """Function and data of an answer behind its MBAP header."""
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit_id,)) + pdu
