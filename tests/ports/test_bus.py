"""What a poller may expect of a bus: the registers that it asked for, or a cause within a finite time; never others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Bus
from edge_agent.read.modbus import RECONNECT_MIN_S, ModbusTcpBus
from tests.ports.modbus_unit import ModbusUnit
from tests.twins.bus import BusTwin
from tests.twins.loop import run_virtual

TIMEOUT_S = 0.2


def word(unit: int, address: int) -> int:
    return (unit * 1000 + address) & 0xFFFF


@dataclass
class Line:
    """A bus with units 1 and 2, and the means to disturb it."""

    bus: Bus
    silence: Callable[[int, bool], None]
    refuse: Callable[[int, bool], None]
    down: Callable[[bool], Awaitable[None]]


async def real() -> Line:
    unit = ModbusUnit(word)
    await unit.start()

    async def down(is_down: bool) -> None:
        await (unit.stop() if is_down else unit.start())

    return Line(
        ModbusTcpBus(host="127.0.0.1", port=unit.port),
        lambda n, on: unit.silent.add(n) if on else unit.silent.discard(n),
        lambda n, on: unit.refuses.add(n) if on else unit.refuses.discard(n),
        down,
    )


async def twin() -> Line:
    bus = BusTwin(units={n: lambda address, _, n=n: word(n, address) for n in (1, 2)})  # type: ignore[misc]

    async def down(is_down: bool) -> None:
        bus.down = is_down

    return Line(
        bus,
        lambda n, on: bus.silent.add(n) if on else bus.silent.discard(n),
        lambda n, on: bus.refuses.add(n) if on else bus.refuses.discard(n),
        down,
    )


Script = Callable[[Line], Coroutine[Any, Any, None]]


@pytest.fixture(params=["modbus_tcp", "twin"])
def play(request: pytest.FixtureRequest) -> Callable[[Script], None]:
    """Run a script on a fresh bus."""

    def run(script: Script) -> None:
        async def main() -> None:
            line = await (real() if request.param == "modbus_tcp" else twin())
            try:
                await script(line)
            finally:
                await line.bus.close()

        (asyncio.run if request.param == "modbus_tcp" else run_virtual)(main())

    return run


async def cause(line: Line, unit: int = 1, address: int = 10, count: int = 2) -> Missing:
    with pytest.raises(NotSampled) as error:
        await line.bus.read(unit, "input", address, count, TIMEOUT_S)
    assert "\n" not in error.value.detail
    assert error.value.detail
    return error.value.cause


async def good(line: Line, unit: int = 1, address: int = 10, count: int = 2, table: str = "input") -> None:
    words = await line.bus.read(unit, table, address, count, TIMEOUT_S)
    assert list(words) == [word(unit, address + i) for i in range(count)]


def test_a_request_brings_its_own_registers(play: Callable[[Script], None]) -> None:
    async def script(line: Line) -> None:
        for unit, address, count in [(1, 0, 1), (2, 0, 1), (1, 500, 125), (2, 65_534, 2)]:
            await good(line, unit, address, count)
        await good(line, table="holding")

    play(script)


def test_a_silent_unit_costs_a_finite_time_and_its_neighbour_answers(play: Callable[[Script], None]) -> None:
    async def script(line: Line) -> None:
        line.silence(1, True)
        before_s = asyncio.get_running_loop().time()
        for _ in range(3):
            assert await cause(line) is Missing.TIMEOUT
            await good(line, unit=2)
        assert asyncio.get_running_loop().time() - before_s < 3 * (TIMEOUT_S + 0.5)
        line.silence(1, False)
        await good(line)

    play(script)


def test_a_refusal_is_told_apart_from_silence(play: Callable[[Script], None]) -> None:
    async def script(line: Line) -> None:
        line.refuse(1, True)
        assert await cause(line) is Missing.EXCEPTION
        await good(line, unit=2)
        line.refuse(1, False)
        await good(line)

    play(script)


def test_a_line_that_goes_down_is_said_to_be_and_comes_back_by_itself(play: Callable[[Script], None]) -> None:
    async def script(line: Line) -> None:
        await good(line)
        await line.down(True)
        await asyncio.sleep(0.05)
        assert await cause(line) is Missing.BUS_DOWN
        assert await cause(line) is Missing.BUS_DOWN
        await line.down(False)
        await asyncio.sleep(RECONNECT_MIN_S * 1.2)
        await good(line)

    play(script)


def test_a_line_that_was_never_there_is_down_and_not_an_error(play: Callable[[Script], None]) -> None:
    async def script(line: Line) -> None:
        await line.down(True)
        assert await cause(line) is Missing.BUS_DOWN

    play(script)


def test_a_late_answer_is_never_given_to_the_next_request() -> None:
    async def main() -> None:
        unit = ModbusUnit(word)
        await unit.start()
        bus = ModbusTcpBus(host="127.0.0.1", port=unit.port)
        try:
            for round_ in range(5):
                unit.delay_s = TIMEOUT_S * 2
                with pytest.raises(NotSampled):
                    await bus.read(1, "input", 100 + round_, 2, TIMEOUT_S)
                unit.delay_s = 0.0
                await asyncio.sleep(TIMEOUT_S * (0.2 + 0.3 * round_))
                try:
                    words = await bus.read(1, "input", 900 + round_, 2, 1.0)
                except NotSampled:
                    continue
                assert list(words) == [word(1, 900 + round_), word(1, 901 + round_)]
        finally:
            await bus.close()
            await unit.stop()

    asyncio.run(main())


def test_an_answer_of_another_length_is_no_value() -> None:
    async def main() -> None:
        unit = ModbusUnit(word)
        unit.short = True
        await unit.start()
        bus = ModbusTcpBus(host="127.0.0.1", port=unit.port)
        try:
            with pytest.raises(NotSampled):
                await bus.read(1, "input", 0, 4, TIMEOUT_S)
        finally:
            await bus.close()
            await unit.stop()

    asyncio.run(main())
