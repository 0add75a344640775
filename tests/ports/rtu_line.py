"""Modbus RTU units on a pseudo-terminal, made by the specification alone; the line and its units can be disturbed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import tty
from collections.abc import Callable
from pathlib import Path

WHO = 17


def checksum(frame: bytes) -> bytes:
    """CRC-16 of Modbus over Serial Line V1.02, 6.2.2: reflected polynomial A001, begins with FFFF, low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


class RtuLine:
    """Units that answer functions 3, 4 and 17, each in the order in which it is asked."""

    def __init__(self, registers: Callable[[int, int], int], *, port: Path, baud: int = 115_200) -> None:
        self.registers = registers
        self.port = port
        self.character_s = 10 / baud
        self.silent: set[int] = set()
        self.refuses: set[int] = set()
        self.knows_who = True
        """Units answer function 17 too, be it with a refusal."""
        self.delay_s: Callable[[int], float] = lambda unit: 0.0
        self.spoil: Callable[[bytes], bytes] = lambda frame: frame
        """What becomes of an answer on its way."""
        self.asked: list[tuple[int, int]] = []
        """(unit, address) of every read."""
        self.silences_s: list[float] = []
        """How long the line was quiet before each request, after the unit's last byte."""
        self._sent_s = float("-inf")
        self._fds: tuple[int, int] | None = None
        self._held = b""
        self._queues: dict[int, asyncio.Queue[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Lock()

    async def start(self) -> None:
        """Plug in."""
        self._fds = os.openpty()
        tty.setraw(self._fds[1])
        os.set_blocking(self._fds[0], False)
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(self._fds[1]))
        asyncio.get_running_loop().add_reader(self._fds[0], self._hear)

    async def stop(self) -> None:
        """Unplug."""
        if self._fds is None:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._queues.clear()
        asyncio.get_running_loop().remove_reader(self._fds[0])
        self.port.unlink()
        for fd in self._fds:
            os.close(fd)
        self._fds = None

    async def send(self, data: bytes) -> None:
        """Put bytes on the line, at its pace."""
        async with self._free:
            for n in range(0, len(data), 8):
                await asyncio.sleep(len(data[n : n + 8]) * self.character_s)
                assert self._fds is not None
                os.write(self._fds[0], data[n : n + 8])
                self._sent_s = asyncio.get_running_loop().time()

    def noise(self, data: bytes) -> None:
        """Put bytes on the line at once, whoever speaks."""
        assert self._fds is not None
        with contextlib.suppress(BlockingIOError):
            os.write(self._fds[0], data)

    def _hear(self) -> None:
        assert self._fds is not None
        with contextlib.suppress(BlockingIOError):
            self._held += os.read(self._fds[0], 4096)
        while self._held:
            size = 4 if self._held[1:2] == bytes((WHO,)) else 8
            frame, rest = self._held[:size], self._held[size:]
            if len(frame) < size:
                return
            assert checksum(frame[:-2]) == frame[-2:], frame.hex()
            self._held = rest
            self.silences_s.append(asyncio.get_running_loop().time() - self._sent_s)
            unit = frame[0]
            if unit not in self._queues:
                self._queues[unit] = asyncio.Queue()
                self._tasks.add(asyncio.create_task(self._serve(unit, self._queues[unit])))
            self._queues[unit].put_nowait(frame)

    async def _serve(self, unit: int, queue: asyncio.Queue[bytes]) -> None:
        while True:
            request = await queue.get()
            body = self._answer(unit, request)
            if body:
                await asyncio.sleep(len(request) * self.character_s + self.delay_s(unit))
                frame = bytes((unit,)) + body
                await self.send(self.spoil(frame + checksum(frame)))

    def _answer(self, unit: int, request: bytes) -> bytes:
        function = request[1]
        if function == WHO:
            known = self.knows_who and unit not in self.silent
            return bytes((function | 0x80, 1)) if known else b""
        _, _, address, count = struct.unpack(">BBHH", request[:-2])
        self.asked.append((unit, address))
        if unit in self.silent:
            return b""
        if unit in self.refuses:
            return bytes((function | 0x80, 2))
        words = [self.registers(unit, address + n) for n in range(count)]
        return struct.pack(f">BB{count}H", function, 2 * count, *words)
