"""paho's client behind a sieve: messages never reach paho, which keeps the connection and everything that we send.

paho takes any object with the methods of a socket (its own websockets are one); `pending` tells it that there is more.
All of this runs in paho's thread.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client

from ingest.sieve import Malformed, Sieve

CHUNK_BYTES = 262_144
"""Read at once: each read may have to wait for its turn with the interpreter."""


class SiftedSocket:
    """A connected socket, or one with TLS, whose messages a sieve takes out."""

    def __init__(self, *, sock: Any, sieve: Sieve, looks: Callable[[], None]) -> None:
        """`looks` is called whenever paho looks whether there is more: once a second, if nothing happens."""
        self._sock = sock
        self._sieve = sieve
        self._looks = looks
        self._over = False
        """Whether the end has come, behind what was read last."""
        self._between = True
        """Whether paho's last packet went out whole: only there may an acknowledgement of ours stand."""

    def recv(self, bytes_max: int) -> bytes:
        """Bytes of packets that the sieve leaves; BlockingIOError where there are none, b"" at the end."""
        rest = self._sieve.rest
        if not rest:
            data = b"" if self._over else self._read()
            if not data:
                return b""
            try:
                self._sieve.feed(data)
            except Malformed as error:
                raise OSError(f"the broker sent what is no MQTT: {error}") from None
            if self._between:
                self._acknowledge()
            if not rest:
                raise BlockingIOError
        taken = bytes(rest[:bytes_max])
        del rest[:bytes_max]
        return taken

    def _read(self) -> bytes:
        """What has come, b"" at the end. TLS gives one record at a time, and a broker may make one of each message."""
        data: bytes = self._sock.recv(CHUNK_BYTES)
        parts, size = [data], len(data)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            while data and size < CHUNK_BYTES:
                data = self._sock.recv(CHUNK_BYTES)
                parts.append(data)
                size += len(data)
        self._over = not data
        return b"".join(parts)

    def send(self, data: bytes | bytearray) -> int:
        """Send the rest of one packet, as paho always does; how much of it went out."""
        if self._between:
            self._acknowledge()
            if self._sieve.acks:
                raise BlockingIOError
        try:
            sent: int = self._sock.send(data)
        except ssl.SSLWantWriteError:
            self._between = False  # TLS wants these very bytes next
            raise
        self._between = sent == len(data)
        return sent

    def _acknowledge(self) -> None:
        """Send what the sieve has acknowledged, as far as it goes out now; what is left goes a second later at most."""
        acks = self._sieve.acks
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while acks:
                del acks[: self._sock.send(acks)]

    def pending(self) -> int:
        """Bytes that are here already, of which the operating system would not tell."""
        self._looks()
        if self._between:
            with contextlib.suppress(OSError):  # a broken connection shows when it is read next
                self._acknowledge()
        held = self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0
        return len(self._sieve.rest) + held

    def fileno(self) -> int:
        """The descriptor to wait for."""
        number: int = self._sock.fileno()
        return number

    def setblocking(self, flag: bool) -> None:
        """As for any socket."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """As for any socket."""
        self._sock.close()


class SiftedClient(Client):
    """A client that reads through a sieve, a new one for each connection. `looks`: a sign of life of its thread."""

    def __init__(
        self, *args: Any, sieve: Callable[[], Sieve], looks: Callable[[], None] = lambda: None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._new_sieve = sieve
        self._looks = looks

    def _create_socket(self) -> Any:
        self._looks()
        return SiftedSocket(sock=super()._create_socket(), sieve=self._new_sieve(), looks=self._looks)
