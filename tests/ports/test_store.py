"""What every home of the store promises, on each of them: what was confirmed is there, exactly, once."""

from __future__ import annotations

import math
import random
import struct

import pytest

from rollups.digested import Digested
from rollups.doubts import REACH_MS
from rollups.gather import digested, doubted
from rollups.gauges import Course
from series_store import names
from series_store.table import STORED, Outcome, SeriesKey, Table
from tests.ports.conftest import Home
from tests.ports.store_rows import ENERGY, POWER, T0, event, pairs, readings, receipt, receipt_table

FOREVER = (0, 2**62)
AWKWARD = [1e-300, 0.1 + 0.2, 2.0**53, -1.5, 5e-324, 1.7976931348623157e308, 0.0, 123456789.123456789, 1e16, 1e21, -7.0]


def write(home: Home, *tables: Table) -> Outcome:
    return home(home.writer.write(tables))


def window(home: Home, key: SeriesKey, from_ms: int = 0, to_ms: int = 2**62) -> list[tuple[int, float]]:
    return pairs(home(home.reader.window([key], from_ms, to_ms))[key])


def test_every_float_comes_back_bit_for_bit(home: Home) -> None:
    chance = random.Random(11)
    bits = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(500)]
    values = [*AWKWARD, *(value for value in bits if math.isfinite(value))]
    times = list(range(len(values)))
    assert write(home, readings(times, {"power_w": values, "energy_kwh": values[::-1]})) == STORED
    assert window(home, POWER) == list(zip(times, values, strict=True))
    assert window(home, ENERGY) == list(zip(times, values[::-1], strict=True))


def test_writing_the_same_twice_changes_nothing(home: Home) -> None:
    table = readings([0, 1000], {"power_w": [1.5, 2.5]})
    for _ in range(2):
        assert write(home, table) == STORED
    assert window(home, POWER) == [(0, 1.5), (1000, 2.5)]
    assert home(home.reader.count([POWER], *FOREVER)) == 2


def test_the_last_value_under_a_key_wins_and_leaves_other_fields_alone(home: Home) -> None:
    write(home, readings([0], {"power_w": [1.0], "energy_kwh": [7.0]}))
    write(home, readings([0], {"power_w": [2.0]}))
    assert window(home, POWER) == [(0, 2.0)]
    assert window(home, ENERGY) == [(0, 7.0)]


def test_a_row_that_can_never_be_stored_spares_its_neighbours(home: Home) -> None:
    good = readings([0, 1000], {"power_w": [1.0, 2.0]}, device="m2")
    bad = readings(
        [0, 1000, 2000, 3000, 4000],
        {"power_w": [1.0, math.nan, 3.0, "text", 5.0], "energy_kwh": [None, 1.0, math.inf, 1.0, 2.0]},
    )
    outcome = write(home, good, bad)
    assert outcome.stored
    assert [(refusal.table, refusal.row) for refusal in outcome.refused] == [(1, 1), (1, 2), (1, 3)]
    assert all("\n" not in refusal.reason and refusal.reason for refusal in outcome.refused)
    assert "power_w" in outcome.refused[0].reason
    assert "nan" in outcome.refused[0].reason
    assert window(home, POWER) == [(0, 1.0), (4000, 5.0)]
    assert window(home, ENERGY) == [(4000, 2.0)]
    assert window(home, POWER._replace(device="m2")) == [(0, 1.0), (1000, 2.0)]


@pytest.mark.parametrize(
    "table",
    [
        readings([0], {"power_w": [True]}),
        readings([0], {"power_w": [10**400]}),
        readings([-T0 - 1], {"power_w": [1.0]}),
        readings([2**62], {"power_w": [1.0]}),
        readings([0], {"power_w": [1.0]}, gateway=""),
        readings([0], {"power_w": [1.0]}, gateway="back\\slash"),
        readings([0], {"power_w": [1.0]}, gateway="two\nlines"),
        readings([0], {"power_w": [1.0]}, kind="#comment"),
        readings([0], {"power_w": [1.0]}, kind=names.ROLLUP_1H),
        readings([0], {"time": [1.0]}),
        readings([0], {"": [1.0]}),
        Table("energy_meter", (("gateway", "g1"),), ("power_w",), [T0], [[1.0]]),
        Table("energy_meter", (("gateway", "g1"), ("device", "m1")), ("power_w",), [T0 * 1000], [[1.0]], micros=True),
        event(0, "\ud800"),
        event(0, "x" * 1_048_577),
    ],
    ids=lambda table: table.measurement,
)
def test_what_no_home_can_keep_is_refused_with_a_reason(home: Home, table: Table) -> None:
    beside = readings([0], {"power_w": [1.0]}, device="beside")
    outcome = write(home, table, beside)
    assert [(refusal.table, refusal.row) for refusal in outcome.refused] == [(0, 0)]
    assert outcome.refused[0].reason.isprintable()
    assert home(home.reader.series()) == [POWER._replace(device="beside")]


def test_a_receipt_that_lacks_a_field_is_refused(home: Home) -> None:
    whole = receipt_table(receipt(5))
    torn = Table(names.RECEIPT, whole.tags, whole.fields[:-1], whole.times, whole.columns[:-1], micros=True)
    empty = Table(names.RECEIPT, whole.tags, whole.fields, whole.times, [*whole.columns[:-1], [None]], micros=True)
    outcome = write(home, torn, empty)
    assert [refusal.table for refusal in outcome.refused] == [0, 1]
    assert write(home, whole) == STORED
    assert home(home.reader.receipts(0, 10)) == [receipt(5)]


def test_gaps_in_a_table_stay_gaps(home: Home) -> None:
    columns = {"power_w": [1.0, None, 3.0, None], "energy_kwh": [None, 2.0, 3.0, None]}
    assert write(home, readings([0, 1, 2, 3], columns)) == STORED
    assert window(home, POWER) == [(0, 1.0), (2, 3.0)]
    assert window(home, ENERGY) == [(1, 2.0), (2, 3.0)]
    assert home(home.reader.count([POWER, ENERGY], *FOREVER)) == 4


def test_quality_stands_beside_its_value_and_is_no_reading_of_its_own(home: Home) -> None:
    table = readings([0, 1, 2], {"power_w": [1.0, 2.0, None], "q_power_w": [None, 2.0, 3.0]})
    assert write(home, table) == STORED
    found = home(home.reader.window([POWER], *FOREVER))[POWER]
    assert (found.t - T0).tolist() == [0, 1]
    assert found.quality.tolist() == [0.0, 2.0]
    assert [str(column.dtype) for column in (found.t, found.value, found.quality)] == ["int64", "float64", "float64"]
    assert home(home.reader.count([POWER], *FOREVER)) == 2
    assert home(home.reader.series()) == [POWER]


def test_an_interval_includes_its_begin_and_not_its_end(home: Home) -> None:
    write(home, readings([0, 1000, 2000], {"power_w": [1.0, 2.0, 3.0]}))
    assert window(home, POWER, T0, T0 + 2000) == [(0, 1.0), (1000, 2.0)]
    assert window(home, POWER, T0 + 1, T0 + 2001) == [(1000, 2.0), (2000, 3.0)]
    assert home(home.reader.count([POWER], T0, T0 + 2000)) == 2
    assert home(home.reader.count([POWER], T0 + 1000, T0 + 1000)) == 0


def test_an_empty_window_is_empty_and_no_error(home: Home) -> None:
    unknown = SeriesKey("nothing", "g", "d", "f")
    write(home, readings([0], {"power_w": [1.0]}))
    found = home(home.reader.window([POWER, unknown], T0 + 1, T0 + 5))
    assert set(found) == {POWER, unknown}
    assert all(len(one.t) == len(one.value) == len(one.quality) == 0 for one in found.values())
    assert home(home.reader.window([], 0, 1)) == {}
    assert home(home.reader.count([unknown], *FOREVER)) == 0
    assert home(home.reader.count([], *FOREVER)) == 0
    assert home(home.reader.latest([unknown])) == {}
    assert home(home.reader.neighbours(unknown, 0, 1)) == (None, None)


def test_an_empty_store_answers_every_question(home: Home) -> None:
    assert home(home.reader.series()) == []
    assert home(home.reader.receipts(0, 10)) == []
    assert home(home.reader.receipts_between("g1", *FOREVER)) == []
    assert home(home.reader.gateways()) == []
    assert home(home.reader.last_receipts()) == []
    assert home(home.reader.events("start", *FOREVER)) == []
    assert home(home.figures.figures(names.ROLLUP_1H, {}, *FOREVER)) == []
    assert home(home.writer.write([])) == STORED
    assert home(home.writer.write([readings([], {"power_w": []}), readings([0], {})])) == STORED
    assert home(home.writer.write([readings([0, 1], {"power_w": [None, None]})])) == STORED
    assert home(home.reader.series()) == []


def test_one_question_for_many_devices_gives_each_its_own(home: Home) -> None:
    tables = [readings([n], {"power_w": [float(n)], "energy_kwh": [n / 2]}, device=f"m{n}") for n in range(60)]
    assert write(home, *tables) == STORED
    keys = [POWER._replace(device=f"m{n}", field=f) for n in range(60) for f in ("power_w", "energy_kwh")]
    found = home(home.reader.window(keys, *FOREVER))
    assert list(found) == keys
    assert [pairs(found[key]) for key in keys[:4]] == [[(0, 0.0)], [(0, 0.0)], [(1, 1.0)], [(1, 0.5)]]
    assert home(home.reader.count(keys, *FOREVER)) == 120
    latest = home(home.reader.latest(keys))
    assert len(latest) == 120
    assert latest[POWER._replace(device="m59")] == (T0 + 59, 59.0)
    assert home(home.reader.series()) == sorted(keys)


def test_a_window_of_many_thousand_readings_arrives_whole(home: Home) -> None:
    rows = 70_001
    times = list(range(rows))
    values = [n * 0.1 for n in range(rows)]
    assert write(home, readings(times, {"power_w": values})) == STORED
    found = home(home.reader.window([POWER], *FOREVER))[POWER]
    assert found.t.tolist() == [T0 + t for t in times]
    assert found.value.tolist() == values
    assert home(home.reader.count([POWER], *FOREVER)) == rows


def test_neighbours_are_the_readings_just_outside(home: Home) -> None:
    write(home, readings([0, 1000, 2000, 3000], {"power_w": [1.0, 2.0, 3.0, None], "q_power_w": [None] * 3 + [3.0]}))
    ask = home.reader.neighbours
    assert home(ask(POWER, T0 + 1000, T0 + 2000)) == (T0, T0 + 2000)
    assert home(ask(POWER, T0, T0 + 1)) == (None, T0 + 1000)
    assert home(ask(POWER, T0 + 5000, T0 + 6000)) == (T0 + 2000, None)
    assert home(ask(POWER, *FOREVER)) == (None, None)


def test_the_latest_reading_is_the_newest_with_a_value(home: Home) -> None:
    columns = {"power_w": [1.0, 2.0, None], "q_power_w": [None, None, 3.0], "energy_kwh": [5.0, None, None]}
    write(home, readings([0, 1000, 2000], columns))
    assert home(home.reader.latest([POWER, ENERGY])) == {POWER: (T0 + 1000, 2.0), ENERGY: (T0, 5.0)}


def test_only_fields_that_were_ever_stored_are_series(home: Home) -> None:
    write(home, readings([0], {"power_w": [1.0], "energy_kwh": [None]}))
    write(home, readings([0], {"flow_m3_h": [1.0], "q_flow_m3_h": [1.0]}, kind="water_meter", device="w1"))
    write(home, readings([0], {"q_power_w": [3.0]}, device="mute"))
    write(home, readings([0], {"power_w_count": [3.0]}, kind=names.SUMMARY), event(0, "{}"))
    write(home, receipt_table(receipt(1)))
    home(home.figures.put([Table(names.ROLLUP_1H, (("gateway", "g1"), ("device", "m1")), ("mean",), [T0], [[1.0]])]))
    assert home(home.reader.series()) == [POWER, SeriesKey("water_meter", "g1", "w1", "flow_m3_h")]


def test_the_series_of_our_own_measurements_are_told_when_asked_for(home: Home) -> None:
    assert home(home.reader.series(names.SUMMARY)) == []
    write(home, readings([0], {"power_w_mean": [3.0]}, kind=names.SUMMARY), readings([0], {"power_w": [1.0]}))
    (key,) = home(home.reader.series(names.SUMMARY))
    assert (key.measurement, key.field) == (names.SUMMARY, "power_w_mean")
    assert [other.field for other in home(home.reader.series())] == ["power_w"]


def test_tags_with_spaces_commas_and_equals_signs_come_back_as_they_were(home: Home) -> None:
    odd = "a b,c=d \"e\" 'f' %s 中文/{x}"
    key = SeriesKey("energy_meter", odd, f"{odd}2", "power_w")
    assert write(home, readings([0], {"power_w": [1.0]}, gateway=odd, device=f"{odd}2")) == STORED
    assert home(home.reader.series()) == [key]
    assert window(home, key) == [(0, 1.0)]
    assert home(home.reader.latest([key])) == {key: (T0, 1.0)}


def test_receipts_come_back_whole_and_oldest_first(home: Home) -> None:
    counts = '{"devices":{"m1":{"counts":{"main":[4,3,{"timeout":1}]}}},"note":"\\"a\\\\b\\" 中文"}'
    first, second = receipt(1_700_000_000_000_001, counts=counts), receipt(1_700_000_000_000_002, seq=2)
    assert write(home, receipt_table(second), receipt_table(first)) == STORED
    assert home(home.reader.receipts(0, 10)) == [first, second]


def test_a_cursor_over_receipts_skips_none_and_repeats_none(home: Home) -> None:
    at = [10, 20, 20, 20, 30, 40]
    given = [receipt(at_us, worker=f"w{n}", seq=n + 1) for n, at_us in enumerate(at)]
    assert write(home, *map(receipt_table, given)) == STORED
    assert home(home.reader.receipts(10, 100)) == given[1:]
    assert home(home.reader.receipts(40, 100)) == []
    for limit in (1, 2, 3, 4, 100):
        seen, after_us = [], 0
        while page := home(home.reader.receipts(after_us, limit)):
            seen += page
            after_us = page[-1].at_us
        assert seen == given


def test_receipts_of_an_interval_are_those_whose_batches_touch_it(home: Home) -> None:
    def batch(seq: int, begin: int, end: int) -> None:
        found[seq] = receipt(1000 + seq, seq=seq, from_ms=T0 + begin, to_ms=T0 + end)

    found = {1: receipt(1001, seq=1, from_ms=0, to_ms=0, counts='{"rejected":"no JSON"}')}
    batch(2, -10, 0)
    batch(3, -10, 1)
    batch(4, 0, 10)
    batch(5, 9, 20)
    batch(6, 10, 20)
    batch(7, 5, 5)
    batch(8, 10, 10)
    batch(9, 0, 0)
    redelivered = receipt(2000, seq=4, worker="w2", from_ms=T0, to_ms=T0 + 10)
    other = receipt(3000, gateway="g2")
    write(home, *map(receipt_table, [*found.values(), redelivered, other]))
    expected = [found[1], found[3], found[4], redelivered, found[9], found[7], found[5]]
    assert home(home.reader.receipts_between("g1", T0, T0 + 10)) == expected
    assert home(home.reader.receipts_between("g3", *FOREVER)) == []
    assert len(home(home.reader.receipts_between("g1", *FOREVER))) == 10


def test_the_last_receipt_of_a_gateway_is_the_one_that_reaches_furthest(home: Home) -> None:
    live = receipt(1_000_000_000, seq=9, to_ms=T0 + 90_000)
    write(home, receipt_table(live), receipt_table(receipt(2_000_000_000, seq=3, to_ms=T0 + 30_000)))
    write(home, receipt_table(receipt(3_000_000_000, gateway="a2", to_ms=T0)))
    assert home(home.reader.last_receipts()) == [receipt(3_000_000_000, gateway="a2", to_ms=T0), live]
    assert home(home.reader.gateways()) == ["a2", "g1"]
    again = receipt(4_000_000_000, seq=9, worker="w2", to_ms=T0 + 90_000)
    newer = receipt(3_999_000_000, gateway="a2", seq=2, to_ms=T0 + 1)
    write(home, receipt_table(again), receipt_table(newer))
    assert home(home.reader.last_receipts()) == [newer, again]
    write(home, receipt_table(receipt(8_000_000_000, seq=4, to_ms=T0)))
    assert home(home.reader.last_receipts()) == [newer, again]
    live = receipt(9_000_000_000, seq=10, to_ms=T0 + 100_000)
    write(home, receipt_table(live))
    for _ in range(2):
        assert home(home.reader.last_receipts()) == [newer, live], "a gateway that was heard long ago is not forgotten"
    slow = receipt(8_950_000_000, seq=11, worker="w2", to_ms=T0 + 110_000)
    write(home, receipt_table(slow))
    assert home(home.reader.last_receipts()) == [newer, slow], "another worker's receipt may appear a little later"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "say \\"hi\\", b=c"}',
        "two\nlines\r\nand a tab\t",
        "再生水 – 50 %",
        "back\\slash\\",
        "'",
        "",
        "x" * 200_000,
    ],
    ids=["quotes", "newlines", "chinese", "backslash", "quote", "empty", "long"],
)
def test_the_text_of_an_event_comes_back_letter_by_letter(home: Home, text: str) -> None:
    assert write(home, event(0, text)) == STORED
    assert [found.text for found in home(home.reader.events("start", *FOREVER))] == [text]


def test_two_events_of_one_series_at_one_time_are_one_row(home: Home) -> None:
    home(home.writer.write([event(0, "first", a=1.0), event(0, "second", b=2.0)]))
    (found,) = home(home.reader.events("start", *FOREVER))
    assert (found.text, found.values) == ("second", (("a", 1.0), ("b", 2.0)))


def test_events_are_found_by_kind_gateway_and_time(home: Home) -> None:
    write(home, event(5, "b", mass_kg=2.5, level=1.0), event(0, "a", device="bin1"), event(5, "c", gateway="g2"))
    write(home, event(0, "other", kind="stop"), event(9, "late"))
    found = home(home.reader.events("start", T0, T0 + 9))
    assert [(e.t_ms - T0, e.gateway, e.device, e.kind, e.text) for e in found] == [
        (0, "g1", "bin1", "start", "a"),
        (5, "g1", "gateway", "start", "b"),
        (5, "g2", "gateway", "start", "c"),
    ]
    assert found[1].values == (("level", 1.0), ("mass_kg", 2.5))
    assert [e.text for e in home(home.reader.events("start", T0, T0 + 9, gateway="g2"))] == ["c"]
    assert home(home.reader.events("nothing", *FOREVER)) == []


def test_figures_come_back_as_numbers_and_text_and_the_last_wins(home: Home) -> None:
    tags = {"area": "north, 北=1", "indicator": "recovery"}

    def put(t: int, tags: dict[str, str], **fields: float | str | None) -> Outcome:
        table = Table(names.INDICATOR, tuple(tags.items()), tuple(fields), [T0 + t], [[c] for c in fields.values()])
        return home(home.figures.put([table]))

    assert put(0, tags, value=0.1 + 0.2, reason="", parts=None) == STORED
    assert put(0, tags, value=1e-300, reason='so\n"so"') == STORED
    assert put(1000, tags, value=7.0) == STORED
    assert put(0, {**tags, "area": "a"}, value=1.0) == STORED
    found = home(home.figures.figures(names.INDICATOR, {"indicator": "recovery"}, T0, T0 + 1000))
    assert found == [
        (T0, {**tags, "area": "a"}, {"value": 1.0}),
        (T0, tags, {"value": 1e-300, "reason": 'so\n"so"'}),
    ]
    assert all(isinstance(row[2]["value"], float) for row in found)
    assert len(home(home.figures.figures(names.INDICATOR, tags, *FOREVER))) == 2
    assert home(home.figures.figures(names.INDICATOR, {"area": "nowhere"}, *FOREVER)) == []


def test_a_figure_that_is_no_number_spares_its_neighbours(home: Home) -> None:
    table = Table(names.ROLLUP_1H, (("device", "m1"),), ("mean",), [T0, T0 + 1, T0 + 2], [[1.0, math.nan, 3.0]])
    outcome = home(home.figures.put([table, receipt_table(receipt(1))]))
    assert [(refusal.table, refusal.row) for refusal in outcome.refused] == [(0, 1), (1, 0)]
    rows = home(home.figures.figures(names.ROLLUP_1H, {}, *FOREVER))
    assert [(t - T0, fields) for t, _, fields in rows] == [(0, {"mean": 1.0}), (2, {"mean": 3.0})]


def test_a_cursor_is_remembered_and_may_go_back(home: Home) -> None:
    assert home(home.figures.cursor("hours")) == 0
    for value in (1_700_000_000_123_456, 5, 2**53):
        home(home.figures.set_cursor("hours", value))
        assert home(home.figures.cursor("hours")) == value
    assert home(home.figures.cursor("days")) == 0


def test_a_store_may_be_started_twice_and_closed_twice(home: Home) -> None:
    for store in (home.writer, home.reader, home.figures):
        home(store.start())
        home(store.start())
    assert write(home, readings([0], {"power_w": [1.0]})) == STORED
    for store in (home.reader, home.figures, home.writer):
        home(store.close())
        home(store.close())


def test_what_a_digest_says_of_readings_that_were_given_up_is_read_like_readings_and_is_none(home: Home) -> None:
    tags = (("gateway", POWER.gateway), ("device", POWER.device))
    fields = tuple(f"power_w_{part}" for part in (names.SUMMARY_TO, names.SUMMARY_COUNT, *names.SUMMARY_COURSE))
    columns = [[float(T0 + 9000), float(T0 + 30_000)], [3.0, 2.0], [0.5, 1.0], [4.25, 2.0], [3.5, 1.5]]
    whole = ("energy_kwh_to", "energy_kwh_count")
    assert (
        write(
            home,
            readings([0], {"power_w": [1.0], "energy_kwh": [1.0]}),
            Table(names.SUMMARY, tags, fields, [T0, T0 + 20_000], columns),
            Table(names.SUMMARY, tags, whole, [T0], [[float(T0 + 9000)], [3.0]]),
        )
        == STORED
    )
    found = home(digested(home.reader, [POWER, ENERGY], T0, T0 + 60_000))
    assert found == {
        POWER: (
            Digested(T0, T0 + 9000, 3, Course(3.5, 0.5, 4.25)),
            Digested(T0 + 20_000, T0 + 30_000, 2, Course(1.5, 1.0, 2.0)),
        ),
        ENERGY: (Digested(T0, T0 + 9000, 3),),
    }
    assert home(digested(home.reader, [POWER._replace(device="m2")], T0, T0 + 60_000)) == {}
    assert home(home.reader.series()) == sorted([POWER, ENERGY])


def test_between_which_times_readings_were_taken_is_read_like_readings_and_is_none(home: Home) -> None:
    tags = (("gateway", POWER.gateway), ("device", POWER.device))
    columns = [[float(T0 + 9000), float(T0 + 30_000)], [-5000.0, -7.0], [9e12, 60_000.0]]
    told = Table(names.UNSURE, tags, names.UNSURE_FIELDS, [T0, T0 + 20_000], columns)
    assert write(home, readings([0], {"power_w": [1.0]}), told) == STORED
    found = home(doubted(home.reader, POWER.gateway, POWER.device, T0, T0 + 60_000))
    assert found.from_ms.tolist() == [T0, T0 + 20_000]
    assert found.to_ms.tolist() == [T0 + 9000, T0 + 30_000]
    assert found.early_ms.tolist() == [-5000, -7]
    assert found.late_ms.tolist() == [REACH_MS, 60_000]
    assert len(home(doubted(home.reader, POWER.gateway, "m2", T0, T0 + 60_000))) == 0
    assert home(home.reader.series()) == [POWER]
