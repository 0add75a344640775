"""The simulated meters: one process in the controller's namespace, which keeps the record of what they answered."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.lab import cgroups
from tests.lab.place import CONTROLLER_ADDRESS, LAB, LOGS, PYTHON, ROOT
from tests.lab.shell import expect, tail, wait_for

NAME = "meters"
"""Its cgroup, beside those of the hosts: what ends a host ends it, too."""
RECORD = LAB / "record.db"
SCENARIO = ROOT / "tests" / "lab" / "scenario.yaml"
START_S_MAX = 30
_PORTS = LAB / "ports.json"
_START = f'{cgroups.ENTER}; exec "$@"'


def start() -> None:
    """Begin a new record and serve the meters, until the lab is torn down."""
    for old in (RECORD, *_beside(RECORD), _PORTS):
        old.unlink(missing_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    words = [str(PYTHON), "-m", "loopgauge.cli.main", "simulate", "modbus", "--scenario", str(SCENARIO)]
    words += ["--record", str(RECORD), "--ports", str(_PORTS), "--host", CONTROLLER_ADDRESS]
    said = LOGS / "meters.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", _START, "sh", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, **cgroups.variables(NAME)},
            start_new_session=True,
        )
    wait_for("the meters begin", lambda: _PORTS.exists() or process.poll() is not None, within_s=START_S_MAX)
    expect(process.poll() is None, f"the simulated meters ended:\n{tail(said.read_text())}")


def _beside(record: Path) -> list[Path]:
    return [record.with_name(record.name + suffix) for suffix in ("-wal", "-shm")]
