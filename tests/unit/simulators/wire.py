"""Units served on a real socket or a real terminal, and somebody who asks them with bytes made by hand."""

from __future__ import annotations

import asyncio
import os
import struct
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from simulators.devices.line import LineServer
from simulators.devices.modbus import MeterServer
from simulators.faults import FaultPlan
from simulators.truth.record import Record, RecordWriter
from tests.unit.simulators.plant import ORIGIN_MS, loaded, units

AT_MS = ORIGIN_MS + 120_000
"""In the midst of every fault of `plant.fault`."""
AFTER_MS = ORIGIN_MS + 200_000


class Wire:
    """Units 1 (feed), 2 (permeate) and 3 (energy) behind one server, a clock that the test sets, and the record."""

    def __init__(self, path: Path, **changes: Any) -> None:
        self.now_ms = AT_MS
        self.writer = RecordWriter(path=path)
        self.writer.open({})
        made = units(**changes)
        self.units = [made["feed-meter"], made["permeate-meter"], made["energy-meter"]]
        for unit_id, unit in enumerate(self.units, start=1):
            unit.unit_id = unit_id
        self.faults = FaultPlan.of_device(loaded(**changes).scenario, "line-1", origin_ms=ORIGIN_MS)
        self.record = Record.open_readonly(path)
        self.server: MeterServer | LineServer
        self.port: int | str = 0

    def noted(self, device: str) -> int:
        return sum(len(self.record.served(device, field, 0, 2**62)) for field in self.record.fields(device))

    def refused(self, device: str) -> list[str]:
        return [reason for _, _, reason in self.record.refused(device)]


@asynccontextmanager
async def tcp(path: Path, **changes: Any) -> AsyncIterator[Wire]:
    """A TCP port."""
    made = Wire(path / "record.db", **changes)
    made.server = MeterServer(
        host="127.0.0.1", port=0, units=made.units, record=made.writer, now_ms=lambda: made.now_ms, faults=made.faults
    )
    made.port = await made.server.start()
    try:
        yield made
    finally:
        await made.server.stop()
        made.writer.close()


@asynccontextmanager
async def serial(path: Path, *, baud: int = 115_200, **changes: Any) -> AsyncIterator[Wire]:
    """A serial line with a lasting name."""
    made = Wire(path / "record.db", **changes)
    made.server = LineServer(
        units=made.units,
        record=made.writer,
        now_ms=lambda: made.now_ms,
        baud=baud,
        link=path / "serial" / "line-1",
        faults=made.faults,
    )
    made.port = await made.server.start()
    try:
        yield made
    finally:
        await made.server.stop()
        made.writer.close()


class Asker:
    """One end of a connection or a terminal."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def heard(self, least: int = 0, *, quiet_s: float = 0.1) -> bytes:
        """All that comes: so many bytes at least, within 5 s, and whatever follows until it is quiet for so long."""
        found = b""
        while True:
            try:
                async with asyncio.timeout(quiet_s if len(found) >= least else 5.0):
                    piece = await self.reader.read(1000)
            except TimeoutError:
                return found
            if not piece:
                return found
            found += piece

    async def closed(self, within_s: float = 2.0) -> bool:
        """Whether the other end hangs up in time."""
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(1000):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True


@asynccontextmanager
async def calling(port: int | str) -> AsyncIterator[Asker]:
    """A client of a TCP port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    try:
        yield Asker(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def on_line(port: int | str) -> AsyncIterator[Asker]:
    """A master on a terminal."""
    terminal = os.open(str(port), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(terminal)
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    file_in, file_out = os.fdopen(terminal, "rb", buffering=0), os.fdopen(os.dup(terminal), "wb", buffering=0)
    hearing, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file_in)
    speaking, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, file_out)
    writer = asyncio.StreamWriter(speaking, protocol, None, loop)
    try:
        yield Asker(reader, writer)
    finally:
        hearing.close()
        speaking.abort()


def mbap(transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, function, address, count)


def rtu(unit: int, function: int, address: int, count: int) -> bytes:
    frame = struct.pack(">BBHH", unit, function, address, count)
    return frame + crc(frame)


def crc(frame: bytes) -> bytes:
    """CRC-16 of Modbus over Serial Line V1.02, 6.2.2."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")
