"""Runs `loopgauge demo` as a person does, to its end, and keeps what it said and wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.e2e.compare import TOO_SLOW
from tests.e2e.servers import free_port


@dataclass(frozen=True)
class Run:
    """A demo that has ended."""

    said: subprocess.CompletedProcess[str]
    report: dict[str, Any]
    folder: Path

    def wrong(self) -> list[str]:
        """What it says is wrong, but for slots that this machine was too slow for."""
        lines = [line for line in self.said.stdout.splitlines() if line.startswith("WRONG")]
        return [line for line in lines if set(self.report["readings"]["missing"]) - TOO_SLOW or "missing" not in line]

    @property
    def live(self) -> tuple[int, int]:
        """The period of its indicators, ms UTC."""
        of = self.report["indicators"][0]
        begin, end = (datetime.fromisoformat(of[key]).timestamp() * 1000 for key in ("from", "to"))
        return int(begin), int(end)


def run_demo(folder: Path, broker: str, *words: str, within_s: float = 900) -> Run:
    """Run a demo of these options in `folder`; nothing in it may end in a traceback."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "loopgauge.cli.main", "demo", "--report", str(report), "--broker", broker]
    said = subprocess.run(
        [*command, "--folder", str(folder / "demo"), "--port", str(free_port()), *words],
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert "Traceback" not in said.stderr + said.stdout, said.stderr
    assert report.exists(), said.stdout + said.stderr
    for log in (folder / "demo").glob("*.log"):
        assert "Traceback" not in log.read_text("utf-8", errors="replace"), log.name
    return Run(said, json.loads(report.read_text("utf-8")), folder / "demo")
