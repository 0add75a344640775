"""What a worker makes of what it is sent: for each defect what ack and receipt say, and where the copy lies."""

from __future__ import annotations

import asyncio
import logging
import random
import zlib
from collections.abc import Callable, Coroutine, Sequence
from time import process_time, time_ns
from typing import Any

import pytest

from data_contract.batch import write_body
from data_contract.civil import CLOCK_VARIABLE, ScaledClock
from data_contract.message import BODY_BYTES_MAX, Row, pack
from ingest import worker
from ingest.app import civil_us
from ingest.ports import Delivery
from ingest.worker import RETRY_MAX_S
from series_store.table import Outcome, Refusal, Table
from tests.twins.death import Killed
from tests.twins.loop import run_virtual
from tests.unit.data_contract import random_batches as some
from tests.unit.ingest.cloud import BASE_MS, RUN, TOPIC, Cloud, batch, framed, key

Script = Callable[[Cloud], Coroutine[Any, Any, None]]
GOOD = '{"from":0,"to":1}'
DAY_MS = 86_400_000


def play(script: Script) -> Cloud:
    async def main() -> Cloud:
        cloud = Cloud()
        await script(cloud)
        return cloud

    return run_virtual(main())


def _swelling(first: int, last: int) -> bytes:
    """A message of half a kB that is a hundred times as large when it is inflated, and larger still when decoded."""
    zeros = b"0," * 2_000 + b"0"
    device = b'{"kind":"energy_meter","blocks":[{"t":[%b],"values":{"power_w":[%b]}}]}' % (zeros, zeros)
    lines = [
        b'[%d,%d,{"from":0,"to":10000,"devices":{"m1":%b}}]\n' % (seq, BASE_MS, device)
        for seq in range(first, last + 1)
    ]
    return framed(zlib.compress(b"".join(lines)), first=first, last=last, packing="zlib")


def test_messages_that_swell_when_they_are_inflated_are_not_decoded_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payloads = [_swelling(seq, seq + 7) for seq in range(1, 81, 8)]
    assert max(map(len, payloads)) < 1_000
    monkeypatch.setattr(worker, "PORTION_BYTES_MAX", 100_000)

    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(*payloads)

    stored = [ack.stored for ack in play(script).acks]
    assert stored == [((first, first + 15),) for first in range(1, 81, 16)], (
        "two by two: the second one passes the bound"
    )


def test_what_is_sound_is_stored_receipted_and_acknowledged() -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(
            batch('"power_w":[1.5,2],"energy_kwh":[7,null]', t="[0,5000]", counts='{"main":[4,3,{"invalid":1}]}')
        )
        assert await cloud.stored() == {key("power_w"): 1.5, key("power_w", 5000): 2.0, key("energy_kwh"): 7.0}
        ((seq, readings, bad, said),) = await cloud.receipts()
        assert (seq, readings, bad) == (1, 3, 0)
        assert said.devices["m1"].counts == {"main": (4, 3, {"invalid": 1})}
        assert (said.devices["m1"].first_ms, said.devices["m1"].last_ms) == (BASE_MS, BASE_MS + 5000)

    cloud = play(script)
    (ack,) = cloud.acks
    assert (ack.run, ack.stored, ack.rejected, ack.worker) == (RUN, ((1, 1),), (), "w1")
    assert cloud.dead.letters == []


REFUSED: list[tuple[str, str, bytes, str]] = [
    ("no header", TOPIC, b"hello", "no_header"),
    ("unknown version", TOPIC, batch().replace(b"lg1 ", b"lg2 "), "unknown_version"),
    ("wrong crc", TOPIC, batch() + b"x", "bad_crc"),
    ("cut short", TOPIC, batch()[:-9], "bad_crc"),
    ("another gateway", TOPIC, batch().replace(b"gw-1", b"gw-2"), "foreign_gateway"),
    ("no gateway's topic", "lg/v1/x/y/data", batch(), "bad_topic"),
    ("hundred megabytes", TOPIC, bytes(100_000_000), "too_large"),
]


@pytest.mark.parametrize("topic, payload, reason", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_attributed_is_counted_and_left_to_the_gateway(
    topic: str, payload: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(payload, topic=topic)
        assert await cloud.stored() == {}
        assert await cloud.receipts() == []
        await cloud.confirm(batch())

    cloud = play(script)
    assert [ack.stored for ack in cloud.acks] == [((1, 1),)], "only the sound one that came after"
    assert cloud.dead.letters == []
    assert cloud.worker.counts[reason] == 1
    assert len([r for r in caplog.records if reason in r.getMessage()]) == 1
    assert all(len(r.getMessage()) < 1000 for r in caplog.records)


def test_the_log_does_not_grow_with_the_number_of_bad_messages(caplog: pytest.LogCaptureFixture) -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(*[b"hello"] * 500)

    cloud = play(script)
    assert cloud.worker.counts["no_header"] == 500
    assert len(caplog.records) <= 20


REJECTED: list[tuple[str, bytes]] = [
    ("malformed json", framed(b'[1,0,{"from":0,}]\n')),
    ("not json", framed(b"power 230\n")),
    ("wrong counts", batch(counts='{"main":[5,1,{"timeout":1}]}')),
    ("wrong seq", batch(seq=2).replace(b" 2-2 ", b" 1-1 ")),
    ("truncated deflate", framed(zlib.compress(b"[1,0," + b" " * 500 + b"{}]\n")[:-4], packing="zlib")),
    ("bomb", framed(zlib.compress(bytes(BODY_BYTES_MAX * 50), 9), packing="zlib")),
    ("column of text", batch('"power_w":["high"]')),
    ("more values than times", batch('"power_w":[1,2]')),
    ("reserved field", batch('"q_power_w":[1]')),
]


@pytest.mark.parametrize("payload", [r[1] for r in REJECTED], ids=[r[0] for r in REJECTED])
def test_a_batch_that_can_never_be_stored_is_rejected_and_kept_before_the_ack(payload: bytes) -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(payload, batch(seq=7))
        assert await cloud.stored() == {key("power_w"): 1.5}, "its neighbour is stored"
        receipts = {seq: (readings, bad, said.rejected) for seq, readings, bad, said in await cloud.receipts()}
        assert receipts[7] == (1, 0, None)
        assert receipts[1][:2] == (0, 0)
        assert receipts[1][2] == cloud.dead.letters[0].reason

    cloud = play(script)
    (ack,) = cloud.acks
    assert ack.stored == ((7, 7),)
    assert [(r.seq, r.reason) for r in ack.rejected] == [(1, cloud.dead.letters[0].reason)]
    (letter,) = cloud.dead.letters
    assert (letter.gateway, letter.run, letter.seq) == ("gw-1", RUN, 1)
    assert letter.line


@pytest.mark.parametrize("cell, shown", [("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf"), ("1e999", "inf")])
def test_a_cell_that_is_no_number_is_kept_apart_and_its_neighbours_are_stored(cell: str, shown: str) -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(batch(f'"power_w":[1.5,{cell}],"energy_kwh":[7,8]', t="[0,5000]"))
        assert await cloud.stored() == {key("power_w"): 1.5, key("energy_kwh"): 7.0, key("energy_kwh", 5000): 8.0}
        ((_, readings, bad, said),) = await cloud.receipts()
        assert (readings, bad, said.devices["m1"].stored, said.devices["m1"].bad) == (3, 1, 3, 1)

    cloud = play(script)
    assert cloud.acks[0].stored == ((1, 1),)
    (letter,) = cloud.dead.letters
    assert letter.values == (("m1", "power_w", BASE_MS + 5000, shown),)
    assert letter.reason == "not a finite number"


@pytest.mark.parametrize("off_ms, reason", [(2 * DAY_MS, "future"), (-20 * 365 * DAY_MS, "2010"), (2**52, "future")])
def test_a_stamp_that_cannot_be_right_is_kept_apart(off_ms: int, reason: str) -> None:
    async def script(cloud: Cloud) -> None:
        assert await cloud.confirm(batch('"power_w":[1.5,2.5]', t=f"[0,{off_ms}]"))
        assert await cloud.stored() == {key("power_w"): 1.5}
        ((_, readings, bad, _),) = await cloud.receipts()
        assert (readings, bad) == (1, 1)

    cloud = play(script)
    assert cloud.acks[0].stored == ((1, 1),)
    assert reason in cloud.dead.letters[0].reason


def test_a_batch_of_marks_under_stamps_that_are_refused_does_not_hold_up_everybody_else() -> None:
    """As large as a batch may be: each row was once held against each mark, for half a minute."""
    rows, marks = 32_000, 20_000
    t = f"[{-(2**52)}{',0' * (rows - 1)}]"
    payload = batch(f'"x":[1{",1" * (rows - 1)}]}},"quality":{{"x":[[1,1]{",[1,1]" * (marks - 1)}]', t=t)

    async def script(cloud: Cloud) -> None:
        began_s = process_time()
        assert await cloud.confirm(payload)
        assert process_time() - began_s < 4

    (letter,) = play(script).dead.letters
    assert len(letter.values) == rows + marks


def test_a_device_that_calls_itself_what_only_the_store_may_is_kept_apart() -> None:
    async def script(cloud: Cloud) -> None:
        for kind in ("receipt", "event", "summary", "rollup_1h", "asset", "cursor"):
            assert await cloud.confirm(batch(kind=kind))
        assert await cloud.stored() == {}
        assert [(readings, bad) for _, readings, bad, _ in await cloud.receipts()] == [(0, 1)] * 6

    cloud = play(script)
    assert all("is reserved" in letter.reason for letter in cloud.dead.letters)
    assert len(cloud.dead.letters) == 6


def test_an_absurd_quality_code_does_not_end_the_worker() -> None:
    async def script(cloud: Cloud) -> None:
        body = (
            f'[1,{BASE_MS},{{"from":0,"to":1,"devices":{{"m1":{{"kind":"bin","blocks":[{{"t":[0],'
            f'"values":{{"x":[1]}},"quality":{{"x":[[0,{"9" * 400}]]}}}}]}}}}}}]\n'
        )
        assert await cloud.confirm(framed(body.encode()))

    cloud = play(script)
    assert [r.seq for r in cloud.acks[0].rejected] == [1]


@pytest.mark.parametrize("seed", range(25))
def test_whatever_a_gateway_may_seal_or_a_fault_may_make_of_it_goes_through(seed: int) -> None:
    chance = random.Random(seed)

    async def script(cloud: Cloud) -> None:
        for _ in range(20):
            line = f"[1,{BASE_MS},{write_body(some.body(chance))}]"
            for _ in range(chance.randint(0, 3)):
                place = chance.randrange(len(line))
                line = line[:place] + chance.choice('019-+eE.,:"[]{}') + line[place + 1 :]
            await cloud.confirm(framed(line.encode() + b"\n"))
        batches = [Row(seq, BASE_MS, write_body(some.body(chance))) for seq in range(1, 9)]
        assert await cloud.confirm(pack("gw-1", "b1", RUN, batches))

    cloud = play(script)
    assert len(cloud.acks) == 21


def test_events_of_one_kind_at_one_instant_are_kept_apart_by_a_millisecond() -> None:
    async def script(cloud: Cloud) -> None:
        records = ",".join(f'{{"kind":"door","t":5,"values":{{"n":{n}}}}}' for n in range(3))
        assert await cloud.confirm(batch(more=f',"records":[{records},{{"kind":"lid","t":5}}]'))
        events = await cloud.store.events("door", 0, 2**50)
        assert [(e.t_ms - BASE_MS, dict(e.values)["n"]) for e in events] == [(5, 0.0), (6, 1.0), (7, 2.0)]
        assert [e.t_ms - BASE_MS for e in await cloud.store.events("lid", 0, 2**50)] == [5]

    play(script)


def test_an_event_that_lies_in_the_future_counts_as_no_reading_but_is_kept() -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(batch(more=f',"records":[{{"kind":"door","t":{9 * DAY_MS}}}]'))
        ((_, readings, bad, _),) = await cloud.receipts()
        assert (readings, bad) == (1, 0)

    assert [letter.values[0][1] for letter in play(script).dead.letters] == [""]


def test_a_second_board_is_parked_until_a_person_allows_it() -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(batch())
        other = batch(seq=2).replace(b" b1 ", b" b2 ")
        await cloud.confirm(other)
        assert [seq for seq, *_ in await cloud.receipts()] == [1]
        assert len(cloud.acks) == 1
        cloud.boards.boards["gw-1"] = {"b2"}
        await cloud.confirm(other)

    cloud = play(script)
    assert cloud.worker.counts["second_board"] == 1
    assert [ack.stored for ack in cloud.acks] == [((1, 1),), ((2, 2),)]


def test_a_batch_that_comes_twice_is_stored_once_and_has_two_receipts_that_agree() -> None:
    async def script(cloud: Cloud) -> None:
        await cloud.confirm(batch(), batch())
        await cloud.confirm(batch())
        assert await cloud.stored() == {key("power_w"): 1.5}
        assert [(seq, readings) for seq, readings, *_ in await cloud.receipts()] == [(1, 1)] * 3

    cloud = play(script)
    assert {ack.stored for ack in cloud.acks} == {((1, 1),)}


class Picky:
    """A store that refuses rows with a value of 13, as a database does whose field has another type."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def write(self, tables: Sequence[Table]) -> Outcome:
        refused = [
            Refusal(number, row, "field type conflict")
            for number, table in enumerate(tables)
            for row in range(len(table.times))
            if any(column[row] == 13.0 for column in table.columns)
        ]
        kept = []
        for number, table in enumerate(tables):
            rows = [row for row in range(len(table.times)) if (number, row) not in {(r.table, r.row) for r in refused}]
            columns = [[column[row] for row in rows] for column in table.columns]
            times = [table.times[row] for row in rows]
            kept.append(Table(table.measurement, table.tags, table.fields, times, columns, table.micros))
        await self._cloud.store.write(kept)
        return Outcome(refused=tuple(refused))

    async def close(self) -> None:
        return None


def test_rows_that_the_store_refuses_are_put_down_to_the_batch_that_brought_them() -> None:
    async def script(cloud: Cloud) -> None:
        cloud.worker._writer = Picky(cloud)
        bad = batch('"power_w":[1,13,3],"energy_kwh":[1,2,3]', t="[0,1000,1000]", seq=2)
        assert await cloud.confirm(batch(seq=1, t="[9]"), bad, bad, batch('"power_w":[null]', t="[0]", seq=3))
        receipts = [(seq, readings, bad) for seq, readings, bad, _ in await cloud.receipts()]
        assert receipts == [(1, 1, 0), (2, 4, 2), (2, 4, 2), (3, 0, 0)]
        assert key("power_w", 1000) not in await cloud.stored()
        assert (await cloud.stored())[key("power_w", 2000)] == 3.0

    cloud = play(script)
    assert cloud.acks[0].stored == ((1, 3),)
    letter = cloud.dead.letters[0]
    assert (letter.seq, letter.reason) == (2, "field type conflict")
    assert [(v[1], v[3]) for v in letter.values] == [("power_w", "13.0"), ("energy_kwh", "2.0")]


def test_a_refused_row_without_a_reading_in_it_does_not_end_the_worker() -> None:
    class NoMarks(Picky):
        async def write(self, tables: Sequence[Table]) -> Outcome:
            marks = [n for n, table in enumerate(tables) if any(f.startswith("q_") for f in table.fields)]
            return Outcome(refused=tuple(Refusal(n, 0, "no") for n in marks))

    async def script(cloud: Cloud) -> None:
        cloud.worker._writer = NoMarks(cloud)
        more = '"quality":{"power_w":[[0,3]]}'
        assert await cloud.confirm(batch(f'"power_w":[null]}},{more[:-1]}'))

    assert play(script).acks[0].stored == ((1, 1),)


def test_a_receipt_that_the_store_refuses_is_not_passed_over() -> None:
    class NoReceipts(Picky):
        async def write(self, tables: Sequence[Table]) -> Outcome:
            return Outcome(refused=(Refusal(0, 0, "no"),)) if tables[0].micros else Outcome()

    async def script(cloud: Cloud) -> None:
        cloud.worker._writer = NoReceipts(cloud)
        assert not await cloud.confirm(batch())

    assert play(script).acks == []


def test_a_store_that_is_away_gets_everything_later_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def script(cloud: Cloud) -> None:
        cloud.store.fail_next(30, Outcome(retry_after_s=1.0, reason="503"))
        assert await cloud.confirm(batch())
        assert asyncio.get_running_loop().time() > 29
        assert await cloud.stored() == {key("power_w"): 1.5}

    cloud = play(script)
    assert len(cloud.acks) == 1
    assert cloud.readies == 1
    lines = [r.getMessage() for r in caplog.records]
    assert lines == ["store: away (503); nothing is acknowledged until it is back", "store: back"]


def test_an_answer_of_the_store_that_got_lost_costs_a_second_write_and_nothing_else() -> None:
    async def script(cloud: Cloud) -> None:
        cloud.store.fail_next(2, Outcome(retry_after_s=0.1, reason="no answer"), stored=True)
        assert await cloud.confirm(batch())
        assert await cloud.stored() == {key("power_w"): 1.5}
        assert len(await cloud.receipts()) == 1

    assert len(play(script).acks) == 1


def test_a_receipt_whose_write_took_long_is_written_again_under_the_time_of_now() -> None:
    async def script(cloud: Cloud) -> None:
        async def slow(tables: Sequence[Table]) -> None:
            if tables[0].micros and not seen:
                seen.append(1)
                await asyncio.sleep(61)

        seen: list[int] = []
        cloud.store.before_write = slow
        assert await cloud.confirm(batch())
        first, second = await cloud.store.receipts(0, 10)
        assert second.at_us - first.at_us >= 61_000_000

    play(script)


def test_the_times_of_receipts_rise_strictly_also_where_the_clock_stands_still() -> None:
    async def script(cloud: Cloud) -> None:
        cloud.worker._now_us = lambda: 1_790_000_000_000_000
        for seq in range(1, 30):
            await cloud.confirm(batch(seq=seq), batch(seq=seq).replace(b"gw-1", b"gw-2"))
        times = [receipt.at_us for receipt in await cloud.store.receipts(0, 1000)]
        assert len(times) == 29
        assert times == sorted(set(times))

    play(script)


def test_the_clock_of_receipts_is_as_fine_as_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who counts by the millisecond meets his former life's receipts in it, should the clock be put back."""
    monkeypatch.delenv(CLOCK_VARIABLE, raising=False)
    now_us = civil_us()
    seen = [now_us() for _ in range(2000)]
    assert seen == sorted(seen)
    assert len({at % 1000 for at in seen}) > 10
    assert abs(seen[0] - time_ns() // 1000) < 60_000_000
    fast = ScaledClock(BASE_MS, time_ns() // 1_000_000 - 3_600_000, 24.0)
    monkeypatch.setenv(CLOCK_VARIABLE, fast.text())
    assert 0 <= civil_us()() - (BASE_MS + 24 * 3_600_000) * 1000 < 24 * 60_000_000


def test_full_dead_letters_hold_up_only_what_needs_them_and_ready_is_said_when_there_is_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def script(cloud: Cloud) -> None:
        cloud.dead.full = True
        bad = batch('"power_w":[NaN]', seq=2)
        for _ in range(3):
            assert not await cloud.confirm(batch(seq=1), bad, batch(seq=3))
        assert asyncio.get_running_loop().time() < 1, "neighbours wait for nobody"
        assert [ack.stored for ack in cloud.acks] == [((1, 1), (3, 3))] * 3
        assert {seq for seq, *_ in await cloud.receipts()} == {1, 3}
        assert cloud.readies == 0
        cloud.dead.full = False
        assert await cloud.confirm(bad)

    cloud = play(script)
    assert cloud.acks[-1].stored == ((2, 2),)
    assert cloud.readies == 1
    assert [r.getMessage().split(":")[0] for r in caplog.records] == ["dead letters", "dead letters"]


def test_a_worker_that_is_told_to_stop_while_the_store_is_away_stops_at_once_and_acknowledges_nothing() -> None:
    async def script(cloud: Cloud) -> None:
        cloud.store.fail_next(10**6, Outcome(retry_after_s=RETRY_MAX_S, reason="503"))
        task = asyncio.create_task(cloud.worker.run(cloud.stop), name="worker")
        cloud.consumer.arrive(TOPIC, batch())
        await asyncio.sleep(100)
        before_s = asyncio.get_running_loop().time()
        cloud.stop.set()
        await task
        assert asyncio.get_running_loop().time() - before_s < 1

    assert play(script).acks == []


def test_a_slow_store_is_given_several_groups_at_once() -> None:
    async def script(cloud: Cloud) -> None:
        cloud.store.write_latency_s = 5.0
        task = asyncio.create_task(cloud.worker.run(cloud.stop), name="worker")
        for seq in range(1, 4):
            cloud.consumer.arrive(TOPIC, batch(seq=seq))
            await asyncio.sleep(0.1)
        await asyncio.sleep(10.5)
        assert len(cloud.acks) == 3
        cloud.stop.set()
        await task

    play(script)


@pytest.mark.parametrize("step", ["data", "receipt"])
@pytest.mark.parametrize("when", ["before_write", "after_write"])
def test_a_worker_killed_between_two_steps_has_acknowledged_nothing_that_is_not_durable(step: str, when: str) -> None:
    async def script(cloud: Cloud) -> None:
        def die(tables: Sequence[Table]) -> None:
            if tables[0].micros == (step == "receipt"):
                raise Killed

        setattr(cloud.store, when, die)
        with pytest.raises(Killed):
            await cloud.confirm(batch('"power_w":[NaN,2]', t="[0,1]"))
        assert cloud.acks == []
        kept = step == "receipt"
        assert len(cloud.dead.letters) == kept
        setattr(cloud.store, when, None)
        assert await cloud.confirm(batch('"power_w":[NaN,2]', t="[0,1]"))
        assert await cloud.stored() == {key("power_w", 1): 2.0}

    assert play(script).acks[0].stored == ((1, 1),)


def test_readings_of_several_gateways_in_one_group_stay_apart() -> None:
    async def script(cloud: Cloud) -> None:
        one, two = batch(seq=4), batch('"power_w":[9]', seq=5).replace(b"gw-1", b"gw-2")
        deliveries = [Delivery(TOPIC, one, None), Delivery("lg/v1/gw-2/data", two, None)]
        assert await cloud.worker.confirm(deliveries, cloud.stop)
        assert await cloud.stored() == {key("power_w"): 1.5, ("gw-2", "m1", "power_w", 0): 9.0}

    cloud = play(script)
    assert [name for name, _ in cloud.said] == ["lg/v1/gw-1/ack", "lg/v1/gw-2/ack"]
    assert [ack.stored for ack in cloud.acks] == [((4, 4),), ((5, 5),)]
