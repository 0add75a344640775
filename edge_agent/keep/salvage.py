"""Carries over what can be read of damaged spools, a few pages at a time, beside the agent's other work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from edge_agent.errors import DiskFull
from edge_agent.keep.spool import Spool
from edge_agent.keep.wreck import Recovered, Wreck

log = logging.getLogger("loopgauge.edge.salvage")

STEP_PAGES = 64
"""So much of the damaged file goes into one transaction, 256 kB, so that a seal never waits long."""
PAUSE_S = 0.2
"""Between two of them, in real s: half a gigabyte takes seven minutes."""
FULL_PAUSE_S = 30.0
"""Where there is no room for both files: the uplink makes some, by and by."""
STEP_S_MAX = 120.0
"""Longest time for one of them on a slow card, in real s, with the seal that goes before it."""


def _none(seconds: float) -> None:
    """Nobody waits."""


def _at_once() -> bool:
    """There is nothing to be told."""
    return True


class Salvage:
    """The way of damaged files into the spool."""

    def __init__(
        self,
        *,
        spool: Spool,
        recovered: Recovered,
        look: Callable[[], None],
        promise: Callable[[float], None] = _none,
        told: Callable[[], bool] = _at_once,
    ) -> None:
        """`look`: called when there is more to send; `promise`: told before each wait how long it may take at most.

        `told`: whether the batch that tells of the damage is durable; until then the files stay where a start looks.
        """
        self._told = told
        self._promise = promise
        self._spool = spool
        self._recovered = recovered
        self._look = look

    async def run(self) -> None:
        """Carry over all of them; ends when that is done. Raises Fatal."""
        for wreck in self._recovered.wrecks:
            await self._carry(wreck)
            while not self._told():
                self._promise(STEP_S_MAX + PAUSE_S)
                await asyncio.sleep(PAUSE_S)
            self._recovered.done(wreck.name)
            log.info("spool: what could be read of %s has been carried over", wreck.name)

    async def _carry(self, wreck: Wreck) -> None:
        while (page := self._spool.salvaged[wreck.name]) < wreck.pages:
            try:
                self._promise(STEP_S_MAX + FULL_PAUSE_S)
                if await self._spool.carry(wreck, page, min(page + STEP_PAGES, wreck.pages)):
                    self._look()
                    await asyncio.sleep(PAUSE_S)
            except DiskFull:
                await asyncio.sleep(FULL_PAUSE_S)
