"""Twin of a bus: units whose registers follow the clock, that keep a record of every answer, and can fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk, unheeded
from edge_agent.read.conversation import answer_each
from tests.twins.clock import civil_ms
from tests.twins.death import Life

Registers = Callable[[int, int], int]
"""(address, civil ms) to the register's word."""


class BusTwin:
    """`units` maps a unit id to its registers; a unit that is not in it never answers."""

    def __init__(self, *, units: dict[int, Registers], answer_s: float = 0.02) -> None:
        self.units = units
        self.answer_s = answer_s
        self.silent: set[int] = set()
        self.down = False
        self.refuses: set[int] = set()
        self.life: Life | None = None
        """Of the process that asks: while it stands still, nothing is asked."""
        self.served: list[tuple[int, int, int, tuple[int, ...]]] = []
        """(unit, address, civil ms, words) of every answer, noted before it is given."""

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        await self._going()  # before a request is stamped, never between its stamp and the request
        await answer_each(talk, self.answer, asked)

    def longest_s(self, timeout_s: float) -> float:
        return max(self.answer_s, timeout_s)

    async def answer(self, ask: Ask) -> Answer:
        """What a unit says. Tests may put another method in its place."""
        said = await self._say(ask)
        await self._going()
        return said

    async def _going(self) -> None:
        if self.life is not None:
            await self.life.going()

    async def _say(self, ask: Ask) -> Answer:
        if self.down:
            await asyncio.sleep(0.001)
            return NotSampled(Missing.BUS_DOWN, "cannot connect")
        if ask.unit in self.silent or ask.unit not in self.units:
            await asyncio.sleep(ask.timeout_s)
            return NotSampled(Missing.TIMEOUT, "no answer")
        if ask.unit in self.refuses:
            await asyncio.sleep(self.answer_s)
            return NotSampled(Missing.EXCEPTION, "exception 2")
        now = civil_ms()
        words = tuple(self.units[ask.unit](ask.address + i, now) & 0xFFFF for i in range(ask.count))
        self.served.append((ask.unit, ask.address, now, words))
        await asyncio.sleep(self.answer_s)
        return words

    async def close(self) -> None:
        return None
