"""How fast a backlog gets into InfluxDB through broker, worker, store and ack, beside raw bytes posted to the database.

Both begin with an empty database and bring the same kind of readings in the same lines, one right after the other. The
way of ours is the real one: gateways that wait for acks, Mosquitto, `loopgauge ingest run`, receipts included.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks import plant
from benchmarks.backlog import (
    BATCH_VALUES,
    FIELDS,
    GATEWAYS,
    PIECE_BATCHES,
    PIECE_LINES,
    SEAL_MS,
    plan_of,
    write_lines,
    write_messages,
)
from benchmarks.figures import PAIRS, Figure, Goal, median_pair, spread
from benchmarks.processes import NotMeasured, cpu_s, running, verb, wait_for
from data_contract.topics import READY
from simulators.fleet.plan import KIND
from tests.e2e.mqtt import Client
from tests.e2e.servers import InfluxServer, MosquittoServer

GOALS = {"ingest": Goal.parse(">= 0.5")}

SECONDS = float(os.environ.get("LOOPGAUGE_BENCH_S", "30"))
"""Of load, of either side; shorter ones are for whoever works on the bench."""
PROBE_S = SECONDS / 10
"""Of load for each setting of the bulk loader, to find the best."""
SETTINGS = tuple(product((1, 5, 10, 20), (1, 2, 4)))
"""(pieces of 1000 lines in a request, connections)."""
FASTEST = 3_000_000
"""Values per s that nobody exceeds here; so much is made for the probes."""
LINES_SPARE, MESSAGES_SPARE = 1.5, 0.9
"""So many times what the bulk loader wrote in its best probe is made for either side, so that it lasts SECONDS."""
AGO_MS = 8 * 3_600_000
DATABASE = "loopgauge"
BULK = Path(__file__).parent / "limits" / "bulk_http.py"


class Run(NamedTuple):
    """One run of either side: values per s, how long it took, the CPU time of each program in s per million values."""

    rate: float
    seconds: float
    cpu: dict[str, float]


def measure(folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """`ingest` and `ingest_cpu`."""
    from_ms = (int(time.time() * 1000) - AGO_MS) // SEAL_MS * SEAL_MS
    say("making lines for the probes")
    index = make_lines(folder / "probe", from_ms, PROBE_S * FASTEST)
    rates = dict.fromkeys(SETTINGS, 0.0)
    for pieces, connections in SETTINGS * 2:  # twice, apart from each other: noise should not choose
        say(f"bulk loader, {pieces}000 lines, {connections} connections")
        rate = bulk(folder, index, pieces, connections, PROBE_S).rate
        rates[pieces, connections] = max(rate, rates[pieces, connections])
    best = max(rates, key=lambda setting: rates[setting])
    say("making lines and messages")
    index = make_lines(folder / "lines", from_ms, SECONDS * rates[best] * LINES_SPARE)
    messages = folder / "messages"
    write_messages(messages, plan_of(from_ms), _batches(SECONDS * rates[best] * MESSAGES_SPARE))
    runs: list[tuple[Run, Run]] = []
    for pair in range(PAIRS):  # always: this is wall clock, and whatever else runs here sways a single pair too much
        say(f"ours, pair {pair + 1} of {PAIRS}")
        ours = _ours(folder, messages)
        say(f"bulk loader, pair {pair + 1} of {PAIRS} (ours: {ours.rate / 1e6:.2f} M values/s)")
        runs.append((ours, bulk(folder, index, *best, SECONDS)))
    return _figures(runs, f"limit: {best[0]}000 lines a request, {best[1]} connections")


def _figures(runs: list[tuple[Run, Run]], how: str) -> list[Figure]:
    pairs = [(ours.rate, limit.rate) for ours, limit in runs]
    rate, limit_rate = median_pair(pairs)
    cpu = next(ours.cpu for ours, _ in runs if ours.rate == rate)
    costs = ", ".join(f"{name} {cost:.2f}" for name, cost in cpu.items())
    shortest_s = min(run.seconds for both in runs for run in both)
    note = f"{spread(pairs)}; {how}; at least {shortest_s:.0f} s of load each"
    return [
        Figure("ingest", rate, "values/s", GOALS["ingest"], limit_rate, note=note),
        Figure("ingest_cpu", cpu["ingest"], "s CPU per 10^6 values", note=f"of each process: {costs}"),
    ]


def _batches(values: float) -> int:
    """Batches of each gateway that hold so many values together."""
    return (int(values / GATEWAYS / BATCH_VALUES) // PIECE_BATCHES + 1) * PIECE_BATCHES


def make_lines(folder: Path, from_ms: int, values: float) -> Path:
    """Files of so many values as line protocol; the path of their index."""
    folder.mkdir()
    with ProcessPoolExecutor() as pool:
        files = list(pool.map(partial(write_lines, folder, plan_of(from_ms), _batches(values)), range(GATEWAYS)))
    index = folder / "index.json"
    index.write_text(json.dumps(files))
    return index


def bulk(folder: Path, index: Path, pieces: int, connections: int, seconds: float) -> Run:
    """One run of the bulk loader into an empty database."""
    with TemporaryDirectory(dir=folder) as here, InfluxServer(folder=Path(here)) as influx:
        influx.create_database(DATABASE)
        words = [str(influx.port), DATABASE, str(index), str(pieces), str(connections), str(seconds)]
        done = subprocess.run([sys.executable, str(BULK), *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotMeasured(f"the bulk loader ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        said = json.loads(done.stdout)
    return Run(float(said["pieces"]) * PIECE_LINES * FIELDS / said["seconds"], said["seconds"], {})


def _ours(folder: Path, messages: Path) -> Run:
    """One run through broker, worker and store into an empty database."""
    with ExitStack() as stack:
        here = Path(stack.enter_context(TemporaryDirectory(dir=folder)))
        influx = stack.enter_context(InfluxServer(folder=here / "influx"))
        influx.create_database(DATABASE)
        broker = stack.enter_context(MosquittoServer(folder=here / "mosquitto", config=plant.broker_config()))
        store = f"influx1://127.0.0.1:{influx.port}/{DATABASE}"
        with Client(port=broker.port).connected() as client:
            client.subscribe(READY)
            worker = stack.enter_context(plant.ingest(here, port=broker.port, store=store, env={}))
            client.hear()
        pids = {"ingest": worker.pid, "mosquitto": broker.pid, "influxd": influx.pid}
        before = {name: cpu_s(pid) for name, pid in pids.items()}
        result, broker_at = here / "result.json", f"127.0.0.1:{broker.port}"
        words = ["--replay", str(messages), "--broker", broker_at, "--for", str(SECONDS), "--result", str(result)]
        stack.enter_context(running("fleet", verb("simulate", "fleet", *words), folder=here))
        wait_for("the last ack", result.exists, of=worker, within_s=SECONDS * 4 + 60)
        after = {name: cpu_s(pid) for name, pid in pids.items()}
        said = json.loads(result.read_text())
        if said["unconfirmed"] or said["rejected"]:
            raise NotMeasured(f"{said['unconfirmed']} batches unconfirmed, {said['rejected']} rejected")
        values = said["confirmed"] * BATCH_VALUES
        _check(influx, store, values)
    cpu = {name: (after[name] - before[name]) * 1e6 / values for name in pids}
    cpu["fleet"] = said["cpu_s"] * 1e6 / values
    return Run(values / said["seconds"], said["seconds"], cpu)


def _check(influx: InfluxServer, store: str, values: int) -> None:
    """Everything that was acknowledged must have a receipt, and be in the database."""
    receipts = asyncio.run(plant.receipts(store))
    credited = sum(receipt.readings for receipt in receipts)
    field = plan_of(0).field_names[-1]
    counted = influx.query(f"SELECT count({field}) FROM {KIND}", database=DATABASE)  # noqa: S608  # names of ours
    rows = counted[0]["values"]
    assert isinstance(rows, list)
    lines = int(rows[0][1])
    if not credited == values == lines * FIELDS:
        raise NotMeasured(f"{values} values acknowledged, {credited} in receipts, {lines} lines in the database")
