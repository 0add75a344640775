"""A gateway whose batches are not confirmed says what it suspects, and mends by itself what a new session can mend."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from data_contract.control import Ack, write
from data_contract.topics import READY
from edge_agent.send.suspicion import FOREIGN_MIN, LATE_S, RENEW_S, UNCONFIRMED_S, Cause, Suspicion
from series_store.table import Outcome
from tests.faults.judge import judge
from tests.faults.world import World
from tests.twins.loop import run_virtual
from tests.unit.edge_agent.test_metrics import scraped
from tests.unit.edge_agent.test_own_device import newest

ACK = "lg/v1/gw-1/ack"


def other_gateway(world: World) -> None:
    """Another board is known under our name, and at work."""
    world.boards.boards["gw-1"] = {"other"}

    async def live() -> None:
        for seq in range(1, 1000):
            await asyncio.sleep(10)
            world.broker._tasks.add(asyncio.create_task(_ack(world, seq)))

    async def _ack(world: World, seq: int) -> None:
        if "gw-1" in world.broker.sessions:
            world.broker.sessions["gw-1"].arrive(ACK, write(Ack(run="f" * 32, stored=((seq, seq),))))

    world.broker._tasks.add(asyncio.create_task(live()))


def refused(world: World) -> None:
    """The broker's rights refuse our data, and workers come and go as they do."""
    world.broker.refuses.add("gw-1")

    async def speak() -> None:
        while True:
            await asyncio.sleep(120)
            world.broker.carry(READY, b"{}")

    world.broker._tasks.add(asyncio.create_task(speak()))


def parked(world: World) -> None:
    """Another board came first, and is silent now."""
    world.boards.boards["gw-1"] = {"other"}


def store_away(world: World) -> None:
    world.store_away = Outcome(retry_after_s=10, reason="503")


def broker_down(world: World) -> None:
    world.broker.down = True
    world.broker.drop()


@pytest.mark.parametrize(
    "happens, before, suspected, advice",
    [
        (store_away, True, Cause.CLOUD_AWAY, "reaches its store"),
        (parked, False, Cause.NEVER_HEARD, "the broker's ACL admits us"),
        (refused, False, Cause.REFUSED, "this board is parked"),
        (other_gateway, False, Cause.SECOND_GATEWAY, "a card was copied"),
    ],
    ids=["store away", "nothing was ever heard", "rights refuse us", "second gateway"],
)
def test_what_keeps_batches_from_being_confirmed_is_told_apart_in_log_metric_and_reading(
    happens: Callable[[World], None],
    before: bool,
    suspected: Cause,
    advice: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        if before:
            world.start()
            await asyncio.sleep(300)
            assert newest(world)["unconfirmed_cause"] == Cause.NONE
            happens(world)
        else:
            happens(world)
            world.start()
        await asyncio.sleep(UNCONFIRMED_S + 300)
        assert newest(world)["unconfirmed_cause"] == suspected
        found = scraped(world)
        causes = {k[1]: v for k, v in found.items() if k[0] == "loopgauge_edge_unconfirmed_cause"}
        assert {cause for cause, value in causes.items() if value} == {suspected.name.lower()}
        assert world.gateways[0].notifier.last_status.endswith(f"suspected: {suspected.title}")
        (said,) = [r.getMessage() for r in caplog.records if "unconfirmed for" in r.getMessage()]
        assert advice in said
        world.broker.refuses.clear()
        world.boards.boards.clear()
        for task in list(world.broker._tasks):
            task.cancel()
        await world.settle(900)
        assert [r.getMessage() for r in caplog.records if "confirmed again" in r.getMessage()]
        assert (await judge(world)).wrong == []

    run_virtual(main())


def test_a_gateway_without_a_broker_says_so_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        world.start()
        await asyncio.sleep(120)
        broker_down(world)
        await asyncio.sleep(70)
        assert newest(world)["unconfirmed_cause"] == Cause.BROKER
        await world.settle(600)

    run_virtual(main())


def test_acks_of_our_own_last_run_that_come_late_are_no_second_gateway() -> None:
    one = Suspicion()
    one.connected()
    one.published(0.0)
    for _ in range(50):
        one.foreign(LATE_S - 1)
    assert one.cause(UNCONFIRMED_S + 1) is Cause.NEVER_HEARD
    for _ in range(FOREIGN_MIN):
        one.foreign(LATE_S)
    assert one.cause(UNCONFIRMED_S + 1) is Cause.SECOND_GATEWAY
    one.confirmed()
    one.published(UNCONFIRMED_S + 2)
    assert one.cause(2 * UNCONFIRMED_S + 3) is Cause.CLOUD_AWAY


def test_a_worker_that_has_only_just_said_ready_is_given_time_to_answer() -> None:
    one = Suspicion()
    one.connected()
    one.published(0.0)
    one.ready(UNCONFIRMED_S)
    assert one.cause(UNCONFIRMED_S + 1) is Cause.NEVER_HEARD
    assert one.cause(UNCONFIRMED_S + LATE_S) is Cause.REFUSED


def test_a_session_that_has_gone_deaf_is_made_anew_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        world = World(seed=2, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(60)
        world.broker.sessions["gw-1"].arrive = lambda name, payload: None  # type: ignore[method-assign]
        await asyncio.sleep(RENEW_S)
        assert gateway.agent is not None
        assert gateway.agent.sender.connects == 1
        assert len(gateway.agent.spool.held) > 300
        await asyncio.sleep(0.25 * RENEW_S + 600)
        assert gateway.agent.sender.connects == 2
        assert len(gateway.agent.spool.held) <= 2
        assert gateway.agent.promises.broken() == {}
        lines = [r.getMessage() for r in caplog.records if "uplink" in r.getMessage()]
        assert [line for line in lines if "made anew" in line]
        assert lines[-1] == "uplink: batches are confirmed again"
        await world.settle(600)
        assert await world.stored() == world.sealed_readings(gateway)

    run_virtual(main())


def test_a_reconnect_into_the_same_silence_does_not_say_that_batches_are_confirmed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        world = World(seed=3, folder=tmp_path)
        world.start()
        await asyncio.sleep(60)
        store_away(world)
        await asyncio.sleep(UNCONFIRMED_S + 60)
        world.broker.drop()
        await asyncio.sleep(60)
        assert not [r for r in caplog.records if "confirmed again" in r.getMessage()]
        await world.settle(900)
        assert len([r for r in caplog.records if "confirmed again" in r.getMessage()]) == 1

    run_virtual(main())
