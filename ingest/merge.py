"""Many small tables of one series into one, so that a write is few large pieces of work. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from series_store.table import Cell, Table


def series_of(table: Table) -> tuple[object, ...]:
    """What tables must have in common to be joined."""
    return table.measurement, table.tags, table.fields, table.micros


def merge(tables: Iterable[Table]) -> list[Table]:
    """The same rows, tables with the same measurement, tags and fields joined in the order in which they come."""
    groups: dict[tuple[object, ...], list[Table]] = {}
    for table in tables:
        groups.setdefault(series_of(table), []).append(table)
    return [many[0] if len(many) == 1 else _join(many) for many in groups.values()]


def _join(many: list[Table]) -> Table:
    first = many[0]
    by_field = zip(*(table.columns for table in many), strict=True)
    columns: list[list[Cell]] = [list(chain.from_iterable(parts)) for parts in by_field]
    times = list(chain.from_iterable(t.times for t in many))
    return Table(first.measurement, first.tags, first.fields, times, columns, first.micros)
