"""A real client reads over real TCP: what it decodes is what the record says, and each fault does what it is called."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from simulators.devices.modbus import CannotListen, MeterServer
from simulators.truth.record import Record, RecordWriter
from tests.twins.steady import run_steady
from tests.unit.simulators.plant import ORIGIN_MS, fault, units


class Bench:
    """One server, a clock that the test sets, and the record."""

    def __init__(self, path: Path, **changes: Any) -> None:
        self.now_ms = ORIGIN_MS
        self.writer = RecordWriter(path=path)
        self.writer.open({})
        made = units(**changes)
        line = [made["feed-meter"], made["permeate-meter"], made["energy-meter"]]
        for unit_id, unit in enumerate(line, start=1):
            unit.unit_id = unit_id
        self.server = MeterServer(host="127.0.0.1", port=0, units=line, record=self.writer, now_ms=lambda: self.now_ms)
        self.record = Record.open_readonly(path)
        self.port = 0


@asynccontextmanager
async def bench(path: Path, **changes: Any) -> AsyncIterator[Bench]:
    made = Bench(path, **changes)
    made.port = await made.server.start()
    try:
        yield made
    finally:
        await made.server.stop()
        made.writer.close()


@asynccontextmanager
async def client(port: int, *, timeout_s: float = 3.0) -> AsyncIterator[AsyncModbusTcpClient]:
    made = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=timeout_s, retries=0)
    assert await made.connect()
    try:
        yield made
    finally:
        made.close()


def test_what_a_client_decodes_is_what_the_record_says(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant, client(plant.port) as asking:
            for n in range(20):
                plant.now_ms = ORIGIN_MS + n * 1111
                volts = await asking.read_input_registers(0, count=2, device_id=3)
                total = await asking.read_holding_registers(8, count=4, device_id=1)
                (noted_v,) = (
                    value
                    for t_ms, value in plant.record.served("energy-meter", "voltage_l1_v", 0, 2**62)
                    if t_ms == plant.now_ms
                )
                (noted_m3,) = (
                    value
                    for t_ms, value in plant.record.served("feed-meter", "volume_m3", 0, 2**62)
                    if t_ms == plant.now_ms
                )
                (read_v,) = struct.unpack(">f", struct.pack(">2H", *volts.registers))
                assert noted_v is not None
                assert np.float32(noted_v) == np.float32(read_v)
                w0, w1, w2, w3 = total.registers
                whole, fraction = struct.unpack(">if", struct.pack(">4H", w1, w0, w3, w2))
                assert noted_m3 == pytest.approx(whole + fraction, abs=5e-8)
                assert plant.record.words("energy-meter", "voltage_l1_v")[-1] == (
                    plant.now_ms,
                    " ".join(f"{word:04x}" for word in volts.registers),
                )

    run_steady(run())


def test_units_behind_one_port_do_not_mix(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant, client(plant.port) as one, client(plant.port) as other:

            async def ask(asking: AsyncModbusTcpClient, unit_id: int) -> list[list[int]]:
                return [
                    list((await asking.read_holding_registers(0, count=2, device_id=unit_id)).registers)
                    for _ in range(50)
                ]

            feed, permeate = await asyncio.gather(ask(one, 1), ask(other, 2))
            assert len({tuple(words) for words in feed}) == 1
            assert len({tuple(words) for words in permeate}) == 1
            assert feed[0] != permeate[0]
            assert len(plant.record.served("feed-meter", "flow_m3_h", 0, 2**62)) == 50

    run_steady(run())


def test_a_silent_device_answers_nothing_and_its_neighbour_does(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db", faults=[fault("silent")]) as plant:
            plant.now_ms = ORIGIN_MS + 120_000
            async with client(plant.port, timeout_s=0.3) as asking:
                with pytest.raises(ModbusIOException):
                    await asking.read_input_registers(0, count=2, device_id=3)
            async with client(plant.port) as asking:
                assert not (await asking.read_holding_registers(0, count=2, device_id=1)).isError()
                plant.now_ms = ORIGIN_MS + 150_000
                assert not (await asking.read_input_registers(0, count=2, device_id=3)).isError()
            assert plant.record.served("energy-meter", "voltage_l1_v", 0, ORIGIN_MS + 150_000) == []
            assert plant.record.refused("energy-meter")[0][2] == "silent"

    run_steady(run())


def test_an_exception_fault_answers_with_its_code_and_notes_no_value(tmp_path: Path) -> None:
    async def run() -> None:
        faults = [fault("exception", exception_code=6)]
        async with bench(tmp_path / "r.db", faults=faults) as plant, client(plant.port) as asking:
            plant.now_ms = ORIGIN_MS + 120_000
            answer = await asking.read_input_registers(0, count=2, device_id=3)
            assert answer.isError()
            assert answer.exception_code == 6
            assert plant.record.devices() == []

    run_steady(run())


def test_a_late_answer_is_never_given_to_the_next_request(tmp_path: Path) -> None:
    """A time-out, a question for other registers, and then the late answer to the first: it still bears its own id."""

    async def run() -> None:
        async with bench(tmp_path / "r.db", faults=[fault("late", late_ms=400)]) as plant:
            plant.now_ms = ORIGIN_MS + 120_000
            reader, writer = await asyncio.open_connection("127.0.0.1", plant.port)
            writer.write(bytes.fromhex("0001 0000 0006 03 04 0000 0002"))  # late unit 3: voltage
            await asyncio.sleep(0.1)
            writer.write(bytes.fromhex("0002 0000 0006 01 03 0008 0004"))  # unit 1, in time: volume
            first = await reader.readexactly(17)
            second = await reader.readexactly(13)
            assert first[:2] == b"\x00\x02" and first[6:9] == b"\x01\x03\x08"
            assert second[:2] == b"\x00\x01" and second[6:9] == b"\x03\x04\x04"
            writer.close()

    run_steady(run())


def test_a_late_answer_comes_when_it_is_waited_for(tmp_path: Path) -> None:
    async def run() -> None:
        faults = [fault("late", late_ms=200)]
        async with bench(tmp_path / "r.db", faults=faults) as plant, client(plant.port) as asking:
            plant.now_ms = ORIGIN_MS + 120_000
            begin = asyncio.get_running_loop().time()
            assert not (await asking.read_input_registers(0, count=2, device_id=3)).isError()
            assert asyncio.get_running_loop().time() - begin >= 0.19

    run_steady(run())


def test_a_nan_fault_serves_nan_and_notes_that_there_was_no_value(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db", faults=[fault("nan")]) as plant, client(plant.port) as asking:
            plant.now_ms = ORIGIN_MS + 120_000
            answer = await asking.read_input_registers(0, count=2, device_id=3)
            assert answer.registers == [0x7FC0, 0x0000]
            assert plant.record.served("energy-meter", "voltage_l1_v", 0, 2**62) == [(plant.now_ms, None)]

    run_steady(run())


def test_a_unit_that_is_not_there_is_named_by_the_gateways_own_exception(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant, client(plant.port) as asking:
            answer = await asking.read_input_registers(0, count=2, device_id=99)
            assert answer.exception_code == 0x0B
            assert (await asking.write_register(0, 1, device_id=1)).exception_code == 1
            assert (await asking.read_coils(0, count=1, device_id=1)).exception_code == 1
            assert (await asking.read_input_registers(1, count=2, device_id=3)).exception_code == 2

    run_steady(run())


def test_what_cannot_be_noted_is_not_served(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant, client(plant.port, timeout_s=0.3) as asking:
            assert not (await asking.read_input_registers(0, count=2, device_id=3)).isError()
            plant.writer.close()
            with pytest.raises(ModbusIOException):
                await asking.read_input_registers(0, count=2, device_id=3)

    run_steady(run())


@pytest.mark.parametrize(
    "garbage", [b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x01\x00\x00\x00\x06\x01\x63\x00\x00\x00\x02"]
)
def test_garbage_on_one_connection_leaves_the_others_alone(tmp_path: Path, garbage: bytes) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant, client(plant.port) as asking:
            _, writer = await asyncio.open_connection("127.0.0.1", plant.port)
            writer.write(garbage)
            await writer.drain()
            assert not (await asking.read_input_registers(0, count=2, device_id=3)).isError()
            writer.close()

    run_steady(run())


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant:
            second = MeterServer(
                host="127.0.0.1", port=plant.port, units=[], record=plant.writer, now_ms=lambda: ORIGIN_MS
            )
            with pytest.raises(CannotListen, match=f"127.0.0.1:{plant.port}"):
                await second.start()

    run_steady(run())
