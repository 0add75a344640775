"""When bins were last emptied, from their hours, and from the readings of one hour alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from series_store import names
from series_store.port import FigureStore, Reader
from series_store.table import SeriesKey
from web_console.bins import EMPTYINGS, last_rise_ms, last_rising_hour_ms

HOUR_MS = 3_600_000
RECENT_MS = 2 * HOUR_MS
"""Hours this young may not be computed yet: readings are looked at."""
BACK_MS = 30 * 24 * HOUR_MS
"""Emptyings before that are not looked for."""


class Emptyings:
    """Finds the last emptying of each bin, and looks again only where the counter of emptyings has changed."""

    def __init__(self, *, reader: Reader, figures: FigureStore) -> None:
        self._reader = reader
        self._figures = figures
        self._known: dict[SeriesKey, tuple[float, int]] = {}

    async def of(
        self, keys: Iterable[SeriesKey], newest: Mapping[SeriesKey, tuple[int, float]], now_ms: int
    ) -> dict[tuple[str, str], int | None]:
        """(gateway, device) -> when it was last emptied, ms UTC, None where that is not known. Raises Unavailable."""
        found: dict[tuple[str, str], int | None] = {}
        for key in keys:
            if key.field != EMPTYINGS or key not in newest:
                continue
            value = newest[key][1]
            known = self._known.get(key)
            t_ms = known[1] if known is not None and known[0] == value else await self._look(key, now_ms)
            if t_ms is not None:
                self._known[key] = value, t_ms
            found[key.gateway, key.device] = t_ms
        return found

    async def _look(self, key: SeriesKey, now_ms: int) -> int | None:
        recent = await self._rise(key, now_ms - RECENT_MS, now_ms + 1)
        if recent is not None:
            return recent
        tags = {names.GATEWAY: key.gateway, names.DEVICE: key.device, names.FIELD: key.field}
        hour = last_rising_hour_ms(await self._figures.figures(names.ROLLUP_1H, tags, now_ms - BACK_MS, now_ms))
        if hour is None:
            return None
        # A rise across an edge is shared out to the hours on both sides, and may be shown by the first reading after.
        return await self._rise(key, hour - HOUR_MS // 2, hour + HOUR_MS + HOUR_MS // 2) or hour

    async def _rise(self, key: SeriesKey, from_ms: int, to_ms: int) -> int | None:
        return last_rise_ms((await self._reader.window([key], from_ms, to_ms))[key])
