"""The faults that a test can order from the twin, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from series_store.port import Unavailable
from series_store.table import STORED, Outcome, Table
from tests.ports.store_rows import POWER, pairs, readings, receipt, receipt_table
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin

ROW = readings([0], {"power_w": [1.0]})
BUSY = Outcome(retry_after_s=5.0, reason="busy")


async def stored(twin: StoreTwin) -> list[tuple[int, float]]:
    return pairs((await twin.window([POWER], 0, 2**62))[POWER])


def test_writes_fail_as_often_as_ordered_and_store_nothing() -> None:
    async def story() -> None:
        twin = StoreTwin()
        twin.fail_next(2, BUSY)
        assert [await twin.write([ROW]) for _ in range(3)] == [BUSY, BUSY, STORED]
        assert twin.writes == 1

    run_virtual(story())


def test_an_answer_may_be_lost_although_everything_was_stored() -> None:
    async def story() -> None:
        twin = StoreTwin()
        twin.fail_next(1, BUSY, stored=True)
        assert await twin.write([ROW]) == BUSY
        assert await stored(twin) == [(0, 1.0)]

    run_virtual(story())


@pytest.mark.parametrize("when, there", [("before_write", []), ("after_write", [(0, 1.0)])])
def test_a_program_can_be_killed_before_and_after_its_write(when: str, there: list[tuple[int, float]]) -> None:
    async def story() -> None:
        twin = StoreTwin()

        def kill(tables: Sequence[Table]) -> None:
            assert tables == [ROW]
            raise asyncio.CancelledError

        setattr(twin, when, kill)
        task = asyncio.create_task(twin.write([ROW]), name="write")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await stored(twin) == there

    run_virtual(story())


def test_a_hook_may_wait_and_latency_passes_in_virtual_time() -> None:
    async def story() -> None:
        twin = StoreTwin(write_latency_s=2.0, read_latency_s=1.0)

        async def wait(tables: Sequence[Table]) -> None:
            await asyncio.sleep(10)

        twin.after_write = wait
        assert await twin.write([ROW]) == STORED
        assert await stored(twin) == [(0, 1.0)]
        assert asyncio.get_running_loop().time() == pytest.approx(13.0)

    run_virtual(story())


def test_reads_fail_as_often_as_ordered() -> None:
    async def story() -> None:
        twin = StoreTwin()
        twin.fail_reads_next(1, "nobody there")
        with pytest.raises(Unavailable, match="nobody there"):
            await twin.series()
        assert await twin.series() == []

    run_virtual(story())


def test_what_is_deleted_behind_everyones_back_is_gone() -> None:
    async def story() -> None:
        twin = StoreTwin()
        one = receipt(5)
        await twin.write([ROW, readings([7], {"power_w": [2.0]}), receipt_table(one)])
        twin.delete_reading(POWER, int((await twin.latest([POWER]))[POWER][0]))
        twin.delete_receipt(one)
        assert await stored(twin) == [(0, 1.0)]
        assert await twin.receipts(0, 10) == []
        assert await twin.last_receipts() == []

    run_virtual(story())
