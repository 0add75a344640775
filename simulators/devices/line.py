"""Serves units as Modbus RTU on a pseudo-terminal, at the pace of a baud rate.

Each answer is in the record before it leaves. A unit answers its requests one after the other, however late; units do
not wait for each other, and the line carries one frame at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tty
from collections.abc import Callable, Sequence

from pymodbus.framer import FramerRTU

from simulators.devices.unit import ILLEGAL_FUNCTION, Unit
from simulators.truth.record import RecordError, RecordWriter

REQUEST_BYTES = (8, 4)
"""Length of the requests that are understood: a read, and one of a bare function code."""

CHARACTER_BITS = 10
PIECE_BYTES = 4
"""Sent at once; then the line is busy for as long as they take."""

REQUESTS_PENDING_MAX = 16
"""Most requests that one unit keeps for later; a request beyond them is not answered."""

log = logging.getLogger(__name__)


class LineServer:
    """One serial line with several units. `spoil` is what the line does to an answer (tears it, say) on its way."""

    def __init__(
        self,
        *,
        units: Sequence[Unit],
        record: RecordWriter,
        now_ms: Callable[[], int],
        baud: int = 9600,
        spoil: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._units = {unit.unit_id: unit for unit in units}
        self._record = record
        self._now_ms = now_ms
        self._character_s = CHARACTER_BITS / baud
        self._spoil = spoil
        self._master = self._slave = -1
        self._held = b""
        self._asked: dict[int, asyncio.Queue[bytes]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._line: asyncio.Lock
        self._mute = False

    async def start(self) -> str:
        """Open the line, and say which port a master has to open."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._line = asyncio.Lock()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._master, self._hear)
        for number, unit in self._units.items():
            self._asked[number] = asyncio.Queue(REQUESTS_PENDING_MAX)
            self._tasks.append(loop.create_task(self._serve(unit, self._asked[number]), name=f"unit {unit.device}"))
        return os.ttyname(self._slave)

    async def stop(self) -> None:
        """Pull the plug: whoever has the port open finds it gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._held += os.read(self._master, 1024)
        while (found := _request_in(self._held)) is not None:
            request, self._held = found
            if request[0] in self._asked:
                with contextlib.suppress(asyncio.QueueFull):
                    self._asked[request[0]].put_nowait(request)
        self._held = self._held[-max(REQUEST_BYTES) :]

    async def _serve(self, unit: Unit, asked: asyncio.Queue[bytes]) -> None:
        while True:
            request = await asked.get()
            await asyncio.sleep(len(request) * self._character_s + unit.late_ms(self._now_ms()) / 1000)
            try:
                body = self._answer(unit, request)
            except RecordError as error:
                self._mute_once(error)
                continue
            if body is not None:
                await self._send(unit.unit_id, body)

    def _answer(self, unit: Unit, request: bytes) -> bytes | None:
        """Function and data of the answer, already noted; None if there is to be none."""
        t_ms, function = self._now_ms(), request[1]
        address, count = (int.from_bytes(request[n : n + 2], "big") for n in (2, 4))
        if len(request) < max(REQUEST_BYTES):
            address, count = 0, 1
        refusal = unit.refuse(function, address, count, t_ms)
        if refusal is not None:
            asked = f"function {function} address {address} count {count}"
            self._record.note_refused(t_ms, unit.device, asked, refusal.reason)
            return None if refusal.code is None else bytes((function | 0x80, refusal.code))
        if len(request) < max(REQUEST_BYTES):
            return bytes((function | 0x80, ILLEGAL_FUNCTION))
        words, fields = unit.answer(function, address, count, t_ms)
        self._record.note(t_ms, unit.gateway, unit.device, fields)
        return bytes((function, 2 * count)) + b"".join(word.to_bytes(2, "big") for word in words)

    async def _send(self, unit_id: int, body: bytes) -> None:
        frame = bytes((unit_id,)) + body
        frame = self._spoil(frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big"))
        async with self._line:
            for n in range(0, len(frame), PIECE_BYTES):
                piece = frame[n : n + PIECE_BYTES]
                await asyncio.sleep(len(piece) * self._character_s)
                os.write(self._master, piece)

    def _mute_once(self, error: RecordError) -> None:
        if not self._mute:
            log.error("no more answers: %s", error)
        self._mute = True


def _request_in(held: bytes) -> tuple[bytes, bytes] | None:
    """The first sound request in `held`, and what comes after it."""
    for at in range(len(held)):
        for size in REQUEST_BYTES:
            frame = held[at : at + size]
            if len(frame) == size and FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")):
                return frame, held[at + size :]
    return None
