"""A gateway on mock pins: the ordinary agent weighs what the simulated world served, and nobody gets them unasked."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from data_contract.batch import Body
from loopgauge.cli.main import main
from simulators.truth.record import Record

SCENARIO = """\
scenario: scales
gateway: nankai-1
bins:
  paper: {material: paper, capacity_kg: 120, tare_kg: 18, deposits_per_day: 5000, empty_hour: 5}
meters:
  bin-paper:
    profile: avia-hx711
    fields: {raw_count: paper.gross_kg, door_open: paper.door_open}
    load_cell: {zero_counts: 84210, counts_per_kg: 20000.5}
"""
SITE = """\
gateway: nankai-1
board: test1
seal_every_s: 1
spool: {{file: {folder}/spool.db}}
uplink: {{host: localhost, port: 1}}
clock: {{trust: always}}
buses:
  scale: {{type: hx711, dout_pin: 5, clock_pin: 6, door_pin: 13}}
devices:
  bin-paper:
    profile: avia-hx711
    bus: scale
    every_s: {{main: 1}}
    simulated: {simulated}
    bin:
      weight: raw_count
      door: door_open
      tare_kg: 18
      calibrations: [{{id: as-built, from: 2020-01-01T00:00:00Z, zero_counts: 84210, counts_per_kg: 20000.5}}]
"""


class Programs:
    """Programs of ours that live for one test."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "loopgauge.cli.main", *map(str, arguments)]
        environment = {key: value for key, value in os.environ.items() if key != "LOOPGAUGE_CLOCK"}
        program = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.running.append(program)
        return program

    def end(self, program: subprocess.Popen[str]) -> str:
        program.send_signal(signal.SIGTERM)
        _, errors = program.communicate(timeout=90)
        self.running.remove(program)
        assert program.returncode == 0, errors
        return errors


@pytest.fixture
def programs() -> Iterator[Programs]:
    made = Programs()
    yield made
    for program in made.running:
        program.kill()
        program.communicate()


def site(folder: Path, *, simulated: bool = True) -> Path:
    path = folder / "site.yaml"
    path.write_text(SITE.format(folder=folder, simulated=str(simulated).lower()))
    return path


def sealed(spool: Path) -> dict[str, list[float | None]]:
    """Every value of the bin that lies in the spool, by field."""
    found: dict[str, list[float | None]] = {}
    with sqlite3.connect(f"file:{spool}?mode=ro", uri=True) as db:
        for (text,) in db.execute("SELECT body FROM batch ORDER BY run_id, seq"):
            device = Body.model_validate_json(text).devices.get("bin-paper")
            for block in [] if device is None else device.blocks:
                for field, column in block.values.items():
                    found.setdefault(field, []).extend(column)
    return found


def _sealed_so_far(spool: Path) -> list[float | None]:
    """Nothing before the agent has made its spool."""
    try:
        return sealed(spool).get("raw_count", [])
    except sqlite3.OperationalError:
        return []


def test_what_the_agent_seals_is_what_the_world_served_to_the_chip(tmp_path: Path, programs: Programs) -> None:
    (tmp_path / "scales.yaml").write_text(SCENARIO)
    record, ports = tmp_path / "record.db", tmp_path / "ports.json"
    world = programs.start(
        "simulate", "modbus", "--scenario", tmp_path / "scales.yaml", "--record", record, "--ports", ports
    )
    for _ in range(1800):
        if ports.exists():
            break
        assert world.poll() is None
        time.sleep(0.05)
    gateway = programs.start("simulate", "gateway", site(tmp_path), "--feed", ports)
    deadline = time.monotonic() + 180
    while len(_sealed_so_far(tmp_path / "spool.db")) < 3 and time.monotonic() < deadline:
        time.sleep(0.5)
    programs.end(gateway)
    stored = sealed(tmp_path / "spool.db")
    served = Record.open_readonly(record)
    counts = {value for _, value in served.served("bin-paper", "raw_count", 0, 2**62)}
    assert len(stored["raw_count"]) >= 3
    assert set(stored["raw_count"]) <= counts
    for raw, weight in zip(stored["raw_count"], stored["weight_kg"], strict=True):
        assert raw is not None
        assert weight == pytest.approx((raw - 84_210) / 20_000.5 - 18, abs=1e-4)
    programs.end(world)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["simulate", "gateway", *map(str, arguments)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_a_device_that_is_not_said_to_be_simulated_gets_no_mock_pins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = tmp_path / "ports.json"
    ports.write_text(json.dumps({"bin-paper": {"feed_host": "127.0.0.1", "feed_port": 1}}))
    assert "simulated: true" in complaint(capsys, site(tmp_path, simulated=False), "--feed", ports)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"bin-paper": {"host": "127.0.0.1", "port": 1, "unit_id": 1}}', "{}"])
def test_a_world_that_does_not_feed_the_chip_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    ports = tmp_path / "ports.json"
    ports.write_text(text)
    assert "feed" in complaint(capsys, site(tmp_path), "--feed", ports)


def test_two_chips_on_one_pin_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, ports = site(tmp_path), tmp_path / "ports.json"
    said = yaml.safe_load(path.read_text())
    said["buses"]["other"] = {"type": "hx711", "dout_pin": 17, "clock_pin": 6}
    said["devices"]["bin-2"] = {"profile": "avia-hx711", "bus": "other", "simulated": True, "fields": ["raw_count"]}
    path.write_text(yaml.safe_dump(said))
    place = {"feed_host": "127.0.0.1", "feed_port": 1}
    ports.write_text(json.dumps({"bin-paper": place, "bin-2": place}))
    assert "GPIO 6" in complaint(capsys, path, "--feed", ports)
