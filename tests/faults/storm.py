"""One seed: three gateways and two workers through hours of faults drawn from it, then calm; the judge comes after.

Each fifth seed is one of small spools and outages of hours: their oldest hours give way to digests meanwhile.

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

from data_contract.topics import Channel, topic
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
EVICT_STEPS = ("choose.after", "evict.within", "evict.after")
"""Of a gateway whose spool is full: what may go has been read; a digest has taken its place; and that is committed."""
WORKER_STEPS = ("taken", "data.before", "data.after", "receipt.before", "receipt.after", "ack.before", "ack.after")
STEPS = GATEWAY_STEPS + WORKER_STEPS
ALL_STEPS = STEPS + EVICT_STEPS
AT_REST = "at rest"
FAULTS_MIN, FAULTS_MAX = 24, 36
HOURS = (1,) * 14 + (2, 4)
AGAIN_S = 30.0
"""After so long a fault that found its victim taken looks again."""
AIM_S_MAX = 240.0
"""So long a fault waits for the step at which it is to strike; then it strikes wherever the process is."""
LOOK_S = 60.0
"""After so long it looks whether another process has taken the place of one that it waits for."""

FULL_EVERY = 5
"""Each so manieth seed is one of full spools."""
FULL_HOURS = (7, 8, 9)
DAY_EVERY, DAY_HOURS, DAY_OUTAGE_S = 80, 33, (105_000.0, 120_000.0)
"""And some of them last, in one outage, until digests of one day are merged."""
FULL_BYTES = (95_000, 140_000)
"""Small spools: between what is full within the hour, and what holds some hours."""
FULL_FAULTS = 36
"""Faults that are aimed at evictions."""
FULL_AIM_S_MAX = 10_000.0
FULL_S_MIN = 3_000.0
"""So long after the begin it takes until a spool may be full, and before the end until it has been once more."""
SKIPS = (0, 0, 0, 1, 3)
THIN_SHARE = 0.7
"""Of the outages in which acks are late, those in which some come."""
OUTAGE_S, CALM_S, LATE_S = (9_000.0, 25_000.0), (120.0, 1_200.0), (0.0, 2_400.0)

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
    struck: bool = False

    async def at(self, gateway: Gateway, begin: Callable[[], None], worker: str = "") -> None:
        """Let it begin when the gateway goes through the step, or a worker (this one, if one is named)."""
        lives: list[Life] = []
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

        if self.step == "connect" and gateway.name in self.storm.world.broker.sessions:
            self.storm.world.broker.sessions[gateway.name].cut()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + AIM_S_MAX
        if self.step in EVICT_STEPS:
            until_s = max(until_s, min(loop.time() + FULL_AIM_S_MAX, self.storm.hours * 3600))
        while not struck.done() and loop.time() < until_s:
            for life in self._lives(gateway, worker):
                if life not in lives:  # the one before has ended
                    lives.append(life)
                    life.at(self.step, strike)
            await asyncio.wait([struck], timeout=LOOK_S)
        for life in lives:
            life.not_at(self.step, strike)
        if not struck.done():
            begin()
            struck.set_result(AT_REST)
        self.struck = True
        self.storm.table[self.fault, struck.result()] += 1

    def _lives(self, gateway: Gateway, worker: str) -> list[Life]:
        if self.step not in WORKER_STEPS:
            return [gateway.life]
        workers = self.storm.world.workers
        return [workers[name][1] for name in workers if worker in ("", name)]


Fault = Callable[["Storm", Aim], Coroutine[Any, Any, None]]


class Storm:
    """A world, and what is done to it."""

    def __init__(self, *, seed: int, folder: Path, faults: dict[str, Fault]) -> None:
        self.full = seed % FULL_EVERY == FULL_EVERY - 1
        small = FULL_BYTES if self.full else (0, 0)
        self.world = World(seed=seed, folder=folder, gateways=3, workers=2, spool_bytes=small)
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
        nth_full = self._seed // FULL_EVERY
        if not self.full:
            return self._turn(STEPS, (self._seed - nth_full) * FAULTS_MIN, count)
        others = [(fault, step) for fault in self._faults for step in STEPS]
        chosen = self._turn(EVICT_STEPS, nth_full * FULL_FAULTS, FULL_FAULTS) + self.rng.sample(others, count // 4)
        self.rng.shuffle(chosen)
        return chosen

    def _turn(self, steps: tuple[str, ...], first: int, count: int) -> list[tuple[str, str]]:
        pairs = [(fault, step) for fault in self._faults for step in steps]
        random.Random(0).shuffle(pairs)
        return [pairs[(first + n) % len(pairs)] for n in range(count)]

    def _hours(self) -> int:
        if not self.full:
            return self.rng.choice(HOURS)
        return DAY_HOURS if self._seed % DAY_EVERY == DAY_EVERY - 1 else self.rng.choice(FULL_HOURS)

    async def run(self) -> None:
        """Hours of faults, then as long as it takes until everything is confirmed."""
        self.hours = self._hours()
        chosen = self._chosen(self.rng.randint(FAULTS_MIN, FAULTS_MAX))
        early_s, late_s = (FULL_S_MIN, FULL_S_MIN) if self.full else (30, 60)
        times = sorted(self.rng.uniform(early_s, self.hours * 3600 - late_s) for _ in chosen)
        self.world.start()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            for gateway in self.world.gateways if self.full else ():
                tasks.create_task(self._outages(gateway), name=f"outages of {gateway.name}")
            for at_s, (name, step) in zip(times, chosen, strict=True):
                await asyncio.sleep(max(0.0, at_s - loop.time()))
                assert not self.world.early, self.world.early[0]  # what comes after would tell no more
                aim = Aim(self, name, step, skip=self.rng.choice(SKIPS))
                tasks.create_task(self._strike(aim), name=name)
            await asyncio.sleep(max(0.0, self.hours * 3600 - loop.time()))
        await self.world.settle(3600)

    async def _strike(self, aim: Aim) -> None:
        """Let a fault look for its victim until it has struck, or the storm is nearly over."""
        loop = asyncio.get_running_loop()
        while not aim.struck:
            await self._faults[aim.fault](self, aim)
            if loop.time() + AGAIN_S > self.hours * 3600:
                return
            if not aim.struck:
                await asyncio.sleep(AGAIN_S)

    async def _outages(self, gateway: Gateway) -> None:
        """Hours in which nothing is confirmed, again and again: no way, or what goes one way comes too late."""
        broker, loop = self.world.broker, asyncio.get_running_loop()
        end_s = self.hours * 3600.0
        outage_s = DAY_OUTAGE_S if self.hours == DAY_HOURS else OUTAGE_S
        while loop.time() < end_s:
            await self.wait(*CALM_S)
            over_s = min(end_s, loop.time() + self.rng.uniform(*outage_s))
            channel = self.rng.choice([None, Channel.DATA, Channel.ACK, Channel.ACK])
            if channel is None:
                await self._cut_off(gateway, over_s)
                continue
            name = topic(gateway.name, channel)
            late = broker.stuck[name] = []
            if channel is Channel.ACK and self.rng.random() < THIN_SHARE:
                await self._thin(gateway, name, over_s)
            await asyncio.sleep(max(0.0, over_s - loop.time()))
            del broker.stuck[name]
            await self.wait(*LATE_S)
            for payload in late * self.rng.choice([1, 1, 2]):
                broker.carry(name, payload)

    async def _cut_off(self, gateway: Gateway, over_s: float) -> None:
        broker = self.world.broker
        with self.alone(f"way of {gateway.name}") as free:
            if free:
                broker.cut_off.add(gateway.name)
                if gateway.name in broker.sessions:
                    broker.sessions[gateway.name].cut()
                await asyncio.sleep(max(0.0, over_s - asyncio.get_running_loop().time()))
                broker.cut_off.discard(gateway.name)

    async def _thin(self, gateway: Gateway, name: str, over_s: float) -> None:
        """An ack comes now and then, just while the gateway looks for what may go: more of it is sent meanwhile."""
        broker, loop = self.world.broker, asyncio.get_running_loop()
        armed: list[Life] = []

        def come() -> None:
            armed[-1].at(EVICT_STEPS[0], come)
            if late := broker.stuck.pop(name, None):
                broker.carry(name, late.pop(0))
            if late is not None:
                broker.stuck[name] = late

        while loop.time() < over_s:
            if gateway.life not in armed:
                armed.append(gateway.life)
                gateway.life.at(EVICT_STEPS[0], come)
            await asyncio.sleep(min(LOOK_S, over_s - loop.time()))
        for life in armed:
            life.not_at(EVICT_STEPS[0], come)

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
    def some_gateway(self, *, honest: bool = False, dated: bool = False) -> Iterator[Gateway | None]:
        """A gateway of which no other fault holds the process, if there is one that lives.

        `honest`: its clock has never lied while it was trusted; `dated`: nor will it, as no other fault holds it now,
        and no batch in its spool waits for a time.
        """
        free = [g for g in self.world.gateways if g.name not in self._busy and not g.life.dead]
        free = [g for g in free if not (honest and g.lied)]
        free = [g for g in free if not (dated and (f"clock of {g.name}" in self._busy or g.undated))]
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

    def some_clock(self, *, back: bool = False) -> Gateway:
        """A gateway whose clock no other fault holds, and may be put forward, or back, if there is one."""
        fit = [g for g in self.world.gateways if not (back and g.forgot)]
        free = [g for g in fit if f"clock of {g.name}" not in self._busy]
        return self.rng.choice(free or fit or self.world.gateways)

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
