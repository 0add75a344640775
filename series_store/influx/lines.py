"""Tables to line protocol, fast: all fields of one device and time stand in one line, since a line costs the database
as much with one field as with ten.

Numbers always carry a decimal point or an exponent, so that no field ever becomes an integer there. Escapes are those
of the InfluxDB 1.x line protocol reference; names that it cannot escape were refused before (`series_store.vet`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

from pydantic import TypeAdapter

from series_store.table import Cell, Table

MILLISECONDS, MICROSECONDS = "ms", "u"
PRECISIONS = frozenset({MILLISECONDS, MICROSECONDS})
"""InfluxDB takes any other word for nanoseconds, and answers 204."""

SHAPES_MAX = 16_384
"""Formats that are remembered: one per device and set of fields, since live batches bring one row of each at a time."""

_NUMBERS = TypeAdapter(list[float])
"""Writes floats as short as they can be read back exactly, three to ten times as fast as `repr`."""

_NAME = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_MEASUREMENT = str.maketrans({",": "\\,", " ": "\\ "})
_TEXT = str.maketrans({'"': '\\"', "\\": "\\\\"})


def precision(tables: Sequence[Table]) -> str:
    """The `precision` under which these tables are to be sent; they share one."""
    assert len({table.micros for table in tables}) == 1
    return MICROSECONDS if tables[0].micros else MILLISECONDS


def encode(tables: Sequence[Table]) -> bytes:
    """Lines of all rows that have a cell, each ending in a line feed. The tables are vetted and share a precision."""
    return b"".join(map(_lines, tables))


def _lines(table: Table) -> bytes:
    cells = list(chain.from_iterable(table.columns))
    if set(map(type, cells)) != {float}:
        return b"".join(_uneven_lines(table))
    line = _line(table.measurement, table.tags, table.fields)
    rows = len(table.times)
    numbers = _numbers(cells)
    columns = [numbers[first : first + rows] for first in range(0, len(numbers), rows)]
    return b"".join([line % row for row in zip(*columns, table.times, strict=True)])


def _uneven_lines(table: Table) -> Iterator[bytes]:
    """Lines of rows that lack cells or hold text."""
    head = _head(table.measurement, table.tags)
    columns = [list(_assignments(name, column)) for name, column in zip(table.fields, table.columns, strict=True)]
    for time, row in zip(table.times, zip(*columns, strict=True), strict=True):
        if fields := b",".join(filter(None, row)):
            yield b"%b %b %d\n" % (head, fields, time)


def _assignments(field: str, column: Sequence[Cell]) -> Iterator[bytes]:
    """`name=value` of each cell, b"" for none."""
    name = _field(field)
    numbers = iter(_numbers([cell for cell in column if isinstance(cell, float)]))
    for cell in column:
        if cell is None:
            yield b""
        elif isinstance(cell, str):
            yield b'%b"%b"' % (name, cell.translate(_TEXT).encode())
        else:
            yield name + next(numbers)


def _numbers(floats: list[Cell]) -> list[bytes]:
    if not floats:
        return []
    text = _NUMBERS.dump_json(floats)  # type: ignore[arg-type]  # all are float
    assert b"n" not in text, "NaN or infinity was not refused before"
    return text[1:-1].split(b",")


@lru_cache(SHAPES_MAX)
def _line(measurement: str, tags: tuple[tuple[str, str], ...], fields: tuple[str, ...]) -> bytes:
    """A line with %b for each number and %d for the time."""
    names = b",".join(_field(field).replace(b"%", b"%%") + b"%b" for field in fields)
    return _head(measurement, tags).replace(b"%", b"%%") + b" " + names + b" %d\n"


def _head(measurement: str, tags: tuple[tuple[str, str], ...]) -> bytes:
    pairs = "".join(f",{key.translate(_NAME)}={value.translate(_NAME)}" for key, value in sorted(tags))
    return f"{measurement.translate(_MEASUREMENT)}{pairs}".encode()


def _field(name: str) -> bytes:
    return f"{name.translate(_NAME)}=".encode()
