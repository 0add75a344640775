"""What a card holds after a power cut: all that a flush made durable, and of later writes whatever chance leaves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum

from tests.power.card import Entry

SECTOR_BYTES = 512
"""What a card writes whole, or not at all."""


class Left(StrEnum):
    """What is left of the writes that no flush had followed."""

    NOTHING = "nothing"
    HALF = "a random half of the sectors"
    PREFIX = "the first writes, the last one torn"


class Cutter:
    """Cuts one after the other, in order of time, from the card's first content and its book."""

    def __init__(self, image: bytes, book: Sequence[Entry], rng: random.Random) -> None:
        self._durable = bytearray(image)
        self._book = book
        self._rng = rng
        self._from = 0
        """Entries before this one are in `_durable`, and up to a flush."""

    def at(self, t_ns: int, left: Left) -> bytes:
        """The card after a cut at `t_ns`, which is not before the last one's."""
        pending: list[Entry] = []
        position = self._from
        while position < len(self._book) and self._book[position].t_ns <= t_ns:
            entry = self._book[position]
            position += 1
            if entry.data is not None:
                pending.append(entry)
                continue
            for each in pending:
                _write(self._durable, each.offset, each.data)
            pending.clear()
            self._from = position
        if not pending or left is Left.NOTHING:
            return bytes(self._durable)
        image = bytearray(self._durable)
        if left is Left.PREFIX:
            whole = self._rng.randrange(len(pending))
            for each in pending[:whole]:
                _write(image, each.offset, each.data)
            torn = pending[whole]
            assert torn.data is not None
            sectors = self._rng.randrange(len(torn.data) // SECTOR_BYTES + 1)
            _write(image, torn.offset, torn.data[: sectors * SECTOR_BYTES])
        else:
            for each in pending:
                assert each.data is not None
                for start in range(0, len(each.data), SECTOR_BYTES):
                    if self._rng.random() < 0.5:
                        _write(image, each.offset + start, each.data[start : start + SECTOR_BYTES])
        return bytes(image)


def _write(image: bytearray, offset: int, data: bytes | None) -> None:
    assert data is not None
    image[offset : offset + len(data)] = data
