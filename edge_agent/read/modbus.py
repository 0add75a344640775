"""Modbus TCP: pymodbus frames and parses, the conversation, its time-outs and its connection are ours.

pymodbus's own asyncio client would cost a gateway more CPU time than all the rest of the agent: see
docs/decisions/006-conversations.md.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk, unheeded
from edge_agent.read.conversation import TIMEOUTS_MAX, Retry, carry, said

CONNECT_TIMEOUT_S = 3.0
RECEIVE_BYTES = 4096
"""What is taken from the connection at once. (asyncio's own buffer of 256 KiB is made anew for each answer, and doubles
the cost of receiving it.)"""

ANSWER_HEAD = 9
"""Bytes of a good answer before its registers: transaction, protocol, length, unit, function, bytes that follow."""

FRAME_BYTES_MAX = 254
"""Largest unit id + PDU by the specification; a header that announces more is not Modbus."""

REQUEST = {"holding": ReadHoldingRegistersRequest, "input": ReadInputRegistersRequest}

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class _Frames:
    """What stays the same of a request each time that it is made: all but the transaction id, its first two bytes."""

    request: bytes
    answer: bytes
    """How the frame of a good answer begins."""
    registers: struct.Struct
    """What follows then, and ends it."""


@lru_cache(maxsize=4096)
def _frames(ask: Ask) -> _Frames:
    request = REQUEST[ask.table](address=ask.address, count=ask.count, dev_id=ask.unit)
    frame = FramerSocket(DecodePDU(is_server=False)).buildFrame(request)
    answer = struct.pack(">HHBBB", 0, 3 + 2 * ask.count, ask.unit, request.function_code, 2 * ask.count)
    return _Frames(frame[2:], answer, struct.Struct(f">{ask.count}H"))


class _Garbage(Exception):
    """The other side does not speak Modbus; where its next message begins is unknown."""


class _Connection(asyncio.BufferedProtocol):
    """One TCP connection, and the conversation on it: an answer's arrival sends the next request.

    Transaction ids keep a late answer from being taken for another's.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answered = False
        """Something on it has spoken Modbus."""
        self._loop = asyncio.get_running_loop()
        self._framer = FramerSocket(DecodePDU(is_server=False))
        self._room = bytearray(RECEIVE_BYTES)
        self._held = b""
        self._transaction = 0
        self._id = b""
        self._unit = 0
        self._frames: _Frames
        self._timeouts = 0
        self._talk: Talk | None = None
        self._asked: Callable[[], None] = unheeded
        self._ask: Ask | None = None
        self._left: asyncio.Future[Ask | None]
        self._deadline_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def carry(self, talk: Talk, ask: Ask, asked: Callable[[], None]) -> Ask | None:
        """See `conversation.Connection`."""
        self._talk, self._asked = talk, asked
        self._left = self._loop.create_future()
        try:
            self._make(ask)
            return await self._left
        finally:
            self._talk = self._ask = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _make(self, ask: Ask) -> None:
        if self.transport is None or self.transport.is_closing():
            self._left.set_result(ask)
            return
        self._ask, self._unit = ask, ask.unit
        self._transaction = self._transaction % 0xFFFF + 1
        self._id = self._transaction.to_bytes(2, "big")
        self._frames = _frames(ask)
        self._deadline_s = self._loop.time() + ask.timeout_s
        if self._timer is None or self._deadline_s < self._timer.when():
            self._set_timer()
        self._asked()
        self.transport.write(self._id + self._frames.request)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline_s, self._look)

    def _answer(self, answer: Answer) -> None:
        self._ask = None
        assert self._talk is not None
        try:
            ask = said(self._talk, answer)
        except Exception as error:
            self._left.set_exception(error)
        else:
            if ask is None:
                self._left.set_result(None)
            else:
                self._make(ask)
        if self._left.done():
            self._talk = None

    def _look(self) -> None:
        """The deadline of some request has come. One timer serves all; it looks again at that of the last one."""
        if self._ask is not None and self._loop.time() >= self._deadline_s:
            self._timeouts += 1
            if self._timeouts >= TIMEOUTS_MAX and self.transport is not None:
                self.transport.abort()
            self._answer(NotSampled(Missing.TIMEOUT, f"no answer within {self._ask.timeout_s:g} s"))
        if self._talk is not None:
            self._set_timer()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._ask is not None:
            self._answer(NotSampled(Missing.BUS_DOWN, "the connection was lost"))

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        frame = bytes(self._room[:nbytes])
        if (
            self._ask is not None
            and not self._held
            and nbytes == ANSWER_HEAD + self._frames.registers.size
            and frame.startswith(self._id + self._frames.answer)
        ):
            # Nearly all answers: good, and in one piece. What else may come is left to the library.
            self.answered, self._timeouts = True, 0
            self._answer(self._frames.registers.unpack_from(frame, ANSWER_HEAD))
            return
        self._held += frame
        try:
            while (answer := self._next()) is not None:
                if self._ask is not None:
                    self.answered, self._timeouts = True, 0
                    self._answer(_registers(answer, self._ask))
        except _Garbage:
            self._held = b""
            if self.transport is not None:
                self.transport.abort()
            if self._ask is not None:
                self._answer(NotSampled(Missing.BUS_DOWN, "what came back is not Modbus; connection dropped"))

    def _next(self) -> ModbusPDU | None:
        """The answer that bears the last request's id and unit, once all of it is here; others are passed over."""
        if len(self._held) < self._framer.MIN_SIZE:
            return None
        length = int.from_bytes(self._held[4:6], "big")
        if self._held[2:4] != b"\0\0" or not 2 <= length <= FRAME_BYTES_MAX:
            raise _Garbage
        try:
            used, answer = self._framer.handleFrame(self._held, self._unit, self._transaction)
        except Exception as error:  # whatever a parser may raise on bytes that are none of its kind
            raise _Garbage from error
        self._held = self._held[used:]
        return answer


def _registers(answer: ModbusPDU, ask: Ask) -> Answer:
    if answer.isError():
        code = getattr(answer, "exception_code", "?")
        return NotSampled(Missing.EXCEPTION, f"exception {code} at {ask.table} {ask.address}")
    if answer.function_code != REQUEST[ask.table].function_code or len(answer.registers) != ask.count:
        return NotSampled(Missing.EXCEPTION, f"not {ask.count} registers at {ask.table} {ask.address}")
    return answer.registers


class ModbusTcpBus:
    """One TCP connection, kept open and made anew when it is lost."""

    def __init__(self, *, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._connection: _Connection | None = None
        self._retry = Retry()

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        """See `Bus`. Where there is no connection, requests are answered at once, with BUS_DOWN."""
        await carry(talk, self._connected, asked)

    def longest_s(self, timeout_s: float) -> float:
        """See `Bus`: a connection that is lost as soon as it was made is made once more, then the request is sent."""
        return 2 * CONNECT_TIMEOUT_S + timeout_s

    async def _connected(self) -> _Connection:
        last = self._connection
        if last is not None and last.transport is not None and not last.transport.is_closing():
            return last
        await self.close()
        loop = asyncio.get_running_loop()
        if last is not None and last.answered:
            self._retry.worked()
        elif last is not None:
            self._retry.failed(loop.time())
        if not self._retry.may(loop.time()):
            raise NotSampled(Missing.BUS_DOWN, f"no connection to {self._host}:{self._port}")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, self._connection = await loop.create_connection(_Connection, self._host, self._port)
        except OSError as error:  # TimeoutError is one
            self._retry.failed(loop.time())
            raise NotSampled(Missing.BUS_DOWN, f"cannot connect to {self._host}:{self._port}") from error
        return self._connection

    async def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None and self._connection.transport is not None:
            self._connection.transport.abort()
        self._connection = None
