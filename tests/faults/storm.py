"""One seed: three gateways and two workers through hours of faults drawn from it, then calm; the judge comes after.

Every fault notes the step at which it caught its victim, so that a run can show what it has really tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from series_store.table import Outcome
from tests.faults.world import Gateway, World

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
FAULTS_MIN = 20
KILLS_WEIGHT = 3
"""Kills have many steps to hit, so they are drawn more often than the rest."""
DAY_MS = 86_400_000

Table = Counter[tuple[str, str]]
"""(fault, step that it hit) to how often."""


class Storm:
    """A world, and what is done to it."""

    def __init__(self, *, seed: int, folder: Path) -> None:
        self.world = World(seed=seed, folder=folder, gateways=3, workers=2)
        self.rng = self.world.rng
        self.table: Table = Counter()
        self.hours = 0
        self.no_room = False
        """Dead letters were full for a while: what needed one may have been set aside."""
        self._busy: set[str] = set()
        self._aims: dict[tuple[str, ...], Iterator[int]] = {
            steps: itertools.count(seed) for steps in (GATEWAY_STEPS, WORKER_STEPS)
        }

    async def run(self) -> None:
        """Hours of faults, then as long as it takes until everything is confirmed."""
        self.hours = self.rng.choice([1] * 8 + [2, 3])
        count = self.rng.randint(FAULTS_MIN, FAULTS_MIN + 12)
        times = sorted(self.rng.uniform(30, self.hours * 3600 - 60) for _ in range(count))
        chosen = self.rng.choices(list(FAULTS), [KILLS_WEIGHT if "kill" in name else 1 for name in FAULTS], k=count)
        self.world.start()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            for at_s, name in zip(times, chosen, strict=True):
                await asyncio.sleep(max(0.0, at_s - loop.time()))
                tasks.create_task(FAULTS[name](self), name=name)
            await asyncio.sleep(max(0.0, self.hours * 3600 - loop.time()))
        for gateway in self.world.gateways:
            gateway.clock.trusted = True
        await self.world.settle(3600)

    def hit(self, fault: str, step: str) -> None:
        """Note that a fault caught its victim after this step, or killed it at it."""
        self.table[fault, step] += 1

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

    def aim(self, steps: tuple[str, ...]) -> str:
        """The step to kill at: each in turn, over the kills of a seed and over the seeds."""
        return steps[next(self._aims[steps]) % len(steps)]

    def gateway(self) -> Gateway:
        return self.rng.choice(self.world.gateways)

    def worker(self) -> str:
        return f"w{self.rng.randint(1, self.world.worker_count)}"

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


async def kill_gateway(storm: Storm, *, power: bool = False) -> None:
    """SIGKILL at an aimed step, or a power cut after which milliseconds are counted anew."""
    name, gateway, step = "power cut" if power else "kill gateway", storm.gateway(), storm.aim(GATEWAY_STEPS)
    with storm.alone(gateway.name) as free:
        if not free or gateway.life.dead:
            return
        gateway.life.aim(step, skip=storm.rng.choice([0, 0, 1, 3]))
        if step == "connect":
            storm.world.broker.drop()
        await storm.wait(30, 60)
        if not gateway.life.dead:
            await storm.world.kill_gateway(gateway)
        storm.hit(name, gateway.life.died_at or "at rest")
        await storm.wait(0.1, 300)
        if power:
            gateway.clock.reboot(f"boot-{storm.rng.getrandbits(32):08x}")
            gateway.clock.trusted = storm.rng.random() < 0.5
        await storm.start_again(gateway)
        if not gateway.clock.trusted:
            await storm.wait(5, 900)
            gateway.clock.trusted = True


async def power_cut(storm: Storm) -> None:
    await kill_gateway(storm, power=True)


async def crash_loop(storm: Storm) -> None:
    """Several short runs while nothing can be sent: afterwards equal numbers of several runs travel together."""
    gateway = storm.gateway()
    with storm.alone(gateway.name) as free, storm.alone(f"way of {gateway.name}") as way:
        if not (free and way) or gateway.life.dead:
            return
        storm.world.broker.cut_off.add(gateway.name)
        for _ in range(storm.rng.randint(2, 4)):
            await storm.wait(15, 80)
            if not gateway.life.dead:
                await storm.world.kill_gateway(gateway)
                storm.hit("crash loop", gateway.life.last)
            await storm.start_again(gateway)
        storm.world.broker.cut_off.discard(gateway.name)


async def stop_gateway(storm: Storm) -> None:
    gateway = storm.gateway()
    with storm.alone(gateway.name) as free:
        if not free or gateway.life.dead:
            return
        storm.hit("stop gateway", gateway.life.last)
        await storm.world.stop_gateway(gateway)
        await storm.wait(0, 120)
        await storm.start_again(gateway)


async def kill_worker(storm: Storm) -> None:
    name, step = storm.worker(), storm.aim(WORKER_STEPS)
    with storm.alone(name) as free:
        if not free or name not in storm.world.workers:
            return
        life = storm.world.workers[name][1]
        life.aim(step, skip=storm.rng.choice([0, 0, 1, 3]))
        await storm.wait(30, 60)
        await storm.world.kill_worker(name)
        storm.hit("kill worker", life.died_at or "at rest")
        await storm.wait(0.1, 120)
        storm.world.start_worker(name)


async def broker_restart(storm: Storm) -> None:
    broker = storm.world.broker
    with storm.alone("broker") as free:
        if free:
            storm.hit("broker restart", storm.gateway().life.last)
            broker.down = True
            broker.restart()
            await storm.wait(0, 120)
            broker.down = False
            broker.carry("lg/v1/ready", b"{}")


async def partition(storm: Storm) -> None:
    gateway = storm.gateway()
    with storm.alone(f"way of {gateway.name}") as free:
        if free:
            storm.hit("partition", gateway.life.last)
            storm.world.broker.cut_off.add(gateway.name)
            await storm.wait(0, 5)
            session = storm.world.broker.sessions.get(gateway.name)
            if session is not None:
                session.cut()
            await storm.wait(5, 900)
            storm.world.broker.cut_off.discard(gateway.name)


async def loss(storm: Storm) -> None:
    storm.hit("loss", storm.gateway().life.last)
    storm.world.broker.loss = storm.rng.uniform(0.1, 0.7)
    await storm.wait(30, 400)
    storm.world.broker.loss = 0.0


async def twice(storm: Storm) -> None:
    storm.hit("twice", storm.gateway().life.last)
    storm.world.broker.twice = storm.rng.uniform(0.2, 1.0)
    await storm.wait(30, 400)
    storm.world.broker.twice = 0.0


async def slow_broker(storm: Storm) -> None:
    storm.hit("slow broker", storm.gateway().life.last)
    storm.world.broker.delay_s = storm.rng.uniform(1, 20)
    await storm.wait(30, 400)
    storm.world.broker.delay_s = 0.02


async def store_away(storm: Storm) -> None:
    storm.hit("store away", storm.gateway().life.last)
    storm.world.store_away = Outcome(retry_after_s=storm.rng.uniform(0.1, 30), reason="503 of the twin")
    await storm.wait(5, 600)
    storm.world.store_away = None


async def store_answer_lost(storm: Storm) -> None:
    storm.hit("store answer lost", storm.gateway().life.last)
    storm.world.store.fail_next(
        storm.rng.randint(1, 4), Outcome(retry_after_s=1.0, reason="no answer from the twin"), stored=True
    )
    await asyncio.sleep(0)


async def store_slow(storm: Storm) -> None:
    storm.hit("store slow", storm.gateway().life.last)
    storm.world.store.write_latency_s = storm.rng.uniform(1, 90)
    await storm.wait(60, 300)
    storm.world.store.write_latency_s = 0.01


async def disk_full(storm: Storm) -> None:
    gateway = storm.gateway()
    with storm.alone(f"disk of {gateway.name}") as free:
        if free:
            storm.hit("disk full", gateway.life.last)
            gateway.fill(full=True)
            await storm.wait(5, 300)
            gateway.fill(full=False)


async def device_silent(storm: Storm) -> None:
    gateway, unit = storm.gateway(), storm.rng.choice([1, 2])
    storm.hit("device silent", gateway.life.last)
    gateway.bus.silent.add(unit)
    await storm.wait(5, 600)
    gateway.bus.silent.discard(unit)


async def device_refuses(storm: Storm) -> None:
    gateway, unit = storm.gateway(), storm.rng.choice([1, 2])
    storm.hit("device refuses", gateway.life.last)
    gateway.bus.refuses.add(unit)
    await storm.wait(5, 300)
    gateway.bus.refuses.discard(unit)


async def device_slow(storm: Storm) -> None:
    gateway = storm.gateway()
    storm.hit("device slow", gateway.life.last)
    gateway.bus.answer_s = storm.rng.uniform(0.5, 30)
    await storm.wait(20, 120)
    gateway.bus.answer_s = 0.02


async def bus_down(storm: Storm) -> None:
    gateway = storm.gateway()
    storm.hit("bus down", gateway.life.last)
    gateway.bus.down = True
    await storm.wait(5, 600)
    gateway.bus.down = False


async def clock_forward(storm: Storm) -> None:
    gateway = storm.gateway()
    storm.hit("clock forward", gateway.life.last)
    gateway.clock.offset_ms += storm.rng.choice([150, 1_000, 7_013, 60_000, 3_600_000])
    await asyncio.sleep(0)


async def clock_back(storm: Storm) -> None:
    gateway = storm.gateway()
    storm.hit("clock back", gateway.life.last)
    gateway.clock.offset_ms -= storm.rng.choice([150, 1_000, 7_013, 60_000, 3_600_000])
    await asyncio.sleep(0)


async def clock_in_two_days(storm: Storm) -> None:
    """What is stamped so can never be stored: dead letters."""
    gateway = storm.gateway()
    with storm.alone(f"days of {gateway.name}") as free:
        if free:
            storm.hit("clock two days ahead", gateway.life.last)
            gateway.clock.offset_ms += 2 * DAY_MS
            await storm.wait(20, 120)
            gateway.clock.offset_ms -= 2 * DAY_MS


async def dead_letters_full(storm: Storm) -> None:
    storm.no_room = True
    storm.world.dead.full = True
    storm.hit("dead letters full", storm.gateway().life.last)
    await asyncio.gather(clock_in_two_days(storm), storm.wait(30, 400))
    storm.world.dead.full = False


FAULTS: dict[str, Callable[[Storm], Coroutine[Any, Any, None]]] = {
    "kill gateway": kill_gateway,
    "kill worker": kill_worker,
    "power cut": power_cut,
    "crash loop": crash_loop,
    "stop gateway": stop_gateway,
    "broker restart": broker_restart,
    "partition": partition,
    "loss": loss,
    "twice": twice,
    "slow broker": slow_broker,
    "store away": store_away,
    "store answer lost": store_answer_lost,
    "store slow": store_slow,
    "disk full": disk_full,
    "device silent": device_silent,
    "device refuses": device_refuses,
    "device slow": device_slow,
    "bus down": bus_down,
    "clock forward": clock_forward,
    "clock back": clock_back,
    "clock two days ahead": clock_in_two_days,
    "dead letters full": dead_letters_full,
}
"""Every kind of fault, by the name under which the table lists it."""
