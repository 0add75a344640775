"""An alarm of a gateway that does not know the time, from the reading to the store: it does not wait for the clock.

Its batch goes with an estimate, which is final; the batches around it wait for the true time as ever.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

import pytest

from data_contract.reading import EARLIEST_MS
from delivery_audit.days import Days
from delivery_audit.evidence import audit
from edge_agent.config import LimitConfig
from edge_agent.keep.alarms import ALARM
from edge_agent.keep.dating import OFF_MS
from edge_agent.keep.estimate import UNKNOWN_MS
from tests.faults.gateway import registers
from tests.faults.test_clock import HOUR_MS, RIGHT_MS, reboot, sync, wrong
from tests.faults.world import Gateway, World, body_of
from tests.twins.clock import ORIGIN_MS, civil_ms
from tests.twins.loop import run_virtual

Key = tuple[str, int]
EVERY_MS = 5000
WAY_S = 2.0
"""From a value beyond its limit to the store: a sealer looks once a second."""


@dataclass
class Plant:
    """A gateway with a limit on one level, which can be driven beyond it."""

    world: World
    gateway: Gateway
    high: bool = False
    known: set[Key] = field(default_factory=set)

    def __post_init__(self) -> None:
        device = self.gateway.config.devices["meter-1"]
        device = device.model_copy(update={"alarms": {"level": LimitConfig(above=6000)}})
        devices = {**self.gateway.config.devices, "meter-1": device}
        self.gateway.config = self.gateway.config.model_copy(update={"devices": devices})
        level = registers(1)
        self.gateway.bus.units[1] = lambda at, now: 7000 if at == 2 and self.high else level(at, now)

    def alarms(self, *states: str) -> set[Key]:
        """Batches that say of an alarm that it was raised, or cleared."""
        sealed = {key: body_of(one.body).records for key, one in self.gateway.sealed.items()}
        states = states or ("raised", "cleared")
        return {key for key, some in sealed.items() if any(r.kind == ALARM and r.data["state"] in states for r in some)}

    async def alarm(self, seconds: float = WAY_S + 0.1) -> Key:
        """A level too high, for some seconds; the batch that says so."""
        await asyncio.sleep(120)  # the one before is over
        sampled = [at_ms for unit, _, at_ms, _ in self.gateway.bus.served if unit == 1]
        await asyncio.sleep((sampled[-1] + EVERY_MS - 100 - civil_ms()) % EVERY_MS / 1000)
        self.high = True
        await asyncio.sleep(seconds)
        self.high = False
        (key,) = self.alarms("raised") - self.known
        self.known.add(key)
        return key

    async def heard(self) -> Key:
        """An alarm that is in the store at once, while what was sealed just before it waits for the time."""
        run, seq = await self.alarm()
        assert (run, seq) in self.world.receipted, "the alarm waits"
        assert self.gateway.sealed[run, seq].unsure is not None
        assert self.gateway.sealed[run, seq - 1].base_ms is None, "the batch before it does not wait for the time"
        return run, seq


Story = Callable[[Plant], Awaitable[None]]


async def at_the_last_shutdown(plant: Plant) -> None:
    """Some minutes of good time, and a reboot at the saved time after an hour without power."""
    plant.world.start()
    await asyncio.sleep(300)
    saved = civil_ms()
    await plant.world.kill_gateway(plant.gateway)
    await asyncio.sleep(3600)
    plant.gateway.clock.reboot("boot after an hour")
    wrong(plant.gateway, clock_ms=saved)
    plant.world.start_gateway(plant.gateway)


async def trusted_a_second_later(plant: Plant) -> None:
    await at_the_last_shutdown(plant)
    await plant.heard()
    await asyncio.sleep(1)
    sync(plant.gateway)


async def two_in_a_row(plant: Plant) -> None:
    await at_the_last_shutdown(plant)
    await plant.heard()
    await plant.heard()
    sync(plant.gateway)


async def after_a_step(plant: Plant) -> None:
    """The clock is put forward by somebody who does not know the time either, between two alarms."""
    await at_the_last_shutdown(plant)
    await plant.heard()
    plant.gateway.clock.offset_ms += HOUR_MS // 4
    await plant.heard()
    sync(plant.gateway)


async def before_each_of_three_reboots(plant: Plant) -> None:
    await at_the_last_shutdown(plant)
    saved = civil_ms() + plant.gateway.clock.offset_ms
    for _ in range(3):
        await plant.heard()
        await reboot(plant.world, plant.gateway, clock_ms=saved, trusted=False)
    await plant.heard()
    sync(plant.gateway)


async def in_1970_after_a_time_that_was_known(plant: Plant) -> None:
    plant.world.start()
    await asyncio.sleep(300)
    await reboot(plant.world, plant.gateway, clock_ms=0, trusted=False)
    await plant.heard()
    await reboot(plant.world, plant.gateway, clock_ms=0, trusted=False)
    await plant.heard()
    sync(plant.gateway)


async def two_hours_ahead(plant: Plant) -> None:
    wrong(plant.gateway, clock_ms=civil_ms() + 2 * HOUR_MS)
    plant.world.start()
    await plant.heard()
    sync(plant.gateway)


async def five_minutes_ahead(plant: Plant) -> None:
    """The true time comes to where the alarm was put, with the same slots."""
    wrong(plant.gateway, clock_ms=civil_ms() + 300_000)
    plant.world.start()
    await plant.heard()
    sync(plant.gateway)
    await asyncio.sleep(600)


async def in_flight_when_the_time_comes(plant: Plant) -> None:
    """It has left, and what would confirm it is lost: it goes again with what it said, although the time is known."""
    await at_the_last_shutdown(plant)
    await asyncio.sleep(30)
    for name in list(plant.world.workers):
        await plant.world.kill_worker(name)
    sent = len(plant.world.broker.data_messages)
    key = await plant.alarm()
    assert any(_names(message, key) for message in plant.world.broker.data_messages[sent:])
    first = plant.gateway.sealed[key]
    assert first.unsure is not None
    sync(plant.gateway)
    await asyncio.sleep(60)
    assert key not in plant.world.receipted
    plant.world.start_worker("w1")
    await asyncio.sleep(60)
    assert key in plant.world.receipted
    assert plant.gateway.sealed[key] == first


async def unsent_when_the_agent_restarts(plant: Plant) -> None:
    """No broker when it is raised; the agent of the next power-up still knows that this is an alarm."""
    await at_the_last_shutdown(plant)
    plant.world.broker.down = True
    key = await plant.alarm()
    first = plant.gateway.sealed[key]
    assert first.unsure is not None
    await asyncio.sleep(60)
    await plant.world.kill_gateway(plant.gateway)
    plant.world.start_gateway(plant.gateway)
    sent = len(plant.world.broker.data_messages)
    plant.world.broker.down = False
    await asyncio.sleep(70)
    assert _names(plant.world.broker.data_messages[sent], key), "something went before the alarm"
    assert plant.gateway.sealed[key] == first
    sync(plant.gateway)


async def told_again_by_each_agent_that_starts(plant: Plant) -> None:
    """A limit that stays crossed, over two restarts without the time."""
    await at_the_last_shutdown(plant)
    await plant.heard()
    plant.high = True
    for _ in range(2):
        await plant.world.stop_gateway(plant.gateway)
        plant.world.start_gateway(plant.gateway)
        await asyncio.sleep(WAY_S + EVERY_MS / 1000)
        (new,) = plant.alarms("raised") - plant.known
        assert new in plant.world.receipted
        plant.known.add(new)
    sync(plant.gateway)


def _names(message: bytes, key: Key) -> bool:
    header = message.split(b" ", 5)
    first, _, last = header[4].partition(b"-")
    return header[3].decode() == key[0] and int(first) <= key[1] <= int(last)


STORIES = {
    "the time comes a second later": trusted_a_second_later,
    "two alarms": two_in_a_row,
    "a step between two alarms": after_a_step,
    "before each of three reboots": before_each_of_three_reboots,
    "in 1970, after a time that was known": in_1970_after_a_time_that_was_known,
    "two hours ahead, on a first boot": two_hours_ahead,
    "five minutes ahead, on a first boot": five_minutes_ahead,
    "in flight when the time comes": in_flight_when_the_time_comes,
    "unsent when the agent restarts": unsent_when_the_agent_restarts,
    "told again by each agent that starts": told_again_by_each_agent_that_starts,
}


def check_times(plant: Plant, *, waited: bool = True) -> None:
    """Alarms bear true bounds; where the time came within ten minutes, whatever else that boot sealed is right."""
    gateway, final_boot, told = plant.gateway, plant.gateway.clock.booted_ms, plant.alarms()
    for (run, seq), sealed in gateway.sealed.items():
        truth = ORIGIN_MS + gateway.booted[run]
        unsure = sealed.unsure or body_of(sealed.body).unsure
        assert sealed.base_ms is not None
        if unsure is None:
            assert abs(sealed.base_ms - truth) <= RIGHT_MS
        else:
            assert unsure[0] <= min(sealed.base_ms, truth)
            assert max(sealed.base_ms, truth) <= unsure[1] <= UNKNOWN_MS
        if (run, seq) in plant.known:
            assert unsure is not None
        elif waited and gateway.booted[run] == final_boot and (run, seq) not in told:
            assert unsure is None, f"{run} {seq} did not wait for the time"


async def check_all(plant: Plant, early: dict[tuple[str, str, str, int], float]) -> None:
    """Each sealed value is stored once under its own stamp, none was dated anew, and the ledger adds up."""
    stored = await plant.world.stored()
    assert stored == plant.world.sealed_readings(plant.gateway), "two values share a stamp, or one is lost"
    assert early.items() <= stored.items(), "what was sent has been dated anew"
    assert min(t for *_, t in stored) >= EARLIEST_MS
    assert not plant.world.early
    for receipt in await plant.world.store.receipts_between(plant.gateway.name, 0, 2**53):
        sealed = plant.gateway.sealed[receipt.run, receipt.seq]
        unsure = json.loads(receipt.counts).get("unsure")
        assert (unsure and tuple(unsure)) == (sealed.unsure or body_of(sealed.body).unsure)
    ledger = await audit(plant.world.store, plant.gateway.name, now_ms=civil_ms(), days=Days(zone=UTC))
    assert not ledger.unexplained
    assert not ledger.surplus
    assert ledger.adds_up


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_an_alarm_is_in_the_store_before_the_time_is_known_and_nothing_else_is(story: Story, tmp_path: Path) -> None:
    async def main() -> None:
        plant = Plant(world := World(seed=33, folder=tmp_path), world.gateways[0])
        await story(plant)
        await asyncio.sleep(300)
        early = await world.stored()
        await world.settle(600)
        check_times(plant)
        await check_all(plant, early)

    run_virtual(main())


def test_an_alarm_just_after_the_time_has_become_known_bears_it(tmp_path: Path) -> None:
    async def main() -> None:
        plant = Plant(world := World(seed=32, folder=tmp_path), world.gateways[0])
        await at_the_last_shutdown(plant)
        await asyncio.sleep(123)
        sync(plant.gateway)
        plant.high = True
        await asyncio.sleep(EVERY_MS / 1000)
        assert plant.alarms() and plant.alarms() <= world.receipted, "the time is known, and the alarm waits"
        plant.high = False
        early = await world.stored()
        await world.settle(600)
        check_times(plant)
        await check_all(plant, early)
        assert all(plant.gateway.sealed[key].unsure is None for key in plant.alarms())

    run_virtual(main())


def test_an_alarm_of_a_boot_that_never_learns_the_time_shares_no_stamp_with_what_is_dated_by_the_next(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        plant = Plant(world := World(seed=34, folder=tmp_path), world.gateways[0])
        await at_the_last_shutdown(plant)
        await plant.heard()
        await asyncio.sleep(700)  # now the others go with an estimate, too
        await plant.alarm()
        await reboot(world, plant.gateway, clock_ms=civil_ms() + 2 * HOUR_MS, trusted=False)
        await plant.heard()
        await reboot(world, plant.gateway, clock_ms=civil_ms() + 20_000, trusted=True)
        await asyncio.sleep(60)
        early = await world.stored()
        await world.settle(600)
        check_times(plant, waited=False)
        await check_all(plant, early)

    run_virtual(main())


def test_the_bounds_of_an_alarm_say_no_earlier_than_the_last_shutdown_and_nothing_of_later(tmp_path: Path) -> None:
    async def main() -> None:
        plant = Plant(world := World(seed=35, folder=tmp_path), world.gateways[0])
        await at_the_last_shutdown(plant)
        ended = max(
            sealed.base_ms + body_of(sealed.body).to
            for sealed in plant.gateway.sealed.values()
            if sealed.base_ms is not None
        )
        key = await plant.heard()
        sealed = plant.gateway.sealed[key]
        assert sealed.unsure == (ended - OFF_MS, UNKNOWN_MS)
        await world.settle(600)

    run_virtual(main())


def test_where_no_clock_has_ever_told_a_time_an_alarm_has_no_estimate_and_waits_with_the_rest(tmp_path: Path) -> None:
    async def main() -> None:
        plant = Plant(world := World(seed=36, folder=tmp_path), world.gateways[0])
        wrong(plant.gateway, clock_ms=0)
        world.start()
        key = await plant.alarm()
        await asyncio.sleep(1200)
        assert plant.gateway.sealed[key].base_ms is None
        assert not world.receipted
        sync(plant.gateway)
        await asyncio.sleep(20)
        assert key in world.receipted
        early = await world.stored()
        await world.settle(600)
        assert all(sealed.unsure is None for sealed in plant.gateway.sealed.values())
        await check_all(plant, early)

    run_virtual(main())


STEPS = [(f"disk.{when}", skip, False) for skip in range(5) for when in ("before", "within", "after")]


@pytest.mark.parametrize("step, skip, power", [*STEPS, ("disk.after", 0, True), ("disk.within", 1, True)])
def test_a_death_between_the_seal_of_an_alarm_and_its_way_out_neither_loses_it_nor_dates_it_twice(
    step: str, skip: int, power: bool, tmp_path: Path
) -> None:
    async def main() -> None:
        plant = Plant(world := World(seed=37, folder=tmp_path), world.gateways[0])
        await at_the_last_shutdown(plant)
        await asyncio.sleep(124.9)
        plant.high = True
        plant.gateway.life.aim(step, skip=skip)
        for _ in range(400):
            await asyncio.sleep(0.05)
            if plant.gateway.life.dead:
                break
        assert plant.gateway.life.died_at == step
        await world.ended(plant.gateway)
        plant.known, plant.high = plant.alarms(), False
        assert bool(plant.known) == ((step, skip) not in [("disk.before", 0), ("disk.within", 0)])
        if power:
            shown = civil_ms() + plant.gateway.clock.offset_ms
            plant.gateway.clock.reboot("boot after a power cut")
            wrong(plant.gateway, clock_ms=shown)
        world.start_gateway(plant.gateway)
        await asyncio.sleep(3)
        assert plant.known <= world.receipted, "it waits for the first seal of the next run"
        sync(plant.gateway)
        await asyncio.sleep(60)
        early = await world.stored()
        await world.settle(600)
        check_times(plant)
        await check_all(plant, early)

    run_virtual(main())


def test_an_alarm_that_is_sealed_as_the_agent_stops_leaves_before_it_ends(tmp_path: Path) -> None:
    async def main() -> None:
        plant = Plant(world := World(seed=39, folder=tmp_path), world.gateways[0])
        await at_the_last_shutdown(plant)
        await asyncio.sleep(122)
        plant.high = True
        await asyncio.sleep(3.1)
        assert civil_ms() % 5000 == 100, "just after a slot"
        assert not plant.alarms()
        await world.stop_gateway(plant.gateway)
        assert plant.alarms() <= world.receipted
        assert plant.alarms()
        world.start_gateway(plant.gateway)
        sync(plant.gateway)
        await world.settle(600)

    run_virtual(main())


def test_an_alarm_leaves_as_soon_as_a_card_that_takes_its_time_has_dated_it(tmp_path: Path) -> None:
    async def main() -> None:
        plant = Plant(world := World(seed=40, folder=tmp_path), world.gateways[0])
        await at_the_last_shutdown(plant)
        disk = plant.gateway.disk
        assert disk is not None
        run = disk.run

        async def slow(work: Callable[..., object], *, grows: bool = False) -> object:
            await asyncio.sleep(0.2)
            return await run(work, grows=grows)

        disk.run = slow  # type: ignore[method-assign,assignment]  # the same, later
        await plant.heard()
        sync(plant.gateway)
        await world.settle(600)

    run_virtual(main())


def test_an_alarm_on_a_full_disk_goes_when_there_is_room(tmp_path: Path) -> None:
    async def main() -> None:
        plant = Plant(world := World(seed=38, folder=tmp_path), world.gateways[0])
        await at_the_last_shutdown(plant)
        await asyncio.sleep(124.9)
        plant.high = True
        plant.gateway.life.at("disk.after", lambda: plant.gateway.fill(full=True))
        await asyncio.sleep(60)
        alarms = plant.alarms()
        assert not alarms & world.receipted
        plant.gateway.fill(full=False)
        await asyncio.sleep(15)
        plant.known = plant.alarms()
        assert plant.known and plant.known <= world.receipted
        plant.high = False
        sync(plant.gateway)
        await asyncio.sleep(60)
        early = await world.stored()
        await world.settle(600)
        await check_all(plant, early)

    run_virtual(main())
