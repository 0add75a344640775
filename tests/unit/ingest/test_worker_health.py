"""A worker whose store is away works; one that hangs is named. Its figures are what it did."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

from ingest import report
from ingest.report import State
from ingest.tally import GATEWAYS_MAX, Tally
from ingest.worker import STEP_S_MAX, STORE_S_MAX, TAKE_WAIT_S
from series_store.table import Outcome, Table
from service_health.endpoint import renderer
from service_health.promises import Promises
from tests.twins.loop import run_virtual
from tests.unit.ingest.cloud import TOPIC, Cloud, batch, framed

HOURS_S = 6 * 3600.0


class Watched(Cloud):
    """A worker whose promises are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.promises = Promises(asyncio.get_running_loop().time)
        self.worker._promises = self.promises

    async def overdue_at(self, *times_s: float) -> list[list[str]]:
        """Names of the tasks that are overdue, by and by; groups without their number."""
        found = []
        for at_s in times_s:
            await asyncio.sleep(at_s - asyncio.get_running_loop().time())
            found.append(sorted(name.split()[0] for name in self.promises.broken()))
        return found

    def state(self) -> State:
        return State(
            version="1.2.3",
            worker="w1",
            now_ms=self.worker._now_us() // 1000,
            connected=True,
            connections=1,
            waiting_messages=0,
            waiting_bytes=0,
            waiting_gateways=0,
            dropped={("flood", "gw-9"): 7},
            counts=self.worker.counts,
            refused_names={"fields": 3},
            away=self.worker.away,
            tally=self.worker.tally,
            dead_letters=len(self.dead.letters),
            dead_letter_bytes=0,
            parked=0,
            overdue=self.promises.broken(),
        )


def test_a_worker_whose_store_is_away_for_hours_is_not_taken_for_one_that_hangs() -> None:
    async def away(_: Sequence[Table]) -> Outcome:
        await asyncio.sleep(20)
        return Outcome(retry_after_s=300.0, reason="away")

    async def main() -> None:
        cloud = Watched()
        cloud.store.write = away  # type: ignore[method-assign, assignment]
        running = asyncio.create_task(cloud.worker.run(cloud.stop))
        for number in range(9):
            cloud.consumer.arrive(TOPIC, batch(seq=number + 1))
            await asyncio.sleep(1)
        assert not any(await cloud.overdue_at(*range(100, int(HOURS_S), 100)))
        assert cloud.worker.away == {"store"}
        assert "store away" in report.status(cloud.state())
        assert cloud.acks == []
        cloud.stop.set()
        await running

    run_virtual(main())


def test_a_write_that_never_ends_is_named_while_the_rest_goes_on() -> None:
    async def main() -> None:
        cloud = Watched()
        shipped, hangs = cloud.store.write, [True]

        async def write(tables: Sequence[Table]) -> Outcome:
            if hangs.pop() if hangs else False:
                await asyncio.Event().wait()
            return await shipped(tables)

        cloud.store.write = write  # type: ignore[method-assign]
        running = asyncio.create_task(cloud.worker.run(cloud.stop))
        cloud.consumer.arrive(TOPIC, batch(seq=1))
        await asyncio.sleep(1)
        cloud.consumer.arrive(TOPIC, batch(seq=2))
        assert await cloud.overdue_at(STORE_S_MAX - 1, STORE_S_MAX + 2) == [[], ["group"]]
        assert [ack.stored for ack in cloud.acks] == [((2, 2),)]
        running.cancel()

    run_virtual(main())


def test_a_hand_over_that_hangs_is_named() -> None:
    async def main() -> None:
        cloud = Watched()

        async def take(_: float) -> list[object]:
            await asyncio.Event().wait()
            raise AssertionError

        cloud.consumer.take = take  # type: ignore[method-assign, assignment]
        running = asyncio.create_task(cloud.worker.run(cloud.stop))
        latest_s = TAKE_WAIT_S + STEP_S_MAX
        assert await cloud.overdue_at(latest_s - 1, latest_s + 1) == [[], ["take"]]
        running.cancel()

    run_virtual(main())


def test_a_worker_that_has_stopped_owes_nothing() -> None:
    async def main() -> None:
        cloud = Watched()
        running = asyncio.create_task(cloud.worker.run(cloud.stop))
        cloud.consumer.arrive(TOPIC, batch())
        await asyncio.sleep(2)
        cloud.stop.set()
        await running
        assert await cloud.overdue_at(HOURS_S) == [[]]

    run_virtual(main())


def test_the_figures_are_what_was_done() -> None:
    async def main() -> str:
        cloud = Watched()
        await cloud.confirm(batch(seq=1), batch('"power_w":[1,2]', t="[0,1000]", seq=2))
        await cloud.confirm(batch(seq=2))
        await cloud.confirm(b"hello")
        await cloud.confirm(framed(b"power 230\n", first=3, last=3))
        await asyncio.sleep(30)
        return renderer(lambda: report.metrics(cloud.state()))().decode()

    found = {
        (sample.name.removeprefix("loopgauge_ingest_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(run_virtual(main()))
        for sample in family.samples
    }
    assert found["messages_total",] == 4
    assert found["batches_total",] == 4
    assert found["readings_total",] == 4
    assert found["redelivered_total",] == 1
    assert found["refused_total", "no_header"] == 1
    assert found["refused_names_total", "fields"] == 3
    assert found["dead_letters_total",] == 1
    assert found["store_writes_total",] == 5, "two steps of each group that brought any, one for what was rejected"
    assert found["store_away",] == 0
    assert found["lag_seconds", "gw-1"] >= 20, "the newest interval ended 10 s after the beginning"
    assert {labels for labels in found if labels[0] == "dropped_total"} == {("dropped_total", "gw-9", "flood")}
    assert ("info", "1.2.3", "w1") in found


def test_figures_by_gateway_have_an_end() -> None:
    tally = Tally()
    for number in range(GATEWAYS_MAX + 5):
        tally.confirmed(f"gw-{number}", "run", number, None, 0)
    assert len(tally.heard) == GATEWAYS_MAX
