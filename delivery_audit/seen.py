"""What rollups have seen, asked of the figure store: their cursor, and which hours have a row.

Readings are read only of hours that ought to have a row and have none.
"""

from __future__ import annotations

from collections.abc import Sequence

from data_contract.reading import Quality, is_pseudonym
from delivery_audit.arrivals import HOUR_MS, WAIT_MS_MAX, Arrivals, DeviceHour, Seen
from series_store import names
from series_store.port import FigureStore, Reader
from series_store.table import SeriesKey

PAGE_MS = 24 * HOUR_MS
"""Rows of hours are read for at most this much time at once."""
CHECKS_MAX = 100
"""So many hours of devices without a row are looked at; where these are at fault, more would say no more."""


async def begun(figures: FigureStore) -> Arrivals | None:
    """Where rollups stand; None: they never ran here."""
    seen_us = await figures.cursor(names.CURSOR_RECEIPTS)
    if not seen_us and not await figures.cursor(names.CURSOR_CLOSED):
        return None
    return Arrivals(seen_us)


async def compare(
    reader: Reader,
    figures: FigureStore,
    gateway: str,
    arrivals: Arrivals,
    *,
    from_ms: int,
    to_ms: int,
    now_ms: int,
    wait_ms_max: int = WAIT_MS_MAX,
) -> Seen:
    """Hold what has arrived against the rows of hours in [from_ms, to_ms). Raises Unavailable."""
    rows: set[DeviceHour] = set()
    summarised: set[DeviceHour] = set()
    first = min([from_ms, *(hour.from_ms for hour in arrivals.hours)]) // HOUR_MS * HOUR_MS
    last = max([to_ms, *(hour.from_ms + HOUR_MS for hour in arrivals.hours)])
    for begin in range(first, last, PAGE_MS):
        end = min(begin + PAGE_MS, last)
        for t_ms, tags, cells in await figures.figures(names.ROLLUP_1H, {names.GATEWAY: gateway}, begin, end):
            hour = DeviceHour(tags[names.DEVICE], t_ms)
            rows.add(hour)
            if cells.get(names.SUMMARISED) and from_ms < t_ms + HOUR_MS and t_ms < to_ms:
                summarised.add(hour)
    missing = sorted(arrivals.hours - rows, key=lambda hour: (hour.from_ms, hour.device))
    return Seen(
        ran=True,
        to_ms=arrivals.seen_us // 1000,
        now_ms=now_ms,
        wait_ms_max=wait_ms_max,
        waiting=arrivals.waiting(),
        hidden=await _hidden(reader, gateway, missing[:CHECKS_MAX]),
        unchecked=max(0, len(missing) - CHECKS_MAX),
        summarised=tuple(sorted(summarised)),
    )


async def _hidden(reader: Reader, gateway: str, hours: Sequence[DeviceHour]) -> tuple[DeviceHour, ...]:
    """Those that hold a reading that counts: one of bad quality, or a pseudonym, makes no row."""
    if not hours:
        return ()
    keys = [key for key in await reader.series() if key.gateway == gateway and not is_pseudonym(key.field)]
    return tuple([hour for hour in hours if await _counts(reader, keys, hour)])


async def _counts(reader: Reader, keys: Sequence[SeriesKey], hour: DeviceHour) -> bool:
    own = [key for key in keys if key.device == hour.device]
    windows = await reader.window(own, hour.from_ms, hour.from_ms + HOUR_MS)
    return any(bool((window.quality <= Quality.UNCERTAIN).any()) for window in windows.values())
