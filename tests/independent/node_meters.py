"""Starts the meters that Node.js serves, and says what they show."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SDM630_UNIT = 1
TUF2000M_UNIT = 2

SDM630 = {
    "voltage_l1_v": 230.20001,
    "voltage_l2_v": 229.8,
    "voltage_l3_v": 231.0,
    "current_l1_a": 72.68,
    "current_l2_a": 73.11,
    "current_l3_a": 75.19,
    "power_w": 48_408.0,
    "power_factor": 0.95,
    "frequency_hz": 50.0,
    "energy_import_kwh": 5210.25,
    "energy_export_kwh": 0.0,
    "energy_total_kwh": 5210.25,
}
TUF2000M = {
    "flow_m3_h": 36.62541,
    "velocity_m_s": 1.436,
    "volume_m3": 182_400.359,
    "volume_reverse_m3": 0.0,
    "error_bits": 0.0,
    "signal_quality": 85.0,
    "working_time_s": 7200.0,
}


def node() -> str | None:
    """Where Node.js is, or None."""
    return shutil.which("node") or shutil.which("nodejs")


@contextmanager
def node_meters() -> Iterator[int]:
    """The port of both meters on 127.0.0.1, as long as the context lasts."""
    program = node()
    assert program is not None, "Node.js is not installed"
    script = Path(__file__).with_name("meters.js")
    with subprocess.Popen([program, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(60)
