"""The rollup program: one worker over one store, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rollups.assets import Assets
from rollups.catalog import Catalog
from rollups.steps import Steps, WatchedFigures, WatchedReader
from rollups.worker import Worker
from series_store import names
from series_store.port import FigureStore, Reader, Unavailable
from service_health import watchdog
from service_health.metric import Metric, Sample, by_label, counter, gauge
from service_health.notify import Notifier
from service_health.promises import Promises

IDLE_S = 1.0
"""Pause between two looks for new receipts."""
AWAY_S_MAX = 30.0
"""Longest pause while the store does not answer; it grows from IDLE_S by doubling."""
BUSY_S = 30.0
"""What a busy machine may add to a pause."""
TASK = "rollups"

_P = "loopgauge_rollups_"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Progress:
    """How the cycles go; times in real s."""

    cycles: int = 0
    cycle_s: float = 0.0
    last_cycle_s: float = 0.0
    away: int = 0
    """Attempts in a row that the store has not answered."""


async def run(
    *,
    reader: Reader,
    figures: FigureStore,
    assets: Assets,
    catalog: Catalog,
    now_ms: Callable[[], int],
    stop: asyncio.Event,
    reread_ms: int = 120_000,
    refresh_ms: int = 60_000,
    idle_s: float = IDLE_S,
    version: str = "0",
    notifier: Notifier | None = None,
    listen: tuple[str, int] | None = None,
) -> None:
    """Keep the figures up to date until `stop` is set. Says once that the store has gone, and once that it is back.

    `now_ms` is civil time; `reread_ms` and `refresh_ms` are spans of it, `idle_s` is real. `listen`: (host, port) of
    /metrics; OSError says why that cannot be had. Ready is who has begun: the store need not be there.
    """
    notifier = notifier or Notifier()
    now_s = asyncio.get_running_loop().time
    promises = Promises(now_s)
    steps = Steps(promise=lambda seconds: promises.within(TASK, seconds), now_s=now_s)
    worker = Worker(
        reader=WatchedReader(reader=reader, steps=steps),
        figures=WatchedFigures(figures=figures, steps=steps),
        assets=assets,
        catalog=catalog,
        now_ms=now_ms,
        reread_ms=reread_ms,
        refresh_ms=refresh_ms,
    )
    progress = _Progress()
    async with _metrics(listen, lambda: _figures(version, steps, progress)), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watchdog.keep(promises, notifier), name="watchdog")
        notifier.ready()
        try:
            while not stop.is_set():
                pause_s = await _cycle(worker, progress, idle_s)
                notifier.status(_status(steps, progress))
                if pause_s:
                    promises.within(TASK, pause_s + BUSY_S)
                    await _pause(stop, pause_s)
        finally:
            notifier.stopping()
            watching.cancel()


async def _cycle(worker: Worker, progress: _Progress, idle_s: float) -> float:
    """One cycle; how long to pause after it, in s."""
    now_s = asyncio.get_running_loop().time
    began_s = now_s()
    try:
        more = await worker.cycle()
    except Unavailable as error:
        if not progress.away:
            log.warning("the store does not answer, figures stand still: %s", error)
        progress.away += 1
        return float(min(idle_s * 2**progress.away, AWAY_S_MAX))
    if progress.away:
        log.warning("the store is back after %d attempts", progress.away)
        progress.away = 0
    progress.cycles += 1
    progress.last_cycle_s = now_s() - began_s
    progress.cycle_s += progress.last_cycle_s
    return 0.0 if more else idle_s


def _lag_s(steps: Steps) -> float:
    """How far the worked-off receipts lie behind the newest one that was seen, in civil s."""
    return max(0, steps.newest_us - steps.cursor_us) / 1e6 if steps.newest_us else 0.0


def _status(steps: Steps, progress: _Progress) -> str:
    where = f"store away, {progress.away} attempts" if progress.away else f"{_lag_s(steps):.0f} s behind the receipts"
    return f"{where}; {steps.rows[names.ROLLUP_1H]} hours, {steps.rows[names.INDICATOR]} indicators written"


def _figures(version: str, steps: Steps, progress: _Progress) -> list[Metric]:
    rows = {measurement: float(count) for measurement, count in steps.rows.items()}
    return [
        Metric(f"{_P}info", "Version of this program", "gauge", (Sample(1.0, {"version": version}),)),
        counter(f"{_P}cycles_total", "Cycles that came to their end", progress.cycles),
        counter(f"{_P}cycle_seconds_total", "Time that they took", progress.cycle_s),
        gauge(f"{_P}cycle_seconds", "Time that the last one took", progress.last_cycle_s),
        gauge(f"{_P}cursor_timestamp_seconds", "Receipts up to here have been worked off", steps.cursor_us / 1e6),
        gauge(f"{_P}newest_receipt_timestamp_seconds", "The newest receipt seen", steps.newest_us / 1e6),
        gauge(f"{_P}lag_seconds", "Newest receipt seen less cursor", _lag_s(steps)),
        by_label(f"{_P}rows_total", "Rows written", "counter", "measurement", rows),
        counter(f"{_P}store_calls_total", "Questions to and writes into the store", steps.calls),
        counter(f"{_P}store_failed_calls_total", "Of these, such as it did not answer", steps.failed_calls),
        counter(f"{_P}store_seconds_total", "Time that all of them took", steps.call_s),
        gauge(f"{_P}store_away", "1 while the store does not answer", float(progress.away > 0)),
    ]


@asynccontextmanager
async def _metrics(listen: tuple[str, int] | None, read: Callable[[], list[Metric]]) -> AsyncIterator[None]:
    """Serve /metrics meanwhile, where that is wanted."""
    if listen is None:
        yield
        return
    from service_health.endpoint import MetricsEndpoint

    host, port = listen
    endpoint = MetricsEndpoint(host=host, port=port, read=read)
    try:
        await endpoint.start()
    except OSError as error:
        raise OSError(f"--metrics {host}:{port}: {error.strerror or error}; choose another") from None
    try:
        yield
    finally:
        await endpoint.close()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
