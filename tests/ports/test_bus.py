"""What a poller may expect of a bus: the registers that it asked for, or a cause within a finite time; never others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Bus, Talk
from edge_agent.read.conversation import RECONNECT_MIN_S, TIMEOUTS_MAX
from edge_agent.read.modbus import ModbusTcpBus
from edge_agent.read.rtu import ModbusRtuBus
from tests.ports.modbus_unit import ModbusUnit
from tests.ports.rtu_line import RtuLine
from tests.twins.bus import BusTwin
from tests.twins.loop import run_virtual
from tests.twins.steady import run_steady

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


async def serial(folder: Path) -> Line:
    line = RtuLine(word, port=folder / "line")
    await line.start()

    async def down(is_down: bool) -> None:
        await (line.stop() if is_down else line.start())

    return Line(
        ModbusRtuBus(port=str(line.port), baud=115_200, parity="N", stop_bits=1),
        lambda n, on: line.silent.add(n) if on else line.silent.discard(n),
        lambda n, on: line.refuses.add(n) if on else line.refuses.discard(n),
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


@pytest.fixture(params=["modbus_tcp", "modbus_rtu", "twin"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Script], None]:
    """Run a script on a fresh bus."""
    made = {"modbus_tcp": real, "modbus_rtu": lambda: serial(tmp_path), "twin": twin}[request.param]

    def run(script: Script) -> None:
        async def main() -> None:
            line = await made()
            try:
                await script(line)
            finally:
                await line.bus.close()

        (run_virtual if request.param == "twin" else run_steady)(main())

    return run


async def read(bus: Bus, unit: int, table: str, address: int, count: int, timeout_s: float = TIMEOUT_S) -> Answer:
    """The answer to a conversation of one request."""
    [answer] = await answers(bus, Ask(unit, table, address, count, timeout_s))
    return answer


async def answers(bus: Bus, *asks: Ask) -> list[Answer]:
    """The answers to a conversation of several requests."""
    found: list[Answer] = []

    def talk() -> Talk:
        for ask in asks:
            found.append((yield ask))

    await bus.carry(talk())
    return found


async def cause(line: Line, unit: int = 1, address: int = 10, count: int = 2) -> Missing:
    answer = await read(line.bus, unit, "input", address, count)
    assert isinstance(answer, NotSampled)
    assert "\n" not in answer.detail
    assert answer.detail
    return answer.cause


async def good(line: Line, unit: int = 1, address: int = 10, count: int = 2, table: str = "input") -> None:
    words = await read(line.bus, unit, table, address, count)
    assert not isinstance(words, NotSampled)
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


def test_each_answer_of_a_conversation_belongs_to_its_request(play: Callable[[Script], None]) -> None:
    async def script(line: Line) -> None:
        line.silence(2, True)
        asks = [Ask(unit, "input", address, 2, TIMEOUT_S) for address in range(0, 50, 10) for unit in (1, 2)]
        found = await answers(line.bus, *asks)
        for ask, answer in zip(asks, found, strict=True):
            if ask.unit == 2:
                assert isinstance(answer, NotSampled)
                assert answer.cause is Missing.TIMEOUT
            else:
                assert not isinstance(answer, NotSampled)
                assert list(answer) == [word(1, ask.address), word(1, ask.address + 1)]

    play(script)


def test_a_talk_may_end_before_it_has_asked_for_anything(play: Callable[[Script], None]) -> None:
    async def script(line: Line) -> None:
        assert await answers(line.bus) == []

    play(script)


def test_an_error_in_a_talk_is_the_carriers_too(play: Callable[[Script], None]) -> None:
    def talk() -> Talk:
        yield Ask(1, "input", 0, 1, TIMEOUT_S)
        raise ZeroDivisionError

    async def script(line: Line) -> None:
        with pytest.raises(ZeroDivisionError):
            await line.bus.carry(talk())
        await good(line)

    play(script)


def test_a_talk_that_is_broken_off_is_closed_and_the_next_one_hears_its_own_answers(
    play: Callable[[Script], None],
) -> None:
    closed = []

    def talk() -> Talk:
        try:
            while True:
                yield Ask(1, "input", 700, 2, 30.0)
        finally:
            closed.append(True)

    async def script(line: Line) -> None:
        await good(line)
        line.silence(1, True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await line.bus.carry(talk())
        assert closed
        line.silence(1, False)
        await good(line)

    play(script)


def test_a_short_time_out_after_a_long_one_is_as_short_as_it_says(play: Callable[[Script], None]) -> None:
    async def script(line: Line) -> None:
        line.silence(2, True)
        before_s = asyncio.get_running_loop().time()
        _, late = await answers(line.bus, Ask(1, "input", 0, 2, 30.0), Ask(2, "input", 0, 2, TIMEOUT_S))
        assert isinstance(late, NotSampled)
        assert asyncio.get_running_loop().time() - before_s < 10

    play(script)


Disturbed = Callable[[ModbusUnit, Bus], Coroutine[Any, Any, None]]


def on_tcp(script: Disturbed) -> None:
    """Run a script on a Modbus TCP bus whose other side can misbehave."""

    async def main() -> None:
        unit = ModbusUnit(word)
        await unit.start()
        bus = ModbusTcpBus(host="127.0.0.1", port=unit.port)
        try:
            await script(unit, bus)
        finally:
            await bus.close()
            await unit.stop()

    run_steady(main())


def test_an_answer_in_pieces_is_put_together() -> None:
    async def script(unit: ModbusUnit, bus: Bus) -> None:
        unit.pieces = True
        asks = [Ask(1, "input", address, 3, 5.0) for address in (0, 10, 20)]
        found = await answers(bus, *asks)
        assert found == [[word(1, a.address + n) for n in range(3)] for a in asks]

    on_tcp(script)


STRAY = (
    bytes.fromhex("ffff00000003010102"),  # a refusal with another transaction id
    bytes.fromhex("ffff000000050104020007"),  # an answer with another transaction id
)


@pytest.mark.parametrize("stray", STRAY)
def test_an_answer_that_nobody_asked_for_is_passed_over(stray: bytes) -> None:
    async def script(unit: ModbusUnit, bus: Bus) -> None:
        unit.prefix = stray
        for address in range(0, 100, 10):
            assert await read(bus, 1, "input", address, 1) == [word(1, address)]
        assert unit.connections == 1

    on_tcp(script)


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 40, b"\0\1\0\0\xff\xff\1\4", bytes(range(256)) * 40]
)
def test_what_is_not_modbus_ends_the_connection_and_is_no_value(garbage: bytes) -> None:
    async def script(unit: ModbusUnit, bus: Bus) -> None:
        assert await read(bus, 1, "input", 0, 2) == (word(1, 0), word(1, 1))
        unit.prefix = garbage
        answer = await read(bus, 1, "input", 10, 2)
        assert isinstance(answer, NotSampled)
        assert answer.cause is Missing.BUS_DOWN
        unit.prefix = b""
        assert await read(bus, 1, "input", 20, 2) == (word(1, 20), word(1, 21))
        assert unit.connections == 2

    on_tcp(script)


def test_a_host_that_never_speaks_modbus_is_left_in_peace() -> None:
    async def script(unit: ModbusUnit, bus: Bus) -> None:
        unit.prefix = b"220 mail.example ESMTP\r\n"
        for address in range(50):
            assert isinstance(await read(bus, 1, "input", address, 2), NotSampled)
        assert unit.connections < 5

    on_tcp(script)


def test_a_connection_on_which_nobody_answers_is_made_anew() -> None:
    async def script(unit: ModbusUnit, bus: Bus) -> None:
        assert await read(bus, 1, "input", 0, 1) == (word(1, 0),)
        unit.silent.add(1)
        await answers(bus, *[Ask(1, "input", 0, 1, 0.02)] * (TIMEOUTS_MAX + 2))
        unit.silent.clear()
        assert await read(bus, 1, "input", 0, 1) == (word(1, 0),)
        assert unit.connections == 2

    on_tcp(script)


def test_a_late_answer_is_never_given_to_the_next_request() -> None:
    async def main() -> None:
        unit = ModbusUnit(word)
        await unit.start()
        bus = ModbusTcpBus(host="127.0.0.1", port=unit.port)
        try:
            for round_ in range(5):
                unit.delay_s = TIMEOUT_S * 2
                assert isinstance(await read(bus, 1, "input", 100 + round_, 2), NotSampled)
                unit.delay_s = 0.0
                await asyncio.sleep(TIMEOUT_S * (0.2 + 0.3 * round_))
                words = await read(bus, 1, "input", 900 + round_, 2, 1.0)
                if isinstance(words, NotSampled):
                    continue
                assert list(words) == [word(1, 900 + round_), word(1, 901 + round_)]
        finally:
            await bus.close()
            await unit.stop()

    run_steady(main())


def test_an_answer_of_another_length_is_no_value() -> None:
    async def main() -> None:
        unit = ModbusUnit(word)
        unit.short = True
        await unit.start()
        bus = ModbusTcpBus(host="127.0.0.1", port=unit.port)
        try:
            assert isinstance(await read(bus, 1, "input", 0, 4), NotSampled)
        finally:
            await bus.close()
            await unit.stop()

    run_steady(main())
