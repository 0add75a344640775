"""MQTT 3.1.1 as far as a gateway speaks it: packets out as bytes, bytes in as packets. Pure.

Source: OASIS, MQTT Version 3.1.1, 2014, sections 2 and 3. A client library keeps a socket, queues and locks for each
connection; a fleet needs thousands.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

PACKET_BYTES_MAX = 1_048_576
"""A larger packet is none that a gateway is sent."""

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
PINGREQ, DISCONNECT = b"\xc0\x00", b"\xe0\x00"
_REFUSALS = {1: "protocol version", 2: "client id", 3: "server unavailable", 4: "user or password", 5: "not authorised"}


class BadPacket(ValueError):
    """The other side does not speak MQTT 3.1.1; the connection is of no more use."""


class Packet(NamedTuple):
    """A packet as it came: its type, the four flags, and what follows the length."""

    kind: int
    flags: int
    body: bytes


def _text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def _packet(first: int, body: bytes) -> bytes:
    left, length = len(body), bytearray()
    while True:
        left, digit = left >> 7, left & 0x7F
        length.append(digit | (0x80 if left else 0))
        if not left:
            return bytes((first,)) + bytes(length) + body


def connect(
    client_id: str, *, keepalive_s: int, will: tuple[str, bytes] | None, user: str = "", password: str = ""
) -> bytes:
    """CONNECT with a clean session; `will` is a topic and a retained payload at QoS 1."""
    flags, payload = 0x02, _text(client_id)
    if will is not None:
        flags |= 0x04 | 0x08 | 0x20
        payload += _text(will[0]) + _text(will[1])
    if user:
        flags |= 0x80 | (0x40 if password else 0)
        payload += _text(user) + (_text(password) if password else b"")
    return _packet(0x10, _text("MQTT") + bytes((4, flags)) + struct.pack(">H", keepalive_s) + payload)


def publish(topic: str, payload: bytes, packet_id: int, *, retain: bool = False) -> bytes:
    """PUBLISH at QoS 1."""
    return _packet(0x32 | retain, _text(topic) + struct.pack(">H", packet_id) + payload)


def subscribe(packet_id: int, topics: Sequence[tuple[str, int]]) -> bytes:
    """SUBSCRIBE to (filter, QoS) of each."""
    return _packet(0x82, struct.pack(">H", packet_id) + b"".join(_text(t) + bytes((qos,)) for t, qos in topics))


def puback(packet_id: int) -> bytes:
    """PUBACK."""
    return b"\x40\x02" + struct.pack(">H", packet_id)


def refusal(connack: Packet) -> str | None:
    """Why a CONNACK refuses, or None where it does not."""
    if len(connack.body) != 2:
        raise BadPacket("a CONNACK has two bytes")
    code = connack.body[1]
    return _REFUSALS.get(code, f"code {code}") if code else None


def read_publish(packet: Packet) -> tuple[str, bytes, int | None]:
    """Topic, payload, and at QoS 1 the packet id that wants a PUBACK."""
    body, qos = packet.body, packet.flags >> 1 & 3
    at = 2 + int.from_bytes(body[:2], "big")
    end = at + (2 if qos else 0)
    if len(body) < max(2, end) or qos > 1:
        raise BadPacket("a PUBLISH is cut short, or of a QoS that nobody asked for")
    try:
        topic = body[2:at].decode()
    except UnicodeDecodeError:
        raise BadPacket("a topic is not UTF-8") from None
    return topic, body[end:], int.from_bytes(body[at:end], "big") if qos else None


class Incoming:
    """Bytes as they arrive, packets as they become whole."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that `data` completes. Raises BadPacket."""
        buffer = self._rest + data
        at = 0
        while (found := self._head(buffer, at)) is not None and found[1] <= len(buffer):
            begin, end = found
            yield Packet(buffer[at] >> 4, buffer[at] & 0x0F, buffer[begin:end])
            at = end
        self._rest = buffer[at:]

    @staticmethod
    def _head(buffer: bytes, at: int) -> tuple[int, int] | None:
        """Where the body of the packet at `at` begins and ends; None while its length has not arrived."""
        length = 0
        for index in range(4):
            place = at + 1 + index
            if place >= len(buffer):
                return None
            length |= (buffer[place] & 0x7F) << (7 * index)
            if not buffer[place] & 0x80:
                if length > PACKET_BYTES_MAX:
                    raise BadPacket(f"a packet of {length} bytes")
                return place + 1, place + 1 + length
        raise BadPacket("a length of more than four bytes")
