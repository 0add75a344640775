"""One gateway may bring so many names into the store, whatever it sends and however often workers begin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Set
from pathlib import Path
from typing import Any

import pytest

from ingest import names_folder
from ingest.bounds import Bounds
from ingest.letters import id_of
from ingest.named import TOO_MANY_DEVICES, TOO_MANY_FIELDS, TOO_MANY_KINDS
from ingest.names_folder import NamesFolder
from ingest.part import RECEIPT_FIELDS
from series_store.names import SUMMARY
from tests.twins.loop import run_virtual
from tests.unit.ingest.cloud import BASE_MS, Cloud, batch, framed, key

MAX = 3


def message(
    devices: Mapping[str, tuple[str, Set[str]]], *, seq: int = 1, gateway: str = "gw-1", more: str = ""
) -> bytes:
    """A batch of one value for each field of these devices, each with its kind."""
    parts = []
    for name, (kind, fields) in devices.items():
        values = ",".join(f'"{field}":[1]' for field in sorted(fields))
        counts = '{"main":[1,1,{}]}'
        block = f'{{"t":[0],"values":{{{values}}}}}'
        parts.append(f'"{name}":{{"kind":"{kind}","counts":{counts},"blocks":[{block}]}}')
    body = f'[{seq},{BASE_MS},{{"from":0,"to":10000,"devices":{{{",".join(parts)}}}{more}}}]\n'
    return framed(body.encode(), first=seq, last=seq, gateway=gateway)


def named(*names: str, seq: int = 1, gateway: str = "gw-1") -> bytes:
    return message(dict.fromkeys(names, ("energy_meter", {"power_w"})), seq=seq, gateway=gateway)


def folder(tmp_path: Path, most: int = MAX, what: str = "devices") -> NamesFolder:
    return NamesFolder(gateways_file=tmp_path / "gateways.json", what=what, per_gateway_max=most)


def bounds(tmp_path: Path, *, devices: int = 100, kinds: int = 100, fields: int = 100) -> Bounds:
    return Bounds(
        devices=folder(tmp_path, devices),
        kinds=folder(tmp_path, kinds, "kinds"),
        fields=folder(tmp_path, fields, "fields"),
    )


def play(script: Callable[[Cloud], Coroutine[Any, Any, None]], bound: Bounds) -> Cloud:
    async def main() -> Cloud:
        cloud = Cloud()
        cloud.worker._bounds = bound
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

    cloud = play(script, bounds(tmp_path, devices=MAX))
    (letter,) = cloud.dead.letters
    assert (letter.reason, letter.values) == (TOO_MANY_DEVICES, (("m4", "power_w", BASE_MS, "1.0"),))
    assert cloud.worker.refused_names == {"devices": 1, "kinds": 0, "fields": 0}
    assert [ack.stored for ack in cloud.acks[:2]] == [((1, 1),), ((2, 2),)]


def test_a_record_of_a_device_beyond_the_bound_brings_no_name_into_the_store(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(named("m1", "m2", "m3"))
        await cloud.confirm(batch(seq=2, more=',"records":[{"kind":"door","t":0,"device":"m5"}]'))
        assert await cloud.store.events("door", 0, 2**50) == []
        ((letter,), stop) = cloud.dead.letters, asyncio.Event()
        kept = await cloud.dead.find("all", {id_of(letter)})
        cloud.worker._bounds = bounds(tmp_path, devices=MAX + 1)
        assert await cloud.worker.replay(kept, stop) == {id_of(letter): []}
        assert len(await cloud.store.events("door", 0, 2**50)) == 1

    assert [letter.reason for letter in play(script, bounds(tmp_path, devices=MAX)).dead.letters] == [TOO_MANY_DEVICES]


def test_a_field_beyond_the_bound_is_refused_alone_and_its_neighbours_are_stored(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(message({"m1": ("bin", {"a", "b"}), "m2": ("bin", {"a"})}))
        assert await cloud.confirm(message({"m1": ("bin", {"a", "b", "c"}), "m2": ("bin", {"a"})}, seq=2))
        assert set(await cloud.stored()) == {key("a"), key("b"), key("a", 0, "m2")}
        assert [(readings, bad) for _, readings, bad, _ in await cloud.receipts()] == [(3, 0), (3, 1)]
        receipt = (await cloud.receipts())[1][3]
        assert (receipt.devices["m1"].stored, receipt.devices["m1"].bad) == (2, 1)

    cloud = play(script, bounds(tmp_path, fields=MAX))
    (letter,) = cloud.dead.letters
    assert (letter.reason, letter.values) == (TOO_MANY_FIELDS, (("m1", "c", BASE_MS, "1.0"),))
    assert cloud.worker.refused_names["fields"] == 1


def test_one_field_of_many_devices_counts_for_each_since_the_store_indexes_each(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(named("m1", "m2", "m3", "m4"))
        assert len(await cloud.stored()) == MAX

    assert [letter.reason for letter in play(script, bounds(tmp_path, fields=MAX)).dead.letters] == [TOO_MANY_FIELDS]


def test_a_quality_of_a_field_beyond_the_bound_does_not_slip_in(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(message({"m1": ("energy_meter", {"a", "b", "c"})}))
        bad = b'"values":{"d":[null],"a":[2]},"quality":{"d":[[0,3]],"a":[[0,1]]}'
        payload = framed(batch(seq=2).split(b"\n", 1)[1].replace(b'"values":{"power_w":[1.5]}', bad), first=2, last=2)
        written: set[str] = set()
        cloud.store.before_write = lambda tables: written.update(field for table in tables for field in table.fields)
        await cloud.confirm(payload)
        assert written - set(RECEIPT_FIELDS) == {"a", "q_a"}

    (letter,) = play(script, bounds(tmp_path, fields=MAX)).dead.letters
    assert letter.values == (("m1", "q_d", BASE_MS, "3.0"),)


def test_a_device_of_a_kind_beyond_the_bound_makes_no_measurement(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(message({f"m{n}": (f"kind_{n}", {"a"}) for n in range(MAX)}))
        await cloud.confirm(message({"m0": ("kind_x", {"a"}), "m9": ("kind_0", {"a"})}, seq=2))
        assert {each.measurement for each in await cloud.store.series()} == {"kind_0", "kind_1", "kind_2"}
        assert key("a", 0, "m9") in await cloud.stored()

    cloud = play(script, bounds(tmp_path, kinds=MAX))
    assert [(letter.reason, letter.kinds) for letter in cloud.dead.letters] == [(TOO_MANY_KINDS, (("m0", "kind_x"),))]
    assert cloud.worker.refused_names == {"devices": 0, "kinds": 1, "fields": 0}


def test_a_record_of_a_kind_beyond_the_bound_makes_no_tag_and_the_others_are_stored(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        records = ",".join(f'{{"kind":"happening_{n}","t":{n},"device":"m1"}}' for n in range(MAX))
        await cloud.confirm(batch(more=f',"records":[{records}]'))
        for n in range(MAX - 1):
            assert len(await cloud.store.events(f"happening_{n}", 0, 2**50)) == 1
        assert await cloud.store.events(f"happening_{MAX - 1}", 0, 2**50) == []
        assert key("power_w") in await cloud.stored()

    (letter,) = play(script, bounds(tmp_path, kinds=MAX)).dead.letters
    assert (letter.reason, letter.values[0][:2]) == (TOO_MANY_KINDS, ("m1", ""))


def test_a_record_that_names_ever_new_numbers_is_bounded_as_fields_are(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        for n in range(1, 6):
            record = f'{{"kind":"door","t":{n},"device":"m1","values":{{"number_{n}":1}}}}'
            await cloud.confirm(batch(seq=n, more=f',"records":[{record}]'))
        # The reading itself, the text and one number.
        assert len(await cloud.store.events("door", 0, 2**50)) == 1

    assert len(play(script, bounds(tmp_path, fields=MAX)).dead.letters) == 4


def test_a_summary_of_a_field_beyond_the_bound_makes_no_columns(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        spans = ",".join(f'"field_{n}":[[{BASE_MS},{BASE_MS + 1000},2,1,2,1.5]]' for n in range(MAX + 1))
        device = f'{{"kind":"bin","summary":{{{spans}}}}}'
        body = f'[1,0,{{"from":{BASE_MS},"to":{BASE_MS + 10_000},"devices":{{"m1":{device}}}}}]\n'
        await cloud.confirm(framed(body.encode()))
        ((letter,), stop) = cloud.dead.letters, asyncio.Event()
        assert (letter.reason, letter.values[0][1]) == (TOO_MANY_FIELDS, "")
        assert f'"field_{MAX}_to"' in letter.values[0][3]
        kept = await cloud.dead.find("all", {id_of(letter)})
        assert await cloud.worker.replay(kept, stop) == {id_of(letter): [letter]}, "still refused"
        cloud.worker._bounds = bounds(tmp_path, fields=MAX + 1)
        assert await cloud.worker.replay(kept, stop) == {id_of(letter): []}

    play(script, bounds(tmp_path, fields=MAX))
    told = (tmp_path / "gateways.json.fields" / "gw-1").read_text().split()
    assert told == [f"m1/{SUMMARY}/field_{n}" for n in range(MAX + 1)]


@pytest.mark.parametrize("what", ["devices", "kinds", "fields"])
def test_what_was_refused_can_be_replayed_under_a_wider_bound(what: str, tmp_path: Path) -> None:
    first = {f"m{n}": (f"kind_{n}", {"a"}) for n in range(MAX + 1)}

    async def script(cloud: Cloud) -> None:
        records = ',"records":[{"kind":"door","t":0,"device":"m3"}]' if what == "devices" else ""
        assert await cloud.confirm(message(first, more=records))
        ((letter,), stop) = cloud.dead.letters, asyncio.Event()
        kept = await cloud.dead.find("all", {id_of(letter)})
        assert await cloud.worker.replay(kept, stop) == {id_of(letter): [letter]}, "still refused"
        cloud.worker._bounds = bounds(tmp_path, **{what: MAX + 1})
        assert await cloud.worker.replay(kept, stop) == {id_of(letter): []}
        assert key("a", 0, "m3") in await cloud.stored()
        assert len(await cloud.store.events("door", 0, 2**50)) == bool(records)

    play(script, bounds(tmp_path, **{what: MAX}))


def test_what_a_refused_device_names_takes_no_room_of_the_other_bounds(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(named("m1"))
        await cloud.confirm(message({"m2": ("other", {"a", "b"})}, seq=2))
        await cloud.confirm(message({"m1": ("third", {"x", "y"})}, seq=3))
        assert {field for _, _, field, _ in await cloud.stored()} == {"power_w", "x", "y"}

    play(script, bounds(tmp_path, devices=1, kinds=2, fields=3))


def test_what_a_device_of_a_refused_kind_names_takes_no_room_of_the_fields(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(named("m1"))
        await cloud.confirm(message({"m2": ("other", {"a", "b"})}, seq=2))
        await cloud.confirm(message({"m1": ("energy_meter", {"x", "y"})}, seq=3))
        assert {field for _, _, field, _ in await cloud.stored()} == {"power_w", "x", "y"}

    play(script, bounds(tmp_path, kinds=1, fields=3))


def test_a_kind_that_is_reserved_takes_no_room(tmp_path: Path) -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(message({"m1": ("receipt", {"a"}), "m2": ("bin", {"a"})}))
        assert set(await cloud.stored()) == {key("a", 0, "m2")}

    assert play(script, bounds(tmp_path, kinds=1, fields=1)).worker.refused_names == dict.fromkeys(
        ("devices", "kinds", "fields"), 0
    )


@pytest.mark.parametrize("group", ["", "m1/energy_meter"])
def test_a_flood_of_names_over_restarts_and_workers_stays_within_the_bound(group: str, tmp_path: Path) -> None:
    async def flood() -> set[str]:
        taken: set[str] = set()
        for life in range(5):
            workers = [folder(tmp_path, most=20) for _ in range(3)]
            for number in range(30):
                names = {f"x{life}-{number}-{n}" for n in range(7)}
                refused = await workers[number % 3].refused("gw-1", {group: names})
                taken |= names - refused.get(group, set())
        return taken

    assert len(asyncio.run(flood())) == 20


def test_a_million_names_leave_a_file_and_a_memory_of_the_bound(tmp_path: Path) -> None:
    bound = folder(tmp_path, most=50, what="fields")

    async def flood() -> None:
        for number in range(40):
            await bound.refused("gw-1", {f"d{n}/bin": {f"f{number}_{m}" for m in range(25)} for n in range(1000)})

    asyncio.run(flood())
    assert len((tmp_path / "gateways.json.fields" / "gw-1").read_text().split()) == 50
    assert sum(map(len, bound._known["gw-1"].values())) == 50


def test_names_that_are_known_are_not_looked_up_and_refused_ones_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    shipped = NamesFolder._meet

    def count(self: NamesFolder, gateway: str, wanted: Mapping[str, Set[str]], known: names_folder.Known) -> Any:
        nonlocal looked
        looked += 1
        return shipped(self, gateway, wanted, known)

    monkeypatch.setattr(NamesFolder, "_meet", count)

    async def main() -> None:
        bound = folder(tmp_path)
        for _ in range(50):
            await bound.refused("gw-1", {"": {"m1", "m2", "m3"}})
        assert looked == 1
        for number in range(50):
            assert await bound.refused("gw-1", {"": {"m1", f"n{number}"}}) == {"": {f"n{number}"}}
        assert looked == 2
        await asyncio.sleep(names_folder.READ_AGAIN_S)
        (tmp_path / "gateways.json.devices" / "gw-1").write_text("m1\n")
        assert await bound.refused("gw-1", {"": {"n1"}}) == {}, "an operator made room"

    run_virtual(main())


def test_devices_of_one_profile_share_the_memory_of_their_fields(tmp_path: Path) -> None:
    async def main() -> None:
        bound = folder(tmp_path, most=1000, what="fields")
        for gateway in ("gw-1", "gw-2"):
            await bound.refused(gateway, {f"m{n}/bin": {"a", "b", "c"} for n in range(100)})
        assert len({id(names) for known in bound._known.values() for names in known.values()}) == 1

    asyncio.run(main())


def test_where_the_folder_cannot_be_written_the_bound_holds_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gateways.json.devices").write_text("no folder")

    async def main() -> None:
        bound = folder(tmp_path)
        assert await bound.refused("gw-1", {"": {"a", "b", "c", "d"}}) == {"": {"d"}}
        assert await bound.refused("gw-1", {"": {"a", "e"}}) == {"": {"e"}}

    asyncio.run(main())
    assert len([r for r in caplog.records if "bounded in memory" in r.getMessage()]) == 1
    (said,) = [r.getMessage() for r in caplog.records if "raise it" in r.getMessage()]
    assert "devices_per_gateway_max (3)" in said
