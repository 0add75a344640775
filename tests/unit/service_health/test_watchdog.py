"""The dog is fed while all tasks get on, and starves as soon as one does not."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from service_health import watchdog
from service_health.promises import Promises
from tests.twins.loop import run_virtual


class _Dog:
    def __init__(self, watchdog_s: float | None) -> None:
        self.watchdog_s = watchdog_s
        self.fed: list[float] = []

    def alive(self) -> None:
        self.fed.append(asyncio.get_running_loop().time())


async def _watched(dog: _Dog, promises: Promises, seconds: float) -> None:
    task = asyncio.create_task(watchdog.keep(promises, dog), name="watchdog")
    await asyncio.sleep(seconds)
    task.cancel()


def _promises() -> Promises:
    return Promises(lambda: asyncio.get_running_loop().time())


def test_the_service_manager_hears_three_times_within_its_time_out() -> None:
    async def main() -> list[float]:
        dog = _Dog(60)
        await _watched(dog, _promises(), 3600)
        return dog.fed

    fed = run_virtual(main())
    assert max(b - a for a, b in itertools.pairwise(fed)) == 20
    assert len(fed) == 180


def test_a_hung_task_is_named_once_and_the_dog_goes_hungry_until_it_gets_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> list[float]:
        dog, promises = _Dog(60), _promises()
        promises.within("bus line-2", 100)
        watching = asyncio.create_task(_watched(dog, promises, 1000), name="watched")
        await asyncio.sleep(500)
        promises.within("bus line-2", 10_000)
        await watching
        return dog.fed

    fed = run_virtual(main())
    assert not [s for s in fed if 101 < s < 500], "the dog was fed while a task hung"
    assert [s for s in fed if s < 101]
    assert [s for s in fed if s > 500]
    said = [f"{r.levelname} {r.getMessage()}" for r in caplog.records]
    assert [line.split(" has not")[0] for line in said] == ["CRITICAL bus line-2", "WARNING bus line-2 gets on again"]


def test_a_loop_that_was_held_up_as_a_whole_starves_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[float]:
        dog, promises = _Dog(60), _promises()

        async def worker() -> None:
            while True:
                promises.within("bus", 21.5)
                await asyncio.sleep(20.5)  # just awake after the dog's own look

        async def late() -> None:
            promises.within("held up", 19.5)
            await asyncio.sleep(20.5)
            promises.done("held up")

        tasks = [asyncio.create_task(work(), name="work") for work in (worker, late)]
        await _watched(dog, promises, 100)
        for task in tasks:
            task.cancel()
        return dog.fed

    fed = run_virtual(main())
    assert max(b - a for a, b in itertools.pairwise(fed)) <= 21
    assert not caplog.records


def test_without_a_service_manager_a_hung_task_is_named_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        promises = _promises()
        promises.within("send", 1)
        await _watched(_Dog(None), promises, 30)

    run_virtual(main())
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith("send has not got on")
