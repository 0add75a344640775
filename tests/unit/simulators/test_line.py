"""Simulated units on a serial line: what the agent's own bus reads there is what the record says."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk
from edge_agent.read.rtu import ModbusRtuBus
from simulators.devices.line import LineServer
from simulators.truth.record import Record, RecordWriter
from tests.twins.steady import run_steady
from tests.unit.simulators.plant import ORIGIN_MS, fault, units

PATIENCE_S = 20.0


class Bench:
    """Three units on a line, a clock that the test sets, the record, and a bus."""

    def __init__(self, path: Path, *, spoil: Callable[[bytes], bytes], baud: int, **changes: Any) -> None:
        self.now_ms = ORIGIN_MS
        self.baud = baud
        self.writer = RecordWriter(path=path)
        self.writer.open({})
        made = units(**changes)
        line = [made["feed-meter"], made["permeate-meter"], made["energy-meter"]]
        for unit_id, unit in enumerate(line, start=1):
            unit.unit_id = unit_id
        self.server = LineServer(
            units=line, record=self.writer, now_ms=lambda: self.now_ms, baud=baud, spoil=lambda frame: self.spoil(frame)
        )
        self.spoil = spoil
        self.record = Record.open_readonly(path)
        self.bus: ModbusRtuBus

    async def read(self, unit: int, table: str, address: int, count: int, timeout_s: float = PATIENCE_S) -> Answer:
        answers: list[Answer] = []

        def talk() -> Talk:
            answers.append((yield Ask(unit, table, address, count, timeout_s)))

        await self.bus.carry(talk())
        return answers[0]

    async def cause(self, unit: int, table: str, address: int, count: int, timeout_s: float = PATIENCE_S) -> Missing:
        answer = await self.read(unit, table, address, count, timeout_s)
        assert isinstance(answer, NotSampled)
        return answer.cause


@asynccontextmanager
async def bench(
    path: Path, *, spoil: Callable[[bytes], bytes] = bytes, baud: int = 115_200, **changes: Any
) -> AsyncIterator[Bench]:
    made = Bench(path, spoil=spoil, baud=baud, **changes)
    port = await made.server.start()
    made.bus = ModbusRtuBus(port=port, baud=made.baud, parity="N", stop_bits=1)
    try:
        yield made
    finally:
        await made.bus.close()
        await made.server.stop()
        made.writer.close()


def test_what_the_bus_reads_is_what_the_record_says(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant:
            for n in range(10):
                plant.now_ms = ORIGIN_MS + n * 1111
                volts = await plant.read(3, "input", 0, 2)
                assert not isinstance(volts, NotSampled)
                assert plant.record.words("energy-meter", "voltage_l1_v")[-1] == (
                    plant.now_ms,
                    " ".join(f"{word:04x}" for word in volts),
                )
                for unit, device in ((1, "feed-meter"), (2, "permeate-meter")):
                    words = await plant.read(unit, "holding", 0, 2)
                    assert not isinstance(words, NotSampled)
                    ((_, shown),) = plant.record.served(device, "flow_m3_h", plant.now_ms, plant.now_ms + 1)
                    assert shown is not None
                    assert struct.pack(">f", shown) == struct.pack(">HH", words[1], words[0])

    run_steady(run())


def test_a_baud_rate_takes_its_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db", baud=9600) as plant:
            await plant.read(3, "input", 0, 2)
            loop = asyncio.get_running_loop()
            begin_s = loop.time()
            assert not isinstance(await plant.read(3, "input", 0, 74), NotSampled)
            assert loop.time() - begin_s >= (8 + 5 + 2 * 74) * 10 / 9600

    run_steady(run())


def test_a_refusal_names_its_code_and_notes_no_value(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant:
            assert await plant.cause(3, "input", 1, 2) is Missing.EXCEPTION
            assert await plant.cause(3, "input", 0x60, 2) is Missing.EXCEPTION
            assert plant.record.devices() == []
            assert len(plant.record.refused("energy-meter")) == 2

    run_steady(run())


def test_a_silent_unit_and_one_that_is_not_there_answer_nothing_and_their_neighbour_does(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db", faults=[fault("silent")]) as plant:
            plant.now_ms = ORIGIN_MS + 120_000
            assert await plant.cause(3, "input", 0, 2, 0.1) is Missing.TIMEOUT
            assert await plant.cause(9, "input", 0, 2, 0.1) is Missing.TIMEOUT
            assert not isinstance(await plant.read(1, "holding", 0, 2), NotSampled)
            plant.now_ms = ORIGIN_MS + 150_000
            assert not isinstance(await plant.read(3, "input", 0, 2), NotSampled)
            assert plant.record.refused("energy-meter")[0][2] == "silent"

    run_steady(run())


def test_a_late_answer_is_not_given_to_the_next_request_and_comes_when_it_is_waited_for(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db", faults=[fault("late", late_ms=200)]) as plant:
            plant.now_ms = ORIGIN_MS + 120_000
            for address in (0, 4, 2, 0, 6):
                assert await plant.cause(3, "input", address, 2, 0.1) is Missing.TIMEOUT
                assert not isinstance(await plant.read(1, "holding", 0, 2), NotSampled)
            found = await plant.read(3, "input", 6, 2)
            assert not isinstance(found, NotSampled)
            assert plant.record.words("energy-meter", "current_l1_a")[-1][1] == " ".join(f"{w:04x}" for w in found)

    run_steady(run())


def test_a_torn_answer_is_no_value(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant:
            for size in range(9):
                plant.spoil = lambda frame, size=size: frame[:size]  # type: ignore[misc]
                assert await plant.cause(3, "input", 0, 2, 0.05) is Missing.TIMEOUT
                plant.spoil = bytes
                assert not isinstance(await plant.read(3, "input", 2, 2), NotSampled)

    run_steady(run())


def test_what_cannot_be_noted_is_not_served(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant:
            assert not isinstance(await plant.read(1, "holding", 0, 2), NotSampled)
            plant.writer.close()
            assert await plant.cause(1, "holding", 0, 2, 0.1) is Missing.TIMEOUT
            plant.writer.open({})  # somebody has made room for the record
            assert not isinstance(await plant.read(1, "holding", 0, 2), NotSampled)

    run_steady(run())


def test_a_line_that_is_unplugged_is_down(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path / "r.db") as plant:
            assert not isinstance(await plant.read(1, "holding", 0, 2), NotSampled)
            await plant.server.stop()
            await asyncio.sleep(0.05)
            assert await plant.cause(1, "holding", 0, 2) is Missing.BUS_DOWN

    run_steady(run())
