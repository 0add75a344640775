"""Serves units over Modbus TCP with pymodbus: each answer is in the record before it leaves.

pymodbus keeps one "last request" per connection and answers under its transaction id, so an answer that is late would
carry the id of the request after it. Real servers do not do that; `_Connection` keeps each request with its own answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from device_profiles.profile import RegisterTable
from simulators.devices.unit import Unit
from simulators.truth.record import RecordError, RecordWriter

ANSWERS_PENDING_MAX = 64
"""Most late answers that one connection waits for; a request beyond them is not answered."""

log = logging.getLogger(__name__)


class CannotListen(Exception):
    """A port cannot be opened; one line says which."""


class MeterServer:
    """One TCP port with one or several units behind it."""

    def __init__(
        self, *, host: str, port: int, units: Sequence[Unit], record: RecordWriter, now_ms: Callable[[], int]
    ) -> None:
        self._host = host
        self._port = port
        self._units = {unit.unit_id: unit for unit in units}
        self._record = record
        self._now_ms = now_ms
        self._server: _Server | None = None
        self._mute = False

    async def start(self) -> int:
        """Listen, and say on which port. CannotListen if it is taken."""
        devices = [self._device(unit) for unit in self._units.values()]
        self._server = _Server(self, devices, address=(self._host, self._port))
        try:
            await self._server.serve_forever(background=True)
        except RuntimeError:
            text = f"cannot listen on {self._host}:{self._port}; give a free port, and an address of this machine"
            raise CannotListen(text) from None
        listener: Any = self._server.transport
        return int(listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    async def respond(self, request: ModbusPDU) -> ModbusPDU | None:
        """The answer to `request`, already noted; None if there is to be none."""
        unit = self._units.get(request.dev_id)
        if unit is None:
            return ExceptionResponse(request.function_code, ExcCodes.GATEWAY_NO_RESPONSE)
        late_ms = unit.late_ms(self._now_ms())
        if late_ms:
            await asyncio.sleep(late_ms / 1000)
        try:
            return await self._values(unit, request)
        except RecordError as error:
            self._mute_once(error)
            return None

    async def _values(self, unit: Unit, request: ModbusPDU) -> ModbusPDU | None:
        t_ms = self._now_ms()
        refusal = unit.refuse(request.function_code, request.address, request.count, t_ms)
        if refusal is not None:
            asked = f"function {request.function_code} address {request.address} count {request.count}"
            self._record.note_refused(t_ms, unit.device, asked, refusal.reason)
            return None if refusal.code is None else ExceptionResponse(request.function_code, refusal.code)
        assert self._server is not None
        return await request.datastore_update(self._server.context, request.dev_id)  # type: ignore[arg-type]

    async def _fill(
        self,
        unit: Unit,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        _written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Compute, note, then put: nothing awaits between, so no other request sees these registers."""
        t_ms = self._now_ms()
        words, fields = unit.answer(function, address, count, t_ms)
        self._record.note(t_ms, unit.gateway, unit.device, fields)
        registers[address - start : address - start + count] = words
        return None

    def _device(self, unit: Unit) -> SimDevice:
        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        holding, inputs = (_registers(unit.extent(table)) for table in (RegisterTable.HOLDING, RegisterTable.INPUT))
        return SimDevice(id=unit.unit_id, simdata=(bits, list(bits), holding, inputs), action=partial(self._fill, unit))

    def _mute_once(self, error: RecordError) -> None:
        if not self._mute:
            log.error("no more answers: %s", error)
        self._mute = True


def _registers(extent: int) -> list[SimData]:
    return [SimData(0, values=[0] * max(extent, 1), datatype=DataType.REGISTERS)]


class _Server(ModbusTcpServer):
    """Hands each connection to `_Connection`."""

    def __init__(self, owner: MeterServer, devices: list[SimDevice], *, address: tuple[str, int]) -> None:
        super().__init__(devices, address=address)
        self.owner = owner

    def callback_new_connection(self) -> ServerRequestHandler:
        return _Connection(self)


class _Connection(ServerRequestHandler):
    """Answers each request under its own transaction id, however late; a client that is gone gets nothing."""

    def __init__(self, server: _Server) -> None:
        super().__init__(server, None, None, None)  # type: ignore[no-untyped-call]
        self._owner = server.owner
        self._answers: set[asyncio.Task[None]] = set()

    def handle_later(self) -> None:
        request, self.last_pdu = self.last_pdu, None
        if request is None or len(self._answers) >= ANSWERS_PENDING_MAX:
            return
        task = asyncio.get_running_loop().create_task(self._answer(request), name="modbus answer")
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, request: ModbusPDU) -> None:
        response = await self._owner.respond(request)
        if response is not None and self.transport is not None:
            response.transaction_id, response.dev_id = request.transaction_id, request.dev_id
            self.server_send(response, None)  # type: ignore[no-untyped-call]

    def callback_disconnected(self, exc: Exception | None) -> None:
        super().callback_disconnected(exc)
        for task in self._answers:
            task.cancel()
