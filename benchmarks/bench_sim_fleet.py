"""What the load generator itself can do: a living fleet in one process, and a prepared one.

Both are the real command with a real Mosquitto, a connection for each gateway, and a cloud that stores nothing but
acknowledges everything, so that acks are heeded and nothing but the fleet is measured. The replay is held against what
ingest is asked to take: its goal, as a share of the bulk loader measured beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import bench_ingest, plant
from benchmarks.backlog import BATCH_VALUES, GATEWAYS, SEAL_MS, plan_of, write_messages
from benchmarks.figures import Figure, Goal
from benchmarks.processes import NotMeasured, running, verb, wait_for
from tests.e2e.servers import MosquittoServer

GOALS = {
    "sim_fleet": Goal.parse(">= 200000 readings/s"),
    "sim_fleet_cpu": Goal.parse("<= 5 s CPU per 10^6 readings"),
    "sim_fleet_replay": Goal.parse(">= 1.2"),
}

SECONDS = float(os.environ.get("LOOPGAUGE_BENCH_S", "30"))
LIVE_GATEWAYS, LIVE_METERS, LIVE_FIELDS = 1_000, 20, 10
ASKED = 2_000_000
"""Readings per s that the living fleet is asked for: more than it can give, so that its limit is seen."""
PREPARED_S = 60 * SECONDS
"""Civil s of the gateways in the prepared file."""
BULK_SETTINGS = ((5, 4), (10, 2), (10, 4), (20, 4))
"""Of the bulk loader: those that win where all are tried."""


def measure(folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """`sim_fleet`, its CPU time (the same goal where other programs have the processors), `sim_fleet_replay`."""
    say("a living fleet")
    size = ["--gateways", str(LIVE_GATEWAYS), "--meters", str(LIVE_METERS), "--fields", str(LIVE_FIELDS)]
    live = _fleet(folder, *size, "--every", "1", "--rate", str(ASKED), "--for", str(SECONDS), "--drain", "60")
    say("the bulk loader")
    from_ms = (int(time.time() * 1000) - bench_ingest.AGO_MS) // SEAL_MS * SEAL_MS
    probe_s = bench_ingest.PROBE_S
    index = bench_ingest.make_lines(folder / "lines", from_ms, probe_s * bench_ingest.FASTEST)
    best = max(bench_ingest.bulk(folder, index, *setting, probe_s).rate for setting in BULK_SETTINGS)
    say("preparing payloads")
    write_messages(folder / "messages", plan_of(from_ms), int(PREPARED_S * 1000) // SEAL_MS)
    say("the replay")
    replay = _fleet(folder, "--replay", str(folder / "messages"))
    readings, took_s = replay["confirmed"] * BATCH_VALUES, replay["seconds"]
    goal = bench_ingest.GOALS["ingest"]
    return [
        Figure(
            "sim_fleet",
            live["readings_at_end"] / live["seconds"],
            "readings/s",
            GOALS["sim_fleet"],
            note=f"one process, {LIVE_GATEWAYS} gateways and connections, {live['seconds']:.0f} s,"
            f" {live['payload_bytes'] / live['readings']:.1f} B of payload a reading, all {live['batches']} batches"
            " acknowledged",
        ),
        Figure(
            "sim_fleet_cpu",
            live["cpu_s"] * 1e6 / live["readings"],
            "s CPU per 10^6 readings",
            GOALS["sim_fleet_cpu"],
            note="of that process alone, its start and all connections included",
        ),
        Figure(
            "sim_fleet_replay",
            readings / took_s,
            "readings/s",
            GOALS["sim_fleet_replay"],
            goal.bound * best,
            note=f"limit: {goal.bound:g} x the bulk loader ({best / 1e6:.2f} M values/s);"
            f" {readings / 1e6:.1f} M readings of {GATEWAYS} gateways in {took_s:.2f} s;"
            f" {replay['cpu_s'] * 1e6 / readings:.3f} s CPU per 10^6 readings",
        ),
    ]


def _fleet(folder: Path, *words: str) -> dict[str, Any]:
    """One run of `simulate fleet` with a broker and a cloud that acknowledges everything; what it says of itself."""
    with ExitStack() as stack:
        here = Path(stack.enter_context(TemporaryDirectory(dir=folder)))
        broker = stack.enter_context(MosquittoServer(folder=here / "mosquitto", config=plant.broker_config()))
        heard, result = here / "subscribed", here / "result.json"
        cloud = [sys.executable, "-m", "benchmarks.acker", str(broker.port), str(heard)]
        acker = stack.enter_context(running("acker", cloud, folder=here))
        wait_for("the cloud's subscription", heard.exists, of=acker)
        command = verb("simulate", "fleet", *words, "--broker", f"127.0.0.1:{broker.port}", "--result", str(result))
        fleet = stack.enter_context(running("fleet", command, folder=here))
        fleet.wait(SECONDS * 4 + 120)
        said: dict[str, Any] = json.loads(result.read_text())
    if said["unconfirmed"] or said["confirmed"] != said["batches"]:
        raise NotMeasured(f"{said['confirmed']} of {said['batches']} batches were acknowledged")
    return said
