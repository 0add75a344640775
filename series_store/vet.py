"""Which rows a store takes: the same rules for every home, judged before anything is written.

What passes holds plain floats and text only, under names and times that every home can keep, so that a refusal depends
on the row alone and never on where it would have gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from numbers import Integral, Real
from typing import NamedTuple

from series_store import names
from series_store.table import Cell, Refusal, Table

TIME_MS_MAX = 9_223_372_036_853
"""The year 2262: InfluxDB counts nanoseconds since 1970 in 63 bits. Times before 1970 are refused, too."""
NAME_BYTES_MAX = 255
"""Measurements, tag keys, tag values, field names."""
TEXT_BYTES_MAX = 1_048_576
"""One text cell."""

SHAPES_MAX = 16_384
"""Sets of names whose judgement is remembered: the same devices come again with every batch."""

RECEIPT_FIELDS = (names.RUN, names.SEQ, names.FROM, names.TO, names.READINGS, names.BAD, names.COUNTS)
_READING_TAGS = frozenset({names.GATEWAY, names.DEVICE})
_TAGS = {names.EVENT: _READING_TAGS | {names.KIND}, names.RECEIPT: frozenset({names.GATEWAY, names.WORKER})}
_TEXTS = {names.EVENT: frozenset({names.EVENT_TEXT}), names.RECEIPT: frozenset({names.RUN, names.COUNTS})}
_WRITTEN_BY_INGEST = frozenset({names.EVENT, names.SUMMARY, names.UNSURE, names.RECEIPT})


class Sound(NamedTuple):
    """The rows of table `number` that may be stored; `rows` are their places in the table as it was given."""

    number: int
    table: Table
    rows: Sequence[int]


Rule = Callable[[str, Cell], tuple[Cell, str]]
"""(field, cell) → the cell as it is stored, and why it is not ("" if it is)."""


def readings(tables: Sequence[Table]) -> tuple[list[Sound], list[Refusal]]:
    """What a `Writer` takes: readings, summaries, events, receipts; text in the fields of the last two that hold it."""
    return _vet(tables, _wrong_reading, _reading_cell)


def figures(tables: Sequence[Table]) -> tuple[list[Sound], list[Refusal]]:
    """What a `FigureStore` takes: any measurement that ingest does not write, numbers and text in any field."""
    return _vet(tables, _wrong_figure, lambda measurement: _any_cell)


def _vet(
    tables: Sequence[Table], wrong: Callable[[Table], str], rule_for: Callable[[str], Rule]
) -> tuple[list[Sound], list[Refusal]]:
    sound: list[Sound] = []
    refused: list[Refusal] = []
    for index, table in enumerate(tables):
        if not table.fields:
            continue  # nothing to store
        reason = _wrong_names(table.measurement, tuple(table.tags), tuple(table.fields)) or wrong(table)
        if reason:
            refused += [Refusal(index, row, reason) for row in range(len(table.times))]
            continue
        kept, bad = _vet_rows(index, table, rule_for(table.measurement))
        refused += [Refusal(index, row, bad[row]) for row in sorted(bad)]
        if kept.rows:
            sound.append(kept)
    return sound, refused


def _vet_rows(index: int, table: Table, rule: Rule) -> tuple[Sound, dict[int, str]]:
    bad: dict[int, str] = {}
    times = _vet_times(table, bad)
    columns = table.columns
    if table.measurement in _TEXTS or not _plain(list(chain.from_iterable(columns))):
        columns = [_vet_column(*column, rule, bad) for column in zip(table.fields, columns, strict=True)]
    rows: Sequence[int] = range(len(times))
    if bad:
        rows = [row for row in rows if row not in bad]
        times = [times[row] for row in rows]
        columns = [[column[row] for row in rows] for column in columns]
    same = times is table.times and columns is table.columns
    return Sound(index, table if same else replace(table, times=times, columns=columns), rows), bad


def _plain(cells: list[Cell]) -> bool:
    """Whether all cells are finite floats or None, told without looking at each of them in Python."""
    kinds = set(map(type, cells))
    if kinds == {float}:
        total = sum(cells)  # type: ignore[arg-type]  # all are float
    elif kinds <= {float, type(None)}:
        total = sum(filter(None, cells))  # type: ignore[arg-type]  # no text is left
    else:
        return False
    return math.isfinite(total)


def _vet_column(field: str, column: Sequence[Cell], rule: Rule, bad: dict[int, str]) -> Sequence[Cell]:
    if rule is _any_number and _plain(list(column)):
        return column
    kept: list[Cell] = []
    for row, cell in enumerate(column):
        clean, reason = rule(field, cell)
        kept.append(clean)
        if reason:
            bad.setdefault(row, f"{field}: {reason}")
    return kept


def _vet_times(table: Table, bad: dict[int, str]) -> Sequence[int]:
    limit = TIME_MS_MAX * 1000 if table.micros else TIME_MS_MAX
    times = table.times
    if len(times) == 0:
        return times
    if set(map(type, times)) == {int} and min(times) >= 0 and max(times) <= limit:
        return times
    kept = []
    for row, time in enumerate(times):
        sound = isinstance(time, Integral) and not isinstance(time, bool) and 0 <= int(time) <= limit
        kept.append(int(time) if sound else 0)
        if not sound:
            bad[row] = f"time {time!r} lies outside 1970 to 2262"
    return kept


def _reading_cell(measurement: str) -> Rule:
    if measurement not in _TEXTS:
        return _any_number
    texts = _TEXTS[measurement]
    needed = measurement == names.RECEIPT

    def rule(field: str, cell: Cell) -> tuple[Cell, str]:
        if cell is None:
            return None, "missing" if needed else ""
        if field in texts:
            return _text(cell) if isinstance(cell, str) else (None, f"{cell!r} is no text")
        return _number(cell)

    return rule


def _any_number(field: str, cell: Cell) -> tuple[Cell, str]:
    return (None, "") if cell is None else _number(cell)


def _any_cell(field: str, cell: Cell) -> tuple[Cell, str]:
    if cell is None:
        return None, ""
    return _text(cell) if isinstance(cell, str) else _number(cell)


def _number(cell: Cell) -> tuple[Cell, str]:
    if not isinstance(cell, Real) or isinstance(cell, bool):
        return None, f"{_short(cell)} is no number"
    try:
        value = float(cell)
    except OverflowError:
        return None, "is too large a number"
    return (value, "") if math.isfinite(value) else (None, f"{value} is no number that can be stored")


def _text(cell: str) -> tuple[Cell, str]:
    try:
        size = len(cell.encode())
    except UnicodeEncodeError:
        return None, "text is not valid Unicode"
    return (str(cell), "") if size <= TEXT_BYTES_MAX else (None, f"text of {size} bytes, at most {TEXT_BYTES_MAX}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


@lru_cache(SHAPES_MAX)
def _wrong_names(measurement: str, tags: tuple[tuple[str, str], ...], fields: tuple[str, ...]) -> str:
    """Why no row can be stored under these names, or ""."""
    keys = [key for key, _ in tags]
    for what, name in [("measurement", measurement), *(("tag", key) for key in keys)]:
        if reason := _wrong_name(name):
            return f"{what} {_short(name)} {reason}"
    for key, value in tags:
        if reason := _wrong_name(value):
            return f"{key} {_short(value)} {reason}"
    for field in fields:
        if reason := _wrong_name(field):
            return f"field {_short(field)} {reason}"
    named = [*keys, *fields]
    if len(set(named)) < len(named):
        return "two tags or fields bear one name"
    if "time" in named:
        return "no tag or field may be named time"
    return ""


def _wrong_name(name: object) -> str:
    if not isinstance(name, str):
        return "is no text"
    if not name:
        return "is empty"
    # InfluxDB's line protocol has no escape for a backslash or a line break in a name, and # opens a comment.
    if "\\" in name or not name.isprintable() or name.startswith("#"):
        return "holds a backslash, a control character or a # in front"
    return "" if len(name.encode()) <= NAME_BYTES_MAX else f"is longer than {NAME_BYTES_MAX} bytes"


def _wrong_reading(table: Table) -> str:
    if table.measurement in names.RESERVED - _WRITTEN_BY_INGEST:
        return f"{table.measurement} is not a measurement of readings"
    expected = _TAGS.get(table.measurement, _READING_TAGS)
    if {key for key, _ in table.tags} != expected:
        return f"{table.measurement} has the tags {', '.join(sorted(expected))}"
    if table.micros != (table.measurement == names.RECEIPT):
        return "receipts are in microseconds, all else in milliseconds"
    if table.measurement == names.RECEIPT and set(table.fields) != set(RECEIPT_FIELDS):
        return f"a receipt has the fields {', '.join(RECEIPT_FIELDS)}"
    return ""


def _wrong_figure(table: Table) -> str:
    if table.measurement in _WRITTEN_BY_INGEST | {names.CURSOR}:
        return f"{table.measurement} is not a measurement of figures"
    return "figures are in milliseconds" if table.micros else ""
