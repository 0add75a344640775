"""Rows with text or tags of their own (events, figures), and cursors: SQL on a connection that the caller opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from series_store.port import Figure
from series_store.table import Table

if TYPE_CHECKING:
    import sqlite3

_UPSERT = """INSERT INTO entry (series, t, fields) VALUES (?, ?, ?)
    ON CONFLICT (series, t) DO UPDATE SET fields = json_patch(fields, excluded.fields)"""
_FIND = "SELECT t, fields FROM entry WHERE series = ? AND t >= ? AND t < ?"


def put(connection: sqlite3.Connection, table: Table) -> None:
    """Write the rows of a vetted table in the caller's transaction; fields that a row has and that lack here stay."""
    rows = [(time, fields) for time, fields in zip(table.times, _fields(table), strict=True) if fields]
    if rows:
        series = _series(connection, table)
        connection.executemany(_UPSERT, ((series, time, fields) for time, fields in rows))


def find(
    connection: sqlite3.Connection, measurement: str, tags: dict[str, str], from_ms: int, to_ms: int
) -> list[Figure]:
    """Rows in [from_ms, to_ms) whose tags include `tags`, by time, then by tags."""
    found: list[Figure] = []
    series = connection.execute("SELECT id, tags FROM entry_series WHERE measurement = ?", (measurement,)).fetchall()
    for id_, text in series:
        own: dict[str, str] = json.loads(text)
        if tags.items() <= own.items():
            rows = connection.execute(_FIND, (id_, from_ms, to_ms))
            found += [(time, dict(own), _loads(fields)) for time, fields in rows]
    return sorted(found, key=lambda row: (row[0], sorted(row[1].items())))


def cursor(connection: sqlite3.Connection, name: str) -> int:
    """The value of a cursor, 0 where it was never set."""
    row = connection.execute("SELECT value FROM cursor WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def set_cursor(connection: sqlite3.Connection, name: str, value: int) -> None:
    """Set a cursor in the caller's transaction."""
    connection.execute("INSERT OR REPLACE INTO cursor (name, value) VALUES (?, ?)", (name, value))


def _loads(fields: str) -> dict[str, float | str]:
    row: dict[str, float | str] = json.loads(fields)
    return row


def _fields(table: Table) -> Iterator[str]:
    """Each row's fields as JSON, "" where it has none."""
    for cells in zip(*table.columns, strict=True):
        row = {field: cell for field, cell in zip(table.fields, cells, strict=True) if cell is not None}
        yield json.dumps(row, separators=(",", ":"), ensure_ascii=False, allow_nan=False) if row else ""


def _series(connection: sqlite3.Connection, table: Table) -> int:
    tags = json.dumps(dict(sorted(table.tags)), separators=(",", ":"), ensure_ascii=False)
    key = (table.measurement, tags)
    connection.execute("INSERT OR IGNORE INTO entry_series (measurement, tags) VALUES (?, ?)", key)
    row = connection.execute("SELECT id FROM entry_series WHERE measurement = ? AND tags = ?", key).fetchone()
    return int(row[0])
