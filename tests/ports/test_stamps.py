"""A stamp is the instant at which its request left, also on a line that makes it wait: units note when they heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from data_contract.cause import Missing
from data_contract.reading import Quality
from data_contract.schedule import Poll
from edge_agent.keep.dating import Timeline
from edge_agent.keep.interval import Interval, Words
from edge_agent.keep.passes import STAMP_MS
from edge_agent.ports import Bus, Civil, Talk, unheeded
from edge_agent.read.conversation import said
from edge_agent.read.modbus import ModbusTcpBus
from edge_agent.read.pace import Pace
from edge_agent.read.planner import Request
from edge_agent.read.poller import FieldReader, Poller, PollPlan
from edge_agent.read.rtu import ModbusRtuBus
from tests.ports.modbus_unit import ModbusUnit
from tests.ports.rtu_line import RtuLine
from tests.twins.loop import run_virtual
from tests.twins.steady import run_steady

EVERY_MS = 1000
TIMEOUT_S = 0.4
BESIDE_MS = 100
"""A stamp may lie this far beside its request: it is kept to 8 ms, and the machine that runs the test may be slow."""
ORIGIN_MS = 1_790_000_000_000


class LoopClock:
    """The event loop's time, from 0."""

    boot = "boot"

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun_s = self._loop.time()

    def mono_ms(self) -> int:
        return int((self._loop.time() - self._begun_s) * 1000)

    def civil(self) -> Civil:
        return Civil(ORIGIN_MS + self.mono_ms(), True)

    def real_s(self, span_ms: float) -> float:
        return span_ms / 1000


def decode(words: Words) -> tuple[float | None, Quality]:
    return float(words[0]), Quality.GOOD


class Asked:
    """A poller of one unit with two blocks, and what the unit heard: it answers each read with the number of it."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.heard_ms: list[int] = []
        self.interval = Interval(from_=0)

    def word(self, unit: int, address: int) -> int:
        self.heard_ms.append(self.clock.mono_ms())
        return len(self.heard_ms) - 1

    async def poll(self, bus: Bus, slots: int) -> None:
        poll = Poll(device="meter", kind="meter", group="main", every_ms=EVERY_MS, fields=("one", "two"))
        requests = (Request("holding", 0, 1, ("one",)), Request("holding", 90, 1, ("two",)))
        readers = {"one": FieldReader(0, 1, decode), "two": FieldReader(90, 1, decode)}
        timeline = Timeline(mono_ms=self.clock.mono_ms(), civil=self.clock.civil())
        poller = Poller(
            bus=bus,
            plans=[PollPlan(poll, 1, TIMEOUT_S, requests, readers)],
            pace=Pace(polls=[poll], timeline=timeline, start_mono=0, seal_every_ms=60_000),
            interval=self.interval,
            clock=self.clock,
            promise=lambda seconds: None,
        )
        task = asyncio.create_task(poller.run())
        await asyncio.sleep(slots * EVERY_MS / 1000 - self.clock.mono_ms() / 1000 - 0.1)
        poller.stop()
        await task

    def sampled(self) -> tuple[dict[str, list[tuple[int, int]]], dict[str, int]]:
        """By field: (stamp, when the unit heard the request); and what is missing."""
        body = self.interval.body(10_000_000, prev=None, pending=[], aside=[])
        device = body.devices["meter"]
        found: dict[str, list[tuple[int, int]]] = {}
        for block in device.blocks:
            for name, column in block.values.items():
                stamp = 0
                for step, value in zip(block.t, column, strict=True):
                    stamp += step
                    assert value is not None
                    found.setdefault(name, []).append((stamp, self.heard_ms[int(value)]))
        return found, dict(device.counts["main"][2])


def beside(pairs: list[tuple[int, int]]) -> bool:
    return all(abs(stamp - heard) <= BESIDE_MS for stamp, heard in pairs)


Script = Callable[[Asked, Any, Bus], Coroutine[Any, Any, None]]


@pytest.fixture
def on_rtu(tmp_path: Path) -> Callable[[Script], None]:
    """Run a script on a slow serial line."""

    def run(script: Script) -> None:
        async def main() -> None:
            asked = Asked()
            line = RtuLine(asked.word, port=tmp_path / "line", baud=2400)
            await line.start()
            bus = ModbusRtuBus(port=str(line.port), baud=2400, parity="N", stop_bits=1)
            try:
                await script(asked, line, bus)
            finally:
                await bus.close()
                await line.stop()

        run_steady(main())

    return run


def test_a_reading_of_a_unit_that_is_first_asked_who_it_is_bears_the_time_of_the_read(
    on_rtu: Callable[[Script], None],
) -> None:
    async def script(asked: Asked, line: RtuLine, bus: Bus) -> None:
        late = iter([TIMEOUT_S * 1.2])  # the first answer; then each takes its time, that of who it is as well
        line.delay_s = lambda unit: next(late, TIMEOUT_S * 0.5)
        await asked.poll(bus, slots=4)
        found, missing = asked.sampled()
        assert missing == {Missing.TIMEOUT: 1}
        assert (len(found["one"]), len(found["two"])) == (3, 4)
        # In the first slot "one" is late, and "two" waits until the unit has said who it is.
        assert found["two"][0][1] >= TIMEOUT_S * 1.7 * 1000
        assert beside(found["one"]) and beside(found["two"])

    on_rtu(script)


async def each_block_has_its_own(asked: Asked, bus: Bus) -> None:
    """On a line whose unit takes 250 ms to answer."""
    await asked.poll(bus, slots=3)
    found, missing = asked.sampled()
    assert not missing
    assert beside(found["one"]) and beside(found["two"])
    for (one, _), (two, _) in zip(found["one"], found["two"], strict=True):
        assert two - one >= 250 - STAMP_MS


def test_each_block_of_a_poll_group_bears_the_time_of_its_own_request_on_a_slow_line(
    on_rtu: Callable[[Script], None],
) -> None:
    async def script(asked: Asked, line: RtuLine, bus: Bus) -> None:
        line.delay_s = lambda unit: 0.25
        await each_block_has_its_own(asked, bus)

    on_rtu(script)


def on_tcp(script: Script) -> None:
    async def main() -> None:
        asked = Asked()
        unit = ModbusUnit(asked.word)
        await unit.start()
        bus = ModbusTcpBus(host="127.0.0.1", port=unit.port)
        try:
            await script(asked, unit, bus)
        finally:
            await bus.close()
            await unit.stop()

    run_steady(main())


def test_each_block_of_a_poll_group_bears_the_time_of_its_own_request_over_tcp() -> None:
    async def script(asked: Asked, unit: ModbusUnit, bus: Bus) -> None:
        unit.delay_s = 0.25
        await each_block_has_its_own(asked, bus)

    on_tcp(script)


class TwiceBus:
    """A bus on which each request must be made again; only the second attempt is answered."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        ask = next(talk, None)
        while ask is not None:
            for _ in range(2):
                await asyncio.sleep(0.2)
                asked()
            word = self._asked.word(ask.unit, ask.address)
            await asyncio.sleep(0.05)
            ask = said(talk, [word])

    def longest_s(self, timeout_s: float) -> float:
        return timeout_s

    async def close(self) -> None:
        return None


def test_a_reading_whose_request_was_made_again_bears_the_time_of_the_attempt_that_was_answered() -> None:
    async def main() -> None:
        asked = Asked()
        await asked.poll(TwiceBus(asked), slots=3)
        found, missing = asked.sampled()
        assert not missing
        assert [two - one for (one, _), (two, _) in zip(found["one"], found["two"], strict=True)] == [448, 448, 448]
        assert beside(found["one"]) and beside(found["two"])

    run_virtual(main())
