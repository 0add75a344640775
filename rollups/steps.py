"""A store as rollups use it, watched: each call is a step of which one hears before and after, and counts what it did.

So a cycle that takes an hour over a long history is seen to get on, and one that hangs is seen to hang.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from rollups.worker import CURSOR
from series_store.port import Figure, FigureStore, Reader, Unavailable
from series_store.table import Event, Outcome, Receipt, SeriesKey, Table, Window

CALL_S_MAX = 900.0
"""One question or write: each silence in it ends by a time-out of the store's, but a long answer has many parts."""
COMPUTE_S_MAX = 300.0
"""What lies between two calls: the hours of one device at most."""

T = TypeVar("T")


class Steps:
    """What is heard of the steps of a worker. `promise`: within how many real s it is heard of again."""

    def __init__(self, *, promise: Callable[[float], None], now_s: Callable[[], float]) -> None:
        self._promise = promise
        self._now_s = now_s
        self.calls = 0
        self.failed_calls = 0
        self.call_s = 0.0
        """All calls together, in real s."""
        self.rows: Counter[str] = Counter()
        """Rows written by measurement, since the start."""
        self.cursor_us = 0
        """Receipts up to here have been worked off, as far as this program has moved or asked it."""
        self.newest_us = 0
        """The newest receipt that was seen."""

    async def of(self, call: Awaitable[T]) -> T:
        """One call."""
        self._promise(CALL_S_MAX)
        began_s = self._now_s()
        self.calls += 1
        try:
            return await call
        except Unavailable:
            self.failed_calls += 1
            raise
        finally:
            self.call_s += self._now_s() - began_s
            self._promise(COMPUTE_S_MAX)


class WatchedReader:
    """A reader whose calls are steps."""

    def __init__(self, *, reader: Reader, steps: Steps) -> None:
        self._reader = reader
        self._steps = steps

    async def series(self, own: str | None = None) -> list[SeriesKey]:
        return await self._steps.of(self._reader.series(own))

    async def window(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> dict[SeriesKey, Window]:
        return await self._steps.of(self._reader.window(series, from_ms, to_ms))

    async def count(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> int:
        return await self._steps.of(self._reader.count(series, from_ms, to_ms))

    async def neighbours(self, series: SeriesKey, from_ms: int, to_ms: int) -> tuple[int | None, int | None]:
        return await self._steps.of(self._reader.neighbours(series, from_ms, to_ms))

    async def latest(self, series: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[int, float]]:
        return await self._steps.of(self._reader.latest(series))

    async def receipts(self, after_us: int, limit: int) -> list[Receipt]:
        found = await self._steps.of(self._reader.receipts(after_us, limit))
        if found:
            self._steps.newest_us = max(self._steps.newest_us, found[-1].at_us)
        return found

    async def receipts_between(self, gateway: str, from_ms: int, to_ms: int) -> list[Receipt]:
        return await self._steps.of(self._reader.receipts_between(gateway, from_ms, to_ms))

    async def gateways(self) -> list[str]:
        return await self._steps.of(self._reader.gateways())

    async def last_receipts(self) -> list[Receipt]:
        return await self._steps.of(self._reader.last_receipts())

    async def events(self, kind: str, from_ms: int, to_ms: int, gateway: str | None = None) -> list[Event]:
        return await self._steps.of(self._reader.events(kind, from_ms, to_ms, gateway))


class WatchedFigures:
    """A figure store whose calls are steps."""

    def __init__(self, *, figures: FigureStore, steps: Steps) -> None:
        self._figures = figures
        self._steps = steps

    async def put(self, tables: Sequence[Table]) -> Outcome:
        outcome = await self._steps.of(self._figures.put(tables))
        if outcome.stored:
            for table in tables:
                self._steps.rows[table.measurement] += len(table.times)
        return outcome

    async def figures(self, measurement: str, tags: dict[str, str], from_ms: int, to_ms: int) -> list[Figure]:
        return await self._steps.of(self._figures.figures(measurement, tags, from_ms, to_ms))

    async def cursor(self, name: str) -> int:
        value = await self._steps.of(self._figures.cursor(name))
        self._note(name, value)
        return value

    async def set_cursor(self, name: str, value: int) -> None:
        await self._steps.of(self._figures.set_cursor(name, value))
        self._note(name, value)

    def _note(self, name: str, value: int) -> None:
        if name == CURSOR:
            self._steps.cursor_us = value
