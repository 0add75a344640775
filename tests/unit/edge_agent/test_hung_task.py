"""A task that hangs starves the watchdog and is named; a gateway that is merely slow, dead or alone never does."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import pytest

from data_contract.control import Command, write
from edge_agent.app import BUSY_S, OWN
from edge_agent.errors import DiskFull
from edge_agent.keep.salvage import STEP_S_MAX, Salvage
from edge_agent.keep.sealer import SEAL_S_MAX
from edge_agent.ports import Answer, Ask
from service_health.promises import Promises
from tests.faults.world import Gateway, World, body_of
from tests.twins.broker import SessionTwin
from tests.twins.loop import run_virtual
from tests.twins.service import TIMEOUT_S

T = TypeVar("T")
HUNG_AT_S = 300.0


async def never(*_: Any, **__: Any) -> Any:
    """What does not come back."""
    await asyncio.Event().wait()


def hang_bus(gateway: Gateway) -> None:
    gateway.bus.answer = never  # type: ignore[method-assign]


def hang_disk(gateway: Gateway) -> None:
    assert gateway.disk is not None
    gateway.disk.run = never  # type: ignore[method-assign]


def hang_seal(gateway: Gateway) -> None:
    """The card still reads, but what grows does not come back."""
    disk = gateway.disk
    assert disk is not None
    shipped = disk.run

    async def run(work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> T:
        return await (never() if grows else shipped(work))

    disk.run = run  # type: ignore[method-assign]


def hang_publish(gateway: Gateway) -> None:
    for session in sessions_of(gateway):
        session.publish = never  # type: ignore[method-assign]


def sessions_of(gateway: Gateway) -> list[SessionTwin]:
    assert gateway.agent is not None
    broker = gateway.agent._ports.link._broker  # type: ignore[attr-defined]
    return list(broker.sessions.values())


def hang_obedience(gateway: Gateway) -> None:
    """A command is begun, and what it waits for does not come."""
    agent = gateway.agent
    assert agent is not None
    agent.sender.hurry = never  # type: ignore[method-assign]
    payload = write(Command(run=agent.run_id, n=1))
    assert agent.commands.hear("flush", payload, retained=False, now_s=0.0) is None
    agent.sender.commanded.set()


def hang_own_health(gateway: Gateway) -> None:
    """The board's sensors, which are files, do not come back."""
    assert gateway.agent is not None and gateway.agent._report is not None
    poller = gateway.agent._report._pollers[OWN]
    poller._bus.carry = never  # type: ignore[method-assign]


def hang_connect(gateway: Gateway) -> None:
    assert gateway.agent is not None
    link = gateway.agent._ports.link

    @asynccontextmanager
    async def connect() -> AsyncIterator[SessionTwin]:
        await never()
        yield None  # type: ignore[misc]

    link.connect = connect  # type: ignore[method-assign]
    for session in sessions_of(gateway):
        session.cut()


@pytest.mark.parametrize(
    "hang, named, within_s",
    [
        (hang_bus, "bus line", 20 + BUSY_S),
        (hang_seal, "seal", SEAL_S_MAX + 10 + BUSY_S),
        (hang_disk, "seal", SEAL_S_MAX + 10 + BUSY_S),
        (hang_publish, "send", 120 + BUSY_S),
        (hang_connect, "send", 220 + BUSY_S),
        (hang_obedience, "obey", 90 + BUSY_S),
        (hang_own_health, OWN, 330 + BUSY_S),
    ],
    ids=["bus", "seal", "disk", "publish", "connect", "obey", "own"],
)
def test_a_hung_task_is_named_and_the_service_manager_hears_no_more(
    hang: Callable[[Gateway], None], named: str, within_s: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        world = World(seed=5, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(HUNG_AT_S)
        assert not caplog.records
        hang(gateway)
        await asyncio.sleep(900)
        fed = gateway.notifier.times("WATCHDOG=1")
        look_s = TIMEOUT_S / 3 + 1
        assert fed[-1] <= HUNG_AT_S + within_s + look_s, "the watchdog was fed for too long"
        first = next(r.getMessage() for r in caplog.records if r.levelname == "CRITICAL")
        assert first.startswith(f"{named} has not got on")
        assert named in gateway.notifier.last_status
        await world.kill_gateway(gateway)

    run_virtual(main())


def test_carrying_over_that_hangs_is_overdue_and_one_that_waits_for_room_is_not() -> None:
    class Wreck:
        name, pages = "w", 10

    class Spool:
        salvaged: ClassVar = {"w": 0}

        def __init__(self, carry: Callable[..., Any]) -> None:
            self.carry = carry

    class Recovered:
        wrecks = (Wreck(),)

    async def full(*_: Any) -> int:
        raise DiskFull("full")

    async def overdue(carry: Callable[..., Any]) -> set[str]:
        loop = asyncio.get_running_loop()
        promises = Promises(loop.time)
        salvage = Salvage(
            spool=cast(Any, Spool(carry)),
            recovered=cast(Any, Recovered()),
            look=lambda: None,
            promise=lambda seconds: promises.within("salvage", seconds),
        )
        task = asyncio.create_task(salvage.run())
        found: set[str] = set()
        for _ in range(100):
            await asyncio.sleep(STEP_S_MAX / 40)
            found |= promises.broken().keys()
        task.cancel()
        return found

    assert run_virtual(overdue(never)) == {"salvage"}
    assert run_virtual(overdue(full)) == set()


def test_a_hung_bus_costs_the_other_readings_nothing_and_what_was_sealed_is_stored_after_the_kill(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        world = World(seed=6, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(HUNG_AT_S)
        hang_bus(gateway)
        await asyncio.sleep(160)
        sealed = [body_of(each.body) for each in gateway.sealed.values()]
        own = [body.devices["gateway"] for body in sealed if "gateway" in body.devices]
        assert sum(len(block.t) for device in own for block in device.blocks) >= 7, "the others stopped, too"
        assert len(sealed) >= 43, "the seal waits for the hung bus"
        last = sealed[-1].devices["meter-1"].counts["main"]
        assert last[2] == {"overrun": last[0]}
        await world.kill_gateway(gateway)
        del gateway.bus.answer
        await world.settle(600)
        assert await world.stored() == world.sealed_readings(gateway)

    run_virtual(main())


def test_it_is_ready_without_a_broker_tells_how_it_is_and_says_when_it_stops(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=7, folder=tmp_path)
        gateway = world.gateways[0]
        world.broker.down = True
        world.start()
        await asyncio.sleep(120)
        assert gateway.notifier.times("READY=1") == [pytest.approx(0, abs=1)]
        status = "1 bus, 0 of 2 devices silent; 12 batches on disk; broker not connected, nothing confirmed yet"
        assert gateway.notifier.last_status == status
        gateway.bus.silent.add(2)
        world.broker.down = False
        await asyncio.sleep(180)
        said = gateway.notifier.last_status
        assert said.startswith("1 bus, 1 of 2 devices silent; ")
        assert "broker connected, last confirmed " in said
        await world.stop_gateway(gateway)
        assert [said for _, said in gateway.notifier.heard if "=1" in said][-1] in ("STOPPING=1", "WATCHDOG=1")
        assert len(gateway.notifier.times("STOPPING=1")) == 1
        await world.kill_worker("w1")

    run_virtual(main())


def test_no_promise_is_broken_in_a_day_of_slow_meters_dead_ones_rare_polls_and_no_broker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        world = World(seed=8, folder=tmp_path)
        gateway = world.gateways[0]
        meter = gateway.config.devices["meter-1"]
        slow = {
            f"dead-{unit}": meter.model_copy(update={"unit_id": unit, "every_s": {"main": 60.0, "slow": 60.0}})
            for unit in range(10, 42)
        }
        rare = meter.model_copy(update={"unit_id": 2, "every_s": {"main": 86_400.0, "slow": 86_400.0}})
        gateway.config = gateway.config.model_copy(
            update={"devices": {"meter-1": meter, "rare": rare, **slow}, "seal_every_s": 600.0}
        )
        gateway.bus.answer_s = 0.99
        world.broker.down = True
        world.start_gateway(gateway)
        await asyncio.sleep(86_400)
        fed = gateway.notifier.times("WATCHDOG=1")
        assert max(b - a for a, b in itertools.pairwise(fed)) <= TIMEOUT_S / 3 + 0.1
        assert fed[-1] > 86_400 - TIMEOUT_S / 3
        assert not [r for r in caplog.records if r.name == "loopgauge.watchdog"]
        await world.stop_gateway(gateway)

    run_virtual(main())


def test_a_stop_that_waits_for_a_slow_bus_is_no_hang(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        world = World(seed=9, folder=tmp_path)
        gateway = world.gateways[0]
        gateway.bus.longest_s = lambda timeout_s: 200.0  # type: ignore[method-assign]
        world.start()
        await asyncio.sleep(60)
        gateway.bus.answer_s = 180.0
        await asyncio.sleep(10)
        await world.stop_gateway(gateway)
        await world.kill_worker("w1")

    run_virtual(main())
    assert not [r for r in caplog.records if r.name == "loopgauge.watchdog"]


def test_a_request_is_promised_for_as_long_as_its_bus_may_take(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=10, folder=tmp_path)
        gateway = world.gateways[0]
        answer = gateway.bus.answer

        async def slow(ask: Ask) -> Answer:
            await asyncio.sleep(95)
            return await answer(ask)

        gateway.bus.answer = slow  # type: ignore[method-assign]
        gateway.bus.longest_s = lambda timeout_s: 100.0  # type: ignore[method-assign]
        world.start()
        await asyncio.sleep(1000)
        assert gateway.agent is not None
        assert gateway.agent.promises.broken() == {}
        await world.kill_gateway(gateway)

    run_virtual(main())


def test_a_card_that_takes_its_time_is_no_hang(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        world = World(seed=11, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(60)
        assert gateway.disk is not None
        shipped = gateway.disk.run

        async def run(work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> T:
            await asyncio.sleep(50)
            return await shipped(work, grows=grows)

        gateway.disk.run = run  # type: ignore[method-assign]
        await asyncio.sleep(1800)
        gateway.disk.run = shipped  # type: ignore[method-assign]
        await world.settle(600)

    run_virtual(main())
    assert not [r for r in caplog.records if r.name == "loopgauge.watchdog"]
