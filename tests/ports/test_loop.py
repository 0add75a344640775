"""What the loops of the tests promise, checked beside the real one where a person has the time to wait for that."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.twins.loop import Stalled, run_virtual
from tests.twins.steady import STEP_S, run_steady

Run = Callable[[Coroutine[Any, Any, Any]], Any]
DAY_S = 86_400.0


def now_s() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture(params=[asyncio.run, run_virtual, run_steady], ids=["real", "virtual", "steady"])
def run(request: pytest.FixtureRequest) -> Run:
    """Every loop: what a flow sees of time must not depend on which one it runs in."""
    chosen: Run = request.param
    return chosen


def test_sleepers_wake_in_the_order_of_their_deadlines(run: Run) -> None:
    async def main() -> list[str]:
        woken: list[str] = []

        async def sleeper(name: str, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            woken.append(name)

        async with asyncio.TaskGroup() as group:
            for name, delay_s in [("third", 0.06), ("first", 0.02), ("second", 0.04)]:
                group.create_task(sleeper(name, delay_s), name=name)
        return woken

    assert run(main()) == ["first", "second", "third"]


def test_a_time_out_ends_what_takes_longer_and_spares_what_does_not(run: Run) -> None:
    async def main() -> tuple[bool, float]:
        began_s = now_s()
        async with asyncio.timeout(60):
            await asyncio.sleep(0.01)
        try:
            async with asyncio.timeout(0.05):
                await asyncio.sleep(DAY_S)
        except TimeoutError:
            return True, now_s() - began_s
        return False, now_s() - began_s

    timed_out, lasted_s = run(main())
    assert timed_out
    assert 0.06 <= lasted_s < 60


def test_a_task_that_fails_cancels_its_group(run: Run) -> None:
    cancelled: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.sleep(DAY_S)
        except asyncio.CancelledError:
            cancelled.append("forever")
            raise

    async def fails() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("the disk is gone")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(forever(), name="forever")
            group.create_task(fails(), name="fails")

    with pytest.raises(ExceptionGroup) as failure:
        run(main())
    assert failure.group_contains(ValueError, match="the disk is gone")
    assert cancelled == ["forever"]


def test_what_a_program_leaves_running_is_cancelled_at_its_end(run: Run) -> None:
    ended: list[str] = []

    async def left_behind() -> None:
        try:
            await asyncio.sleep(DAY_S)
        finally:
            ended.append("left behind")

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(left_behind(), name="left behind")
        await asyncio.sleep(0)
        return task

    assert run(main()).cancelled()
    assert ended == ["left behind"]


def test_virtual_time_starts_at_zero_and_is_exact() -> None:
    async def main() -> list[float]:
        times = [now_s()]
        for delay_s in (1.0, 0.25, 3600.0, 0.0):
            await asyncio.sleep(delay_s)
            times.append(now_s())
        return times

    assert run_virtual(main()) == pytest.approx([0.0, 1.0, 1.25, 3601.25, 3601.25], abs=1e-6)


def test_a_day_of_one_poll_a_second_passes_in_seconds() -> None:
    async def main() -> int:
        polls = 0
        while now_s() < DAY_S:
            await asyncio.sleep(1.0)
            polls += 1
        return polls

    began_s = time.process_time()
    assert run_virtual(main()) == pytest.approx(DAY_S, abs=1)
    assert time.process_time() - began_s < 60


def test_a_halt_of_the_process_does_not_count_on_a_steady_clock_and_a_sleep_does() -> None:
    async def main() -> tuple[float, float]:
        time.sleep(0.5)  # noqa: ASYNC251 - this is the halt
        halted_s = now_s()
        async with asyncio.timeout(30):
            await asyncio.sleep(0.3)
        return halted_s, now_s() - halted_s

    began_s = time.monotonic()
    halted_s, slept_s = run_steady(main())
    assert time.monotonic() - began_s >= 0.8
    assert halted_s < 10 * STEP_S
    assert 0.3 <= slept_s < 0.3 + 3 * STEP_S


def _busy_hour(seed: int) -> list[tuple[float, str]]:
    """Twenty workers over one queue, with waits and time-outs from one seed: who took what, and when."""
    chance = random.Random(seed)
    taken: list[tuple[float, str]] = []

    async def worker(name: str, jobs: asyncio.Queue[int]) -> None:
        while now_s() < 3600:
            try:
                async with asyncio.timeout(chance.choice([1, 2, 3])):
                    job = await jobs.get()
            except TimeoutError:
                taken.append((now_s(), f"{name} nothing"))
            else:
                taken.append((now_s(), f"{name} {job}"))
                await asyncio.sleep(chance.choice([1, 2, 30]))

    async def boss(jobs: asyncio.Queue[int]) -> None:
        for job in range(400):
            await jobs.put(job)
            await asyncio.sleep(chance.randint(1, 12))

    async def main() -> None:
        jobs: asyncio.Queue[int] = asyncio.Queue(maxsize=5)
        async with asyncio.TaskGroup() as group:
            group.create_task(boss(jobs), name="boss")
            for number in range(20):
                group.create_task(worker(f"w{number}", jobs), name=f"w{number}")

    run_virtual(main())
    return taken


def test_the_same_seed_gives_the_same_life_in_the_same_order() -> None:
    first = _busy_hour(7)
    assert len(first) > 1000
    assert _busy_hour(7) == first
    assert _busy_hour(8) != first


def test_a_program_in_which_nothing_can_ever_happen_is_reported_and_does_not_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stalled, match="every task waits"):
        run_virtual(main())


def test_waiting_behind_a_time_out_is_no_stall() -> None:
    async def main() -> str:
        try:
            async with asyncio.timeout(DAY_S):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return f"gave up after {now_s():.0f} s"
        return "heard something"

    assert run_virtual(main()) == "gave up after 86400 s"
