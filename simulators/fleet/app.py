"""Wires a fleet: plan, gateways and record, or a prepared file, to the connections of one broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulators.fleet.gateways import SPOOL_BATCHES_MAX, Gateways
from simulators.fleet.live import Live, Progress
from simulators.fleet.pace import Outage, Pace
from simulators.fleet.plan import FleetPlan
from simulators.fleet.prepare import PreparedFile
from simulators.fleet.publish import Broker, Ears
from simulators.fleet.record import FleetRecorder
from simulators.fleet.replay import Replay

Say = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """Where the broker is, and how it is reached; `connections` None: one for each gateway."""

    host: str
    port: int
    connections: int | None = None
    secret: str = ""

    def broker(self, plan: FleetPlan, ears: Ears) -> Broker:
        """The connections of a fleet, none of them made yet. To be called in the event loop."""
        return Broker(
            host=self.host,
            port=self.port,
            plan=plan,
            ears=ears,
            now_s=asyncio.get_running_loop().time,
            connections=self.connections,
            secret=self.secret,
        )


async def run_live(
    *,
    plan: FleetPlan,
    pace: Pace,
    uplink: Uplink,
    stop: asyncio.Event,
    say: Say,
    for_s: float | None = None,
    drain_s: float = 30.0,
    wait_connected: bool = False,
    record: Path | None = None,
    outages: Sequence[Outage] = (),
    spool_batches_max: int = SPOOL_BATCHES_MAX,
) -> Progress:
    """A living fleet, until `for_s` is over or `stop` is set. Raises RecordError, CannotConnect."""
    recorder = FleetRecorder(path=record, plan=plan) if record is not None else None
    try:
        if recorder is not None:
            recorder.open()
        gateways = Gateways(plan=plan, spool_batches_max=spool_batches_max)
        live = Live(plan=plan, pace=pace, gateways=gateways, notes=recorder, outages=outages, say=say)
        way = uplink.broker(plan, live)
        return await live.run(way, stop, for_s=for_s, drain_s=drain_s, wait_connected=wait_connected)
    finally:
        if recorder is not None:
            recorder.close()


async def run_replay(
    *,
    file: PreparedFile,
    uplink: Uplink,
    stop: asyncio.Event,
    say: Say,
    rate: float | None = None,
    for_s: float | None = None,
    drain_s: float = 30.0,
) -> Progress:
    """A prepared file on its way. Raises PrepareError, CannotConnect."""
    replay = Replay(file=file, rate=rate, say=say)
    return await replay.run(uplink.broker(file.plan, replay), stop, for_s=for_s, drain_s=drain_s)
