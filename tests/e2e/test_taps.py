"""A tap that overlooks a step would aim the kills beside it; one that holds bytes back would change what is tested."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.e2e.taps import MqttReader, Tap, WriteReader

PINGREQ = b"\xc0\x00"


def _publish(topic: bytes, payload: bytes) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + b"\x00\x01" + payload
    length, size = b"", len(body)
    while True:
        size, low = size >> 7, size & 0x7F
        length += bytes([low | (0x80 if size else 0)])
        if not size:
            return b"\x32" + length + body


def _post(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


STREAM = (
    _publish(b"lg/v1/gw-1/data", b"short")
    + PINGREQ
    + _publish(b"lg/v1/gw-1/data", bytes(300))
    + _publish(b"lg/v1/gw-1/ack", bytes(20_000))
)
REQUESTS = (
    _post("/write?db=x", b"meter,gateway=g power_w=1 1\r\n\r\nPOST /write")
    + _post("/query", b"q=SELECT")
    + _post("/write?db=x", b"receipt,gateway=g seq=1 1")
    + b"GET /ping HTTP/1.1\r\n\r\n"
)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 10**6])
def test_every_publish_is_seen_once_wherever_the_stream_is_cut(step: int) -> None:
    seen: list[str] = []
    reader = MqttReader(seen.append)
    for at in range(0, len(STREAM), step):
        reader.feed(STREAM[at : at + step])
    assert seen == ["lg/v1/gw-1/data", "lg/v1/gw-1/data", "lg/v1/gw-1/ack"]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 10**6])
def test_every_write_is_seen_once_and_receipts_are_told_apart_wherever_the_stream_is_cut(step: int) -> None:
    seen: list[bool] = []
    reader = WriteReader(seen.append)
    for at in range(0, len(REQUESTS), step):
        reader.feed(REQUESTS[at : at + step])
    assert seen == [False, True]


def test_a_tap_passes_both_directions_on_and_breaks_when_the_server_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Tap(target=server.getsockname()[1]) as tap:
        answered = threading.Thread(target=_echo, args=(server,))
        answered.start()
        with socket.create_connection(("127.0.0.1", tap.port), timeout=5) as client:
            client.sendall(b"there and back")
            assert client.recv(100) == b"there and back"
            assert client.recv(100) == b"", "the server is gone, and its client was not told"
        answered.join()


def _echo(server: socket.socket) -> None:
    """Answer once, and go."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(connection.recv(100))
