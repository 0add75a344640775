"""`loopgauge demo` as a newcomer runs it: it ends by itself, loses nothing, and shows what the meters showed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.servers import free_port, require

LIVE_S = 20
"""Real seconds of the live period; a third of a simulated hour."""


def _demo(folder: Path, broker: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    report = folder / "report.json"
    command = [sys.executable, "-m", "loopgauge.cli.main", "demo", "--for", f"{LIVE_S}s", "--report", str(report)]
    said = subprocess.run(
        [*command, "--broker", broker, "--folder", str(folder / "demo"), "--port", str(free_port())],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert "Traceback" not in said.stderr + said.stdout, said.stderr
    assert report.exists(), said.stdout + said.stderr
    return said, json.loads(report.read_text("utf-8"))


@pytest.mark.parametrize("broker", ["amqtt", "mosquitto"])
def test_a_demo_run_loses_nothing_and_shows_what_the_meters_showed(broker: str, tmp_path: Path) -> None:
    if broker == "mosquitto":
        require("mosquitto")
    said, report = _demo(tmp_path, broker)
    assert said.returncode == 0, said.stdout + said.stderr
    readings = report["readings"]
    assert readings["missing"] == {}
    assert readings["duplicates"] == 0
    assert readings["expected"] == readings["sampled"] == readings["delivered"] > LIVE_S * 20
    assert {indicator["id"] for indicator in report["indicators"]} == {
        "desalination_recovery",
        "desalination_specific_energy",
    }
    for indicator in report["indicators"]:
        assert abs(indicator["meter_error"]) <= 0.001
        assert abs(indicator["world_error"]) <= 0.02, "two meters of class 1 %"
        assert indicator["completeness"] == pytest.approx(1, abs=0.01)
    for log in (tmp_path / "demo").glob("*.log"):
        assert "Traceback" not in log.read_text("utf-8", errors="replace"), log.name


def test_a_folder_that_is_not_a_demos_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", "utf-8")
    said = subprocess.run(
        [sys.executable, "-m", "loopgauge.cli.main", "demo", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 1
    assert "not a demo's" in said.stderr
    assert (tmp_path / "precious.txt").read_text("utf-8") == "mine"
