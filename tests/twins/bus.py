"""Twin of a bus: units whose registers follow the clock, that keep a record of every answer, and can fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from tests.twins.clock import civil_ms

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
        self.served: list[tuple[int, int, int, tuple[int, ...]]] = []
        """(unit, address, civil ms, words) of every answer, noted before it is given."""

    async def read(self, unit: int, table: str, address: int, count: int, timeout_s: float) -> Sequence[int]:
        if self.down:
            await asyncio.sleep(0.001)
            raise NotSampled(Missing.BUS_DOWN, "cannot connect")
        if unit in self.silent or unit not in self.units:
            await asyncio.sleep(timeout_s)
            raise NotSampled(Missing.TIMEOUT, "no answer")
        if unit in self.refuses:
            await asyncio.sleep(self.answer_s)
            raise NotSampled(Missing.EXCEPTION, "exception 2")
        now = civil_ms()
        words = tuple(self.units[unit](address + i, now) & 0xFFFF for i in range(count))
        self.served.append((unit, address, now, words))
        await asyncio.sleep(self.answer_s)
        return words

    async def close(self) -> None:
        return None
