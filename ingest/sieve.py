"""Takes the messages out of what a broker sends, whole stretches at once, and leaves all other packets as they are.

A client library spends some 100 µs on each message, with a system call for each byte of its head. One gateway that
floods can send faster than that, and all others then wait behind it in the broker. Here a message costs a few µs. Pure.

Source: OASIS MQTT 3.1.1 and 5.0, sections 2.1 (fixed header), 2.2 (packet identifier), 3.3 (PUBLISH), 3.4 (PUBACK).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Heard = Callable[[str, bytes, int, int], bool]
"""(topic, payload, packet identifier, quality of service 0 or 1) → whether the broker may be told now that it is here.

The identifier is 0 for quality 0."""

_PUBLISH, _PUBACK_HEAD = 3, b"\x40\x02"
_LENGTH_BYTES_MAX = 4
_BEFORE_PAYLOAD_BYTES_MAX = 2 + 65_535 + 2 + 65_535
"""Topic, packet identifier and such properties as anybody would send."""


class Malformed(Exception):
    """This is not MQTT: the connection is of no use any more."""


class _Message(NamedTuple):
    topic: str
    payload: bytes
    mid: bytes
    quality: int


class Sieve:
    """What one connection brings. `version`: 4 (3.1.1) or 5; of a longer payload `payload_bytes_max` are kept."""

    def __init__(self, *, heard: Heard, version: int, payload_bytes_max: int) -> None:
        self._heard = heard
        self._has_properties = version >= 5
        self._payload_bytes_max = payload_bytes_max
        self._kept_bytes_max = payload_bytes_max + _BEFORE_PAYLOAD_BYTES_MAX
        self._buffer = bytearray()
        self._skip = 0
        self._long: _Message | None = None
        """The message of which so many bytes are still to be skipped."""
        self.rest = bytearray()
        """Packets that are no messages of quality 0 or 1, for whoever understands them; the reader takes them out."""
        self.acks = bytearray()
        """PUBACK packets to send; the writer takes them out."""

    def feed(self, data: bytes) -> None:
        """Take what has come. Raises Malformed."""
        if self._skip:
            gone = min(self._skip, len(data))
            self._skip -= gone
            if self._skip:
                return
            data = data[gone:]
        if self._long is not None:
            self._say(self._long)
            self._long = None
        self._buffer += data
        at, end = 0, len(self._buffer)
        while at < end:
            begin, size = self._head(at)
            if begin is None:
                break
            kind, there = self._buffer[at], end - begin
            plain = kind >> 4 == _PUBLISH and kind & 0b0110 != 0b0100
            if there < size and not (plain and there >= self._kept_bytes_max):
                break
            if not plain:
                self.rest += self._buffer[at : begin + size]
            elif there >= size:
                self._say(self._message(kind, begin, begin + size))
            else:
                self._long, self._skip = self._message(kind, begin, end), size - there
            at = begin + size
        del self._buffer[:at]

    def _head(self, at: int) -> tuple[int | None, int]:
        """Where the packet at `at` begins behind its head, None where more has to come first; its remaining length."""
        size = 0
        for place in range(_LENGTH_BYTES_MAX):
            where = at + 1 + place
            if where >= len(self._buffer):
                return None, 0
            byte = self._buffer[where]
            size |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return where + 1, size
        raise Malformed("a length of more than four bytes")

    def _message(self, kind: int, begin: int, end: int) -> _Message:
        buffer, quality = self._buffer, kind >> 1 & 1
        at = begin + 2 + (buffer[begin] << 8 | buffer[begin + 1]) if end - begin >= 2 else end + 1
        topic_end, mid = at, b""
        if quality:
            mid = bytes(buffer[at : at + 2])
            at += 2
        if self._has_properties and at < end:
            after, size = self._head(at - 1)
            at = end + 1 if after is None else after + size
        if at > end:
            raise Malformed("a message that ends before its payload begins")
        topic = buffer[begin + 2 : topic_end].decode("utf-8", "replace")
        payload = bytes(memoryview(buffer)[at : min(end, at + self._payload_bytes_max)])
        return _Message(topic, payload, mid, quality)

    def _say(self, message: _Message) -> None:
        topic, payload, mid, quality = message
        if self._heard(topic, payload, int.from_bytes(mid, "big"), quality) and quality:
            self.acks += _PUBACK_HEAD + mid
