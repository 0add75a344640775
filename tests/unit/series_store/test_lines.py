"""Line protocol, read back by a small reader of its own that knows the escapes from the reference and nothing else."""

from __future__ import annotations

import math
import random
import struct

import pytest

from series_store import names
from series_store.influx.lines import encode, precision
from series_store.table import Cell, Table

TAGS = (("device", "m1"), ("gateway", "g1"))
Point = tuple[str, dict[str, str], dict[str, float | str], int]


def take(text: str, at: int, ends: str) -> tuple[str, int]:
    """A name from `at` to the next unescaped one of `ends`, and where that stands."""
    name = ""
    while text[at] not in ends:
        if text[at] == "\\" and text[at + 1] in ",= ":
            at += 1
        name += text[at]
        at += 1
    return name, at


def take_value(text: str, at: int) -> tuple[float | str, int]:
    """A number or a quoted text from `at`, and where it ends."""
    if text[at] != '"':
        end = min(place for place in (text.find(",", at), text.find(" ", at)) if place >= 0)
        assert set(text[at:end]) & {".", "e"}, f"{text[at:end]} would become an integer"
        return float(text[at:end]), end
    value, at = "", at + 1
    while text[at] != '"':
        if text[at] == "\\" and text[at + 1] in '"\\':
            at += 1
        value += text[at]
        at += 1
    return value, at + 1


def read(data: bytes) -> list[Point]:
    """Points of line protocol (InfluxDB 1.x line protocol reference)."""
    text, at, found = data.decode(), 0, []
    while at < len(text):
        measurement, at = take(text, at, ", ")
        tags: dict[str, str] = {}
        while text[at] == ",":
            key, at = take(text, at + 1, "=")
            tags[key], at = take(text, at + 1, ", ")
        fields: dict[str, float | str] = {}
        while text[at] == "," or not fields:
            name, at = take(text, at + 1, "=")
            fields[name], at = take_value(text, at + 1)
        end = text.index("\n", at)
        found.append((measurement, tags, fields, int(text[at + 1 : end])))
        at = end + 1
    return found


def points(table: Table) -> list[Point]:
    """The same points straight from the columns."""
    rows = []
    for time, cells in zip(table.times, zip(*table.columns, strict=True), strict=True):
        fields = {f: cell for f, cell in zip(table.fields, cells, strict=True) if cell is not None}
        if fields:
            rows.append((table.measurement, dict(table.tags), fields, time))
    return rows


def table(**columns: list[Cell]) -> Table:
    rows = len(next(iter(columns.values())))
    return Table("meter", TAGS, tuple(columns), list(range(1000, 1000 + rows)), list(columns.values()))


def test_all_fields_of_one_time_stand_in_one_line() -> None:
    assert encode([table(a=[1.5, 2.0], b=[3.0, 1e-300])]) == (
        b"meter,device=m1,gateway=g1 a=1.5,b=3.0 1000\nmeter,device=m1,gateway=g1 a=2.0,b=1e-300 1001\n"
    )


def test_every_float_can_be_read_back_and_never_looks_like_an_integer() -> None:
    chance = random.Random(3)
    bits = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(5000)]
    values: list[Cell] = [value for value in bits if math.isfinite(value)]
    values += [0.0, -0.0, 5.0, 2.0**53, 1e15, 1e16, 1e17, 1e21, 1e22, 5e-324, 1.7976931348623157e308]
    given = table(a=values, b=values[::-1])
    assert read(encode([given])) == points(given)
    gappy = table(a=[*values, None], b=[None, *values])
    assert read(encode([gappy])) == points(gappy)


@pytest.mark.parametrize(
    "text", ['say "hi"', "a\nb\r\n", "back\\slash", "end\\", '\\"', "a=b,c d", "再生水", "", '"', "%s %d %%", "\\\\n"]
)
def test_text_survives_its_escapes(text: str) -> None:
    given = Table(names.EVENT, TAGS, ("text", "x"), [5, 6], [[text, None], [1.0, 2.0]])
    assert read(encode([given])) == points(given)


@pytest.mark.parametrize("name", ["a b", "a,b", "a=b", "100%", "%s", "%(x)d", "北 区", 'quo"te', "it's"])
def test_names_survive_their_escapes(name: str) -> None:
    given = Table(name, (("k" + name, name),), (name, f"q_{name}"), [5, 6], [[1.0, 2.0], [3.0, 4.0]])
    assert read(encode([given])) == points(given)
    gappy = Table(name, (("k" + name, name),), (name, f"q_{name}"), [5, 6], [[1.0, 2.0], [3.0, None]])
    assert read(encode([gappy])) == points(gappy)


def test_rows_without_any_cell_make_no_line() -> None:
    assert encode([table(a=[None, None], b=[None, None])]) == b""
    assert encode([table(a=[None, 1.0, None])]) == b"meter,device=m1,gateway=g1 a=1.0 1001\n"
    assert encode([Table("meter", TAGS, ("a",), [], [[]])]) == b""


def test_the_two_ways_of_writing_a_table_give_the_same_bytes() -> None:
    chance = random.Random(9)
    column: list[Cell] = [chance.uniform(-1e6, 1e6) for _ in range(100)]
    even = encode([table(a=column, b=column)])
    uneven = encode([table(a=[*column, None], b=[*column, None])])
    assert even == uneven


def test_columns_need_not_be_lists() -> None:
    given = Table("meter", TAGS, ("a", "b"), (1, 2), ((1.0, 2.0), (3.0, 4.0)))
    assert read(encode([given])) == points(given)


def test_a_number_that_is_none_is_never_sent() -> None:
    with pytest.raises(AssertionError):
        encode([table(a=[math.nan])])


def test_the_precision_is_one_that_every_server_knows() -> None:
    assert precision([table(a=[1.0])]) == "ms"
    assert precision([Table("receipt", TAGS, ("a",), [1], [[1.0]], micros=True)]) == "u"
    with pytest.raises(AssertionError):
        precision([table(a=[1.0]), Table("receipt", TAGS, ("a",), [1], [[1.0]], micros=True)])
