"""What happens to gateways in the field, with the shipped agent, worker and audit: the audit adds up, or names it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from data_contract.verdict import Closed
from delivery_audit.days import Days
from delivery_audit.evidence import audit
from delivery_audit.ledger import Ledger
from ingest.desk import Desk
from ingest.letters import id_of
from ingest.request import Allow, Close, Replay
from tests.faults.world import Gateway, World
from tests.twins.clock import civil_ms
from tests.twins.cloud import RequestsTwin
from tests.twins.loop import run_virtual

SEAL_MS = 10_000


class Field:
    """A world with one gateway, and a desk beside its worker."""

    def __init__(self, folder: Path) -> None:
        self.world = World(seed=5, folder=folder)
        self.folder = folder
        self.requests = RequestsTwin()
        self._stop = asyncio.Event()
        self._desk: asyncio.Task[None] | None = None

    @property
    def gateway(self) -> Gateway:
        return self.world.gateways[0]

    @property
    def run(self) -> str:
        assert self.gateway.agent is not None
        return self.gateway.agent.run_id

    def begin(self) -> None:
        self.world.start()
        self.open()

    def open(self) -> None:
        """A worker and its desk."""
        if "w1" not in self.world.workers:
            self.world.start_worker("w1")
        self._stop = asyncio.Event()
        desk = Desk(worker=self.world.workers["w1"][0], dead=self.world.dead, requests=self.requests)
        self._desk = asyncio.create_task(desk.run(self._stop), name="desk")

    async def close(self) -> None:
        """No worker runs."""
        await self.world.kill_worker("w1")
        self._stop.set()
        assert self._desk is not None
        await self._desk

    async def end(self) -> None:
        await self.world.settle(120)
        self._stop.set()
        assert self._desk is not None
        await self._desk

    def cut(self) -> None:
        """The gateway reaches nobody any more."""
        self.world.broker.cut_off.add(self.gateway.name)
        if (session := self.world.broker.sessions.get(self.gateway.name)) is not None:
            session.cut()

    async def other_card(self, name: str, board: str | None = None) -> None:
        """The agent is killed, and begins on an empty card."""
        await self.world.kill_gateway(self.gateway)
        self.gateway.path = self.folder / f"{name}.db"
        if board is not None:
            self.gateway.config = self.gateway.config.model_copy(update={"board": board})

    def back(self) -> None:
        """The agent begins again, and reaches the broker."""
        self.world.broker.cut_off.clear()
        self.world.start_gateway(self.gateway)

    async def ask(self, wish: Close | Allow | Replay) -> None:
        self.requests.leave(wish, civil_ms())
        await asyncio.sleep(10)
        assert self.requests.waiting == []

    async def ledger(self) -> Ledger:
        return await audit(self.world.store, "gw-1", now_ms=civil_ms(), days=Days(zone=UTC))


def play(folder: Path, script: Callable[[Field], Awaitable[None]]) -> None:
    async def main() -> None:
        field = Field(folder)
        field.begin()
        await asyncio.sleep(120)
        await script(field)

    run_virtual(main())


def whats(ledger: Ledger) -> list[str]:
    return [gap.what for gap in ledger.gaps if gap.readings]


def test_a_power_cut_costs_at_most_one_interval_and_the_time_without_an_agent(tmp_path: Path) -> None:
    async def script(field: Field) -> None:
        await field.world.kill_gateway(field.gateway)
        dead_ms = civil_ms()
        await asyncio.sleep(95)
        field.gateway.clock.reboot("boot-2")
        field.back()
        await asyncio.sleep(60)
        await field.end()
        ledger = await field.ledger()
        assert ledger.adds_up, ledger.unexplained
        unsealed, down = ledger.gaps[:2]
        assert (unsealed.what, down.what) == ("unsealed", "down")
        assert unsealed.from_ms <= dead_ms
        assert unsealed.to_ms - unsealed.from_ms == SEAL_MS
        assert down.from_ms == unsealed.to_ms
        assert dead_ms + 95_000 <= down.to_ms <= dead_ms + 96_000

    play(tmp_path, script)


def test_a_damaged_spool_loses_what_was_in_it_and_the_audit_says_so(tmp_path: Path) -> None:
    async def script(field: Field) -> None:
        field.cut()
        cut_ms = civil_ms()
        await asyncio.sleep(100)
        await field.world.kill_gateway(field.gateway)
        for part in field.folder.glob(f"{field.gateway.path.name}*"):
            part.write_bytes(b"rubbish " * 4096)
        field.back()
        began_ms = civil_ms()
        await asyncio.sleep(60)
        await field.end()
        ledger = await field.ledger()
        assert ledger.adds_up, ledger.unexplained
        (lost,) = (gap for gap in ledger.gaps if gap.what == "lost")
        assert cut_ms - 2 * SEAL_MS < lost.from_ms < cut_ms
        assert began_ms <= lost.to_ms <= began_ms + 1000
        assert lost.why == "the spool was damaged"
        assert lost.readings > 100

    play(tmp_path, script)


def test_what_was_on_a_card_that_was_replaced_is_lost_as_soon_as_an_operator_says_so(tmp_path: Path) -> None:
    async def script(field: Field) -> None:
        before = field.run
        field.cut()
        await asyncio.sleep(100)
        await field.other_card("new", board="board9")
        field.back()
        await asyncio.sleep(60)
        parked = await field.ledger()
        assert parked.gaps[-1].what == "set_aside"
        assert parked.gaps[-1].why == "board board9 is parked"
        assert parked.adds_up
        field.world.boards.boards["gw-1"] = {"board9"}
        await field.ask(Allow(gateway="gw-1", board="board9"))
        await asyncio.sleep(300)
        allowed = await field.ledger()
        assert allowed.notes == ()
        assert "set_aside" not in whats(allowed)
        await field.ask(Close(gateway="gw-1", said=Closed(run=before, reason="card broke", by="mei")))
        closed = await field.ledger()
        (lost,) = (gap for gap in closed.gaps if gap.what == "lost")
        assert lost.why.startswith("closed by mei on ")
        assert lost.why.endswith("card broke")
        assert lost.to_ms - lost.from_ms > 100_000
        assert closed.adds_up
        assert "unsealed" not in whats(closed)
        await field.ask(Close(gateway="gw-1", said=Closed(run=before, by="mei", reopened=True)))
        assert (await field.ledger()).gaps[:2] == allowed.gaps[:2]
        await field.end()
        assert (await field.ledger()).adds_up

    play(tmp_path, script)


def test_a_cloned_card_is_parked_and_the_true_one_goes_on_without_a_gap(tmp_path: Path) -> None:
    async def script(field: Field) -> None:
        true = field.gateway
        clone = replace(true, path=tmp_path / "clone.db", sealed={}, booted={})
        clone.config = true.config.model_copy(update={"board": "board9"})
        assert true.disk is not None
        with sqlite3.connect(true.path) as db, sqlite3.connect(clone.path) as copy:
            db.backup(copy)
        field.world.start_gateway(clone)
        await asyncio.sleep(300)
        await field.world.kill_gateway(clone)
        await asyncio.sleep(30)
        ledger = await field.ledger()
        assert ledger.adds_up, ledger.unexplained
        assert set(whats(ledger)) <= {"silent", "down"}
        assert sum(gap.readings for gap in ledger.gaps) < 40
        assert [note.split(" since ")[0] for note in ledger.notes] == ["board board9 has been parked"]

    play(tmp_path, script)


@pytest.mark.parametrize("change", ["removed device", "poll interval"])
def test_a_changed_site_file_is_held_against_its_own_schedule_from_its_start_on(change: str, tmp_path: Path) -> None:
    async def script(field: Field) -> None:
        await field.world.stop_gateway(field.gateway)
        before = await field.ledger()
        config = field.gateway.config
        devices = dict(config.devices)
        if change == "removed device":
            del devices["meter-2"]
        else:
            devices["meter-2"] = devices["meter-2"].model_copy(update={"every_s": {"main": 30.0, "slow": 60.0}})
        field.gateway.config = config.model_copy(update={"devices": devices})
        field.back()
        await asyncio.sleep(600)
        await field.end()
        ledger = await field.ledger()
        assert ledger.adds_up, ledger.unexplained
        assert ledger.notes == ()
        one, two = (ledger.total([name]).expected - before.total([name]).expected for name in ("meter-1", "meter-2"))
        assert 250 < one < 330
        assert two < 10 if change == "removed device" else 40 < two < 80

    play(tmp_path, script)


def test_a_row_that_vanished_from_the_spool_and_a_receipt_and_a_value_from_the_store_are_each_named(
    tmp_path: Path,
) -> None:
    async def script(field: Field) -> None:
        field.cut()
        await asyncio.sleep(100)
        await field.world.kill_gateway(field.gateway)
        with sqlite3.connect(field.gateway.path) as db:
            gone = db.execute("SELECT max(seq) - 4 FROM batch").fetchone()[0]
            assert db.execute("DELETE FROM batch WHERE seq=?", (gone,)).rowcount == 1
        run = field.run
        field.back()
        await asyncio.sleep(120)
        await field.end()
        ledger = await field.ledger()
        assert [(found.run, found.first, found.last) for found in ledger.unexplained] == [(run, gone, gone)]
        receipt = next(r for r in await field.world.store.receipts(0, 10**6) if (r.run, r.seq) == (run, 3))
        field.world.store.delete_receipt(receipt)
        ledger = await field.ledger()
        assert {(found.run, found.first) for found in ledger.unexplained} == {(run, 3), (run, gone)}
        series = next(key for key in await field.world.store.series() if key.field == "level")
        t_ms = int((await field.world.store.window([series], 0, 2**50))[series].t[12])
        field.world.store.delete_reading(series, t_ms)
        ledger = await field.ledger()
        assert [(f.device, f.readings) for f in ledger.unexplained if f.device] == [(series.device, 1)]

    play(tmp_path, script)


def test_values_that_came_too_early_are_replayed_when_their_time_has_come(tmp_path: Path) -> None:
    async def script(field: Field) -> None:
        field.gateway.clock.offset_ms += 2 * 86_400_000
        await asyncio.sleep(60)
        field.gateway.clock.offset_ms -= 2 * 86_400_000
        await asyncio.sleep(120)
        letters = field.world.dead.letters
        assert {letter.reason for letter in letters} == {"stamp lies in the future"}
        await field.world.stop_gateway(field.gateway)
        await field.close()
        await asyncio.sleep(3 * 86_400)
        field.open()
        before = await field.ledger()
        assert before.total().fates["rejected"] > 20
        assert before.adds_up, before.unexplained
        await field.ask(Replay(ids=[id_of(letter) for letter in letters]))
        await field.end()
        ledger = await field.ledger()
        assert field.world.dead.letters == []
        assert ledger.adds_up, ledger.unexplained
        assert ledger.total().fates["rejected"] == 0
        assert await field.world.stored() == field.world.sealed_readings(field.gateway)

    play(tmp_path, script)
