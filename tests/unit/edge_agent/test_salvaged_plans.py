"""What a damaged spool says of how its fields were read counts if it is as it was written, and not otherwise."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from data_contract.batch import Body
from data_contract.reading import FieldKind
from edge_agent.keep import plan_row, recovery
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.evict import DIGEST_BYTES_MAX, HOUR_MS, FieldPlan
from edge_agent.keep.pages import PAGE_BYTES
from edge_agent.keep.salvage import Salvage
from edge_agent.keep.spool import Spool
from edge_agent.keep.wreck import Wreck
from tests.twins.loop import run_virtual
from tests.unit.edge_agent.test_evict import BASE, FIELDS, NEW, OLD, bodies, filled, nothing

BYTES_MAX = 50_000_000
HOURS = 2
BATCHES = HOURS * 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "spool.db"

    async def main() -> None:
        await (await filled(FileDisk(path=path, bytes_max=BYTES_MAX), BATCHES)).close()

    asyncio.run(main())
    return path


def change(path: Path, statement: str, *values: object) -> None:
    """As a program of another day would have written it."""
    db = sqlite3.connect(path)
    db.execute(statement, values)
    db.commit()
    db.close()


def garble(path: Path, there: bytes, instead: bytes) -> None:
    data = path.read_bytes()
    assert data.count(there) == 1 and len(there) == len(instead)
    path.write_bytes(data.replace(there, instead))


def after_damage(path: Path, starts: int = 1) -> Body:
    """The first batch of the new run: what has taken the place of the old run's first hour, once the head is spoilt.

    `starts`: so many starts of the agent, each killed before anything was carried over but the last.
    """
    with path.open("r+b") as file:
        file.write(b"\xa5" * 100)

    async def main() -> Body:
        for number in range(starts):
            recovered = recovery.recover(path)
            assert recovered.what, "none of them sealed a batch that could have told of it"
            spool = Spool(
                disk=FileDisk(path=path, bytes_max=BYTES_MAX),
                run=NEW[:-1] + str(number),
                boot="boot",
                wrecks=recovered.wrecks,
            )
            await spool.open()
            if number < starts - 1:
                await spool.close()
        await Salvage(spool=spool, recovered=recovered, look=lambda: None).run()
        assert len(list(spool.held)) == BATCHES
        await spool.evict(1, before_ms=BASE + HOUR_MS, busy=nothing)
        digest = (await bodies(spool)).get((spool.run, 1), Body(from_=0, to=0))
        await spool.close()
        return digest

    return run_virtual(main())


def is_digested(body: Body) -> bool:
    """Whether detail was given up as the run's plan says: a mean of the gauge, and of the total what decides."""
    return bool(body.devices) and set(body.devices["m1"].summary) == {"flow"}


@pytest.mark.parametrize("starts", [1, 3])
def test_batches_of_a_damaged_spool_can_give_up_their_detail_like_any_others(starts: int, path: Path) -> None:
    digest = after_damage(path, starts)
    assert is_digested(digest)
    assert set(digest.devices["m1"].witnessed) == {"total", "on"}
    assert digest.replaces == [(OLD, 1, 12)]


def _set_aside(path: Path) -> list[Wreck]:
    path.with_name(path.name + ".suspect").write_text("seen while it ran\n")
    return list(recovery.recover(path).wrecks)


@pytest.mark.parametrize(
    "there, instead",
    [(b'["gauge",60000]', b'["state",60000]'), (b'["gauge",60000]', b'["gauge",60009]'), (b'"m1":{"to', b'"m2":{"to')],
)
def test_a_plan_that_the_card_has_changed_decides_nothing_and_every_reading_is_kept(
    there: bytes, instead: bytes, path: Path
) -> None:
    garble(path, there, instead)
    digest = after_damage(path)
    assert not is_digested(digest)
    for device in digest.devices.values():
        assert not device.summary and not device.witnessed
        assert sum(len(block.t) for block in device.blocks if "flow" in block.values) == 59, "but the bad one"


def test_a_plan_that_the_card_has_changed_in_a_file_that_seems_sound_decides_nothing_either(path: Path) -> None:
    garble(path, b'["gauge",60000]', b'["state",60000]')

    async def main() -> Body:
        spool = Spool(disk=FileDisk(path=path, bytes_max=BYTES_MAX), run=NEW, boot="boot")
        await spool.open()
        await spool.evict(1, before_ms=BASE + HOUR_MS, busy=nothing)
        found = (await bodies(spool)).get((NEW, 1), Body(from_=0, to=0))
        await spool.close()
        return found

    assert not any(device.summary or device.witnessed for device in asyncio.run(main()).devices.values())


def test_a_plan_of_an_earlier_program_has_no_checksum_and_is_not_believed_in_a_damaged_file(path: Path) -> None:
    change(path, "UPDATE plan SET version=1, fields=?", json.dumps(FIELDS))
    assert not is_digested(after_damage(path))


def test_a_plan_of_an_earlier_program_is_believed_in_a_sound_file(path: Path) -> None:
    change(path, "UPDATE plan SET version=1, fields=?", json.dumps(FIELDS))

    async def main() -> Body:
        spool = Spool(disk=FileDisk(path=path, bytes_max=BYTES_MAX), run=NEW, boot="boot")
        await spool.open()
        assert await spool.evict(1, before_ms=BASE + HOUR_MS, busy=nothing)
        found = (await bodies(spool))[NEW, 1]
        await spool.close()
        return found

    assert is_digested(asyncio.run(main()))


def test_a_plan_of_a_run_that_is_not_there_is_not_carried_over(path: Path) -> None:
    change(path, "INSERT INTO plan VALUES (?, ?, ?)", NEW, plan_row.PLAN_VERSION, plan_row.write(NEW, FIELDS))
    (wreck,) = _set_aside(path)
    assert list(wreck.plans) == [OLD]


def test_a_plan_of_another_run_does_not_pass_for_this_ones(path: Path) -> None:
    change(path, "UPDATE plan SET fields=?", plan_row.write(NEW, FIELDS))
    (wreck,) = _set_aside(path)
    assert not wreck.plans


def test_a_plan_longer_than_a_page_is_carried_over_whole(tmp_path: Path) -> None:
    many = {f"meter-{n}": {"total": FieldPlan(FieldKind.COUNTER, 1000 + n)} for n in range(1000)}
    path = tmp_path / "spool.db"

    async def main() -> None:
        spool = Spool(disk=FileDisk(path=path, bytes_max=BYTES_MAX), run=OLD, boot="boot", fields=many)
        await spool.open()
        await spool.close()

    asyncio.run(main())
    (wreck,) = _set_aside(path)
    assert (
        len(wreck.plans[OLD]) > 2 * PAGE_BYTES and plan_row.read(OLD, plan_row.PLAN_VERSION, wreck.plans[OLD]) == many
    )


def test_a_row_of_a_plan_says_after_it_was_written_what_it_said_before() -> None:
    text = plan_row.write(OLD, FIELDS)
    assert plan_row.read(OLD, plan_row.PLAN_VERSION, text) == FIELDS
    for at in range(len(text)):
        assert plan_row.read(OLD, plan_row.PLAN_VERSION, text[:at]) == {}
        assert plan_row.read(OLD, plan_row.PLAN_VERSION, f"{text[:at]}#{text[at + 1 :]}") == {}
    assert plan_row.read(OLD, plan_row.PLAN_VERSION + 1, text) == {}, "of a version to come"
    assert len(text) < DIGEST_BYTES_MAX
