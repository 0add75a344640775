"""Proxies on loopback that pass every byte on at once and say which step of the line they have just seen."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536
_PUBLISH = 3
"""Packet type, MQTT 3.1.1 section 2.2.1."""

Feed = Callable[[bytes], None]


class MqttReader:
    """Finds the topic of each PUBLISH in one direction of a connection (MQTT 3.1.1 and 5, sections 2 and 3.3)."""

    def __init__(self, published: Callable[[str], None]) -> None:
        self._published = published
        self._data = b""

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream, cut anywhere."""
        self._data += data
        while (packet := self._whole()) is not None:
            start, end = packet
            if self._data[0] >> 4 == _PUBLISH:
                size = int.from_bytes(self._data[start : start + 2], "big")
                self._published(self._data[start + 2 : start + 2 + size].decode())
            self._data = self._data[end:]

    def _whole(self) -> tuple[int, int] | None:
        """Where the body of the first packet begins and ends, once all of it is there."""
        length = 0
        for place, byte in enumerate(self._data[1:5]):
            length |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                start = place + 2
                return (start, start + length) if len(self._data) >= start + length else None
        return None


class WriteReader:
    """Finds each POST to /write in the requests of an HTTP/1.1 connection, and whether it brings receipts."""

    def __init__(self, wrote: Callable[[bool], None]) -> None:
        self._wrote = wrote
        self._data = b""

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream, cut anywhere."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].decode("latin-1").split("\r\n")
            lengths = [line.split(":")[1] for line in head if line.lower().startswith("content-length:")]
            whole = end + 4 + (int(lengths[0]) if lengths else 0)
            if len(self._data) < whole:
                return
            if head[0].startswith("POST /write"):
                self._wrote(self._data[end + 4 :].startswith(b"receipt,"))
            self._data = self._data[whole:]


class Tap:
    """A TCP proxy before `target`. `upward` and `downward` make a reader for each new connection."""

    def __init__(
        self,
        *,
        target: int,
        upward: Callable[[], Feed] = lambda: _ignore,
        downward: Callable[[], Feed] = lambda: _ignore,
    ) -> None:
        self._target = target
        self._upward, self._downward = upward, downward
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.down = False
        """Nobody gets through: whoever connects is sent away."""
        self._open: set[socket.socket] = set()
        self._closed = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name=f"tap {self.port}", daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection, as a network does."""
        for each in list(self._open):
            _end(each)

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.down:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                near.close()
                continue
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                each.settimeout(None)
                self._open.add(each)
            for source, sink, feed in ((near, far, self._upward()), (far, near, self._downward())):
                threading.Thread(target=self._pump, args=(source, sink, feed), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, feed: Feed) -> None:
        try:
            while data := source.recv(CHUNK_BYTES):
                feed(data)
                sink.sendall(data)
        except OSError:
            pass
        for each in (source, sink):
            _end(each)
            self._open.discard(each)


def _ignore(_data: bytes) -> None:
    """Nothing to see in this direction."""


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        each.close()
