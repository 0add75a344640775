"""One gateway may bring so many names of devices into the store, whatever it sends and however often workers begin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ingest import devices
from ingest.devices import DevicesFolder
from ingest.letters import id_of
from ingest.worker import TOO_MANY_DEVICES
from tests.twins.loop import run_virtual
from tests.unit.ingest.cloud import BASE_MS, Cloud, batch, framed, key

MAX = 3


def named(*names: str, seq: int = 1, gateway: str = "gw-1") -> bytes:
    """A batch of one value for each of these devices."""
    block = '{"kind":"energy_meter","counts":{"main":[1,1,{}]},"blocks":[{"t":[0],"values":{"power_w":[1]}}]}'
    parts = ",".join(f'"{name}":{block}' for name in names)
    body = f'[{seq},{BASE_MS},{{"from":0,"to":10000,"devices":{{{parts}}}}}]\n'
    return framed(body.encode(), first=seq, last=seq, gateway=gateway)


def folder(tmp_path: Path, most: int = MAX) -> DevicesFolder:
    return DevicesFolder(gateways_file=tmp_path / "gateways.json", per_gateway_max=most)


def play(script: Callable[[Cloud], Coroutine[Any, Any, None]], bound: DevicesFolder) -> Cloud:
    async def main() -> Cloud:
        cloud = Cloud()
        cloud.worker._devices = bound
        await script(cloud)
        return cloud

    return asyncio.run(main())


def test_at_the_bound_known_devices_go_on_and_new_ones_are_kept_as_letters_with_the_reason(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(named("m1", "m2", "m3"))
        assert await cloud.confirm(named("m1", "m4", seq=2))
        assert set(await cloud.stored()) == {key("power_w", 0, f"m{n}") for n in (1, 2, 3)}
        assert [(seq, readings, bad) for seq, readings, bad, _ in await cloud.receipts()] == [(1, 3, 0), (2, 1, 1)]
        assert await cloud.confirm(named("m9", gateway="gw-2").replace(b" b1 ", b" b2 "), topic="lg/v1/gw-2/data")
        assert ("gw-2", "m9", "power_w", 0) in await cloud.stored(), "each gateway has a bound of its own"

    cloud = play(script, folder(tmp_path))
    (letter,) = cloud.dead.letters
    assert (letter.reason, letter.values) == (TOO_MANY_DEVICES, (("m4", "power_w", BASE_MS, "1.0"),))
    assert cloud.worker.counts["refused_devices"] == 1
    assert [ack.stored for ack in cloud.acks[:2]] == [((1, 1),), ((2, 2),)]


def test_a_record_of_a_device_beyond_the_bound_brings_no_name_into_the_store(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(named("m1", "m2", "m3"))
        await cloud.confirm(batch(seq=2, more=',"records":[{"kind":"door","t":0,"device":"m5"}]'))
        assert await cloud.store.events("door", 0, 2**50) == []

    assert [letter.reason for letter in play(script, folder(tmp_path)).dead.letters] == [TOO_MANY_DEVICES]


def test_what_was_refused_can_be_replayed_under_a_wider_bound(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(named("m1", "m2", "m3", "m4"))
        ((letter,), stop) = cloud.dead.letters, asyncio.Event()
        kept = await cloud.dead.find("all", {id_of(letter)})
        assert await cloud.worker.replay(kept, stop) == {id_of(letter): [letter]}, "still refused"
        cloud.worker._devices = folder(tmp_path, most=4)
        assert await cloud.worker.replay(kept, stop) == {id_of(letter): []}
        assert key("power_w", 0, "m4") in await cloud.stored()

    play(script, folder(tmp_path))


def test_a_flood_of_names_over_restarts_and_workers_stays_within_the_bound(tmp_path: Path) -> None:
    async def flood() -> set[str]:
        taken: set[str] = set()
        for life in range(5):
            workers = [folder(tmp_path, most=20) for _ in range(3)]
            for number in range(30):
                names = {f"x{life}-{number}-{n}" for n in range(7)}
                taken |= names - await workers[number % 3].refused("gw-1", names)
        return taken

    assert len(asyncio.run(flood())) == 20


def test_names_that_are_known_are_not_looked_up_and_refused_ones_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    shipped = DevicesFolder._meet

    def count(self: DevicesFolder, *args: Any) -> set[str]:
        nonlocal looked
        looked += 1
        return shipped(self, *args)

    monkeypatch.setattr(DevicesFolder, "_meet", count)

    async def main() -> None:
        bound = folder(tmp_path)
        for _ in range(50):
            await bound.refused("gw-1", {"m1", "m2", "m3"})
        assert looked == 1
        for number in range(50):
            assert await bound.refused("gw-1", {"m1", f"n{number}"}) == {f"n{number}"}
        assert looked == 2
        await asyncio.sleep(devices.READ_AGAIN_S)
        (tmp_path / "gateways.json.devices" / "gw-1").write_text("m1\n")
        assert await bound.refused("gw-1", {"n1"}) == frozenset(), "an operator made room"

    run_virtual(main())


def test_where_the_folder_cannot_be_written_the_bound_holds_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gateways.json.devices").write_text("no folder")

    async def main() -> None:
        bound = folder(tmp_path)
        assert await bound.refused("gw-1", {"a", "b", "c", "d"}) == {"d"}
        assert await bound.refused("gw-1", {"a", "e"}) == {"e"}

    asyncio.run(main())
    assert len([r for r in caplog.records if "bounded in memory" in r.getMessage()]) == 1
