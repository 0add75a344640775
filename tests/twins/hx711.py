"""A chip on mock pins in virtual time, with a scheduler that may take its time between any two instructions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from edge_agent.ports import Answer, Ask, Bus, Talk
from edge_agent.read.hx711_pins import Hx711Bus
from simulators.chips.hx711 import Hx711Chip, MockBoard
from simulators.chips.sensed import Sensed
from tests.twins.loop import VirtualLoop

DOUT, CLOCK, DOOR = 5, 6, 13
US, MS = 1_000, 1_000_000


class BusyLoop(VirtualLoop):
    """Virtual time in which instructions take some, too."""

    def __init__(self) -> None:
        self.spent_ns = 0
        super().__init__()

    def time(self) -> float:
        return super().time() + self.spent_ns / 1e9


class LoopNs:
    """The loop's time in ns. To ask for it costs some."""

    def __init__(self) -> None:
        self.cost: Callable[[], int] = lambda: 1 * US
        """What the next instruction takes, in ns."""

    def spend(self, ns: int) -> None:
        """Let time go by in the midst of something."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, BusyLoop)
        loop.spent_ns += ns

    def __call__(self) -> int:
        self.spend(self.cost())
        return round(asyncio.get_running_loop().time() * 1e9)


class Jitter:
    """Costs of instructions: most are short, some are anything from 1 us to 200 us, a few outlast a conversion."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.share = 0.0
        """Part of the instructions that are held up."""
        self.stall = 0.0
        """Part of them that are held up for 20 to 300 ms."""

    def __call__(self) -> int:
        chance = self._rng.random()
        if chance < self.stall:
            return self._rng.randrange(20 * MS, 300 * MS)
        if chance < self.stall + self.share:
            return self._rng.randrange(1 * US, 200 * US)
        return self._rng.randrange(1 * US, 8 * US)


class Bench:
    """A chip, and the bus that reads it."""

    def __init__(
        self,
        *,
        rate_hz: int = 10,
        rng: random.Random | None = None,
        now_ns: Callable[[], int] | None = None,
        **bus: Any,
    ) -> None:
        self.now = LoopNs()
        now_ns = now_ns or self.now
        self.rng = rng or random.Random(7)
        self.made: list[int] = []
        """Every conversion that the chip has made, in order."""
        self.sense: Callable[[int], Sensed | None] = lambda _: Sensed(self.rng.randrange(-0x800000, 0x800000))
        self.chip = Hx711Chip(sense=self._converted, now_ns=now_ns, rate_hz=rate_hz)
        self.board = MockBoard()
        self.board.connect(self.chip, dout_pin=DOUT, clock_pin=CLOCK, door_pin=DOOR)
        settings: dict[str, Any] = {"door_pin": DOOR, "rate_hz": rate_hz, "now_ns": now_ns}
        self.bus = Hx711Bus(dout_pin=DOUT, clock_pin=CLOCK, **(settings | bus))

    def _converted(self, chosen: int) -> Sensed | None:
        sensed = self.sense(chosen)
        if sensed is not None:
            self.made.append(sensed.count)
        return sensed

    async def read(self, count: int = 2, *, address: int = 0, timeout_s: float = 5.0) -> Answer:
        """The answer to one request."""
        return await read(self.bus, Ask(1, "holding", address, count, timeout_s))

    async def weigh(self, timeout_s: float = 5.0) -> int:
        """The count of one good answer."""
        answer = await self.read(timeout_s=timeout_s)
        assert isinstance(answer, list), answer
        return signed(answer)


async def read(bus: Bus, ask: Ask) -> Answer:
    """The answer to a conversation of one request."""
    found: list[Answer] = []

    def talk() -> Talk:
        found.append((yield ask))

    await bus.carry(talk())
    return found[0]


def signed(words: list[int]) -> int:
    """Two registers, high word first, as a signed number."""
    return int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words[:2]), "big", signed=True)


@contextmanager
def soldered(**settings: Any) -> Iterator[Bench]:
    """A bench, taken apart at the end. To be entered in a running loop."""
    bench = Bench(**settings)
    try:
        yield bench
    finally:
        bench.board.remove()


def on_bench(script: Callable[[Bench], Coroutine[Any, Any, None]], **settings: Any) -> None:
    """Run a script on a fresh bench in virtual time."""

    async def main() -> None:
        with soldered(**settings) as bench:
            try:
                await script(bench)
            finally:
                await bench.bus.close()

    with asyncio.Runner(loop_factory=BusyLoop) as runner:
        runner.run(main())
