"""`python -m tests.chaos.soak --minutes N [--seed S]`: storms on both kinds of line until N minutes of them are over.

Each storm has a seed of its own, counted up from the first; the last lines are what a person quotes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.fleet import Fleet, debian_broker, shipped_broker
from tests.chaos.plan import plan
from tests.chaos.storm import Storm, victims
from tests.chaos.verdict import judge
from tests.e2e.kills import STEPS
from tests.e2e.servers import InfluxServer, ServerFailed

SQLITE, INFLUXDB = HOMES = ("sqlite", "influxdb")
STORM_S_MAX = 1_800.0
KEEP = "LOOPGAUGE_CHAOS_KEEP"
"""Environment variable: keep the folder of a storm that failed."""


def again(home: str, seed: int, length_s: float) -> str:
    """The command that plays a storm again."""
    return f"make chaos-soak SEED={seed} STORE={home} MINUTES={length_s / 60:g}"


def storm(home: str, seed: int, length_s: float, folder: Path) -> str:
    """One storm, its calm and its verdict, in words. AssertionError names what is wrong and how to play it again."""
    with contextlib.ExitStack() as stack:
        influx = stack.enter_context(InfluxServer(folder=folder / "influxdb")) if home == INFLUXDB else None
        broker = debian_broker(folder / "broker") if home == INFLUXDB else shipped_broker(folder / "broker")
        stack.enter_context(broker)
        workers = 2 if influx is not None else 1
        fleet = stack.enter_context(
            Fleet(folder=folder, broker=broker, influx=influx, workers=workers, rights=influx is None)
        )
        try:
            fleet.start()
            faults = plan(seed, length_s=length_s, victims=victims(fleet), steps=STEPS)
            running = Storm(fleet, faults, seed)
            running.run(length_s)
            running.calm()
            said = judge(fleet, running)
            for name, program in fleet.programs.items():
                text = program.log()
                assert "Traceback" not in text, f"{name} showed a traceback: {text[text.index('Traceback') :][:3000]}"
        except (AssertionError, ServerFailed, subprocess.TimeoutExpired) as error:
            raise AssertionError(f"{error}\nseed {seed}; again: {again(home, seed, length_s)}") from error
        disk = "" if fleet.can_fill else "\nno disk was filled: this machine mounts none for us (root or sudo)"
    head = f"{home}, {length_s:.0f} s, seed {seed}, {len(fleet.lines)} gateways, {workers} worker(s)"
    return f"{head}\n{running.table()}\n{said}{disk}"


def main() -> int:
    """0: all storms ended as they should; 1: one did not, and was printed."""
    parser = argparse.ArgumentParser(prog="make chaos-soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first storm; 0: any")
    parser.add_argument("--store", choices=HOMES, action="append", help="only this kind of line; by default in turn")
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays behind
    homes = words.store or list(HOMES)
    seed = words.seed or random.SystemRandom().randrange(1, 2**31)
    left_s, begun_s = words.minutes * 60, time.monotonic()
    parts = max(len(homes), int(-(-left_s // STORM_S_MAX)))
    for number in range(parts):
        folder = Path(tempfile.mkdtemp(prefix="loopgauge-chaos-"))
        good = False
        try:
            print(storm(homes[number % len(homes)], seed + number, left_s / parts, folder), flush=True)
            good = True
        except AssertionError as error:
            print(f"FAILED: {error}", flush=True)
            return 1
        finally:
            if good or KEEP not in os.environ:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                print(f"kept in {folder}", flush=True)
    minutes = (time.monotonic() - begun_s) / 60
    print(f"{parts} storms, {minutes:.1f} minutes, seeds {seed} to {seed + parts - 1}: all exact")
    return 0


if __name__ == "__main__":
    sys.exit(main())
