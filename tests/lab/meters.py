"""The simulated meters: one process in the controller's namespace, which keeps the record of what they answered."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.lab.host import CGROUPS, GROUP
from tests.lab.place import CONTROLLER_ADDRESS, LAB, LOGS, PYTHON, ROOT
from tests.lab.shell import wait_for

NAME = "meters"
"""Its cgroup, beside those of the hosts: what ends a host ends it, too."""
RECORD = LAB / "record.db"
SCENARIO = ROOT / "tests" / "lab" / "scenario.yaml"
START_S_MAX = 30
_PORTS = LAB / "ports.json"
_START = 'mkdir -p "$GROUP" && echo $$ > "$GROUP/cgroup.procs" && exec "$@"'


def start() -> None:
    """Begin a new record and serve the meters, until the lab is torn down."""
    for old in (RECORD, *_beside(RECORD), _PORTS):
        old.unlink(missing_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    words = [str(PYTHON), "-m", "loopgauge.cli.main", "simulate", "modbus", "--scenario", str(SCENARIO)]
    words += ["--record", str(RECORD), "--ports", str(_PORTS), "--host", CONTROLLER_ADDRESS]
    with (LOGS / "meters.log").open("wb") as log:
        subprocess.Popen(
            ["sh", "-c", _START, "sh", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "GROUP": str(CGROUPS / "unified" / GROUP / NAME)},
            start_new_session=True,
        )
    wait_for("the simulated meters listen", _PORTS.exists, within_s=START_S_MAX)


def _beside(record: Path) -> list[Path]:
    return [record.with_name(record.name + suffix) for suffix in ("-wal", "-shm")]
