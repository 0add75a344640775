"""Some batches do not wait for the clock: they get an estimate for good, and nothing else in the spool gets one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from data_contract.reading import EARLIEST_MS
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.estimate import UNKNOWN_MS
from edge_agent.keep.spool import Sealed, Spool

RUN, NEXT = "a" * 32, "b" * 32
GUESS_MS, LOW_MS = 1_789_999_999_005, 1_789_990_000_000
TRUE_MS = 1_790_003_600_000


def sealed(seq: int, *, guess_ms: int = GUESS_MS, base_ms: int | None = None) -> Sealed:
    body = f'{{"from":{(seq - 1) * 1000},"to":{seq * 1000}}}'
    return Sealed(seq=seq, base_ms=base_ms, guess_ms=guess_ms, to_ms=TRUE_MS + seq * 1000, body=body, low_ms=LOW_MS)


def spool_at(path: Path, run: str = RUN, boot: str = "boot-1") -> Spool:
    return Spool(disk=FileDisk(path=path, bytes_max=10_000_000), run=run, boot=boot)


def play(path: Path, work: Callable[[Spool], Awaitable[None]]) -> Spool:
    """Let a run work on the spool and die; then the next one, as it finds the spool."""

    async def main() -> Spool:
        spool = spool_at(path)
        await spool.open()
        await work(spool)
        await spool.close()
        after = spool_at(path, NEXT)
        await after.open()
        await after.close()
        return after

    return asyncio.run(main())


def test_only_what_is_named_gets_an_estimate_and_it_stays_when_the_time_is_known(tmp_path: Path) -> None:
    async def work(spool: Spool) -> None:
        for seq in (1, 2, 3):
            await spool.seal(sealed(seq), [])
        await spool.guess_only([(RUN, 2, 2)])
        assert [spool.held[RUN, seq].dated for seq in (1, 2, 3)] == [False, True, False]
        (row,) = await spool.take((RUN, 2, 2))
        assert (row.base_ms, row.unsure) == (GUESS_MS, (LOW_MS, UNKNOWN_MS))
        await spool.date(TRUE_MS)
        rows = await spool.take((RUN, 1, 3))
        assert [(row.base_ms, row.unsure) for row in rows] == [
            (TRUE_MS, None),
            (GUESS_MS, (LOW_MS, UNKNOWN_MS)),
            (TRUE_MS, None),
        ]

    after = play(tmp_path / "spool.db", work)
    assert after.past.ended_ms == TRUE_MS + 3000


@pytest.mark.parametrize("late", [False, True])
def test_the_next_run_goes_on_from_the_end_of_the_last_batch_whether_that_was_the_alarm_or_not(
    late: bool, tmp_path: Path
) -> None:
    async def alarm_is_last(spool: Spool) -> None:
        for seq in (1, 2):
            await spool.seal(sealed(seq), [])
        await spool.guess_only([(RUN, 2, 2)])
        await spool.forget([(RUN, 2, 2)])  # confirmed at once: what is left ended earlier

    async def another_follows(spool: Spool) -> None:
        for seq in (1, 2, 3):
            if seq == 3 and not late:
                await spool.guess_only([(RUN, 2, 2)])
            await spool.seal(sealed(seq), [])
        if late:  # the disk had no room for it before
            await spool.guess_only([(RUN, 2, 2)])
        await spool.forget([(RUN, 2, 2)])

    after = play(tmp_path / "one.db", alarm_is_last)
    assert after.previous is not None
    assert after.previous.to_ms == after.past.ended_ms == GUESS_MS + 2000
    after = play(tmp_path / "two.db", another_follows)
    assert after.previous is not None
    assert (after.previous.to_ms, after.past.ended_ms) == (None, GUESS_MS + 3000)
    assert after.past.undated


def test_what_no_clock_has_ever_told_of_has_no_estimate(tmp_path: Path) -> None:
    async def work(spool: Spool) -> None:
        for seq, guess_ms in ((1, EARLIEST_MS - 1), (2, EARLIEST_MS), (3, 0)):
            await spool.seal(sealed(seq, guess_ms=guess_ms), [])
        await spool.guess_only([(RUN, 1, 3)])
        assert [spool.held[RUN, seq].dated for seq in (1, 2, 3)] == [False, True, False]

    after = play(tmp_path / "spool.db", work)
    assert [held.dated for held in after.held.values()] == [False, True, False]


def test_what_is_dated_or_gone_is_left_as_it_is(tmp_path: Path) -> None:
    async def work(spool: Spool) -> None:
        await spool.seal(sealed(1, base_ms=TRUE_MS), [])
        await spool.guess_only([(RUN, 1, 7)])
        (row,) = await spool.take((RUN, 1, 1))
        assert row.base_ms == TRUE_MS

    after = play(tmp_path / "spool.db", work)
    assert after.past.ended_ms == TRUE_MS + 1000
