"""The rollup program: one worker over one store, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from rollups.assets import Assets
from rollups.catalog import Catalog
from rollups.worker import Worker
from series_store.port import FigureStore, Reader, Unavailable

IDLE_S = 1.0
"""Pause between two looks for new receipts."""
AWAY_S_MAX = 30.0
"""Longest pause while the store does not answer; it grows from IDLE_S by doubling."""

log = logging.getLogger(__name__)


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
) -> None:
    """Keep the figures up to date until `stop` is set. Says once that the store has gone, and once that it is back.

    `now_ms` is civil time; `reread_ms` and `refresh_ms` are spans of it, `idle_s` is real.
    """
    worker = Worker(
        reader=reader,
        figures=figures,
        assets=assets,
        catalog=catalog,
        now_ms=now_ms,
        reread_ms=reread_ms,
        refresh_ms=refresh_ms,
    )
    away = 0
    while not stop.is_set():
        try:
            more = await worker.cycle()
        except Unavailable as error:
            if not away:
                log.warning("the store does not answer, figures stand still: %s", error)
            away += 1
            await _pause(stop, min(idle_s * 2**away, AWAY_S_MAX))
            continue
        if away:
            log.warning("the store is back after %d attempts", away)
            away = 0
        if not more:
            await _pause(stop, idle_s)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
