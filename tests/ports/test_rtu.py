"""A serial line with several units on it: an answer bears no address, and yet none is ever taken for another's."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Bus, Talk
from edge_agent.read import rtu
from edge_agent.read.rtu import ModbusRtuBus, _Exchange, _reading, _who
from tests.ports.rtu_line import RtuLine, checksum
from tests.twins.steady import run_steady

TIMEOUT_S = 0.06
PATIENCE_S = 1.0
"""For a unit that answers at once: the machine that runs the test may be slow."""
GOOD, LATE, DEAD = 1, 2, 3


def word(unit: int, address: int) -> int:
    """What a register holds: it names its unit and its address."""
    return unit * 10_000 + address


Script = Callable[[RtuLine, Bus], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Run a script on a line and a bus that has its port open."""

    def run(script: Script, baud: int = 115_200) -> None:
        async def main() -> None:
            line = RtuLine(word, port=tmp_path / "line", baud=baud)
            await line.start()
            bus = ModbusRtuBus(port=str(line.port), baud=baud, parity="N", stop_bits=1)
            try:
                await script(line, bus)
            finally:
                await bus.close()
                await line.stop()

        run_steady(main())

    return run


async def read(bus: Bus, unit: int, address: int, count: int = 2, timeout_s: float = TIMEOUT_S) -> Answer:
    answers: list[Answer] = []

    def talk() -> Talk:
        answers.append((yield Ask(unit, "holding", address, count, timeout_s)))

    await bus.carry(talk())
    return answers[0]


async def check(bus: Bus, unit: int, address: int, count: int = 2, timeout_s: float | None = None) -> str:
    """Read, and say what came of it. Wrong registers fail the test."""
    answer = await read(bus, unit, address, count, timeout_s or (PATIENCE_S if unit == GOOD else TIMEOUT_S))
    if isinstance(answer, NotSampled):
        return answer.cause.value
    assert list(answer) == [word(unit, address + n) for n in range(count)], (unit, address, count)
    return "good"


def spoiling(chance: random.Random) -> Callable[[bytes], bytes]:
    """A bad line: frames are lost, torn, flipped, and come with garbage before or behind them."""

    def spoil(frame: bytes) -> bytes:
        at = chance.randrange(len(frame))
        noise = chance.randbytes(chance.randrange(1, 12))
        kinds = [frame] * 15 + [b"", frame[:at], noise + frame, frame + noise]
        kinds.append(frame[:at] + bytes((frame[at] ^ 1 << chance.randrange(8),)) + frame[at + 1 :])
        return chance.choice(kinds)

    return spoil


@pytest.mark.parametrize(
    "seed, knows_who",
    [(1, True), pytest.param(2, True, marks=pytest.mark.slow), pytest.param(3, False, marks=pytest.mark.slow)],
)
def test_no_value_is_ever_attributed_to_the_wrong_unit_or_register(
    play: Callable[..., None], seed: int, knows_who: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtu, "LATE_MAX_S", 1.5)  # more than any answer is late here
    # Each has its own, as they draw in the order in which things happen.
    chance, bad, slow = (random.Random(f"{seed} {name}") for name in ("script", "spoil", "delay"))
    told: Counter[tuple[int, str]] = Counter()

    async def script(line: RtuLine, bus: Bus) -> None:
        line.silent.add(DEAD)
        line.knows_who = knows_who
        line.spoil = spoiling(bad)
        line.delay_s = lambda unit: slow.choice((0.0, 0.5, 0.9, 1.1, 1.5, 2.5, 4.0)) * TIMEOUT_S * (unit == LATE)
        for n in range(1000):
            if n >= 100 and (told[LATE, "good"] > 0 or not knows_who):
                break
            unit = chance.choice((GOOD, GOOD, GOOD, LATE, LATE, DEAD))
            address, count = chance.randrange(9000), chance.choice((2, 2, 2, 4))
            told[unit, await check(bus, unit, address, count, 0.2 if unit == GOOD else TIMEOUT_S)] += 1
            await asyncio.sleep(chance.choice((0, 0, 0, 0.5, 2)) * TIMEOUT_S)

    play(script, baud=9600)
    assert told[GOOD, "good"] > (20 if knows_who else 5)
    assert told[LATE, "good"] > 0 or not knows_who
    assert told[LATE, "timeout"] > 5
    assert told[DEAD, "timeout"] == sum(n for (unit, _), n in told.items() if unit == DEAD) > 5


@pytest.mark.parametrize("late", [1.01, 1.2, 1.6, 2.0, 3.0, 5.0, 8.0])
def test_a_late_answer_is_never_given_to_the_next_request(play: Callable[..., None], late: float) -> None:
    async def script(line: RtuLine, bus: Bus) -> None:
        for n in range(8):
            line.delay_s = lambda unit: late * TIMEOUT_S
            assert await check(bus, LATE, 100 + n) == "timeout"
            line.delay_s = lambda unit: 0.0
            await asyncio.sleep(TIMEOUT_S * n / 4)
            await check(bus, LATE, 900 + n)
            assert await check(bus, GOOD, 500 + n) == "good"
        await asyncio.sleep(2 * late * TIMEOUT_S)
        assert await check(bus, LATE, 7, timeout_s=PATIENCE_S) == "good"

    play(script)


def test_a_unit_that_is_always_late_costs_its_neighbours_nothing(play: Callable[..., None]) -> None:
    async def script(line: RtuLine, bus: Bus) -> None:
        line.delay_s = lambda unit: 1.3 * TIMEOUT_S * (unit == LATE)
        for n in range(20):
            assert await check(bus, LATE, n) == "timeout"
            assert await check(bus, GOOD, n) == "good"

    play(script)


def test_a_unit_that_does_not_say_who_it_is_is_asked_again_when_nothing_late_is_expected(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtu, "LATE_MAX_S", 0.4)

    async def script(line: RtuLine, bus: Bus) -> None:
        line.knows_who = False
        line.silent.add(LATE)
        assert await check(bus, LATE, 1) == "timeout"
        line.silent.clear()
        assert await check(bus, LATE, 2) == "timeout"
        assert line.asked == [(LATE, 1)]
        await asyncio.sleep(0.4)
        assert await check(bus, LATE, 3, timeout_s=PATIENCE_S) == "good"
        assert await check(bus, LATE, 4, timeout_s=PATIENCE_S) == "good"

    play(script)


def test_a_request_that_was_broken_off_owes_an_answer_too(play: Callable[..., None]) -> None:
    async def script(line: RtuLine, bus: Bus) -> None:
        line.delay_s = lambda unit: 0.2
        for n in range(4):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1 if n else 0.4):  # the first one waits until the open line is quiet
                    await read(bus, GOOD, 100 + n, timeout_s=30.0)
            await check(bus, GOOD, 200 + n)

    play(script)


def test_a_refusal_that_comes_late_is_not_the_next_requests(play: Callable[..., None]) -> None:
    async def script(line: RtuLine, bus: Bus) -> None:
        line.refuses.add(LATE)
        line.delay_s = lambda unit: 1.5 * TIMEOUT_S
        assert await check(bus, LATE, 1) == "timeout"
        line.refuses.clear()
        line.delay_s = lambda unit: 0.0
        assert await check(bus, LATE, 2, timeout_s=PATIENCE_S) == "good"

    play(script)


@pytest.mark.parametrize("baud", [9600, 19_200, 115_200])
def test_frames_are_apart_by_three_and_a_half_characters(play: Callable[..., None], baud: int) -> None:
    async def script(line: RtuLine, bus: Bus) -> None:
        for n in range(20):
            assert await check(bus, GOOD, n) == "good"

    async def measured(line: RtuLine, bus: Bus) -> None:
        await script(line, bus)
        assert min(line.silences_s) >= max(3.5 * 10 / baud, 0.00175)

    play(measured, baud=baud)


def test_a_line_that_is_never_quiet_is_down_and_comes_back(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtu, "SILENCE_MIN_S", 0.5)  # so that a slow machine makes no quiet of its own

    async def script(line: RtuLine, bus: Bus) -> None:
        assert await check(bus, GOOD, 0) == "good"

        async def babble() -> None:
            while True:
                line.noise(b"\x01\x03\x55")
                await asyncio.sleep(0.0003)

        noise = asyncio.create_task(babble())
        await asyncio.sleep(0.1)
        async with asyncio.timeout(rtu.NOISE_MAX_S + 1):
            assert await check(bus, GOOD, 1) == "bus_down"
        noise.cancel()
        await asyncio.sleep(1.2)
        assert await check(bus, GOOD, 2) == "good"

    play(script, baud=9600)


def test_what_is_no_serial_port_or_another_programs_is_down_and_says_so(tmp_path: Path) -> None:
    async def why(port: Path) -> str:
        bus = ModbusRtuBus(port=str(port), baud=9600, parity="E", stop_bits=2)
        answer = await read(bus, 1, 0)
        await bus.close()
        assert isinstance(answer, NotSampled)
        assert answer.cause is Missing.BUS_DOWN
        assert "\n" not in answer.detail
        assert str(port) in answer.detail
        return answer.detail

    async def main() -> None:
        (tmp_path / "file").touch()
        assert "open" in await why(tmp_path / "file")
        assert "open" in await why(tmp_path / "nothing")
        line = RtuLine(word, port=tmp_path / "line")
        await line.start()
        first = ModbusRtuBus(port=str(line.port), baud=115_200, parity="N", stop_bits=1)
        assert await check(first, GOOD, 0) == "good"
        assert "open" in await why(line.port)
        assert await check(first, GOOD, 1) == "good"
        await first.close()
        await line.stop()

    run_steady(main())


ASK = Ask(5, "input", 0x1B38, 3, 1.0)
FRAME = bytes.fromhex("05 04 06 0001 0504 0604")
FRAME += checksum(FRAME)


def answer_in(exchange: _Exchange, held: bytes) -> bytes | None:
    found = exchange.find(held)
    return None if found is None else found[1]


def test_an_answer_is_found_whole_and_with_anything_around_it_and_never_in_part() -> None:
    exchange = _reading(ASK)
    assert exchange.request == bytes.fromhex("05 04 1B38 0003") + checksum(bytes.fromhex("05 04 1B38 0003"))
    assert answer_in(exchange, FRAME) == FRAME
    for size in range(len(FRAME)):
        assert answer_in(exchange, FRAME[:size]) is None
        assert answer_in(exchange, FRAME[:size] + FRAME) == FRAME
        assert answer_in(exchange, FRAME + FRAME[:size]) == FRAME
    assert answer_in(exchange, exchange.request + FRAME) == FRAME
    refusal = bytes.fromhex("05 84 02") + checksum(bytes.fromhex("05 84 02"))
    assert answer_in(exchange, b"\x05\x84" + refusal) == refusal
    assert answer_in(exchange, refusal[:-1]) is None


def test_an_answer_of_another_unit_function_or_length_or_with_a_bit_flipped_is_none() -> None:
    exchange = _reading(ASK)
    for other in (
        "06 04 06 0001 0504 0604",
        "05 03 06 0001 0504 0604",
        "05 04 04 0001 0504",
        "05 83 02",
        "05 11 01 FF",
    ):
        assert answer_in(exchange, bytes.fromhex(other) + checksum(bytes.fromhex(other))) is None
    for bit in range(8 * len(FRAME)):
        flipped = (int.from_bytes(FRAME, "big") ^ 1 << bit).to_bytes(len(FRAME), "big")
        assert answer_in(exchange, flipped) is None


def test_a_unit_says_who_it_is_at_any_length_and_an_echo_of_the_question_is_no_answer() -> None:
    exchange = _who(5)
    assert answer_in(exchange, exchange.request * 3) is None
    for text in (b"", b"\xff", b"Meter 1.0"):
        said = bytes((5, 17, len(text))) + text
        assert answer_in(exchange, said + checksum(said)) == said + checksum(said)
        assert answer_in(exchange, said + checksum(said)[:1]) is None
