"""The least that reading meters over Modbus TCP can cost in this language with this library: ask and decode, no more.

    python bare_modbus.py asyncio|blocking HOST PORT EVERY_S REQUESTS.json

The requests are `[[unit, first register, registers, [offset of a float32, …]], …]` of input registers, made one after
the other once every EVERY_S. Nothing is kept, sent or checked beyond what the library checks. The library's asyncio
client is what can wait for several lines and a broker at once; its blocking client, which can wait for one line and
nothing else, costs about half.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient, ModbusTcpClient
from pymodbus.pdu import ModbusPDU

Decode = Callable[[Sequence[int]], list[float]]
Request = tuple[int, int, int, Decode]


def decoder(count: int, offsets: Sequence[int]) -> Decode:
    """Registers to floats, with the fewest calls: all registers to bytes at once, then each value at its place."""
    pack = struct.Struct(f">{count}H").pack
    floats = [(struct.Struct(">f").unpack_from, 2 * offset) for offset in offsets]

    def decode(registers: Sequence[int]) -> list[float]:
        raw = pack(*registers)
        return [unpack(raw, at)[0] for unpack, at in floats]

    return decode


def good(answer: ModbusPDU) -> Sequence[int]:
    """The registers of an answer; a refusal ends the program."""
    if answer.isError():
        sys.exit(f"refused: {answer}")
    return answer.registers


def blocking(host: str, port: int, every_s: float, requests: Sequence[Request]) -> None:
    """Ask for ever with the blocking client."""
    client = ModbusTcpClient(host, port=port, timeout=1, retries=0)
    if not client.connect():  # type: ignore[no-untyped-call]
        sys.exit(f"cannot connect to {host}:{port}")
    while True:
        for unit, first, count, decode in requests:
            decode(good(client.read_input_registers(first, count=count, device_id=unit)))
        time.sleep(every_s - time.time() % every_s)


async def concurrent(host: str, port: int, every_s: float, requests: Sequence[Request]) -> None:
    """Ask for ever with the asyncio client."""
    client = AsyncModbusTcpClient(host, port=port, timeout=1, retries=0)
    if not await client.connect():
        sys.exit(f"cannot connect to {host}:{port}")
    while True:
        for unit, first, count, decode in requests:
            decode(good(await client.read_input_registers(first, count=count, device_id=unit)))
        await asyncio.sleep(every_s - time.time() % every_s)


def main(kind: str, host: str, port: int, every_s: float, path: Path) -> None:
    """Ask for ever."""
    wanted = json.loads(path.read_text())
    requests = [(unit, first, count, decoder(count, offsets)) for unit, first, count, offsets in wanted]
    if kind == "blocking":
        blocking(host, port, every_s, requests)
    else:
        asyncio.run(concurrent(host, port, every_s, requests))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
