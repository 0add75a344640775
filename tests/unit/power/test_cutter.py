"""What the tests of power cuts take for a card after a cut is no kinder than a real one."""

from __future__ import annotations

import random

import pytest

from tests.power.card import Entry
from tests.power.cuts import SECTOR_BYTES, Cutter, Left

SECTORS = 64
BLANK = bytes(SECTORS * SECTOR_BYTES)


def write(t_ns: int, sector: int, mark: bytes, sectors: int = 1) -> Entry:
    return Entry(t_ns, sector * SECTOR_BYTES, mark * SECTOR_BYTES * sectors)


def flush(t_ns: int) -> Entry:
    return Entry(t_ns, 0, None)


def marks(image: bytes) -> str:
    """The first byte of each sector, which must be of one piece."""
    found = [image[at : at + SECTOR_BYTES] for at in range(0, len(image), SECTOR_BYTES)]
    assert all(len(set(sector)) == 1 for sector in found), "a sector is torn"
    return "".join(chr(sector[0] or ord(".")) for sector in found)


BOOK = [write(10, 0, b"a"), write(20, 1, b"b"), flush(30), write(40, 0, b"c"), write(50, 2, b"d", 8), flush(60)]


@pytest.mark.parametrize("left", list(Left))
def test_what_was_flushed_before_the_cut_is_there_whatever_else_is(left: Left) -> None:
    for seed in range(20):
        cutter = Cutter(BLANK, BOOK, random.Random(seed))
        assert marks(cutter.at(30, left)).startswith("ab..")
        assert marks(cutter.at(45, left))[1] == "b"
        assert marks(cutter.at(60, left)).startswith("cb" + "d" * 8 + ".")


def test_nothing_of_what_was_not_flushed_need_be_there() -> None:
    cutter = Cutter(BLANK, BOOK, random.Random(1))
    assert marks(cutter.at(29, Left.NOTHING)) == "." * SECTORS
    assert marks(cutter.at(59, Left.NOTHING)).startswith("ab..")


def test_half_of_the_sectors_is_any_half_and_a_write_may_be_torn_anywhere() -> None:
    halves, prefixes = set(), set()
    for seed in range(400):
        halves.add(marks(Cutter(BLANK, BOOK, random.Random(seed)).at(55, Left.HALF))[:10])
        prefixes.add(marks(Cutter(BLANK, BOOK, random.Random(seed)).at(55, Left.PREFIX))[:10])
    assert len(halves) > 100
    assert any(each.startswith("ab.d") for each in halves), "later sectors never outlive earlier ones"
    assert prefixes == {"ab........", "cb........", *(f"cb{'d' * n}{'.' * (8 - n)}" for n in range(1, 9))}


def test_what_is_written_after_the_cut_is_not_there() -> None:
    for left in Left:
        assert "c" not in marks(Cutter(BLANK, BOOK, random.Random(3)).at(39, left))
