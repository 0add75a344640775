"""Faults of everything between and around the processes: broker, links, store, dead letters, disk, devices, clocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from series_store.table import Outcome
from tests.faults.deaths import DEATHS
from tests.faults.gateway import Gateway
from tests.faults.storm import Aim, Fault, Storm

DAY_MS = 86_400_000
STEPS_MS = (150, 1_000, 7_013, 60_000, 3_600_000)


async def _for_a_while(
    storm: Storm, aim: Aim, of: Any, change: dict[str, Any], low_s: float, high_s: float, gateway: Gateway | None = None
) -> None:
    """Attributes of a twin have other values for a time."""
    usual = {name: getattr(of, name) for name in change}
    with contextlib.ExitStack() as stack:
        if not all(stack.enter_context(storm.alone(f"{name} of {id(of)}")) for name in change):
            return

        def put(values: dict[str, Any]) -> None:
            for name, value in values.items():
                setattr(of, name, value)

        await aim.at(gateway or storm.gateway(), lambda: put(change))
        await storm.wait(low_s, high_s)
        put(usual)


async def _among(
    storm: Storm, aim: Aim, those: set[Any], who: Any, low_s: float, high_s: float, gateway: Gateway
) -> None:
    """Somebody belongs to a set for a time."""
    with storm.alone(f"{who} in {id(those)}") as free:
        if free and who not in those:
            await aim.at(gateway, lambda: those.add(who))
            await storm.wait(low_s, high_s)
            those.discard(who)


async def broker_restart(storm: Storm, aim: Aim) -> None:
    """It comes back without memory; what was under way is gone, and so is every connection."""
    broker = storm.world.broker
    with storm.alone("broker") as free:
        if free:

            def restart() -> None:
                broker.down = True
                broker.restart()

            await aim.at(storm.gateway(), restart)
            await storm.wait(0, 120)
            broker.down = False
            broker.carry("lg/v1/ready", b"{}")


async def broker_forgets(storm: Storm, aim: Aim) -> None:
    await aim.at(storm.gateway(), storm.world.broker.forget)


async def partition(storm: Storm, aim: Aim) -> None:
    gateway, broker = storm.gateway(), storm.world.broker
    with storm.alone(f"way of {gateway.name}") as free:
        if free:
            await aim.at(gateway, lambda: broker.cut_off.add(gateway.name))
            await storm.wait(0, 5)
            session = broker.sessions.get(gateway.name)
            if session is not None:
                session.cut()
            await storm.wait(5, 900)
            broker.cut_off.discard(gateway.name)


async def loss(storm: Storm, aim: Aim) -> None:
    await _for_a_while(storm, aim, storm.world.broker, {"loss": storm.rng.uniform(0.1, 0.7)}, 30, 400)


async def twice(storm: Storm, aim: Aim) -> None:
    await _for_a_while(storm, aim, storm.world.broker, {"twice": storm.rng.uniform(0.2, 1.0)}, 30, 400)


async def slow_broker(storm: Storm, aim: Aim) -> None:
    await _for_a_while(storm, aim, storm.world.broker, {"delay_s": storm.rng.uniform(1, 20)}, 30, 400)


async def reordering(storm: Storm, aim: Aim) -> None:
    await _for_a_while(storm, aim, storm.world.broker, {"spread_s": storm.rng.uniform(1, 60)}, 30, 400)


async def store_away(storm: Storm, aim: Aim) -> None:
    away = Outcome(retry_after_s=storm.rng.uniform(0.1, 30), reason="503 of the twin")
    await _for_a_while(storm, aim, storm.world, {"store_away": away}, 5, 600)


async def store_answer_lost(storm: Storm, aim: Aim) -> None:
    answer = Outcome(retry_after_s=1.0, reason="no answer from the twin")
    times = storm.rng.randint(1, 4)
    await aim.at(storm.gateway(), lambda: storm.world.store.fail_next(times, answer, stored=True))


async def store_slow(storm: Storm, aim: Aim) -> None:
    await _for_a_while(storm, aim, storm.world.store, {"write_latency_s": storm.rng.uniform(1, 90)}, 60, 300)


async def disk_full(storm: Storm, aim: Aim) -> None:
    gateway = storm.gateway()
    with storm.alone(f"disk of {gateway.name}") as free:
        if free:
            await aim.at(gateway, partial(gateway.fill, full=True))
            await storm.wait(5, 300)
            gateway.fill(full=False)


async def device_silent(storm: Storm, aim: Aim) -> None:
    gateway = storm.gateway()
    await _among(storm, aim, gateway.bus.silent, storm.rng.choice([1, 2]), 5, 600, gateway)


async def device_refuses(storm: Storm, aim: Aim) -> None:
    gateway = storm.gateway()
    await _among(storm, aim, gateway.bus.refuses, storm.rng.choice([1, 2]), 5, 300, gateway)


async def device_slow(storm: Storm, aim: Aim) -> None:
    gateway = storm.gateway()
    await _for_a_while(storm, aim, gateway.bus, {"answer_s": storm.rng.uniform(0.5, 30)}, 20, 120, gateway)


async def bus_down(storm: Storm, aim: Aim) -> None:
    gateway = storm.gateway()
    await _for_a_while(storm, aim, gateway.bus, {"down": True}, 5, 600, gateway)


async def _step(storm: Storm, aim: Aim, by_ms: int, then: Callable[[Gateway], Any] | None = None) -> None:
    gateway = storm.some_clock(back=by_ms < 0)
    with storm.alone(f"clock of {gateway.name}") as free:
        if not free or (by_ms < 0 and gateway.forgot):
            return

        def step() -> None:
            gateway.lied = True
            gateway.clock.offset_ms += by_ms

        await aim.at(gateway, step)
        if then is not None:
            await then(gateway)


async def clock_forward(storm: Storm, aim: Aim) -> None:
    await _step(storm, aim, storm.rng.choice(STEPS_MS))


async def clock_back(storm: Storm, aim: Aim) -> None:
    await _step(storm, aim, -storm.rng.choice(STEPS_MS))


async def two_sources(storm: Storm, aim: Aim) -> None:
    """Two sources of time that differ win in turn, again and again."""
    apart_ms = storm.rng.choice(STEPS_MS[1:])

    async def swing(gateway: Gateway) -> None:
        for _ in range(storm.rng.randint(3, 12)):
            for sign in (-1, 1):
                await storm.wait(5, 90)
                gateway.clock.offset_ms += sign * apart_ms
        gateway.clock.offset_ms -= apart_ms

    await _step(storm, aim, apart_ms, swing)


async def clock_in_two_days(storm: Storm, aim: Aim) -> None:
    """What is stamped so can never be stored: dead letters."""

    async def back(gateway: Gateway) -> None:
        await storm.wait(20, 120)
        gateway.clock.offset_ms -= 2 * DAY_MS

    await _step(storm, aim, 2 * DAY_MS, back)


async def dead_letters_full(storm: Storm, aim: Aim) -> None:
    storm.no_room = True

    def fill() -> None:
        storm.world.dead.full = True

    await aim.at(storm.gateway(), fill)
    beside = Aim(storm, "clock two days ahead", aim.step)
    await asyncio.gather(clock_in_two_days(storm, beside), storm.wait(30, 400))
    storm.world.dead.full = False


FAULTS: dict[str, Fault] = DEATHS | {
    "broker restart": broker_restart,
    "broker forgets": broker_forgets,
    "partition": partition,
    "loss": loss,
    "twice": twice,
    "slow broker": slow_broker,
    "reordering": reordering,
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
    "two sources of time": two_sources,
    "clock two days ahead": clock_in_two_days,
    "dead letters full": dead_letters_full,
}
"""Every kind of fault, by the name under which the table lists it."""
