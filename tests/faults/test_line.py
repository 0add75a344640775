"""The whole line in virtual time, without faults and with one fault at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from series_store.table import Outcome
from tests.faults.world import World
from tests.twins.loop import run_virtual


async def _nothing_lost(world: World) -> None:
    stored = await world.stored()
    for gateway in world.gateways:
        sealed = world.sealed_readings(gateway)
        assert sealed, "nothing was sealed"
        assert {key: value for key, value in stored.items() if key[0] == gateway.name} == sealed


def test_an_hour_of_one_gateway_reaches_the_store_value_by_value(tmp_path: Path) -> None:
    async def main() -> World:
        world = World(seed=1, folder=tmp_path)
        world.start()
        await asyncio.sleep(3600)
        await world.settle(30)
        await _nothing_lost(world)
        return world

    world = run_virtual(main())
    gateway = world.gateways[0]
    assert len(gateway.bus.served) == pytest.approx(3630 / 5 * 2 + 3630 / 20 * 2, abs=8)
    assert gateway.agent is not None
    assert gateway.agent.spool.held == {}
    assert gateway.redelivered == 0


@pytest.mark.parametrize(
    "step",
    ["disk.before", "disk.within", "disk.after", "publish.before", "publish.after", "ack.received"],
)
def test_a_gateway_that_dies_at_any_step_loses_nothing_that_it_sealed(step: str, tmp_path: Path) -> None:
    async def main() -> World:
        world = World(seed=2, folder=tmp_path)
        world.start()
        for _ in range(3):
            await asyncio.sleep(60)
            world.gateways[0].life.aim(step)
            await asyncio.sleep(60)
            assert world.gateways[0].life.dead
            world.start_gateway(world.gateways[0])
        await world.settle(60)
        await _nothing_lost(world)
        return world

    assert run_virtual(main()).gateways[0].deaths[step] == 3


@pytest.mark.parametrize(
    "step", ["taken", "data.before", "data.after", "receipt.before", "receipt.after", "ack.before", "ack.after"]
)
def test_a_worker_that_dies_at_any_step_loses_nothing(step: str, tmp_path: Path) -> None:
    async def main() -> World:
        world = World(seed=3, folder=tmp_path)
        world.start()
        for _ in range(3):
            await asyncio.sleep(60)
            world.workers["w1"][1].aim(step)
            await asyncio.sleep(60)
            assert world.workers.pop("w1")[1].dead
            world.start_worker("w1")
        await world.settle(60)
        await _nothing_lost(world)
        return world

    world = run_virtual(main())
    assert world.worker_deaths[step] == 3
    assert world.gateways[0].redelivered > 0


def test_a_store_that_is_away_for_an_hour_costs_no_reading(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=4, folder=tmp_path)
        world.start()
        await asyncio.sleep(60)
        world.store.fail_next(130, Outcome(retry_after_s=30.0, reason="503"))
        await asyncio.sleep(5000)
        await world.settle(300)
        await _nothing_lost(world)

    run_virtual(main())
