"""Dead letters that are replayed: what is stored, what the receipts and the audit say, whatever dies in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC
from typing import Any

import pytest

from data_contract import receipt as wire
from data_contract.message import unpack
from data_contract.verdict import Closed
from delivery_audit.days import Days
from delivery_audit.evidence import audit
from delivery_audit.ledger import Ledger
from ingest import replay as replaying
from ingest.desk import Desk
from ingest.letters import id_of
from ingest.ports import DeadLetter
from ingest.request import Close, Replay
from ingest.worker import Worker
from rollups.library import load_catalog
from rollups.worker import Worker as Rollups
from series_store.table import Outcome, Refusal, SeriesKey, Table
from service_health.promises import Promises
from tests.twins.clock import civil_ms
from tests.twins.cloud import RequestsTwin
from tests.twins.death import Killed, Life
from tests.twins.loop import run_virtual
from tests.unit.ingest.cloud import BASE_MS, RUN, Cloud, batch, framed, key, series
from tests.unit.rollups.plant import assets

Script = Callable[["Office"], Coroutine[Any, Any, None]]
DAY_MS = 86_400_000
FUTURE = "stamp lies in the future"


class Office(Cloud):
    """A cloud with a desk, which may be killed at any step and begun anew."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = RequestsTwin()
        self.life = Life()
        self.begin()

    def begin(self) -> None:
        """A worker and a desk that know nothing of those before them."""
        self.life = life = Life()
        self.worker = Worker(
            worker="w1",
            consumer=self.consumer,
            writer=_Dying(self, life),
            dead=self.dead,
            gateways=self.boards,
            now_us=lambda: civil_ms() * 1000,
        )
        self.dead.step = self.requests.step = life.step
        self.desk = Desk(worker=self.worker, dead=self.dead, requests=self.requests)

    def ask(self, *letters: DeadLetter) -> None:
        """An operator asks for these letters, or for all."""
        ids = [id_of(letter) for letter in letters or self.dead.letters]
        self.requests.leave(Replay(ids=ids), civil_ms())

    async def work(self, seconds: float = 100) -> None:
        """Let the desk look for so long."""
        stop = asyncio.Event()
        task = asyncio.create_task(self.desk.run(stop), name="desk")
        await asyncio.wait({task}, timeout=seconds)
        stop.set()
        await task

    async def ledger(self) -> Ledger:
        ledger = await audit(
            self.store, "gw-1", now_ms=BASE_MS + 10_000, days=Days(zone=UTC), from_ms=BASE_MS, to_ms=BASE_MS + 10_000
        )
        assert ledger.adds_up, ledger.unexplained
        assert ledger.surplus == ()
        return ledger

    async def fates(self) -> dict[str, int]:
        return {fate: number for fate, number in (await self.ledger()).total().fates.items() if number}


class _Dying:
    """The store of one life, which may end before a write and after it."""

    def __init__(self, office: Office, life: Life) -> None:
        self._office, self._life = office, life

    async def write(self, tables: Sequence[Table]) -> Outcome:
        kind = "receipt" if tables[0].micros else "data"
        self._life.step(f"{kind}.before")
        outcome = await self._office.store.write(tables)
        self._life.step(f"{kind}.after")
        return outcome

    async def close(self) -> None:
        return None


def play(script: Script) -> Office:
    async def main() -> Office:
        office = Office()
        await script(office)
        return office

    return run_virtual(main())


def early(ahead_ms: int, seq: int = 1, gateway_says: str = '{"main":[3,3,{}]}') -> bytes:
    """Three values, one of which bears a stamp `ahead_ms` after the others'."""
    return batch('"power_w":[1,2,3]', t=f"[0,1000,{ahead_ms}]", seq=seq, counts=gateway_says)


async def refused_then_possible(office: Office) -> None:
    """A letter for a value that was two days ahead when it came; then the two days pass."""
    assert await office.confirm(early(2 * DAY_MS))
    assert [letter.reason for letter in office.dead.letters] == [FUTURE]
    assert await office.fates() == {"stored": 2, "rejected": 1}
    await asyncio.sleep(2 * 86_400)


def test_a_replayed_value_is_stored_and_moves_from_rejected_to_stored() -> None:
    async def script(office: Office) -> None:
        await refused_then_possible(office)
        office.ask()
        await office.work()
        assert (await office.stored())[key("power_w", 2 * DAY_MS + 1000)] == 3.0
        assert await office.fates() == {"stored": 3}

    office = play(script)
    assert office.dead.letters == []
    assert office.requests.waiting == []
    assert office.worker.counts["replayed"] == 1


NEVER = DeadLetter(
    "gw-1",
    RUN,
    1,
    "not a finite number",
    values=(("m1", "power_w", BASE_MS, "nan"),),
    kinds=(("m1", "energy_meter"),),
    span=(BASE_MS, BASE_MS + 10_000),
)
STEPS = [
    "data.before",
    "data.after",
    "receipt.before",
    "receipt.after",
    "settle.before",
    "settle.after",
    "done.before",
    "done.after",
]


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_of_a_replay_neither_loses_nor_doubles(step: str) -> None:
    async def script(office: Office) -> None:
        await refused_then_possible(office)
        office.dead.letters.append(NEVER)
        office.ask()
        office.life.aim(step)
        with pytest.raises(Killed):
            await office.work()
        reason = {letter.reason for letter in office.dead.letters}
        assert "not a finite number" in reason, "what can never be stored is never without a copy"
        if (await office.fates()).get("rejected") == 1:
            assert FUTURE in reason, "a value that no receipt tells of is in the letters"
        office.begin()
        await office.work()
        assert await office.fates() == {"stored": 3}
        assert (await office.stored())[key("power_w", 2 * DAY_MS + 1000)] == 3.0

    office = play(script)
    assert [letter.reason for letter in office.dead.letters] == ["not a finite number"]
    assert office.requests.waiting == []


def test_a_desk_that_has_nothing_to_do_keeps_its_promises() -> None:
    async def script(office: Office) -> None:
        await refused_then_possible(office)
        promises = Promises(asyncio.get_running_loop().time)
        office.worker._promises = office.desk._promises = promises
        office.requests.leave(Close(gateway="gw-1", said=Closed(run=RUN)), civil_ms())
        office.ask()
        stop = asyncio.Event()
        task = asyncio.create_task(office.desk.run(stop), name="desk")
        for _ in range(100):
            await asyncio.sleep(60)
            assert promises.broken() == {}
        stop.set()
        await task
        assert await office.fates() == {"stored": 3}
        await asyncio.sleep(3600)
        assert promises.broken() == {}, "a program that has ended owes nothing"

    play(script)


def test_replaying_twice_and_letters_of_a_batch_that_came_twice_count_once() -> None:
    async def script(office: Office) -> None:
        await refused_then_possible(office)
        twin = office.dead.letters[0]
        office.dead.letters.append(twin)
        office.ask()
        await office.work()
        assert office.dead.letters == []
        # Another worker's folder has the same letter, from before the ack got lost.
        office.dead.letters.append(twin)
        office.ask()
        office.ask()
        await office.work()
        assert await office.fates() == {"stored": 3}

    play(script)


def test_a_letter_that_is_refused_again_stays_with_its_new_reason() -> None:
    async def script(office: Office) -> None:
        await refused_then_possible(office)

        async def no(tables: Sequence[Table]) -> Outcome:
            if tables[0].micros:
                return await office.store.write(tables)
            return Outcome(refused=(Refusal(0, 0, "field type conflict"),))

        office.worker._writer.write = no  # type: ignore[method-assign]
        office.ask()
        await office.work()
        assert await office.fates() == {"stored": 2, "rejected": 1}
        (letter,) = office.dead.letters
        assert (letter.reason, letter.values[0][3]) == ("field type conflict", "3.0")
        office.begin()
        office.ask()
        await office.work()
        assert await office.fates() == {"stored": 3}

    assert play(script).dead.letters == []


def test_of_two_values_the_one_that_can_be_stored_is_and_the_other_stays() -> None:
    async def script(office: Office) -> None:
        await office.confirm(batch('"power_w":[1,2,3]', t=f"[0,{2 * DAY_MS},{9 * DAY_MS}]", counts='{"main":[3,3,{}]}'))
        (letter,) = office.dead.letters
        assert len(letter.values) == 2
        await asyncio.sleep(2 * 86_400)
        office.ask()
        await office.work()
        assert await office.fates() == {"stored": 2, "rejected": 1}
        (letter,) = office.dead.letters
        assert [value[3] for value in letter.values] == ["3.0"]
        await asyncio.sleep(9 * 86_400)
        office.ask()
        await office.work()
        assert await office.fates() == {"stored": 3}

    assert play(script).dead.letters == []


def test_quality_and_records_and_summaries_come_back_as_they_were() -> None:
    async def script(office: Office) -> None:
        two = 2 * DAY_MS
        body = (
            f'[1,{BASE_MS},{{"from":0,"to":10000,"devices":{{"m1":{{"kind":"energy_meter","blocks":[{{"t":[{two}],'
            '"values":{"power_w":[5]},"quality":{"power_w":[[0,2]]}}],'
            f'"summary":{{"level":[[{BASE_MS + two},{BASE_MS + two + 9},3,1,2,1.5]]}}}}}},'
            f'"records":[{{"kind":"door","t":{two},"values":{{"n":4}},"data":{{"who":"nobody"}}}}]}}]\n'
        )
        assert await office.confirm(framed(body.encode()))
        await asyncio.sleep(2 * 86_400)
        office.ask()
        await office.work()
        window = (await office.store.window([series("power_w")], 0, 2**50))[series("power_w")]
        assert [(int(t) - BASE_MS, v, q) for t, v, q in zip(window.t, window.value, window.quality, strict=True)] == [
            (two, 5.0, 2.0)
        ]
        (door,) = await office.store.events("door", 0, 2**50)
        assert (door.t_ms - BASE_MS, door.text, door.values) == (two, '{"who":"nobody"}', (("n", 4.0),))
        said = {"to": BASE_MS + two + 9.0, "count": 3.0, "min": 1.0, "max": 2.0, "mean": 1.5}
        keys = {name: SeriesKey("summary", "gw-1", "m1", f"level_{name}") for name in said}
        windows = await office.store.window(list(keys.values()), 0, 2**50)
        assert {name: list(windows[of].value) for name, of in keys.items()} == {n: [v] for n, v in said.items()}

    assert play(script).dead.letters == []


BROKEN = '{"from":0,"to":10000,"devices":{"m1":{"kind":"energy_meter","blocks":[{"t":[0],"values":{"power_w":[7]}}]}}'
"""A batch without its last brace."""


@pytest.mark.parametrize("packing", ["plain", "zlib"])
def test_batches_that_were_rejected_whole_are_stored_by_a_version_that_can_read_them(
    packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(office: Office) -> None:
        if packing == "plain":
            assert await office.confirm(framed(f"[1,{BASE_MS},{BROKEN}]\n".encode()))
        else:  # a whole message of two batches that this version cannot inflate
            assert await office.confirm(framed(b"[1,2", first=1, last=2, packing="zlib"))
        letters = list(office.dead.letters)
        assert {letter.seq for letter in letters} == ({1} if packing == "plain" else {1, 2})
        office.ask(letters[0])
        await office.work()
        assert {id_of(letter) for letter in office.dead.letters} == {id_of(letter) for letter in letters}, "still not"

        def newer(header: Any, body: bytes) -> Any:
            assert (header.first, header.last) == (1, len(letters))
            assert header.packing == packing
            rows = "".join(f"[{seq},{BASE_MS},{BROKEN}}}]\n" for seq in range(header.first, header.last + 1))
            return unpack(header.__class__(*[*_fields(header)[:-1], "plain"]), rows.encode())

        monkeypatch.setattr(replaying, "unpack", newer)
        office.ask()
        await office.work()
        assert (await office.stored())[key("power_w")] == 7.0
        found = [(seq, readings) for seq, readings, _, said in await office.receipts() if said.rejected is None]
        assert found == [(letter.seq, 1) for letter in letters]

    assert play(script).dead.letters == []


def _fields(header: Any) -> list[Any]:
    return [getattr(header, name) for name in header.__slots__]


def test_a_receipt_of_a_replay_touches_the_hours_of_its_values_and_no_others() -> None:
    from rollups.cursor import touches

    async def script(office: Office) -> None:
        await refused_then_possible(office)
        before_us = (await office.store.receipts(0, 100))[-1].at_us
        office.ask()
        await office.work()
        (receipt,) = await office.store.receipts(before_us, 100)
        stamp = BASE_MS + 2 * DAY_MS + 1000
        assert [(t.device, t.first_ms, t.last_ms) for t in touches(receipt)] == [("m1", stamp, stamp)]
        assert receipt.at_us >= (BASE_MS + 2 * DAY_MS) * 1000, "stamped now, so that rollups see it"
        assert wire.read(receipt.counts).restored == id_of(early_letter)

    early_letter = DeadLetter("gw-1", RUN, 1, "", values=(("m1", "power_w", BASE_MS + 2 * DAY_MS + 1000, "3.0"),))
    play(script)


def test_rollups_compute_the_hours_of_replayed_values_again() -> None:
    async def script(office: Office) -> None:
        rollups = Rollups(
            reader=office.store, figures=office.store, assets=assets(), catalog=load_catalog(), now_ms=civil_ms
        )

        async def hours() -> dict[int, float]:
            while await rollups.cycle():
                pass
            rows = await office.store.figures("rollup_1h", {"device": "m1", "field": "power_w"}, 0, 2**50)
            return {t_ms: float(cells["readings"]) for t_ms, _, cells in rows if cells["readings"]}

        await refused_then_possible(office)
        before = await hours()
        assert list(before.values()) == [2.0]
        office.ask()
        await office.work()
        after = await hours()
        hour = (BASE_MS + 2 * DAY_MS + 1000) // 3_600_000 * 3_600_000
        assert after == before | {hour: 1.0}

    play(script)


def test_a_replay_is_not_taken_for_a_sign_of_life_of_the_gateway() -> None:
    async def script(office: Office) -> None:
        await refused_then_possible(office)
        (before,) = await office.store.last_receipts()
        office.ask()
        await office.work()
        assert await office.store.last_receipts() == [before]
        assert office.worker.tally.heard["gw-1"].at_ms == BASE_MS
        assert office.acks[1:] == [], "a gateway that has forgotten its batch hears nothing of it"

    play(script)


def test_letters_of_a_version_that_did_not_note_enough_stay_as_they_are() -> None:
    old = DeadLetter("gw-1", RUN, 3, "stamp lies in the future", values=(("m1", "power_w", BASE_MS, "5"),))

    async def script(office: Office) -> None:
        office.dead.letters.append(old)
        office.ask()
        await office.work()
        assert await office.stored() == {}

    office = play(script)
    assert office.dead.letters == [old]
    assert office.requests.waiting == []


NO_MESSAGE = DeadLetter("gw-1", RUN, 4, "y", line="base64:%%%")


def test_a_letter_that_somebody_wrote_by_hand_breaks_nothing() -> None:
    span = (BASE_MS, BASE_MS + 10_000)
    values = [("m1", "power_w", BASE_MS, "many"), ("m1", "", BASE_MS, "no json"), ("m1", "", BASE_MS, '{"fields":3}')]
    values += [("../x", "power_w", BASE_MS, "1"), ("m1", "Power W", BASE_MS, "1"), ("m2", "power_w", BASE_MS, "1")]
    values += [("m3", "power_w", BASE_MS, "1"), ("m1", "", BASE_MS, '{"measurement":"receipt","fields":{"a":1}}')]
    kinds = (("m1", "energy_meter"), ("../x", "energy_meter"), ("m3", "receipt"))
    strange = DeadLetter("gw-1", RUN, 3, "x", values=tuple(values), kinds=kinds, span=span)

    async def script(office: Office) -> None:
        office.dead.letters += [
            strange,
            NO_MESSAGE,
            DeadLetter("?", "", 0, "z"),
        ]
        office.ask()
        await office.work()
        assert await office.stored() == {}
        assert await office.store.events("", 0, 2**50) == []

    kept = [value for letter in play(script).dead.letters for value in letter.values]
    assert sorted(kept) == sorted(values)


def test_a_replay_waits_while_the_store_or_the_disk_takes_nothing() -> None:
    async def script(office: Office) -> None:
        await refused_then_possible(office)
        office.store.fail_next(20, Outcome(retry_after_s=1.0, reason="503"))
        office.dead.full = True
        office.ask()
        await office.work(300)
        assert len(office.requests.waiting) == len(office.dead.letters) == 1
        office.dead.full = False
        await office.work()
        assert await office.fates() == {"stored": 3}

    assert play(script).requests.waiting == []
