"""The rollup program is ready without a store, gets on while it computes, and starves its watchdog when it hangs."""

from __future__ import annotations

import asyncio
import itertools
import urllib.request
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rollups import app
from rollups.library import load_catalog
from rollups.steps import CALL_S_MAX, COMPUTE_S_MAX, Steps
from series_store.port import Unavailable
from tests.e2e.servers import free_port
from tests.twins.loop import run_virtual
from tests.twins.service import TIMEOUT_S, NotifierTwin
from tests.twins.store import StoreTwin
from tests.unit.rollups.plant import HOUR_MS, MIDNIGHT, assets, batches, deliver

CATALOG = load_catalog()
NOW = MIDNIGHT + 4 * HOUR_MS


async def filled() -> StoreTwin:
    store = StoreTwin()
    for batch in batches(MIDNIGHT, MIDNIGHT + HOUR_MS, seal_ms=60_000):
        await deliver(store, batch, batch.to_ms * 1000)
    return store


def started(store: Any, stop: asyncio.Event, service: NotifierTwin, **more: Any) -> asyncio.Task[None]:
    program = app.run(
        reader=store,
        figures=store,
        assets=assets(),
        catalog=CATALOG,
        now_ms=lambda: NOW,
        stop=stop,
        version="1.2.3",
        notifier=service,
        **more,
    )
    return asyncio.create_task(program, name="rollups")


def test_it_is_ready_and_alive_while_the_store_is_away_for_an_hour() -> None:
    async def main() -> None:
        store, stop, service = await filled(), asyncio.Event(), NotifierTwin()
        store.fail_reads_next(10**6)
        running = started(store, stop, service)
        await asyncio.sleep(3600)
        assert service.times("READY=1")[0] < 1
        pets = service.times("WATCHDOG=1")
        assert max(b - a for a, b in itertools.pairwise(pets)) < TIMEOUT_S
        assert pets[-1] > 3600 - TIMEOUT_S
        assert service.last_status.startswith("store away")
        stop.set()
        await running
        assert service.heard[-1][1] == "STOPPING=1"

    run_virtual(main())


def test_a_question_that_is_never_answered_starves_the_watchdog(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store, stop, service = await filled(), asyncio.Event(), NotifierTwin()

        async def never(*_: Any) -> Any:
            await asyncio.Event().wait()

        store.receipts = never  # type: ignore[method-assign, assignment]
        running = started(store, stop, service)
        await asyncio.sleep(CALL_S_MAX + 10 * TIMEOUT_S)
        assert CALL_S_MAX - TIMEOUT_S < service.times("WATCHDOG=1")[-1] <= CALL_S_MAX
        running.cancel()

    run_virtual(main())
    assert [record.getMessage().split()[0] for record in caplog.records if record.levelname == "CRITICAL"] == [app.TASK]


def test_metrics_say_what_was_computed_and_that_nothing_is_left() -> None:
    async def main() -> str:
        store, stop, service, port = await filled(), asyncio.Event(), NotifierTwin(), free_port()
        running = started(store, stop, service, listen=("127.0.0.1", port), idle_s=0.05)
        for _ in range(2000):
            await asyncio.sleep(0.05)
            if service.times("STATUS") and service.last_status.startswith("0 s behind"):
                break
        url = f"http://127.0.0.1:{port}/metrics"
        text: str = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=60).read().decode())
        with pytest.raises(OSError, match=f"--metrics 127.0.0.1:{port}: .*; choose another"):
            await started(store, stop, service, listen=("127.0.0.1", port))
        stop.set()
        await running
        return text

    found = {
        (sample.name.removeprefix("loopgauge_rollups_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(asyncio.run(main()))
        for sample in family.samples
    }
    assert found["rows_total", "rollup_1h"] > 0
    assert found["rows_total", "indicator"] > 0
    assert found["lag_seconds",] == 0
    assert found["cursor_timestamp_seconds",] == found["newest_receipt_timestamp_seconds",] > 0
    assert found["cycles_total",] >= 1
    assert found["store_away",] == 0
    assert found["info", "1.2.3"] == 1


def test_a_step_is_heard_of_before_and_after_and_one_that_fails_is_counted() -> None:
    async def main() -> None:
        promised: list[float] = []
        steps = Steps(promise=promised.append, now_s=asyncio.get_running_loop().time)
        store = StoreTwin(read_latency_s=3)
        await steps.of(store.series())
        store.fail_reads_next(1)
        with pytest.raises(Unavailable):
            await steps.of(store.series())
        assert promised == [CALL_S_MAX, COMPUTE_S_MAX] * 2
        assert (steps.calls, steps.failed_calls, steps.call_s >= 3) == (2, 1, True)

    run_virtual(main())
