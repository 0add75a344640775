"""How fast a gateway gets rid of a backlog: spool → broker → ingest → store → ack → rows gone.

The agent, Mosquitto, the worker and InfluxDB are the real ones. The spool was sealed beforehand by the agent's own
classes: batches of 10 s, twenty meters of ten fields, each field each second, no two columns alike.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import plant
from benchmarks.backlog import BATCH_VALUES, FIELDS, SEAL_MS, plan_of
from benchmarks.figures import Figure, Goal
from benchmarks.processes import NotMeasured, cpu_s, wait_for
from benchmarks.spools import RUN, write_backlog
from data_contract.topics import READY
from simulators.fleet.plan import KIND
from tests.e2e.mqtt import Client
from tests.e2e.servers import InfluxServer, MosquittoServer

GOALS = {"spool_drain": Goal.parse(">= 100000 readings/s")}
READINGS = int(float(os.environ.get("LOOPGAUGE_BENCH_DRAIN", "5e6")))
SEAL_S = 1.0
"""Rows go with the next seal, so that the end is seen no more than this late."""
RATE_MIN = 5_000
"""Readings per s below which nobody waits any longer."""
DATABASE = "loopgauge"


def measure(folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """`spool_drain`."""
    say("sealing the backlog")
    ago_ms = READINGS // BATCH_VALUES * SEAL_MS + 3_600_000
    plan = plan_of((int(time.time() * 1000) - ago_ms) // SEAL_MS * SEAL_MS, gateways=1)
    spool = folder / "spool.db"
    batches = write_backlog(spool, plan, READINGS)
    with ExitStack() as stack:
        influx = stack.enter_context(InfluxServer(folder=folder / "influx"))
        influx.create_database(DATABASE)
        broker = stack.enter_context(MosquittoServer(folder=folder / "mosquitto", config=plant.broker_config()))
        store = f"influx1://127.0.0.1:{influx.port}/{DATABASE}"
        with Client(port=broker.port).connected() as client:
            client.subscribe(READY)
            worker = stack.enter_context(plant.ingest(folder, port=broker.port, store=store, env={}))
            client.hear()
        say(f"draining {batches} batches")
        site = folder / "site.yaml"
        site.write_text(json.dumps(_site(plan.gateway(0), spool, broker.port)), "utf-8")
        began = time.monotonic()
        agent = stack.enter_context(plant.agent("agent", site, folder=folder, env={}))
        wait_for("an empty spool", lambda: _left(spool) == 0, of=agent, within_s=60 + READINGS / RATE_MIN)
        took_s = time.monotonic() - began
        pids = {"agent": agent.pid, "ingest": worker.pid, "mosquitto": broker.pid, "influxd": influx.pid}
        cpu = {name: cpu_s(pid) for name, pid in pids.items()}
        values = batches * BATCH_VALUES
        _check(influx, store, values, plan.field_names[-1])
    costs = ", ".join(f"{name} {each:.0f}" for name, each in cpu.items())
    note = f"{values} readings in {took_s:.1f} s, start of the agent included; CPU in s: {costs}"
    return [Figure("spool_drain", values / took_s, "readings/s", GOALS["spool_drain"], note=note)]


def _site(gateway: str, spool: Path, port: int) -> dict[str, object]:
    return {
        "gateway": gateway,
        "board": "bench",
        "spool": {"file": str(spool)},
        "uplink": {"host": "127.0.0.1", "port": port},
        "clock": {"trust": "always"},
        "seal_every_s": SEAL_S,
        "buses": {},
        "devices": {},
    }


def _left(spool: Path) -> int:
    """Batches of the outage that are still on disk."""
    db = sqlite3.connect(spool)
    try:
        query = "SELECT count(*) FROM batch WHERE run_id=(SELECT id FROM run WHERE run=?)"
        return int(db.execute(query, (RUN,)).fetchone()[0])
    finally:
        db.close()


def _check(influx: InfluxServer, store: str, values: int, field: str) -> None:
    """What has left the spool must have a receipt, and be in the database."""
    credited = sum(each.readings for each in asyncio.run(plant.receipts(store)) if each.run == RUN)
    counted = influx.query(f"SELECT count({field}) FROM {KIND}", database=DATABASE)  # noqa: S608  # names of ours
    rows = counted[0]["values"]
    assert isinstance(rows, list)
    lines = int(rows[0][1])
    if not credited == values == lines * FIELDS:
        raise NotMeasured(f"{values} readings drained, {credited} in receipts, {lines} lines in the database")
