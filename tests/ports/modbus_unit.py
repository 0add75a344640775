"""A Modbus TCP server made by the specification alone, that can be slow, silent or contrary."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable


class ModbusUnit:
    """Answers functions 3 and 4 (Modbus Application Protocol V1.1b3, 6.3 and 6.4) as `registers` says."""

    def __init__(self, registers: Callable[[int, int], int]) -> None:
        self.registers = registers
        self.silent: set[int] = set()
        self.refuses: set[int] = set()
        self.delay_s = 0.0
        self.short = False
        self.pieces = False
        """Send each answer byte by byte."""
        self.prefix = b""
        """What comes before each answer."""
        self.asked: list[tuple[int, int]] = []
        """(unit, address) of every request."""
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            while True:
                transaction, _, length = struct.unpack(">HHH", await reader.readexactly(6))
                unit, function, address, count = struct.unpack(">BBHH", await reader.readexactly(length))
                self.asked.append((unit, address))
                delay_s = self.delay_s
                if unit in self.silent:
                    continue
                if unit in self.refuses:
                    body = struct.pack(">BB", function | 0x80, 2)
                else:
                    words = [self.registers(unit, address + i) for i in range(count - self.short)]
                    body = struct.pack(f">BB{len(words)}H", function, 2 * len(words), *words)
                await asyncio.sleep(delay_s)
                frame = self.prefix + struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body
                for part in [frame[n : n + 1] for n in range(len(frame))] if self.pieces else [frame]:
                    writer.write(part)
                    if self.pieces:
                        await asyncio.sleep(0.001)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
