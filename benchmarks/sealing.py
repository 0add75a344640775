"""An agent whose meters answer at once: what is left is sampling and sealing.

    python -m benchmarks.sealing SITE SECONDS

Prints how many readings were sealed, and in how many s, as JSON. Its uplink leads nowhere.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from device_profiles.library import Library
from edge_agent.app import Agent, Ports
from edge_agent.clock import SystemClock
from edge_agent.config import EdgeConfig
from edge_agent.health import SystemBoard
from edge_agent.keep.disk import FileDisk
from edge_agent.ports import Answer, Ask, Talk, unheeded
from edge_agent.read.conversation import answer_each
from edge_agent.send.link import MqttLink
from edge_agent.site_plan import load_devices
from yaml_models.files import load


class InstantBus:
    """Registers that are another number each time."""

    def __init__(self) -> None:
        self._asked = 0

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        """See `Bus`."""
        await answer_each(talk, self._answer, asked)
        await asyncio.sleep(0)

    async def _answer(self, ask: Ask) -> Answer:
        self._asked += 1
        return [(0x4100 + n, self._asked & 0xFFFF)[n % 2] for n in range(ask.count)]

    def longest_s(self, timeout_s: float) -> float:
        """See `Bus`."""
        return timeout_s

    async def close(self) -> None:
        """Nothing was open."""


async def main(site: Path, seconds: float) -> dict[str, float]:
    """Run for so long, then stop as a service does."""
    config = load(site, EdgeConfig)
    spool = Path(config.spool.file)
    agent = Agent(
        config=config,
        devices=load_devices(config, Library()),
        ports=Ports(
            clock=SystemClock.from_environment(trust_always=True),
            disk=FileDisk(path=spool, bytes_max=config.spool.bytes_max),
            link=MqttLink(gateway=config.gateway, config=config.uplink, password=None),
            buses={"line": InstantBus()},
            board=SystemBoard(folder=spool.parent),
            rng=random.Random(1),
        ),
        board="bench",
        version="bench",
    )
    stop = asyncio.Event()
    began = time.perf_counter()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    running = asyncio.create_task(agent.run(stop))
    await stop.wait()
    took_s, cpu_s = time.perf_counter() - began, time.process_time()
    readings = agent._tally.sampled.total()
    await running
    return {"readings": readings, "seconds": took_s, "cpu_s": cpu_s}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))))
