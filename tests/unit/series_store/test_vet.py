"""The rules for rows, the fast way of judging a column beside the slow one, and what is changed on the way."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from series_store import names, vet
from series_store.table import Cell, Table

TAGS = ((names.GATEWAY, "g1"), (names.DEVICE, "m1"))


def table(*columns: list[Cell], times: list[int] | None = None) -> Table:
    rows = len(columns[0])
    fields = tuple(f"f{n}" for n in range(len(columns)))
    return Table("meter", TAGS, fields, times or list(range(rows)), columns)


def test_a_sound_table_is_passed_on_untouched() -> None:
    given = table([1.0, 2.0], [None, 3.0])
    sound, refused = vet.readings([given])
    assert refused == []
    assert sound[0].table is given
    assert list(sound[0].rows) == [0, 1]


def test_other_numbers_become_plain_floats() -> None:
    given = table([1, np.float64(2.5), np.float32(0.5), np.int64(7), 1.0])  # type: ignore[list-item]
    sound, refused = vet.readings([given])
    assert refused == []
    assert sound[0].table.columns == [[1.0, 2.5, 0.5, 7.0, 1.0]]
    assert {type(cell) for cell in sound[0].table.columns[0]} == {float}


def test_times_of_numpy_become_plain_integers() -> None:
    sound, refused = vet.readings([table([1.0, 2.0], times=[np.int64(5), np.int64(6)])])  # type: ignore[list-item]
    assert refused == []
    assert {type(time) for time in sound[0].table.times} == {int}


@pytest.mark.parametrize("time", [-1, vet.TIME_MS_MAX + 1, 1.5, True, None, "5"])
def test_a_time_that_cannot_be_stored_refuses_its_row_alone(time: object) -> None:
    sound, refused = vet.readings([table([1.0, 2.0, 3.0], times=[0, time, 2])])  # type: ignore[list-item]
    assert [(refusal.row, "time" in refusal.reason) for refusal in refused] == [(1, True)]
    assert sound[0].table.times == [0, 2]
    assert sound[0].table.columns == [[1.0, 3.0]]
    assert list(sound[0].rows) == [0, 2]


@pytest.mark.parametrize("time", [0, vet.TIME_MS_MAX])
def test_the_first_and_the_last_possible_time_are_stored(time: int) -> None:
    assert vet.readings([table([1.0], times=[time])])[1] == []


@pytest.mark.parametrize("cell", [math.nan, math.inf, -math.inf, "5", True, 10**400, b"5", [], 1j])
def test_a_bad_cell_anywhere_in_a_long_column_is_found(cell: object) -> None:
    for place in (0, 50, 99):
        column: list[Cell] = [1.0] * 100
        column[place] = cell  # type: ignore[call-overload]
        sound, refused = vet.readings([table([2.0] * 100, column)])
        assert [refusal.row for refusal in refused] == [place]
        assert refused[0].reason.startswith("f1: ")
        assert len(sound[0].rows) == 99


def test_numbers_whose_sum_overflows_are_no_infinity() -> None:
    assert vet.readings([table([1.7e308, 1.7e308, 1.7e308])])[1] == []


def test_infinities_that_cancel_are_still_refused() -> None:
    _, refused = vet.readings([table([math.inf, -math.inf, 1.0])])
    assert [refusal.row for refusal in refused] == [0, 1]


def test_the_fast_judgement_agrees_with_one_cell_at_a_time() -> None:
    chance = random.Random(5)
    pool: list[Cell] = [1.0, -2.5, 0.0, None, 3, math.nan, math.inf, "x", 1e308]
    for _ in range(500):
        column = chance.choices(pool, weights=[9, 9, 9, 4, 1, 1, 1, 1, 1], k=chance.randint(1, 12))
        _, refused = vet.readings([table(column)])
        one_by_one = [row for row, cell in enumerate(column) if vet.readings([table([cell])])[1]]
        assert [refusal.row for refusal in refused] == one_by_one


def test_a_table_of_which_nothing_is_left_disappears() -> None:
    sound, refused = vet.readings([table([math.nan]), table([1.0])])
    assert [item.number for item in sound] == [1]
    assert [(refusal.table, refusal.row) for refusal in refused] == [(0, 0)]


@pytest.mark.parametrize(
    "bad, says",
    [
        (Table("meter", TAGS, ("gateway",), [0], [[1.0]]), "one name"),
        (Table("meter", (*TAGS, ("site", "s")), ("f",), [0], [[1.0]]), "tags"),
        (Table("meter", ((names.GATEWAY, "g"), (names.DEVICE, "d\n")), ("f",), [0], [[1.0]]), "device"),
        (Table("meter", TAGS, ("f" * 300,), [0], [[1.0]]), "255"),
        (Table("meter", TAGS, ("f",), [0], [["text"]]), "no number"),
        (Table(names.EVENT, (*TAGS, (names.KIND, "k")), (names.EVENT_TEXT,), [0], [[1.0]]), "no text"),
        (Table(names.EVENT, (*TAGS, (names.KIND, "k")), ("v",), [0], [["1"]]), "no number"),
        (Table(names.RECEIPT, ((names.GATEWAY, "g"), (names.WORKER, "w")), vet.RECEIPT_FIELDS, [], [[]] * 7), ""),
        (Table(names.INDICATOR, TAGS, ("f",), [0], [[1.0]]), "readings"),
    ],
)
def test_the_reason_names_what_is_wrong(bad: Table, says: str) -> None:
    sound, refused = vet.readings([bad])
    assert sound == []
    assert all(says in refusal.reason for refusal in refused)
    assert len(refused) == len(bad.times)


def test_figures_may_hold_text_in_any_field_and_any_tags() -> None:
    given = Table(names.INDICATOR, (("area", "北"),), ("value", "reason"), [0, 1], [[1.0, None], [None, "no data"]])
    sound, refused = vet.figures([given])
    assert refused == []
    assert list(sound[0].rows) == [0, 1]
