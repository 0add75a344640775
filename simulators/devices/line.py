"""Serves units as Modbus RTU on a pseudo-terminal, at the pace of a baud rate.

Each answer is in the record before it leaves. A unit answers its requests one after the other, however late; units do
not wait for each other, and the line carries one frame at a time. What is no sound request is passed over; of what a
master leaves unread, no more is kept than the terminal holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tty
from collections.abc import Callable, Sequence
from pathlib import Path

from simulators.devices.frames import RTU_BYTES_MAX, rtu_frame, rtu_request
from simulators.devices.modbus import WATCH_S, CannotListen
from simulators.devices.reply import reply
from simulators.devices.unit import Unit
from simulators.faults import FaultPlan
from simulators.truth.record import RecordError, RecordWriter

CHARACTER_BITS = 10
PIECE_BYTES = 4
"""Sent at once; then the line is busy for as long as they take."""

REQUESTS_PENDING_MAX = 16
"""Most requests that one unit keeps for later; a request beyond them is not answered."""

log = logging.getLogger(__name__)


class LineServer:
    """One serial line with several units. `spoil` is what the line does to an answer (tears it, say) on its way.

    With a `link` the line has a lasting name: a symbolic link there leads to the terminal of the moment. `faults` are
    those of the line.
    """

    def __init__(
        self,
        *,
        units: Sequence[Unit],
        record: RecordWriter,
        now_ms: Callable[[], int],
        baud: int = 9600,
        spoil: Callable[[bytes], bytes] = bytes,
        link: Path | None = None,
        faults: FaultPlan | None = None,
    ) -> None:
        self._units = {unit.unit_id: unit for unit in units}
        self._record = record
        self._now_ms = now_ms
        self._character_s = CHARACTER_BITS / baud
        self._spoil = spoil
        self._link = link
        self._faults = faults if faults is not None else FaultPlan(faults=(), origin_ms=0)
        self._master = self._slave = -1
        self._held = b""
        self._asked: dict[int, asyncio.Queue[bytes]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._line: asyncio.Lock
        self._mute = False

    async def start(self) -> str:
        """Open the line, and say which port a master has to open. CannotListen if its name is taken."""
        self._line = asyncio.Lock()
        name = self._plug_in()
        loop = asyncio.get_running_loop()
        for number, unit in self._units.items():
            self._asked[number] = asyncio.Queue(REQUESTS_PENDING_MAX)
            self._tasks.append(loop.create_task(self._serve(unit, self._asked[number]), name=f"unit {unit.device}"))
        if self._faults.has("unplugged"):
            self._tasks.append(loop.create_task(self._mind_the_plug(), name=f"plug of {name}"))
        return name

    async def stop(self) -> None:
        """Pull the plug: whoever has the port open finds it gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._unplug()

    def _plug_in(self) -> str:
        master, slave = os.openpty()
        try:
            tty.setraw(slave)
            os.set_blocking(master, False)
            name = os.ttyname(slave)
            if self._link is not None:
                _point(self._link, name)
        except BaseException:
            os.close(master)
            os.close(slave)
            raise
        self._master, self._slave, self._held = master, slave, b""
        asyncio.get_running_loop().add_reader(master, self._hear)
        return name if self._link is None else str(self._link)

    def _unplug(self) -> None:
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    async def _mind_the_plug(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            fault = self._faults.active(self._now_ms())
            out = fault is not None and fault.what == "unplugged"
            if out:
                self._unplug()
            elif self._master < 0:
                self._plug_in()

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._held += os.read(self._master, 1024)
        while (found := rtu_request(self._held, self._units)) is not None:
            request, self._held = found
            with contextlib.suppress(asyncio.QueueFull):
                self._asked[request[0]].put_nowait(request)
        self._held = self._held[-(RTU_BYTES_MAX - 1) :]

    async def _serve(self, unit: Unit, asked: asyncio.Queue[bytes]) -> None:
        while True:
            request = await asked.get()
            await asyncio.sleep(len(request) * self._character_s + unit.late_ms(self._now_ms()) / 1000)
            try:
                frame = self._answer(unit, request[1:-2])
            except RecordError as error:
                self._mute_once(error)
                continue
            if frame:
                await self._send(self._spoil(frame))

    def _answer(self, unit: Unit, pdu: bytes) -> bytes:
        """The frame that answers function and data, already noted; empty if there is to be none."""
        t_ms = self._now_ms()
        found = reply(unit, pdu, t_ms, framed=rtu_frame)
        if found.reason is not None:
            self._record.note_refused(t_ms, unit.device, found.asked, found.reason)
        else:
            self._record.note(t_ms, unit.gateway, unit.device, found.fields)
        return found.frame

    async def _send(self, frame: bytes) -> None:
        loop = asyncio.get_running_loop()
        async with self._line:
            sent_s = loop.time()
            for n in range(0, len(frame), PIECE_BYTES):
                piece = frame[n : n + PIECE_BYTES]
                sent_s += len(piece) * self._character_s  # by the clock: what sleeps too long does not add up
                if sent_s > loop.time():
                    await asyncio.sleep(sent_s - loop.time())
                if self._master < 0:
                    return
                with contextlib.suppress(BlockingIOError):  # nobody reads, and the terminal is full
                    os.write(self._master, piece)

    def _mute_once(self, error: RecordError) -> None:
        if not self._mute:
            log.error("no more answers: %s", error)
        self._mute = True


def _point(link: Path, terminal: str) -> None:
    """Let `link` lead to `terminal`. CannotListen if something else than a link stands there."""
    if link.exists() and not link.is_symlink():
        raise CannotListen(f"{link}: is there already, and is no link; give another folder")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        beside = link.with_name(f".{link.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        beside.symlink_to(terminal)
        beside.replace(link)
    except OSError as error:
        raise CannotListen(f"{link}: cannot make a link here: {error.strerror}; give another folder") from None
