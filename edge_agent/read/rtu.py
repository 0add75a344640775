"""Modbus RTU: several units on one serial line, where an answer does not say which request it belongs to.

An answer names its unit, its function and how many bytes follow, and no address. So a unit that has not answered in
time owes an answer, which may come at any moment and would fit the next request of the same shape. Until it has come,
the unit is first asked for something that cannot be mistaken: Report Server ID (function 17), which units answer, be it
with a refusal. A unit answers in the order in which it was asked, so an answer settles all that it owed before. Other
units are asked meanwhile: a late answer names its unit, and its checksum covers that.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk, unheeded
from edge_agent.read.conversation import TIMEOUTS_MAX, Retry, carry, said
from edge_agent.read.modbus import REQUEST
from edge_agent.read.serial_line import HELD_BYTES_MAX, LineLost, SerialLine

SILENCE_CHARACTERS = 3.5
SILENCE_MIN_S = 0.00175
"""Quiet between frames: Modbus over Serial Line V1.02, 2.5.1.1, which fixes it from 19200 baud on."""

SETTLE_S = 0.05
"""Quiet that is waited for after a time-out: a late frame may be under way, and USB adapters pass it on in pieces."""

OPEN_QUIET_S = 0.3
"""Quiet that is waited for when the port was opened: answers to what an earlier program asked."""

NOISE_MAX_S = 2.0
"""Longest wait for quiet. A line that is noisy for longer counts as down."""

LATE_MAX_S = 5.0
"""After which an answer that is owed is no longer expected of a unit that does not know function 17 either: it is asked
again without proof. Or three of its time-outs, where that is longer."""

REFUSAL_BYTES = 5
"""Unit, function + 128, code, checksum."""

REQUEST_BYTES = 8
"""Unit, function, address, count, checksum: the longest request that is made."""

_WHO = b"\x11"


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A request, and how the two answers that it may get begin. The byte after a good head is its length, or in it."""

    request: bytes
    good: bytes
    refused: bytes

    def find(self, held: bytes) -> tuple[int, bytes] | None:
        """The first sound frame in `held` that answers the request, and where it begins; all else is passed over."""
        found = []
        for head in (self.good, self.refused):
            at = held.find(head)
            while at >= 0:
                size = 5 + held[at + 2] if head is self.good and at + 2 < len(held) else REFUSAL_BYTES
                frame = held[at : at + size]
                if len(frame) == size and _sound(frame):
                    found.append((at, frame))
                    break
                at = held.find(head, at + 1)
        return min(found, default=None)


def _sound(frame: bytes) -> bool:
    return bool(FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")))


@lru_cache(maxsize=4096)
def _reading(ask: Ask) -> _Exchange:
    request = REQUEST[ask.table](address=ask.address, count=ask.count, dev_id=ask.unit)
    frame = FramerRTU(DecodePDU(is_server=False)).buildFrame(request)
    function = request.function_code
    return _Exchange(frame, bytes((ask.unit, function, 2 * ask.count)), bytes((ask.unit, function | 0x80)))


@lru_cache(maxsize=256)
def _who(unit: int) -> _Exchange:
    frame = FramerRTU(DecodePDU(is_server=False)).encode(_WHO, unit, 0)
    return _Exchange(frame, bytes((unit, _WHO[0])), bytes((unit, _WHO[0] | 0x80)))


@dataclass(frozen=True, slots=True, eq=False)
class _Debt:
    """What a unit was asked and has not answered, and until when an answer is expected."""

    exchange: _Exchange
    until_s: float
    read: bool
    """It asked for registers: its answer would fit another request."""


_Debts = dict[int, list[_Debt]]
"""Unit -> what it owes, in the order in which it was asked. At most one of it asked for registers."""


class _Wire:
    """An open line, and the conversation on it."""

    def __init__(self, line: SerialLine, debts: _Debts, character_s: float) -> None:
        self.line = line
        self.answered = False
        """Something on it has spoken Modbus."""
        self.broke = False
        """It went away, or was too noisy; units that are merely silent break nothing."""
        self._loop = asyncio.get_running_loop()
        self._debts = debts
        self._character_s = character_s
        self._silence_s = max(SILENCE_CHARACTERS * character_s, SILENCE_MIN_S)
        self._quiet_s = max(OPEN_QUIET_S, self._silence_s)
        self._sent_s = 0.0
        self._held = b""
        self._timeouts = 0

    async def carry(self, talk: Talk, ask: Ask | None, asked: Callable[[], None]) -> Ask | None:
        """See `conversation.Connection`."""
        while ask is not None and self.line.up:
            ask = said(talk, await self._answer(ask, asked))
        return ask

    async def _answer(self, ask: Ask, asked: Callable[[], None]) -> Answer:
        try:
            if not await self._in_step(ask):
                return NotSampled(Missing.TIMEOUT, f"no answer within {ask.timeout_s:g} s since it was late")
            exchange = _reading(ask)
            frame = await self._exchange(exchange, ask, asked)
        except LineLost as lost:
            self.broke = True
            self.line.close()
            return NotSampled(Missing.BUS_DOWN, str(lost))
        if frame is None:
            return NotSampled(Missing.TIMEOUT, f"no answer within {ask.timeout_s:g} s")
        if frame.startswith(exchange.refused):
            return NotSampled(Missing.EXCEPTION, f"exception {frame[2]} at {ask.table} {ask.address}")
        return struct.unpack(f">{ask.count}H", frame[3:-2])

    async def _in_step(self, ask: Ask) -> bool:
        """Whether the unit may be asked: it owes no registers, or has owed them for too long."""
        if not self._owes(ask.unit):
            return True
        await self._exchange(_who(ask.unit), ask)
        now_s = self._loop.time()
        if self._owes(ask.unit, now_s):
            return False
        self._debts[ask.unit] = [debt for debt in self._debts.get(ask.unit, ()) if now_s < debt.until_s]
        return True

    def _owes(self, unit: int, now_s: float = 0.0) -> bool:
        return any(debt.read and now_s < debt.until_s for debt in self._debts.get(unit, ()))

    async def _exchange(self, exchange: _Exchange, ask: Ask, asked: Callable[[], None] | None = None) -> bytes | None:
        """Ask, and wait for the answer; None if it does not come in time. `asked`: of a request for registers."""
        await self._quiet()
        now_s = self._loop.time()
        debt = _Debt(exchange, now_s + max(LATE_MAX_S, 3 * ask.timeout_s), asked is not None)
        self._debts.setdefault(ask.unit, []).append(debt)
        self._quiet_s = max(SETTLE_S, self._silence_s)  # whoever breaks off leaves an answer under way
        if asked is not None:
            asked()
        self.line.write(exchange.request)
        self._sent_s = now_s + len(exchange.request) * self._character_s
        deadline_s = self._sent_s + ask.timeout_s
        while self._loop.time() < deadline_s:
            for settled, frame in self._hear(await self.line.read(deadline_s)):
                if settled is debt:
                    self._quiet_s = self._silence_s
                    return frame
        self._timeouts += 1
        if self._timeouts >= TIMEOUTS_MAX:
            self.line.close()
        return None

    async def _quiet(self) -> None:
        """Wait until the line has been quiet, and forget what came unasked but for the debts that it settles."""
        give_up_s = self._loop.time() + NOISE_MAX_S
        self.line.pump()
        while (now_s := self._loop.time()) < (quiet_s := max(self.line.heard_s, self._sent_s) + self._quiet_s):
            if now_s > give_up_s:
                raise LineLost("the line is never quiet")
            self._hear(await self.line.read(quiet_s))
        self._hear(await self.line.read(now_s))
        self._held = b""

    def _hear(self, chunk: bytes) -> list[tuple[_Debt, bytes]]:
        """Take the answers out of what has come, and say what each is the answer to."""
        self._held = (self._held + chunk)[-HELD_BYTES_MAX:]
        settled = []
        while (found := self._first()) is not None:
            (at, frame), debts, index = found
            self.answered, self._timeouts = True, 0
            settled.append((debts[index], frame))
            del debts[: index + 1]
            self._held = self._held[at + len(frame) :]
        return settled

    def _first(self) -> tuple[tuple[int, bytes], list[_Debt], int] | None:
        """The first answer that is here to anything that is owed, and which it is; the older of two that it fits."""
        best = None
        for debts in self._debts.values():
            for index, debt in enumerate(debts):
                found = debt.exchange.find(self._held)
                if found is not None and (best is None or found[0] < best[0][0]):
                    best = found, debts, index
        return best


class ModbusRtuBus:
    """One serial port, kept open and opened anew when it is lost."""

    def __init__(self, *, port: str, baud: int, parity: str, stop_bits: int) -> None:
        self._port, self._baud, self._parity, self._stop_bits = port, baud, parity, stop_bits
        self._character_s = (1 + 8 + (parity != "N") + stop_bits) / baud
        self._debts: _Debts = {}
        self._wire: _Wire | None = None
        self._retry = Retry()

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        """See `Bus`. Where there is no port, requests are answered at once, with BUS_DOWN."""
        await carry(talk, self._connected, asked)

    def longest_s(self, timeout_s: float) -> float:
        """See `Bus`: the unit may first be asked who it is, and each time quiet is waited for."""
        quiet_s = NOISE_MAX_S + OPEN_QUIET_S + SILENCE_CHARACTERS * self._character_s
        return 2 * (quiet_s + REQUEST_BYTES * self._character_s + timeout_s)

    async def _connected(self) -> _Wire:
        last, now_s = self._wire, asyncio.get_running_loop().time()
        if last is not None and last.line.up:
            return last
        await self.close()
        if last is not None and last.answered:
            self._retry.worked()
        elif last is not None and last.broke:
            self._retry.failed(now_s)
        if not self._retry.may(now_s):
            raise NotSampled(Missing.BUS_DOWN, f"no serial port {self._port}")
        try:
            line = SerialLine(port=self._port, baud=self._baud, parity=self._parity, stop_bits=self._stop_bits)
        except LineLost as lost:
            self._retry.failed(now_s)
            raise NotSampled(Missing.BUS_DOWN, str(lost)) from lost
        self._wire = _Wire(line, self._debts, self._character_s)
        return self._wire

    async def close(self) -> None:
        """Let the port go."""
        if self._wire is not None:
            self._wire.line.close()
        self._wire = None
