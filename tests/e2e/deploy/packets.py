"""MQTT packets made by hand, whole or broken, and a bare connection to send them on: what no client library would send.

Source: OASIS MQTT 3.1.1 (2014), chapters 2 and 3, and MQTT 5.0 (2019), section 3.1.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.servers import PATIENCE_S

CONNACK = 0x20
_WILL, _WILL_QOS_1, _WILL_RETAIN, _CLEAN = 0x04, 0x08, 0x20, 0x02


def number(value: int) -> bytes:
    """A remaining length: seven bits a byte, the lowest first."""
    found = bytearray()
    while True:
        value, low = divmod(value, 128)
        found.append(low | (0x80 if value else 0))
        if not value:
            return bytes(found)


def _text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(first: int, body: bytes) -> bytes:
    """A packet of a first byte and all that follows its length."""
    return bytes([first]) + number(len(body)) + body


def connect(
    client_id: str = "x",
    *,
    will: tuple[str, bytes] | None = None,
    level: int = 4,
    properties: bytes = b"",
    keepalive_s: int = 60,
) -> bytes:
    """CONNECT with a clean session, on MQTT 3.1.1 (level 4) or 5; `will`: topic and payload, retained, QoS 1."""
    flags = _CLEAN | (_WILL | _WILL_QOS_1 | _WILL_RETAIN if will else 0)
    body = _text("MQTT") + bytes([level, flags]) + struct.pack("!H", keepalive_s)
    if level == 5:
        body += number(len(properties)) + properties
    body += _text(client_id)
    if will is not None:
        body += (b"\x00" if level == 5 else b"") + _text(will[0]) + _text(will[1])
    return packet(0x10, body)


def publish(topic: str, payload: bytes, *, mid: int = 0, retain: bool = False) -> bytes:
    """PUBLISH with QoS 0, or with a packet identifier QoS 1."""
    body = _text(topic) + (struct.pack("!H", mid) if mid else b"") + payload
    return packet(0x30 | (0x02 if mid else 0) | (0x01 if retain else 0), body)


def subscribe(pattern: str) -> bytes:
    """SUBSCRIBE with QoS 1."""
    return packet(0x82, b"\x00\x01" + _text(pattern) + b"\x01")


@contextmanager
def bare(port: int, context: ssl.SSLContext | None = None, *, within_s: float = PATIENCE_S) -> Iterator[socket.socket]:
    """A connection to a port of this machine, with TLS where there is a context. Its end may be abrupt."""
    with socket.create_connection(("localhost", port), timeout=within_s) as plain:
        if context is None:
            yield plain
            return
        with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=True) as connection:
            yield connection


def is_ended(connection: socket.socket) -> bool:
    """Whether the other end closes the connection within its time-out, whatever it says before."""
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True
