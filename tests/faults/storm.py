"""One seed: three gateways and two workers through hours of faults drawn from it, then calm; the judge comes after.

Every fault is aimed: it strikes at the very instant at which some process goes through a step, each pair of fault and
step in turn over the seeds, and notes the step at which it really struck.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.gateway import Gateway
from tests.faults.world import World
from tests.twins.death import Life

GATEWAY_STEPS = (
    "connect",
    "disk.before",
    "disk.within",
    "disk.after",
    "publish.before",
    "publish.after",
    "ack.received",
)
WORKER_STEPS = ("taken", "data.before", "data.after", "receipt.before", "receipt.after", "ack.before", "ack.after")
STEPS = GATEWAY_STEPS + WORKER_STEPS
AT_REST = "at rest"
FAULTS_MIN, FAULTS_MAX = 24, 36
HOURS = (1,) * 12 + (2, 2, 3, 6)
AIM_S_MAX = 60.0
"""So long a fault waits for the step at which it is to strike; then it strikes wherever the process is."""

Table = Counter[tuple[str, str]]
"""(fault, step that it hit) to how often."""


@dataclass(slots=True)
class Aim:
    """One fault on its way to the step at which it is to strike."""

    storm: Storm
    fault: str
    step: str
    skip: int = 0
    """How often the step is let pass before."""

    async def at(self, gateway: Gateway, begin: Callable[[], None], worker: str = "") -> None:
        """Let it begin when the gateway goes through the step, or a worker (this one, if one is named)."""
        lives = self._lives(gateway, worker)
        struck = asyncio.get_running_loop().create_future()

        def strike() -> None:
            if self.skip:
                self.skip -= 1
                for life in lives:
                    if not life.dead:
                        life.at(self.step, strike)
                return
            for life in lives:
                life.not_at(self.step, strike)
            if not struck.done():
                begin()
                struck.set_result(self.step)

        for life in lives:
            life.at(self.step, strike)
        if self.step == "connect" and gateway.name in self.storm.world.broker.sessions:
            self.storm.world.broker.sessions[gateway.name].cut()
        await asyncio.wait([struck], timeout=AIM_S_MAX)
        for life in lives:
            life.not_at(self.step, strike)
        if not struck.done():
            begin()
            struck.set_result(AT_REST)
        self.storm.table[self.fault, struck.result()] += 1

    def _lives(self, gateway: Gateway, worker: str) -> list[Life]:
        if self.step in GATEWAY_STEPS:
            return [gateway.life]
        workers = self.storm.world.workers
        return [workers[name][1] for name in workers if worker in ("", name)]


Fault = Callable[["Storm", Aim], Coroutine[Any, Any, None]]


class Storm:
    """A world, and what is done to it."""

    def __init__(self, *, seed: int, folder: Path, faults: dict[str, Fault]) -> None:
        self.world = World(seed=seed, folder=folder, gateways=3, workers=2)
        self.rng = self.world.rng
        self.table: Table = Counter()
        self.hours = 0
        self.no_room = False
        """Dead letters were full for a while: what needed one may have been set aside."""
        self._seed = seed
        self._faults = faults
        self._busy: set[str] = set()

    def _chosen(self, count: int) -> list[tuple[str, str]]:
        """The pairs of fault and step that are this seed's turn; a later seed goes on where this one ends."""
        pairs = [(fault, step) for fault in self._faults for step in STEPS]
        random.Random(0).shuffle(pairs)
        first = self._seed * FAULTS_MIN
        return [pairs[(first + n) % len(pairs)] for n in range(count)]

    async def run(self) -> None:
        """Hours of faults, then as long as it takes until everything is confirmed."""
        self.hours = self.rng.choice(HOURS)
        chosen = self._chosen(self.rng.randint(FAULTS_MIN, FAULTS_MAX))
        times = sorted(self.rng.uniform(30, self.hours * 3600 - 60) for _ in chosen)
        self.world.start()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            for at_s, (name, step) in zip(times, chosen, strict=True):
                await asyncio.sleep(max(0.0, at_s - loop.time()))
                aim = Aim(self, name, step, skip=self.rng.choice([0, 0, 0, 1, 3]))
                tasks.create_task(self._faults[name](self, aim), name=name)
            await asyncio.sleep(max(0.0, self.hours * 3600 - loop.time()))
        await self.world.settle(3600)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Whether no other fault is at work on this; then it is ours until the end."""
        free = name not in self._busy
        self._busy.add(name)
        try:
            yield free
        finally:
            if free:
                self._busy.discard(name)

    @contextlib.contextmanager
    def some_gateway(self, *, honest: bool = False) -> Iterator[Gateway | None]:
        """A gateway of which no other fault holds the process, if there is one that lives.

        `honest`: its clock has never lied while it was trusted.
        """
        free = [g for g in self.world.gateways if g.name not in self._busy and not g.life.dead]
        free = [g for g in free if not (honest and g.lied)]
        if not free:
            yield None
            return
        gateway = self.rng.choice(free)
        with self.alone(gateway.name):
            yield gateway

    @contextlib.contextmanager
    def some_worker(self) -> Iterator[str | None]:
        """The same for workers."""
        free = [
            name for name, (_, life, _, _) in self.world.workers.items() if name not in self._busy and not life.dead
        ]
        if not free:
            yield None
            return
        name = self.rng.choice(free)
        with self.alone(name):
            yield name

    def gateway(self) -> Gateway:
        return self.rng.choice(self.world.gateways)

    async def wait(self, low_s: float, high_s: float) -> None:
        await asyncio.sleep(self.rng.uniform(low_s, high_s))

    async def start_again(self, gateway: Gateway) -> None:
        """Start an agent as a supervisor does: again and again while it ends at once, as on a full disk."""
        while True:
            await self.world.ended(gateway)
            self.world.start_gateway(gateway)
            await asyncio.sleep(0.5)
            if not gateway.life.dead:
                return
            await asyncio.sleep(10)
