"""Faults of processes and what is under them: kills, pauses, power, memory cards, boards, and what people change."""

from __future__ import annotations

from edge_agent.config import EdgeConfig
from edge_agent.keep import recovery
from edge_agent.keep.wreck import Wreck
from tests.faults.gateway import Gateway
from tests.faults.storm import Aim, Fault, Storm
from tests.twins.clock import civil_ms
from tests.twins.disk import files, put

PAGE_BYTES = 4096


def _die(gateway: Gateway) -> None:
    gateway.life.dead = True


async def _killed(storm: Storm, aim: Aim, gateway: Gateway) -> None:
    """SIGKILL, or the power, at the aimed step."""
    await aim.at(gateway, lambda: _die(gateway))
    await storm.world.kill_gateway(gateway)


async def kill_gateway(storm: Storm, aim: Aim) -> None:
    with storm.some_gateway() as gateway:
        if gateway is not None:
            await _killed(storm, aim, gateway)
            await storm.wait(0.1, 300)
            await storm.start_again(gateway)


async def _boot(storm: Storm, gateway: Gateway, clock: str) -> None:
    """Milliseconds count anew; the clock shows the time, or 1970 or the last shutdown until the network comes."""
    gateway.clock.reboot(f"boot-{storm.rng.getrandbits(32):08x}")
    if clock == "right":
        gateway.clock.trusted = storm.rng.random() < 0.5
    else:
        gateway.clock.trusted = False
        saved_ms = civil_ms() - storm.rng.randint(1, 7200) * 1000
        gateway.clock.offset_ms = (0 if clock == "1970" else saved_ms) - civil_ms()
    await storm.start_again(gateway)
    if not gateway.clock.trusted:
        await storm.wait(5, 1200)
        gateway.clock.offset_ms, gateway.clock.trusted = 0, True


async def power_cut(storm: Storm, aim: Aim, clock: str = "right") -> None:
    with storm.some_gateway() as gateway, storm.alone(f"clock of {gateway.name if gateway else ''}") as free:
        if gateway is not None and free:
            await _killed(storm, aim, gateway)
            await storm.wait(0.1, 300)
            await _boot(storm, gateway, clock)


async def boot_in_1970(storm: Storm, aim: Aim) -> None:
    await power_cut(storm, aim, "1970")


async def boot_at_shutdown(storm: Storm, aim: Aim) -> None:
    await power_cut(storm, aim, "shutdown")


async def brown_outs(storm: Storm, aim: Aim) -> None:
    """Power cuts in a row, between which the time is never known."""
    with storm.some_gateway() as gateway, storm.alone(f"clock of {gateway.name if gateway else ''}") as free:
        if gateway is None or not free:
            return
        await _killed(storm, aim, gateway)
        saved_ms = civil_ms() - storm.rng.randint(1, 3600) * 1000
        for _ in range(storm.rng.randint(2, 10)):
            gateway.clock.reboot(f"boot-{storm.rng.getrandbits(32):08x}")
            gateway.clock.trusted = False
            gateway.clock.offset_ms = (storm.rng.choice([0, saved_ms, saved_ms])) - civil_ms()
            await storm.start_again(gateway)
            await storm.wait(15, 150)
            if not gateway.life.dead:
                await storm.world.kill_gateway(gateway)
        gateway.clock.offset_ms = 0
        await _boot(storm, gateway, "right")


async def torn_write(storm: Storm, aim: Aim) -> None:
    """The power goes while a page is being written: behind the last commit lies part of another, or nonsense."""
    with storm.some_gateway() as gateway, storm.alone(f"clock of {gateway.name if gateway else ''}") as free:
        if gateway is None or not free:
            return
        await _killed(storm, aim, gateway)
        left = files(gateway.path)
        journal = left.get("-wal", b"")
        nonsense = storm.rng.randbytes(storm.rng.randint(1, 3 * PAGE_BYTES))
        left["-wal"] = journal + storm.rng.choice([nonsense, journal[-storm.rng.randint(1, 5000) :]])
        put(gateway.path, left)
        await storm.wait(0.1, 60)
        await _boot(storm, gateway, "right")


# A card that goes takes with it which stamps a lying clock has used ahead of its time: a limit that docs/delivery.md
# tells of. So the faults of cards leave gateways alone whose clock has lied, and a clock that is put back those whose
# card has forgotten. Nor does a card keep a batch and lose only when it was: that would be dated once more.


def _took(gateway: Gateway, *, kept: set[tuple[str, int]], known: bool) -> None:
    """A card no longer holds what it held. `known`: the next start record tells of it."""
    assert gateway.disk is not None
    gateway.forgot = True
    held = gateway.disk.held - kept
    gateway.lost |= held
    if not known:
        gateway.gone |= held


def _forgot_dates(gateway: Gateway) -> bool:
    """Whether its card still has a batch as it was before it was dated, and no longer as it was sent."""
    data = gateway.path.read_bytes()
    pages = -(-len(data) // PAGE_BYTES)
    wreck = Wreck(name="", pages=pages, read=lambda number: data[(number - 1) * PAGE_BYTES : number * PAGE_BYTES])
    undated = {(row.run, row.seq) for row in wreck.rows(0, pages) if row.base_ms is None}
    return any(gateway.sealed[key].base_ms is not None for key in undated)


async def damaged_card(storm: Storm, aim: Aim) -> None:
    """What the power cut leaves can no longer be read."""
    with storm.some_gateway(honest=True) as gateway, storm.alone(f"clock of {gateway.name if gateway else ''}") as free:
        if gateway is None or not free:
            return
        await _killed(storm, aim, gateway)
        left = files(gateway.path)
        whole = left.get("", b"")
        torn = whole[: len(whole) // storm.rng.randint(2, 9)]
        put(gateway.path, {"": storm.rng.choice([torn, storm.rng.randbytes(200) + whole[200:]])})
        if recovery.check(gateway.path) is None or _forgot_dates(gateway):
            put(gateway.path, {"": b"no database at all"})
        _took(gateway, kept=set(), known=True)
        await storm.wait(0.1, 60)
        await storm.start_again(gateway)


async def new_card(storm: Storm, aim: Aim) -> None:
    """The card is replaced by an empty one."""
    with storm.some_gateway(honest=True) as gateway, storm.alone(f"clock of {gateway.name if gateway else ''}") as free:
        if gateway is not None and free:
            await _killed(storm, aim, gateway)
            put(gateway.path, {})
            _took(gateway, kept=set(), known=False)
            await storm.wait(1, 600)
            await storm.start_again(gateway)


async def old_image(storm: Storm, aim: Aim) -> None:
    """An image of the card, taken some time ago, is put back: its runs are gone on with, their batches come again."""
    with (
        storm.some_gateway(honest=True, dated=True) as gateway,
        storm.alone(f"clock of {gateway.name if gateway else ''}"),
    ):
        if gateway is None:
            return
        await storm.world.kill_gateway(gateway)
        image, disk = files(gateway.path), gateway.disk
        assert disk is not None
        kept = set(disk.held)
        await storm.start_again(gateway)
        if any(gateway.sealed[key].base_ms is None for key in kept):
            return  # what it dates would be dated twice: see docs/delivery.md
        await storm.wait(60, 900)
        if gateway.life.dead:
            return
        await _killed(storm, aim, gateway)
        put(gateway.path, image)
        _took(gateway, kept=kept, known=False)
        await storm.wait(1, 60)
        await storm.start_again(gateway)


async def new_board(storm: Storm, aim: Aim) -> None:
    """The card moves to another board, which is parked until somebody allows it."""
    with storm.some_gateway() as gateway, storm.alone(f"clock of {gateway.name if gateway else ''}") as free:
        if gateway is None or not free:
            return
        await _killed(storm, aim, gateway)
        board = f"board{storm.rng.getrandbits(32):08x}"
        gateway.config = gateway.config.model_copy(update={"board": board})
        await storm.wait(1, 60)
        await _boot(storm, gateway, "right")
        await storm.wait(30, 900)
        storm.world.boards.allow(gateway.name, board)


async def crash_loop(storm: Storm, aim: Aim) -> None:
    """Several short runs while nothing can be sent: afterwards equal numbers of several runs travel together."""
    with storm.some_gateway() as gateway, storm.alone(f"way of {gateway.name if gateway else ''}") as way:
        if gateway is None or not way:
            return
        await _killed(storm, aim, gateway)
        storm.world.broker.cut_off.add(gateway.name)
        for _ in range(storm.rng.randint(2, 4)):
            await storm.start_again(gateway)
            await storm.wait(15, 80)
            if not gateway.life.dead:
                await storm.world.kill_gateway(gateway)
        await storm.start_again(gateway)
        storm.world.broker.cut_off.discard(gateway.name)


async def stop_gateway(storm: Storm, aim: Aim) -> None:
    with storm.some_gateway() as gateway:
        if gateway is None:
            return
        await aim.at(gateway, gateway.stop.set)
        await storm.world.ended(gateway)
        await storm.wait(0, 120)
        await storm.start_again(gateway)


def _changed(storm: Storm, gateway: Gateway) -> EdgeConfig:
    """Another poll interval for a device, or one device fewer, or all of them again."""
    devices = dict(gateway.devices)
    if storm.rng.random() < 0.5:
        devices["meter-2"] = devices["meter-2"].model_copy(
            update={"every_s": {"main": storm.rng.choice([2.0, 7.0, 30.0])}}
        )
    elif len(gateway.config.devices) > 1:
        del devices[storm.rng.choice(sorted(devices))]
    return gateway.config.model_copy(update={"devices": devices})


async def reconfigured(storm: Storm, aim: Aim) -> None:
    with storm.some_gateway() as gateway:
        if gateway is not None:
            await _killed(storm, aim, gateway)
            gateway.config = _changed(storm, gateway)
            await storm.wait(0.1, 60)
            await storm.start_again(gateway)


async def pause_gateway(storm: Storm, aim: Aim) -> None:
    """SIGSTOP, and SIGCONT later."""
    with storm.some_gateway() as gateway:
        if gateway is not None:
            life = gateway.life
            await aim.at(gateway, life.pause)
            await storm.wait(1, 200)
            life.resume()


async def kill_worker(storm: Storm, aim: Aim) -> None:
    with storm.some_worker() as name:
        if name is None:
            return
        life = storm.world.workers[name][1]

        def die() -> None:
            life.dead = True

        await aim.at(storm.gateway(), die, worker=name)
        await storm.world.kill_worker(name)
        await storm.wait(0.1, 120)
        storm.world.start_worker(name)


async def pause_worker(storm: Storm, aim: Aim) -> None:
    """SIGSTOP: to the broker it is there, and its share of the messages goes to it."""
    with storm.some_worker() as name:
        if name is not None:
            life = storm.world.workers[name][1]
            await aim.at(storm.gateway(), life.pause, worker=name)
            await storm.wait(1, 400)
            life.resume()


DEATHS: dict[str, Fault] = {
    "kill gateway": kill_gateway,
    "kill worker": kill_worker,
    "power cut": power_cut,
    "boot in 1970": boot_in_1970,
    "boot at the last shutdown": boot_at_shutdown,
    "brown-outs": brown_outs,
    "torn write": torn_write,
    "damaged card": damaged_card,
    "new card": new_card,
    "old image of the card": old_image,
    "new board": new_board,
    "crash loop": crash_loop,
    "stop gateway": stop_gateway,
    "reconfigured": reconfigured,
    "pause gateway": pause_gateway,
    "pause worker": pause_worker,
}
