"""A whole agent in virtual time: how it stops, what it logs, when it sends, what it does before it knows the time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from data_contract.batch import Body
from edge_agent.ports import Answer, Ask
from series_store.table import Outcome
from tests.faults.judge import judge
from tests.faults.world import Gateway, World, body_of
from tests.twins.clock import ORIGIN_MS
from tests.twins.loop import run_virtual

HOUR_MS = 3_600_000


def bodies(gateway: Gateway) -> list[Body]:
    """Everything that was sealed, in order."""
    return [body_of(sealed.body) for sealed in gateway.sealed.values()]


def said(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [f"{r.levelname} {r.getMessage()}" for r in caplog.records if part in r.getMessage()]


def missing(gateway: Gateway, device: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for body in bodies(gateway):
        if device in body.devices:
            for _, _, causes in body.devices[device].counts.values():
                found.update(causes)
    return found


def play(world: World, script: Any) -> World:
    """Start everything, do what the script does, settle, and hold the run against the judge."""

    async def main() -> World:
        world.start()
        await script()
        await world.settle(1200)
        verdict = await judge(world)
        assert not verdict.wrong, "\n".join(verdict.wrong)
        return world

    return run_virtual(main())


def test_a_clean_stop_seals_what_was_sampled_says_so_and_loses_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(47)
        await world.stop_gateway(gateway)
        last = bodies(gateway)[-1]
        assert [record.kind for record in last.records] == ["stop"]
        meters = [of for body in bodies(gateway) for of in body.devices.values() if of.kind == "water_meter"]
        assert sum(len(block.t) for of in meters for block in of.blocks) == len(gateway.bus.served)
        stored = await world.stored()
        assert stored == world.sealed_readings(gateway)
        world.start_gateway(gateway)
        await asyncio.sleep(15)
        start = bodies(gateway)[len(bodies(gateway)) - 2 :][0].records[0]
        assert start.kind == "start"
        assert start.data["previous"]["clean"] is True
        await world.settle(60)

    run_virtual(main())


def test_a_stop_while_nobody_answers_takes_a_few_seconds_and_keeps_what_is_unconfirmed(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(60)
        world.store_away = Outcome(retry_after_s=10, reason="503")
        await asyncio.sleep(60)
        before_s = asyncio.get_running_loop().time()
        await world.stop_gateway(gateway)
        assert asyncio.get_running_loop().time() - before_s < 7
        assert gateway.agent is not None
        held = len(gateway.agent.spool.held)
        assert held >= 6
        world.start_gateway(gateway)
        await world.settle(900)
        assert await world.stored() == world.sealed_readings(gateway)

    run_virtual(main())


def test_a_device_that_dies_is_said_once_and_costs_its_neighbour_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(seed=2, folder=tmp_path)
    gateway = world.gateways[0]

    async def script() -> None:
        await asyncio.sleep(60)
        gateway.bus.silent.add(1)
        await asyncio.sleep(1200)
        gateway.bus.silent.clear()
        await asyncio.sleep(600)

    play(world, script)
    assert said(caplog, "meter-1") == [
        "WARNING meter-1: no reading: no answer (timeout)",
        "INFO meter-1: answers again",
    ]
    assert said(caplog, "meter-2") == []
    assert set(missing(gateway, "meter-1")) == {"timeout", "asleep"}
    assert missing(gateway, "meter-1")["asleep"] > 10 * missing(gateway, "meter-1")["timeout"]
    assert not missing(gateway, "meter-2")


def test_a_device_that_refuses_one_thing_and_answers_another_does_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(seed=2, folder=tmp_path)
    bus = world.gateways[0].bus
    answer = bus.answer

    async def picky(ask: Ask) -> Answer:
        bus.refuses = {1} if ask.unit == 1 and ask.address == 100 and refusing else set()
        return await answer(ask)

    bus.answer = picky  # type: ignore[method-assign]
    refusing = True

    async def script() -> None:
        nonlocal refusing
        await asyncio.sleep(600)
        refusing = False
        await asyncio.sleep(60)

    play(world, script)
    assert [line.split(":")[0] for line in said(caplog, "meter-1")] == ["WARNING meter-1", "INFO meter-1"]
    assert set(missing(world.gateways[0], "meter-1")) == {"exception"}


def test_a_bus_that_goes_down_is_said_once_per_device_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(seed=2, folder=tmp_path)

    async def script() -> None:
        await asyncio.sleep(60)
        world.gateways[0].bus.down = True
        await asyncio.sleep(300)
        world.gateways[0].bus.down = False
        await asyncio.sleep(60)

    play(world, script)
    assert len(said(caplog, "bus_down")) == 2
    assert len(said(caplog, "answers again")) == 2
    assert set(missing(world.gateways[0], "meter-1")) == {"bus_down"}


def test_a_broker_that_goes_away_is_said_once_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(seed=3, folder=tmp_path)

    async def script() -> None:
        await asyncio.sleep(60)
        world.broker.down = True
        world.broker.restart()
        await asyncio.sleep(900)
        world.broker.down = False
        await asyncio.sleep(120)

    play(world, script)
    assert [line.split(":")[0] for line in said(caplog, "uplink")] == ["WARNING uplink", "INFO uplink"]


def test_a_cloud_that_never_confirms_is_named_with_its_suspects_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(seed=3, folder=tmp_path)

    async def script() -> None:
        await world.kill_worker("w1")
        await asyncio.sleep(3600)
        assert len(world.broker.data_messages) < 100, "a dead cloud is flooded"

    play(world, script)
    suspects = [line for line in said(caplog, "uplink") if "ACL" in line]
    assert len(suspects) == 1
    assert said(caplog, "confirmed again") == ["INFO uplink: batches are confirmed again"]


def test_a_full_disk_is_said_once_counted_and_left_without_a_busy_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(seed=4, folder=tmp_path)
    gateway = world.gateways[0]

    async def script() -> None:
        await asyncio.sleep(60)
        gateway.fill(full=True)
        before = gateway.life.passed["disk.before"]
        await asyncio.sleep(600)
        assert gateway.life.passed["disk.before"] - before < 150
        gateway.fill(full=False)
        await asyncio.sleep(60)

    play(world, script)
    full, again = said(caplog, "spool")
    assert full.startswith("ERROR spool: no room for new readings (database or disk is full); ")
    assert again == "INFO spool: there is room again"
    lost = missing(gateway, "meter-1")["disk_full"]
    assert lost == pytest.approx(600 / 5 * 2 + 600 / 20, abs=12)
    telling = [body for body in bodies(gateway) if "disk_full" in json.dumps(body.model_dump(mode="json"))]
    assert len(telling) == 1
    assert telling[0].to - telling[0].from_ >= 600_000


def test_an_agent_that_cannot_begin_for_want_of_room_says_so_in_one_line(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=4, folder=tmp_path)
        world.gateways[0].fill(full=True)
        world.start_gateway(world.gateways[0])
        await asyncio.sleep(1)
        assert world.gateways[0].deaths == {"no room to begin": 1}

    run_virtual(main())


def test_a_metered_link_gets_one_message_a_minute(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=5, folder=tmp_path)
        gateway = world.gateways[0]
        uplink = gateway.config.uplink.model_copy(update={"send_every_s": 60.0})
        gateway.config = gateway.config.model_copy(update={"uplink": uplink})
        world.start()
        await asyncio.sleep(1200)
        assert len(world.broker.data_messages) == pytest.approx(20, abs=2)
        stored = await world.stored()
        assert max(t for *_, t in stored) >= ORIGIN_MS + 1_120_000
        await world.settle(60)
        assert await world.stored() == world.sealed_readings(gateway)

    run_virtual(main())


def test_without_a_trusted_clock_nothing_is_sent_and_then_everything_is_dated_once_and_exactly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        world = World(seed=6, folder=tmp_path)
        gateway = world.gateways[0]
        gateway.clock.trusted = False
        gateway.clock.offset_ms = -30 * 365 * 24 * HOUR_MS
        world.start()
        await asyncio.sleep(300)
        assert world.broker.data_messages == []
        assert said(caplog, "batches wait") == ["WARNING clock: not synchronised; batches wait up to 600 s for it"]
        gateway.clock.offset_ms = 0
        gateway.clock.trusted = True
        await asyncio.sleep(60)
        assert len(await world.stored()) > 100
        await world.settle(60)
        stored = await world.stored()
        assert stored == world.sealed_readings(gateway)
        # True to a few ms, although the clock was thirty years wrong when the values were sampled.
        asked = {at_ms // 16 for _, _, at_ms, _ in gateway.bus.served}
        assert {t // 16 for *_, t in stored} <= asked | {each - 1 for each in asked}
        receipts = await world.store.receipts(0, 10**6)
        assert all(not said_unsure(receipt.counts) for receipt in receipts)
        off_grid = [json.loads(receipt.counts).get("off_grid", False) for receipt in receipts]
        assert any(off_grid), "the audit must know which slots were those of a wrong clock"
        assert not off_grid[-1]

    run_virtual(main())


def said_unsure(counts: str) -> bool:
    return "unsure" in json.loads(counts)


def test_after_the_wait_batches_go_with_an_estimate_and_its_bounds_and_are_never_dated_anew(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=7, folder=tmp_path)
        gateway = world.gateways[0]
        gateway.clock.trusted = False
        gateway.clock.offset_ms = -2 * HOUR_MS
        world.start()
        await asyncio.sleep(590)
        assert world.broker.data_messages == []
        await asyncio.sleep(60)
        receipts = await world.store.receipts(0, 10**6)
        assert receipts
        for receipt in receipts:
            low, high = json.loads(receipt.counts)["unsure"]
            truth = ORIGIN_MS - 100_000
            assert low <= truth <= high
        early = dict(await world.stored())
        gateway.clock.offset_ms = 0
        gateway.clock.trusted = True
        await world.settle(120)
        stored = await world.stored()
        assert stored == world.sealed_readings(gateway)
        assert early.items() <= stored.items()

    run_virtual(main())


def test_a_clock_put_back_by_an_hour_never_writes_over_what_is_stored(tmp_path: Path) -> None:
    world = World(seed=8, folder=tmp_path)
    gateway = world.gateways[0]

    async def script() -> None:
        for _ in range(3):
            await asyncio.sleep(1800)
            gateway.clock.offset_ms -= HOUR_MS

    play(world, script)


def test_a_clock_put_back_while_the_agent_was_off_never_writes_over_what_is_stored(tmp_path: Path) -> None:
    world = World(seed=9, folder=tmp_path)
    gateway = world.gateways[0]

    async def script() -> None:
        for number in range(3):
            await asyncio.sleep(1200)
            await world.stop_gateway(gateway)
            gateway.clock.offset_ms -= HOUR_MS // 2
            gateway.clock.reboot(f"boot-{number}")
            world.start_gateway(gateway)

    play(world, script)


def test_a_bus_that_hangs_holds_up_a_seal_for_one_interval_and_its_slots_are_counted(tmp_path: Path) -> None:
    world = World(seed=10, folder=tmp_path)
    gateway = world.gateways[0]

    async def script() -> None:
        await asyncio.sleep(60)
        gateway.bus.answer_s = 45.0
        await asyncio.sleep(200)
        gateway.bus.answer_s = 0.02
        await asyncio.sleep(100)

    play(world, script)
    spans = [body.to - body.from_ for body in bodies(gateway)]
    assert max(spans) <= 10_000
    assert missing(gateway, "meter-1")["overrun"] > 30


def test_a_slow_clock_step_brings_the_next_slot_of_a_rare_group_forward_at_once(tmp_path: Path) -> None:
    """A group polled once an hour must not sleep through the slot that a step of the clock has brought near."""
    world = World(seed=11, folder=tmp_path)
    gateway = world.gateways[0]
    devices = {
        name: device.model_copy(update={"every_s": {"main": 3600.0, "slow": 3600.0}})
        for name, device in gateway.config.devices.items()
    }
    gateway.config = gateway.config.model_copy(update={"devices": devices})

    async def script() -> None:
        await asyncio.sleep(120)
        next_hour = -(ORIGIN_MS + 120_000) % HOUR_MS
        gateway.clock.offset_ms = next_hour - 60_000
        await asyncio.sleep(200)
        assert gateway.bus.served
        await asyncio.sleep(60)

    play(world, script)
    assert not missing(gateway, "meter-1")
