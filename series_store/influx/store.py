"""The shared home of readings and figures: an InfluxDB that any number of programs write to and read.

Each method hands blocking work to the server's threads. What a writer sends is encoded there, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from series_store import names, vet
from series_store.influx import influxql as ql
from series_store.influx import reading
from series_store.influx.answers import Kind, explain, judge, message
from series_store.influx.http import Server
from series_store.influx.lines import MILLISECONDS
from series_store.influx.sending import Post, requests, send, together
from series_store.port import Figure, Unavailable
from series_store.receipt_rows import furthest
from series_store.table import STORED, Event, Outcome, Receipt, Refusal, SeriesKey, Table, Window

REREAD_US = 120_000_000
"""Receipts come from several workers, a little out of order: this much is looked at again."""
CURSOR_MAX = 2**53
"""A cursor is stored as a float64."""

_WANTS_POINTS = "writing requires points"
_CURSOR_VALUE = "value"
_CURSOR_NAME = "name"


class InfluxWriter:
    """Readings, events and receipts over `post`: that of the server itself, or of another client to the same data."""

    def __init__(self, *, server: Server, post: Post, close_post: Callable[[], None] = lambda: None) -> None:
        self._server = server
        self._post = post
        self._close_post = close_post

    async def start(self) -> None:
        """Write nothing, which shows whether one could. Raises Unavailable."""
        answer = await self._server.run(lambda: self._post(b"", MILLISECONDS))
        # 1.x takes nothing with 204; 2.x, too, looks at credentials and bucket first, and then wants points.
        if judge(answer).kind is not Kind.STORED and _WANTS_POINTS not in message(answer):
            raise Unavailable(explain(answer))

    async def write(self, tables: Sequence[Table]) -> Outcome:
        """Requests of at most 10 000 rows, four at a time."""
        return await _write(self._server, self._post, *vet.readings(tables))

    async def close(self) -> None:
        """Close all connections."""
        self._close_post()
        await self._server.close()


class InfluxReader:
    """What is stored, by InfluxQL. Remembers, per gateway, which receipt reaches furthest."""

    def __init__(self, *, server: Server) -> None:
        self._server = server
        self._furthest: list[Receipt] = []

    async def start(self) -> None:
        """Ask for nothing in particular. Raises Unavailable."""
        await _probe(self._server)

    async def close(self) -> None:
        """Close all connections."""
        await self._server.close()

    async def series(self, own: str | None = None) -> list[SeriesKey]:
        return await self._server.run(lambda: reading.series(self._server.ask, own))

    async def window(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> dict[SeriesKey, Window]:
        works = [
            partial(reading.window, self._server.ask, source, fields, from_ms, to_ms)
            for source, fields in reading.sources(series)
        ]
        found: dict[SeriesKey, Window] = {}
        for windows in await self._server.run_all(works):
            found |= windows
        return {key: found[key] for key in series}

    async def count(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> int:
        return await self._server.run(lambda: reading.count(self._server.ask, series, from_ms, to_ms))

    async def neighbours(self, series: SeriesKey, from_ms: int, to_ms: int) -> tuple[int | None, int | None]:
        return await self._server.run(lambda: reading.neighbours(self._server.ask, series, from_ms, to_ms))

    async def latest(self, series: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[int, float]]:
        return await self._server.run(lambda: reading.latest(self._server.ask, series))

    async def receipts(self, after_us: int, limit: int) -> list[Receipt]:
        return await self._server.run(lambda: reading.receipts(self._server.ask, after_us, limit))

    async def receipts_between(self, gateway: str, from_ms: int, to_ms: int) -> list[Receipt]:
        return await self._server.run(lambda: reading.receipts_between(self._server.ask, gateway, from_ms, to_ms))

    async def gateways(self) -> list[str]:
        return await self._server.run(lambda: reading.gateways(self._server.ask))

    async def last_receipts(self) -> list[Receipt]:
        """The first call reads the ends of all receipts, later ones those of the last minutes."""
        known = self._furthest
        since_us = max((receipt.at_us for receipt in known), default=0) - REREAD_US
        recent = await self._server.run(lambda: reading.last_receipts(self._server.ask, since_us))
        self._furthest = furthest([*known, *recent])
        return list(self._furthest)

    async def events(self, kind: str, from_ms: int, to_ms: int, gateway: str | None = None) -> list[Event]:
        return await self._server.run(lambda: reading.events(self._server.ask, kind, from_ms, to_ms, gateway))


class InfluxFigures:
    """What rollups computed, in the same database; a cursor is a row at the time 0, so that it replaces itself."""

    def __init__(self, *, server: Server, post: Post, close_post: Callable[[], None] = lambda: None) -> None:
        self._server = server
        self._post = post
        self._close_post = close_post

    async def start(self) -> None:
        """Ask for nothing in particular. Raises Unavailable."""
        await _probe(self._server)

    async def close(self) -> None:
        """Close all connections."""
        self._close_post()
        await self._server.close()

    async def put(self, tables: Sequence[Table]) -> Outcome:
        """Requests of at most 10 000 rows, four at a time."""
        return await _write(self._server, self._post, *vet.figures(tables))

    async def figures(self, measurement: str, tags: dict[str, str], from_ms: int, to_ms: int) -> list[Figure]:
        return await self._server.run(lambda: reading.figures(self._server.ask, measurement, tags, from_ms, to_ms))

    async def cursor(self, name: str) -> int:
        rows = await self._server.run(
            lambda: reading.figures(self._server.ask, names.CURSOR, {_CURSOR_NAME: name}, 0, 1)
        )
        return int(rows[0][2][_CURSOR_VALUE]) if rows else 0

    async def set_cursor(self, name: str, value: int) -> None:
        assert abs(value) <= CURSOR_MAX
        row = Table(names.CURSOR, ((_CURSOR_NAME, name),), (_CURSOR_VALUE,), [0], [[float(value)]])
        outcome = await self._server.run(lambda: send(self._post, [vet.Sound(0, row, range(1))]))
        if not outcome.stored or outcome.refused:
            raise Unavailable(outcome.reason or outcome.refused[0].reason)


async def make_database(server: Server) -> None:
    """Create the server's database (1.x); harmless where it exists. Raises Unavailable."""
    await server.run(lambda: list(server.ask(f"CREATE DATABASE {ql.name(server.database)}")))


async def _write(server: Server, post: Post, sound: Sequence[vet.Sound], refused: Sequence[Refusal]) -> Outcome:
    works: list[Callable[[], Outcome]] = [partial(send, post, group) for group in requests(sound)]
    outcomes = await server.run_all(works)
    if not refused and all(outcome == STORED for outcome in outcomes):
        return STORED
    return together(outcomes, refused)


async def _probe(server: Server) -> None:
    await server.run(lambda: list(server.ask(ql.PROBE)))
