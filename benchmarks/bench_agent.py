"""What reading costs a gateway: the whole agent beside a bare loop that issues the same requests, and its memory.

The agent is the real one: its own process, FULL spool, confirmed uplink to a real broker and worker, each field each
second. Agent and loop run one after the other, never at once, against the same meters; both are charged the CPU time of
their own process over a window, and credited with the readings that the meters' own record shows for it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import plant
from benchmarks.figures import Figure, Goal, Pair, median_pair, pairs_of, spread
from benchmarks.processes import NotMeasured, Program, running
from tests.e2e.servers import MosquittoServer

GOALS = {"agent_cpu": Goal.parse("<= 2"), "agent_rss": Goal.parse("<= 60 MB")}

EVERY_S = 1.0
WARM_S = 12.0
"""Past the first seal and its confirmation."""
WINDOW_S = 30.0
"""Three seals."""
SHARE_MIN = 0.98
"""Of the readings that were due, so many must have been served, and confirmed by the store, for a figure to count."""

LOOP = Path(__file__).parent / "limits" / "bare_modbus.py"


def measure(folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """`agent_cpu` and `agent_rss`."""
    peaks: list[float] = []
    with ExitStack() as stack:
        of = stack.enter_context(plant.meters(folder, {}))
        broker = stack.enter_context(MosquittoServer(folder=folder / "mosquitto"))
        store = f"sqlite:{folder / 'store'}"
        stack.enter_context(plant.ingest(folder, port=broker.port, store=store, env={}))
        path = plant.site("bench", of, every_s=EVERY_S, folder=folder, uplink={"port": broker.port})
        asked = folder / "requests.json"
        asked.write_text(json.dumps(plant.requests(path)))

        def loop(kind: str) -> float:
            command = [sys.executable, str(LOOP), kind, of.host, str(of.port), str(EVERY_S), str(asked)]
            with running(f"{kind} loop", command, folder=folder) as program:
                return _cost(program, of, None)

        def pair() -> Pair:
            say("the agent")
            with plant.agent("agent", path, folder=folder, env={}) as program:
                ours = _cost(program, of, store)
                peaks.append(program.peak_mb())
            say(f"the bare loop (the agent took {ours:.1f} ms)")
            return ours, loop("blocking")

        pairs = pairs_of(pair, GOALS["agent_cpu"])
        say("the asyncio loop")
        concurrent = loop("asyncio")
    ours, limit = median_pair(pairs)
    how = f"{spread(pairs)}; the limit is a blocking loop; the library's asyncio client alone took {concurrent:.1f} ms"
    return [
        Figure("agent_cpu", ours, "ms CPU per 1000 readings", GOALS["agent_cpu"], limit, note=how),
        Figure("agent_rss", max(peaks), "MB", GOALS["agent_rss"], note="peak of the resident set (VmHWM), 10^6 bytes"),
    ]


def _cost(program: Program, of: plant.Meters, store: str | None) -> float:
    """CPU time of a program that reads all meters, in ms per 1000 readings."""
    time.sleep(WARM_S)
    from_ms, before_s = time.time() * 1000, program.cpu_s()
    time.sleep(WINDOW_S)
    to_ms, after_s = time.time() * 1000, program.cpu_s()
    readings = of.served(int(from_ms), int(to_ms))
    due = (to_ms - from_ms) / 1000 / EVERY_S * plant.READINGS
    if readings < SHARE_MIN * due:
        raise NotMeasured(f"{program.name}: {readings} of {due:.0f} readings were served")
    if store is not None:
        confirmed = _confirmed(store, from_ms, to_ms)
        if confirmed < SHARE_MIN * due:
            raise NotMeasured(f"{program.name}: {confirmed} of {due:.0f} readings were confirmed")
    return (after_s - before_s) * 1e6 / readings


def _confirmed(store: str, from_ms: float, to_ms: float) -> int:
    """Readings of the batches that the store took in a window."""
    found = asyncio.run(plant.receipts(store))
    return sum(plant.of_meters(each) for each in found if from_ms <= each.at_us / 1000 < to_ms)
