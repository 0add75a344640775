"""Hands conversions of a simulated load cell from the world's process to a chip in the gateway's, over loopback.

A line each way. The chip asks `convert N`, N being the pulses that chose its input; the world answers `COUNT DOOR`, or
`-` where the device is to be silent, or `off` where it has no power, and has noted what it answers before it does.
Whoever is slow or gone is a chip that is never ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable

from simulators.chips.sensed import Sensed
from simulators.devices.modbus import CannotListen
from simulators.devices.unit import Unit
from simulators.truth.record import RecordError, RecordWriter

INPUT = 25
"""The one input that the load cell is on: A at gain 128."""

_QUESTIONS = tuple(b"convert %d\n" % chosen for chosen in (INPUT, 26, 27))

LINE_BYTES_MAX = 64
"""Longest line either way; whoever sends a longer one is cut off."""

CONNECTIONS_MAX = 8
"""Most chips, or whoever says to be one, at a time; one more is cut off at once."""

REPLY_S = 0.25
"""How long a chip waits for the world, for a connection and for each conversion."""

RECONNECT_S = 1.0
"""Pause between a chip's attempts to connect; conversions in between are not made."""

_READ_HOLDING, _ADDRESS, _COUNT = 3, 0, 3
_SILENT, _OFF = b"-\n", b"off\n"

log = logging.getLogger(__name__)


class FeedServer:
    """The world's side: one TCP port for one load cell."""

    def __init__(self, *, host: str, port: int, unit: Unit, record: RecordWriter, now_ms: Callable[[], int]) -> None:
        self._host = host
        self._port = port
        self._unit = unit
        self._record = record
        self._now_ms = now_ms
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> int:
        """Listen, and say on which port. CannotListen if it is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=LINE_BYTES_MAX)
        except OSError:
            text = f"cannot listen on {self._host}:{self._port}; give a free port, and an address of this machine"
            raise CannotListen(text) from None
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._writers.add(writer)
        try:
            # A line without its end is cut off by whoever sent it; ValueError is one that is too long.
            while (line := await reader.readline()).endswith(b"\n"):
                late_ms = self._unit.late_ms(self._now_ms())
                if late_ms:
                    await asyncio.sleep(late_ms / 1000)
                writer.write(self._answer(line))
                await writer.drain()
        except RecordError as error:
            log.error("no more conversions: %s", error)
        except (ConnectionError, ValueError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> bytes:
        if line not in _QUESTIONS:
            return _SILENT
        t_ms = self._now_ms()
        refusal = self._unit.refuse(_READ_HOLDING, _ADDRESS, _COUNT, t_ms)
        off = refusal is not None and refusal.reason == "power_down"
        if refusal is not None and (off or line == _QUESTIONS[0]):
            self._record.note_refused(t_ms, self._unit.device, "a conversion", refusal.reason)
            return _OFF if off else _SILENT
        if line != _QUESTIONS[0]:
            return _SILENT
        (high, low, door), fields = self._unit.answer(_READ_HOLDING, _ADDRESS, _COUNT, t_ms)
        self._record.note(t_ms, self._unit.gateway, self._unit.device, fields)
        count = int.from_bytes(high.to_bytes(2, "big") + low.to_bytes(2, "big"), "big", signed=True)
        return b"%d %d\n" % (count, door != 0)


class FeedClient:
    """The chip's side. It blocks its thread for at most `reply_s` at a time."""

    def __init__(
        self, *, host: str, port: int, reply_s: float = REPLY_S, mono_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = (host, port)
        self._reply_s = reply_s
        self._mono_s = mono_s
        self._connection: socket.socket | None = None
        self._retry_s = 0.0

    def sense(self, chosen: int) -> Sensed | None:
        """One conversion; None if the world says nothing, or nothing that is one."""
        try:
            connection = self._connected()
            connection.sendall(b"convert %d\n" % chosen)
            line = self._line(connection)
            if line == _SILENT:
                return None
            if line == _OFF:
                return Sensed(0, powered=False)
            count, door = line.split()
            return Sensed(int(count), int(door) != 0)
        except (OSError, ValueError):
            # An answer may still be under way: it must not become that to the next question.
            self.close()
            return None

    def close(self) -> None:
        """Let the connection go; the next conversion makes another."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None
            self._retry_s = self._mono_s() + RECONNECT_S

    def _connected(self) -> socket.socket:
        if self._connection is None:
            if self._mono_s() < self._retry_s:
                raise ConnectionError
            self._retry_s = self._mono_s() + RECONNECT_S
            self._connection = socket.create_connection(self._address, timeout=self._reply_s)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection

    def _line(self, connection: socket.socket) -> bytes:
        held, end_s = b"", self._mono_s() + self._reply_s
        while not held.endswith(b"\n"):
            left_s = end_s - self._mono_s()
            if len(held) > LINE_BYTES_MAX or left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
            piece = connection.recv(LINE_BYTES_MAX)
            if not piece:
                raise ConnectionError
            held += piece
        return held
