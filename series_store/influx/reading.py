"""What a reader asks in InfluxQL, and columns out of the pieces of the answers. Acts only through `Ask`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_contract.reading import QUALITY_PREFIX
from series_store import names
from series_store.influx import influxql as ql
from series_store.influx.documents import Piece
from series_store.port import Figure
from series_store.receipt_rows import furthest, in_batch_order, in_store_order
from series_store.table import Event, Receipt, SeriesKey, Window
from series_store.vet import RECEIPT_FIELDS

Ask = Callable[[str, str], Iterator[Piece]]
"""(statements, epoch "ms" or "u") → pieces of their answers. Raises Unavailable."""

STATEMENTS_MAX = 50
"""Statements of one request."""

_RECEIPT_COLUMNS = (names.GATEWAY, names.WORKER, *RECEIPT_FIELDS)
_LAST = "last_"


class Source(NamedTuple):
    """One device under one measurement: what one query reads."""

    measurement: str
    gateway: str
    device: str

    @property
    def conditions(self) -> list[str]:
        """That rows are of this device."""
        return ql.tagged({names.GATEWAY: self.gateway, names.DEVICE: self.device})


def sources(series: Sequence[SeriesKey]) -> list[tuple[Source, list[str]]]:
    """Which fields to read of which device."""
    ordered = sorted(set(series))
    return [(Source(*of), [key.field for key in keys]) for of, keys in groupby(ordered, key=lambda key: key[:3])]


def series(ask: Ask, own: str | None = None) -> list[SeriesKey]:
    """Every series of readings, or of a measurement of ours, sorted. Asks for the last value of all their fields."""
    found = {row[0] for row in _shown(ask, "SHOW MEASUREMENTS")}
    grouped = f"GROUP BY {ql.names((names.GATEWAY, names.DEVICE))}"
    wanted = found & {own} if own else found - names.RESERVED
    statements = [ql.select("last(*)", measurement, tail=grouped) for measurement in sorted(wanted)]
    keys = set()
    for _, piece in _answers(ask, statements):
        gateway, device = piece.tags.get(names.GATEWAY), piece.tags.get(names.DEVICE)
        if gateway and device:
            keys |= {
                SeriesKey(piece.name, gateway, device, column.removeprefix(_LAST))
                for row in piece.rows
                for column, value in zip(piece.columns, row, strict=True)
                if column.startswith(_LAST) and _is_number(value)
            }
    return sorted(key for key in keys if not key.field.startswith(QUALITY_PREFIX))


def window(ask: Ask, source: Source, fields: Sequence[str], from_ms: int, to_ms: int) -> dict[SeriesKey, Window]:
    """Readings of these fields of one device in [from_ms, to_ms), by one query."""
    wanted = [*fields, *(QUALITY_PREFIX + field for field in fields)]
    statement = ql.select(ql.names(wanted), source.measurement, [*source.conditions, *_between(from_ms, to_ms)])
    times: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    columns: list[list[NDArray[np.float64]]] = [[np.empty(0)] for _ in wanted]
    for piece in ask(statement, "ms"):
        read = list(zip(*piece.rows, strict=True))
        times.append(np.array(read[0], dtype=np.int64))
        for column, cells in zip(columns, read[1:], strict=True):
            column.append(np.array(cells, dtype=np.float64))  # null becomes NaN, which is never stored
    t = np.concatenate(times)
    values = [np.concatenate(column) for column in columns]
    return {
        SeriesKey(*source, field): _window(t, value, quality)
        for field, value, quality in zip(fields, values, values[len(fields) :], strict=False)
    }


def count(ask: Ask, keys: Sequence[SeriesKey], from_ms: int, to_ms: int) -> int:
    """Readings of these series in [from_ms, to_ms) together."""
    statements = [
        ql.select(
            ", ".join(f"count({ql.name(field)})" for field in fields),
            source.measurement,
            [*source.conditions, *_between(from_ms, to_ms)],
        )
        for source, fields in sources(keys)
    ]
    # A field that has nothing in the interval while another has shows null.
    cells = (cell for _, piece in _answers(ask, statements) for row in piece.rows for cell in row[1:])
    return sum(int(cell) for cell in cells if cell is not None)


def neighbours(ask: Ask, key: SeriesKey, from_ms: int, to_ms: int) -> tuple[int | None, int | None]:
    """Times of the last reading before from_ms and of the first at or after to_ms."""
    conditions = Source(*key[:3]).conditions
    field = ql.name(key.field)
    statements = [
        ql.select(f"last({field})", key.measurement, [*conditions, ql.before_ms(from_ms)]),
        ql.select(f"first({field})", key.measurement, [*conditions, ql.since_ms(to_ms)]),
    ]
    found = {number: int(piece.rows[0][0]) for number, piece in _answers(ask, statements)}
    return found.get(0), found.get(1)


def latest(ask: Ask, keys: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[int, float]]:
    """(t_ms, value) of the newest reading of each series that has one. A statement each, so that each has its time."""
    wanted = list(dict.fromkeys(keys))
    statements = [
        ql.select(f"last({ql.name(key.field)})", key.measurement, Source(*key[:3]).conditions) for key in wanted
    ]
    rows = ((number, piece.rows[0]) for number, piece in _answers(ask, statements))
    return {wanted[number]: (int(row[0]), float(row[1])) for number, row in rows}


def receipts(ask: Ask, after_us: int, limit: int) -> list[Receipt]:
    """Receipts after a time, whole microseconds only."""
    found = _receipts(ask, [ql.after_us(after_us)], f"LIMIT {limit}")
    if len(found) == limit:
        last_us = found[-1].at_us
        found = [receipt for receipt in found if receipt.at_us < last_us] + _receipts(ask, [ql.at_us(last_us)])
    return in_store_order(found)


def receipts_between(ask: Ask, gateway: str, from_ms: int, to_ms: int) -> list[Receipt]:
    """Receipts of batches that touch [from_ms, to_ms), and of those rejected whole."""
    begin, end = ql.name(names.FROM), ql.name(names.TO)
    first, last = ql.number(from_ms), ql.number(to_ms)
    touching = f"({begin} < {last} AND ({end} > {first} OR {begin} >= {first}))"
    conditions = [*ql.tagged({names.GATEWAY: gateway}), f"({touching} OR ({begin} = 0 AND {end} = 0))"]
    return in_batch_order(_receipts(ask, conditions))


def gateways(ask: Ask) -> list[str]:
    """Gateways that have a receipt, sorted."""
    answer = _shown(ask, f"SHOW TAG VALUES FROM {ql.name(names.RECEIPT)} WITH KEY = {ql.name(names.GATEWAY)}")
    return sorted({row[1] for row in answer})


def last_receipts(ask: Ask, after_us: int) -> list[Receipt]:
    """Of each gateway with a receipt after `after_us` the one among these that reaches furthest."""
    since = ql.after_us(after_us)
    ends = ask(
        ql.select(f"max({ql.name(names.TO)})", names.RECEIPT, [since], f"GROUP BY {ql.name(names.GATEWAY)}"), "u"
    )
    reach = {piece.tags[names.GATEWAY]: int(piece.rows[0][1]) for piece in ends}
    statements = [
        _receipt_query([*ql.tagged({names.GATEWAY: gateway}), f"{ql.name(names.TO)} = {to_ms}", since])
        for gateway, to_ms in sorted(reach.items())
    ]
    return furthest(_receipt(row) for _, piece in _answers(ask, statements, "u") for row in piece.rows)


def events(ask: Ask, kind: str, from_ms: int, to_ms: int, gateway: str | None) -> list[Event]:
    """Events of a kind in [from_ms, to_ms)."""
    tags = {names.KIND: kind} | ({} if gateway is None else {names.GATEWAY: gateway})
    found = []
    for t_ms, own, fields in figures(ask, names.EVENT, tags, from_ms, to_ms):
        said = fields.pop(names.EVENT_TEXT, "")
        values = tuple(sorted((name, float(value)) for name, value in fields.items()))
        found.append(Event(t_ms, own[names.GATEWAY], own[names.DEVICE], kind, str(said), values))
    return sorted(found, key=lambda event: event[:3])


def figures(ask: Ask, measurement: str, tags: dict[str, str], from_ms: int, to_ms: int) -> list[Figure]:
    """Rows with these tags in [from_ms, to_ms), by time, then by tags."""
    statement = ql.select("*", measurement, [*ql.tagged(tags), *_between(from_ms, to_ms)], "GROUP BY *")
    found: list[Figure] = []
    for piece in ask(statement, "ms"):
        for row in piece.rows:
            cells = zip(piece.columns[1:], row[1:], strict=True)
            fields = {name: _cell(cell) for name, cell in cells if cell is not None}
            found.append((int(row[0]), dict(piece.tags), fields))
    return sorted(found, key=lambda row: (row[0], sorted(row[1].items())))


def _shown(ask: Ask, statement: str) -> list[list[Any]]:
    """Rows of a SHOW statement, of a database that is there."""
    return [row for number, piece in _answers(ask, [ql.PROBE, statement]) if number for row in piece.rows]


def _receipts(ask: Ask, conditions: Iterable[str], tail: str = "") -> list[Receipt]:
    # While a row is being written, its first fields can be read before its last ones: then it is not there yet.
    pieces = ask(_receipt_query(conditions, tail), "u")
    return [_receipt(row) for piece in pieces for row in piece.rows if None not in row]


def _receipt_query(conditions: Iterable[str], tail: str = "") -> str:
    return ql.select(ql.names(_RECEIPT_COLUMNS), names.RECEIPT, conditions, tail)


def _receipt(row: Sequence[Any]) -> Receipt:
    at_us, gateway, worker, run, seq, from_ms, to_ms, readings, bad, counts = row
    numbers = int(seq), int(from_ms), int(to_ms), int(readings), int(bad)
    return Receipt(int(at_us), gateway, worker, run, *numbers, counts)


def _answers(ask: Ask, statements: Sequence[str], epoch: str = "ms") -> Iterator[tuple[int, Piece]]:
    """(number of the statement, piece), asking many statements in one request."""
    for first in range(0, len(statements), STATEMENTS_MAX):
        for piece in ask("; ".join(statements[first : first + STATEMENTS_MAX]), epoch):
            yield first + piece.statement, piece


def _window(t: NDArray[np.int64], value: NDArray[np.float64], quality: NDArray[np.float64]) -> Window:
    there = ~np.isnan(value)
    return Window(t[there], value[there], np.nan_to_num(quality[there], nan=0.0))


def _between(from_ms: int, to_ms: int) -> list[str]:
    return [ql.since_ms(from_ms), ql.before_ms(to_ms)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> float | str:
    return value if isinstance(value, str) else float(value)
