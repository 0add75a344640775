"""An agent whose bus can be told to hang: `python hung_agent.py TRIGGER_FILE edge run SITE_FILE …`.

Everything is the agent that ships; only each bus stands behind one that, once the trigger file is there, takes it away
and never comes back from its conversation. Runs on a gateway of the lab, with the installed program's Python.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

from edge_agent import machine
from edge_agent.config import BusConfig
from edge_agent.ports import Bus, Talk, unheeded
from loopgauge.cli.main import main


class HangingBus:
    """A bus that carries conversations until it is told to hang."""

    def __init__(self, *, bus: Bus, trigger: Path) -> None:
        self._bus = bus
        self._trigger = trigger

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        """Carry a conversation, or never end."""
        if self._trigger.exists():
            self._trigger.unlink()
            await asyncio.Event().wait()
        await self._bus.carry(talk, asked)

    def longest_s(self, timeout_s: float) -> float:
        """What the bus promises, and does not keep."""
        return self._bus.longest_s(timeout_s)

    async def close(self) -> None:
        """Let the line go."""
        await self._bus.close()


def run(trigger: Path, words: Sequence[str]) -> int:
    """`loopgauge WORDS…`, with buses that can hang."""
    open_bus = machine.open_bus

    def open_hanging(config: BusConfig) -> Bus:
        return HangingBus(bus=open_bus(config), trigger=trigger)

    with patch.object(machine, "open_bus", open_hanging):
        return main(words)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
