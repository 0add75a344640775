"""What readings.db holds, as columns: SQL on a connection that the caller opened for reading.

Every statement is a short transaction of its own, so that no reader holds back the writer's checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_contract.reading import QUALITY_PREFIX
from series_store import names
from series_store.receipt_rows import in_batch_order
from series_store.sqlite import entries
from series_store.table import Event, Receipt, SeriesKey, Window

if TYPE_CHECKING:
    import sqlite3

PAGE_ROWS = 65_536
"""Rows that one statement fetches: a window takes 24 bytes per reading, twice that while it is put together."""

_TIME_MAX = 2**62
_ROWS = np.dtype([("t", np.int64), ("value", np.float64)])
_PAGE = "SELECT t, value FROM reading WHERE series = ? AND t >= ? AND t < ? ORDER BY t LIMIT ?"
_COUNT = "SELECT count(*) FROM reading WHERE series = ? AND t >= ? AND t < ?"
_BEFORE = "SELECT max(t) FROM reading WHERE series = ? AND t < ?"
_SINCE = "SELECT min(t) FROM reading WHERE series = ? AND t >= ?"
_NEWEST = "SELECT t, value FROM reading WHERE series = ? ORDER BY t DESC LIMIT 1"
_RECEIPT = "SELECT at_us, gateway, worker, run, seq, from_ms, to_ms, readings, bad, counts FROM receipt"
_AFTER = f"""{_RECEIPT} WHERE at_us > :after AND at_us <= (
        SELECT max(at_us) FROM (SELECT at_us FROM receipt WHERE at_us > :after ORDER BY at_us LIMIT :limit)
    ) ORDER BY at_us, gateway, worker"""  # noqa: S608  (constants only)
_TOUCHING = f"""{_RECEIPT} WHERE gateway = :gateway AND to_ms >= :from AND from_ms < :to
        AND (to_ms > :from OR from_ms >= :from) AND NOT (from_ms = 0 AND to_ms = 0)
    UNION ALL {_RECEIPT} WHERE gateway = :gateway AND to_ms = 0 AND from_ms = 0"""
_FURTHEST = f"{_RECEIPT} WHERE gateway = ? ORDER BY to_ms DESC, at_us DESC, worker DESC LIMIT 1"


def series(connection: sqlite3.Connection, own: str | None = None) -> list[SeriesKey]:
    """Every series of readings, or of a measurement of ours, sorted."""
    rows = connection.execute("SELECT measurement, gateway, device, field FROM series")
    keys = [SeriesKey(*row) for row in rows]
    return sorted(
        key
        for key in keys
        if (key.measurement == own if own else key.measurement not in names.RESERVED)
        and not key.field.startswith(QUALITY_PREFIX)
    )


def window(
    connection: sqlite3.Connection, keys: Sequence[SeriesKey], from_ms: int, to_ms: int
) -> dict[SeriesKey, Window]:
    """Readings of each series in [from_ms, to_ms)."""
    found = {}
    for key in dict.fromkeys(keys):
        rows = _column(connection, key, from_ms, to_ms)
        quality = np.zeros(len(rows))
        if len(rows):
            marks = _column(connection, key._replace(field=QUALITY_PREFIX + key.field), from_ms, to_ms)
            _, here, there = np.intersect1d(rows["t"], marks["t"], assume_unique=True, return_indices=True)
            quality[here] = marks["value"][there]
        found[key] = Window(np.ascontiguousarray(rows["t"]), np.ascontiguousarray(rows["value"]), quality)
    return found


def count(connection: sqlite3.Connection, keys: Sequence[SeriesKey], from_ms: int, to_ms: int) -> int:
    """Readings of these series in [from_ms, to_ms) together."""
    total = 0
    for key in dict.fromkeys(keys):
        row = connection.execute(_COUNT, (_id(connection, key), *_bounds(from_ms, to_ms))).fetchone()
        total += int(row[0])
    return total


def neighbours(
    connection: sqlite3.Connection, key: SeriesKey, from_ms: int, to_ms: int
) -> tuple[int | None, int | None]:
    """Times of the last reading before from_ms and of the first at or after to_ms."""
    first, last = _bounds(from_ms, to_ms)
    id_ = _id(connection, key)
    before = connection.execute(_BEFORE, (id_, first)).fetchone()
    since = connection.execute(_SINCE, (id_, last)).fetchone()
    return before[0], since[0]


def latest(connection: sqlite3.Connection, keys: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[int, float]]:
    """(t_ms, value) of the newest reading of each series that has one."""
    found = {}
    for key in dict.fromkeys(keys):
        row = connection.execute(_NEWEST, (_id(connection, key),)).fetchone()
        if row is not None:
            found[key] = (int(row[0]), float(row[1]))
    return found


def receipts(connection: sqlite3.Connection, after_us: int, limit: int) -> list[Receipt]:
    """Receipts after a time, whole microseconds only."""
    rows = connection.execute(_AFTER, {"after": _clamp(after_us), "limit": limit})
    return [Receipt(*row) for row in rows]


def receipts_between(connection: sqlite3.Connection, gateway: str, from_ms: int, to_ms: int) -> list[Receipt]:
    """Receipts of batches that touch [from_ms, to_ms), and of those rejected whole."""
    first, last = _bounds(from_ms, to_ms)
    rows = connection.execute(_TOUCHING, {"gateway": gateway, "from": first, "to": last})
    return in_batch_order(Receipt(*row) for row in rows)


def gateways(connection: sqlite3.Connection) -> list[str]:
    """Gateways that have a receipt, sorted. Looks up each in the index rather than reading all receipts."""
    found: list[str] = []
    while True:
        row = connection.execute(
            "SELECT min(gateway) FROM receipt WHERE gateway > ?", (found[-1] if found else "",)
        ).fetchone()
        if row[0] is None:
            return found
        found.append(row[0])


def last_receipts(connection: sqlite3.Connection) -> list[Receipt]:
    """Of each gateway the receipt that reaches furthest."""
    return [Receipt(*connection.execute(_FURTHEST, (name,)).fetchone()) for name in gateways(connection)]


def events(connection: sqlite3.Connection, kind: str, from_ms: int, to_ms: int, gateway: str | None) -> list[Event]:
    """Events of a kind in [from_ms, to_ms)."""
    tags = {names.KIND: kind} | ({} if gateway is None else {names.GATEWAY: gateway})
    found = []
    for t_ms, own, fields in entries.find(connection, names.EVENT, tags, *_bounds(from_ms, to_ms)):
        text = fields.pop(names.EVENT_TEXT, "")
        values = tuple(sorted((name, float(value)) for name, value in fields.items()))
        found.append(Event(t_ms, own[names.GATEWAY], own[names.DEVICE], kind, str(text), values))
    return sorted(found, key=lambda event: event[:3])


def _column(connection: sqlite3.Connection, key: SeriesKey, from_ms: int, to_ms: int) -> NDArray[np.void]:
    """All rows of one series in the interval, fetched page by page."""
    id_ = _id(connection, key)
    at, end = _bounds(from_ms, to_ms)
    pages: list[NDArray[np.void]] = []
    while not pages or len(pages[-1]) == PAGE_ROWS:
        page = np.fromiter(connection.execute(_PAGE, (id_, at, end, PAGE_ROWS)), dtype=_ROWS)
        pages.append(page)
        if len(page):
            at = int(page["t"][-1]) + 1
    return pages[0] if len(pages) == 1 else np.concatenate(pages)


def _id(connection: sqlite3.Connection, key: SeriesKey) -> int:
    """The number of a series; 0, which none has, where it was never stored."""
    row = connection.execute(
        "SELECT id FROM series WHERE measurement = ? AND gateway = ? AND device = ? AND field = ?", key
    ).fetchone()
    return 0 if row is None else int(row[0])


def _bounds(from_ms: int, to_ms: int) -> tuple[int, int]:
    return _clamp(from_ms), _clamp(to_ms)


def _clamp(time: int) -> int:
    """SQLite takes 64 bits."""
    return max(-_TIME_MAX, min(_TIME_MAX, time))
