"""A truth that is kept in fewer bytes must come back to the last bit, and bytes that are none must never pass."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.story.packing import BITS, Column, pack, unpack

SMOOTH = 1e6 + np.cumsum(np.random.default_rng(1).random(1440))
SHOWN = np.round(SMOOTH, 3)


def same(column: Column, again: Column) -> bool:
    return np.array_equal(column.view(np.int64), again.view(np.int64))


@pytest.mark.parametrize(
    "column",
    [SMOOTH, SHOWN, np.zeros(1440), np.array([]), np.array([0.0, -0.0, np.inf, -np.inf, 5e-324, 1.7e308, -1.7e308])],
    ids=["smooth", "shown", "zeros", "none", "extreme"],
)
def test_a_column_comes_back_to_the_last_bit(column: Column) -> None:
    assert same(column, unpack(pack(column)))
    assert same(column, unpack(pack(column, 3)))


def test_what_a_display_shows_takes_less_room_and_still_has_its_gaps() -> None:
    gaps = SHOWN.copy()
    gaps[[3, 700, 1439]] = np.nan
    packed = pack(gaps, 3)
    assert packed[0] == 3
    assert len(packed) < 0.5 * len(pack(gaps))
    assert np.array_equal(gaps, unpack(packed), equal_nan=True)


@pytest.mark.parametrize("column", [SMOOTH, np.array([1e17]), np.array([np.inf]), np.array([-0.0])])
def test_decimals_that_would_lose_something_are_not_used(column: Column) -> None:
    assert pack(column, 3)[0] == BITS


def test_a_long_quiet_column_is_nearly_nothing() -> None:
    assert len(pack(np.full(1440, 12.5))) < 100


def test_bytes_that_are_cut_or_continued_are_refused() -> None:
    packed = pack(SHOWN[:50], 3)
    for end in range(len(packed)):
        with pytest.raises(ValueError, match="not a packed column"):
            unpack(packed[:end])
    with pytest.raises(ValueError, match="not a packed column"):
        unpack(packed + b"x")
    with pytest.raises(ValueError, match="not a packed column"):
        unpack(b"\x55" + packed[1:])
