"""Serves units over Modbus TCP: each answer is in the record before it leaves, and bears the number of its own request.

A late answer does not hold up the next one. What is no request ends the connection: nobody can tell where the next one
would begin. Whoever asks without ever reading is cut off, and so is whoever connects when all places are taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from simulators.devices.frames import TcpRequest, tcp_frame, tcp_requests
from simulators.devices.reply import reply
from simulators.devices.unit import Unit
from simulators.faults import FaultPlan
from simulators.parts.fault import LINE_FAULTS
from simulators.truth.record import RecordError, RecordWriter

ANSWERS_PENDING_MAX = 64
"""Most late answers that one connection waits for; a request beyond them is not answered."""

CONNECTIONS_MAX = 64
"""Most connections at a time; whoever comes beyond them is closed at once."""

UNREAD_BYTES_MAX = 65_536
"""Most bytes that a client may leave unread before it is cut off."""

WATCH_S = 0.05
"""How often, in real s, a port that a fault unplugs looks whether it is to be."""

GATEWAY_NO_RESPONSE = 0x0B

log = logging.getLogger(__name__)


class CannotListen(Exception):
    """A port cannot be opened; one line says which."""


class MeterServer:
    """One TCP port with one or several units behind it; `faults` are those of the port."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        units: Sequence[Unit],
        record: RecordWriter,
        now_ms: Callable[[], int],
        faults: FaultPlan | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._units = {unit.unit_id: unit for unit in units}
        self._record = record
        self._now_ms = now_ms
        self._faults = faults if faults is not None else FaultPlan(faults=(), origin_ms=0)
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self._held_port: socket.socket | None = None
        self.connections: set[_Connection] = set()
        self._mute = False

    async def start(self) -> int:
        """Listen, and say on which port. CannotListen if it is taken."""
        try:
            await self._plug_in()
        except OSError:
            text = f"cannot listen on {self._host}:{self._port}; give a free port, and an address of this machine"
            raise CannotListen(text) from None
        if self._faults.has("unplugged"):
            self._watch = asyncio.get_running_loop().create_task(self._mind_the_plug(), name=f"plug of {self._port}")
        return self._port

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        self._unplug()
        if self._held_port is not None:
            self._held_port.close()
            self._held_port = None

    def hindrance(self) -> str | None:
        """What now hinders the port as a whole, or None."""
        fault = self._faults.active(self._now_ms())
        return fault.what if fault is not None and fault.what in LINE_FAULTS else None

    def late_s(self, request: TcpRequest) -> float:
        """After how many real s an answer to `request` is due."""
        unit = self._units.get(request.unit_id)
        return 0.0 if unit is None else unit.late_ms(self._now_ms()) / 1000

    def answer(self, request: TcpRequest) -> bytes:
        """The frame that answers `request` now, already noted; empty if there is to be none."""
        unit, t_ms = self._units.get(request.unit_id), self._now_ms()
        framed = partial(tcp_frame, request.transaction)
        if unit is None:
            return framed(request.unit_id, bytes((request.pdu[0] | 0x80, GATEWAY_NO_RESPONSE)))
        found = reply(unit, request.pdu, t_ms, framed=framed)
        try:
            if found.reason is not None:
                self._record.note_refused(t_ms, unit.device, found.asked, found.reason)
            else:
                self._record.note(t_ms, unit.gateway, unit.device, found.fields)
        except RecordError as error:
            self._mute_once(error)
            return b""
        return found.frame

    def note_unheard(self, request: TcpRequest) -> None:
        """Note a request that the port as a whole swallows."""
        unit = self._units.get(request.unit_id)
        if unit is not None:
            try:
                self._record.note_refused(self._now_ms(), unit.device, "a request", self.hindrance() or "lost")
            except RecordError as error:
                self._mute_once(error)

    async def _plug_in(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self._host, self._port)
        self._port = int(self._server.sockets[0].getsockname()[1])

    def _unplug(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.cut()

    async def _mind_the_plug(self) -> None:
        """Take the port away and put it back as the scenario says. Meanwhile it is bound, so that no other takes it."""
        while True:
            await asyncio.sleep(WATCH_S)
            out = self.hindrance() == "unplugged"
            if out and self._server is not None:
                self._unplug()
                self._held_port = socket.socket()
                self._held_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    self._held_port.bind((self._host, self._port))
            elif not out and self._server is None:
                try:
                    await self._plug_in()
                except OSError as error:
                    log.error("%s:%d: still unplugged: %s", self._host, self._port, error)
                    continue
                if self._held_port is not None:
                    self._held_port.close()
                    self._held_port = None

    def _mute_once(self, error: RecordError) -> None:
        if not self._mute:
            log.error("no more answers: %s", error)
        self._mute = True


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, owner: MeterServer) -> None:
        self._owner = owner
        self._held = b""
        self._pending: set[asyncio.Task[None]] = set()
        self._lost = False
        """A fault has half closed it: nothing that it says is heard any more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._owner.connections) >= CONNECTIONS_MAX:
            self._transport.abort()
            return
        self._owner.connections.add(self)

    def data_received(self, data: bytes) -> None:
        hindrance = self._owner.hindrance()
        if self._lost and hindrance != "half_open":
            self._transport.abort()
            return
        requests, rest = tcp_requests(self._held + data)
        self._held = rest or b""
        for request in requests:
            if hindrance is not None:
                self._owner.note_unheard(request)
            elif not self._transport.is_closing():
                self._take(request)
        if hindrance == "half_open":
            self._lost = True
        elif rest is None or (hindrance == "hang_up" and requests):
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.connections.discard(self)
        for task in self._pending:
            task.cancel()

    def cut(self) -> None:
        """End it at once."""
        self._transport.abort()

    def _take(self, request: TcpRequest) -> None:
        late_s = self._owner.late_s(request)
        if not late_s:
            self._send(self._owner.answer(request))
        elif len(self._pending) < ANSWERS_PENDING_MAX:
            task = asyncio.get_running_loop().create_task(self._later(request, late_s), name="late answer")
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def _later(self, request: TcpRequest, late_s: float) -> None:
        await asyncio.sleep(late_s)
        self._send(self._owner.answer(request))

    def _send(self, frame: bytes) -> None:
        if frame and not self._transport.is_closing():
            self._transport.write(frame)
            if self._transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
                self._transport.abort()
