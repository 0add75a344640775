"""A gateway without a clock chip, from reading to store: each way in which its time can be wrong, against the true one.

The meters count hundredths of a second of true time, so a stored value says when it was read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import pytest

from data_contract.reading import EARLIEST_MS
from delivery_audit.days import Days
from delivery_audit.evidence import audit
from edge_agent.keep.estimate import UNKNOWN_MS
from tests.faults.world import Gateway, World, body_of, values_of
from tests.twins.clock import ORIGIN_MS, civil_ms
from tests.twins.loop import run_virtual

HOUR_S = 3600
HOUR_MS = 3_600_000
RIGHT_MS = 1000
"""What a stamp without a flag may be off by."""

Story = Callable[[World, Gateway], Awaitable[None]]


async def reboot(world: World, gateway: Gateway, *, clock_ms: int, trusted: bool) -> None:
    """The power goes, and comes back with this much on the clock, ms UTC."""
    await world.kill_gateway(gateway)
    await asyncio.sleep(20)
    gateway.clock.reboot(f"boot at {civil_ms()}")
    wrong(gateway, clock_ms=clock_ms, trusted=trusted)
    world.start_gateway(gateway)


def wrong(gateway: Gateway, *, clock_ms: int, trusted: bool = False) -> None:
    gateway.clock.offset_ms = clock_ms - civil_ms()
    gateway.clock.trusted = trusted


def sync(gateway: Gateway) -> None:
    gateway.clock.offset_ms, gateway.clock.trusted = 0, True


def boots(clock: str, *, sync_after_s: float) -> Story:
    """A first boot whose clock shows 1970, or the time of a shutdown two hours ago, or is two hours ahead."""

    async def story(world: World, gateway: Gateway) -> None:
        shown = {"1970": 0, "shutdown": civil_ms() - 2 * HOUR_MS, "ahead": civil_ms() + 2 * HOUR_MS}
        wrong(gateway, clock_ms=shown[clock])
        world.start()
        await asyncio.sleep(sync_after_s)
        sync(gateway)
        await asyncio.sleep(900)

    return story


def reboots(*shown: int, minutes: float = 4) -> Story:
    """Half an hour of good time, then power cuts before each of which the network never came; the last boot syncs."""

    async def story(world: World, gateway: Gateway) -> None:
        world.start()
        await asyncio.sleep(1800)
        saved = civil_ms()
        for each in shown:
            await reboot(world, gateway, clock_ms=each and saved + each, trusted=False)
            await asyncio.sleep(minutes * 60)
        await reboot(world, gateway, clock_ms=civil_ms() + 20_000, trusted=True)
        await asyncio.sleep(900)

    return story


def first_boots(*shown: int) -> Story:
    """A new gateway whose power fails again and again before it has ever known the time."""

    async def story(world: World, gateway: Gateway) -> None:
        wrong(gateway, clock_ms=shown[0])
        world.start()
        for each in shown[1:]:
            await asyncio.sleep(300)
            await reboot(world, gateway, clock_ms=each, trusted=False)
        await asyncio.sleep(300)
        sync(gateway)
        await asyncio.sleep(600)

    return story


def steps(*offsets: int, every_s: float = 600) -> Story:
    """A clock that is trusted, and put to each of these in turn."""

    async def story(world: World, gateway: Gateway) -> None:
        world.start()
        for offset in (*offsets, 0):
            await asyncio.sleep(every_s)
            gateway.clock.offset_ms = offset
        await asyncio.sleep(900)

    return story


async def full_and_put_forward(world: World, gateway: Gateway) -> None:
    """The clock is put to another time, and before the batch ends that is the last on the old one the disk is full."""
    world.start()
    await asyncio.sleep(605)
    gateway.clock.offset_ms = 3_601_300
    await asyncio.sleep(8)
    gateway.fill(full=True)
    await asyncio.sleep(11)
    gateway.fill(full=False)
    await asyncio.sleep(900)


async def trust_lost(world: World, gateway: Gateway) -> None:
    """The network is away for so long that the kernel doubts its clock; then the agent is updated, and restarts."""
    world.start()
    await asyncio.sleep(1200)
    gateway.clock.trusted = False
    await asyncio.sleep(1200)
    await world.stop_gateway(gateway)
    world.start_gateway(gateway)
    await asyncio.sleep(1500)
    sync(gateway)
    await asyncio.sleep(600)


@dataclass(frozen=True)
class Case:
    """A story, and how much of it may be an estimate."""

    story: Story
    flagged: bool = False
    believed_ms: int = RIGHT_MS
    """How far a stamp without a flag may be off: a clock that is trusted and lies is followed."""


MINUTE = 60_000
CASES = {
    "boot in 1970, sync after minutes": Case(boots("1970", sync_after_s=300)),
    "boot in 1970, sync after hours": Case(boots("1970", sync_after_s=3 * HOUR_S)),
    "boot at the last shutdown, sync after minutes": Case(boots("shutdown", sync_after_s=300)),
    "boot at the last shutdown, sync after hours": Case(boots("shutdown", sync_after_s=3 * HOUR_S), flagged=True),
    "boot two hours ahead, sync after minutes": Case(boots("ahead", sync_after_s=300)),
    "boot two hours ahead, sync after hours": Case(boots("ahead", sync_after_s=3 * HOUR_S), flagged=True),
    "reboot in 1970 before sync": Case(reboots(0), flagged=True),
    "reboot at the last shutdown before sync": Case(reboots(-60_000), flagged=True),
    "reboot two hours ahead before sync": Case(reboots(2 * HOUR_MS), flagged=True),
    "reboot before sync, after an estimate was sent": Case(reboots(-60_000, minutes=14), flagged=True),
    "ten reboots at one saved time, none with a network": Case(reboots(*[-60_000] * 10), flagged=True),
    "ten reboots at one saved time, long enough to be sent": Case(reboots(*[-60_000] * 10, minutes=12), flagged=True),
    "ten reboots in 1970, none with a network": Case(reboots(*[0] * 10), flagged=True),
    "reboots in turn ahead, behind and in 1970": Case(reboots(HOUR_MS, -60_000, 0, HOUR_MS, 0, -60_000), flagged=True),
    "never any time before three power cuts, in 1970": Case(first_boots(0, 0, 0, 0), flagged=True),
    "never any time before three power cuts, at the time of the image": Case(
        first_boots(*[ORIGIN_MS - 9000 * HOUR_MS] * 4), flagged=True
    ),
    "a leap second, as a step": Case(steps(-1000)),
    "slewing": Case(steps(40, 80, 40, -40)),
    "a step forward and back": Case(steps(HOUR_MS), believed_ms=HOUR_MS),
    "a step back and forward": Case(steps(-HOUR_MS), believed_ms=HOUR_MS),
    "two sources that differ by an hour win in turn": Case(steps(*[HOUR_MS, 0] * 12, every_s=130), believed_ms=HOUR_MS),
    "twelve steps back over the same hour": Case(
        steps(*[-each * 8 * MINUTE for each in range(1, 13)], every_s=400), flagged=True, believed_ms=2 * HOUR_MS
    ),
    "an hour that comes round a dozen times": Case(
        steps(*[-each * 10 * MINUTE for each in range(1, 13)]), flagged=True, believed_ms=2 * HOUR_MS
    ),
    "a step while there is no room": Case(full_and_put_forward, believed_ms=2 * HOUR_MS),
    "trust is lost, and the agent restarts": Case(trust_lost, flagged=True),
}


def check_bounds(gateway: Gateway, case: Case) -> None:
    """The base of every batch is right, or lies with the true one within its bounds."""
    flagged = 0
    for (run, seq), sealed in gateway.sealed.items():
        truth = ORIGIN_MS + gateway.booted[run]
        unsure = sealed.unsure or body_of(sealed.body).unsure
        assert sealed.base_ms is not None
        if unsure is None:
            assert abs(sealed.base_ms - truth) <= case.believed_ms, f"{run} {seq} is off and does not say so"
        else:
            flagged += 1
            low, high = unsure
            assert low <= sealed.base_ms <= high
            if case.believed_ms == RIGHT_MS:
                assert low <= truth <= high <= UNKNOWN_MS
    assert bool(flagged) == case.flagged


def check_store(gateway: Gateway, stored: dict[tuple[str, str, str, int], float], case: Case) -> None:
    """Every value bears the time at which the meter showed it, or that of a batch with a flag."""
    flags = {}
    for sealed in gateway.sealed.values():
        body = body_of(sealed.body)
        assert sealed.base_ms is not None
        for device, name, stamp, _ in values_of(body):
            flags[device, name, sealed.base_ms + stamp] = (sealed.unsure or body.unsure) is not None
    checked = 0
    for (_, device, name, t_ms), value in stored.items():
        if name == "total" and not flags[device, name, t_ms]:
            read_ms = (int(value) - int(device[-1]) * 1000) * 10
            off = (t_ms - read_ms + 2**31 * 10) % (2**32 * 10) - 2**31 * 10
            assert abs(off) <= case.believed_ms
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_stamps_are_right_or_flagged_with_true_bounds_and_never_meet(case: Case, tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=21, folder=tmp_path)
        gateway = world.gateways[0]
        await case.story(world, gateway)
        early = await world.stored()
        await world.settle(600)
        stored = await world.stored()
        assert stored == world.sealed_readings(gateway), "every sealed value is stored once, under its own stamp"
        assert early.items() <= stored.items(), "nothing is dated anew that was sent"
        assert min(t for *_, t in stored) >= EARLIEST_MS
        check_bounds(gateway, case)
        check_store(gateway, stored, case)
        for receipt in await world.store.receipts_between(gateway.name, 0, 2**53):
            sealed = gateway.sealed[receipt.run, receipt.seq]
            unsure = json.loads(receipt.counts).get("unsure")
            assert (unsure and tuple(unsure)) == (sealed.unsure or body_of(sealed.body).unsure)
        ledger = await audit(world.store, gateway.name, now_ms=civil_ms(), days=Days(zone=UTC))
        assert not ledger.unexplained
        assert not ledger.surplus
        assert ledger.adds_up

    run_virtual(main())
