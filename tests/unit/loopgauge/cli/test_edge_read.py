"""`edge read` as a technician calls it: real sockets, exact output, an exit code that a script can trust."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from device_profiles.library import PROFILE_FILE, Library
from loopgauge.cli.main import main
from tests.ports.modbus_unit import ModbusUnit

ROOT = Path(__file__).parents[4]
SITE = """\
gateway: plant-1
spool: {{file: {folder}/spool.db}}
uplink: {{host: localhost}}
buses:
  line: {{type: modbus_tcp, host: 127.0.0.1, port: {port}}}
devices:
  dead-meter: {{profile: eastron-sdm630, bus: line, unit_id: 7, fields: [frequency_hz]}}
  live-meter: {{profile: eastron-sdm630, bus: line, unit_id: 3, fields: [voltage_l1_v, frequency_hz]}}
"""
WORDS = dict(zip((0, 1, 70, 71), struct.unpack(">4H", struct.pack(">ff", 230.5, 49.75)), strict=True))
HASTY = "sdm630-as-shipped"
"""The profile of a meter that is asked in vain."""
LIVE = """\
live-meter: Three-phase energy meter (eastron-sdm630), unit 3 on line
  FIELD         VALUE  UNIT  QUALITY  REGISTER  RAW WORDS
  voltage_l1_v  230.5  V     good     input 0   4366 8000
  frequency_hz  49.75  Hz    good     input 70  4247 0000
"""


@contextmanager
def served(unit: ModbusUnit) -> Iterator[int]:
    """The unit on a loop of its own, since the command runs one in this thread; gives its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(unit.start(), loop).result(60)
    try:
        yield unit.port
    finally:
        asyncio.run_coroutine_threadsafe(unit.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


@pytest.fixture
def unit() -> ModbusUnit:
    return ModbusUnit(lambda _unit, address: WORDS.get(address, 0))


def site(folder: Path, port: int) -> Path:
    """A site file in a folder of its own; beside that lie profiles which wait for what a busy machine says late."""
    shipped = (Library().folder("eastron-sdm630") / PROFILE_FILE).read_text()
    patient = shipped.replace("\nmodbus:\n", "\nmodbus:\n  timeout_ms: 20000\n")
    hasty = shipped.replace("profile: eastron-sdm630", f"profile: {HASTY}")
    for name, text in (("eastron-sdm630", patient), (HASTY, hasty)):
        (folder / "profiles" / name).mkdir(parents=True)
        (folder / "profiles" / name / PROFILE_FILE).write_text(text)
    path = folder / "gateway" / "site.yaml"
    path.parent.mkdir()
    path.write_text(SITE.format(folder=path.parent, port=port))
    return path


def profiles(site_file: Path) -> str:
    return str(site_file.parent.with_name("profiles"))


def read(capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> tuple[int, str]:
    code = main(["edge", "read", str(path), "--profiles", profiles(path), "--once", *more])
    said = capsys.readouterr()
    assert said.err == ""
    assert list(path.parent.iterdir()) == [path], "reading keeps nothing, least of all in the spool"
    return code, said.out


def test_a_dead_meter_is_one_line_and_the_live_one_behind_it_is_read(
    unit: ModbusUnit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit.silent = {7}
    with served(unit) as port:
        path = site(tmp_path, port)
        path.write_text(path.read_text().replace("eastron-sdm630", HASTY, 1))
        code, said = read(capsys, path)
    assert said == (
        "dead-meter: not read: no answer within 1 s (timeout, unit 7 on line); "
        "check unit id 7 on the device; behind a converter also A and B, baud rate and parity\n"
        + LIVE
        + "2 of 3 fields read; not all of dead-meter\n"
    )
    assert code == 1
    assert unit.asked == [(7, 70), (7, 70), (3, 0), (3, 70)]


def test_one_device_can_be_read_alone_and_all_read_is_exit_code_0(
    unit: ModbusUnit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(unit) as port:
        assert read(capsys, site(tmp_path, port), "--device", "live-meter") == (0, LIVE + "2 of 2 fields read\n")
    assert {asked for asked, _ in unit.asked} == {3}


def test_a_device_that_refuses_is_told_from_one_that_is_silent(
    unit: ModbusUnit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit.refuses = {7}
    with served(unit) as port:
        code, said = read(capsys, site(tmp_path, port), "--device", "dead-meter")
    assert code == 1
    assert said == (
        "dead-meter: not read: exception 2 at input 70 (exception, unit 7 on line); check profile and model: the "
        "device has no such register; `fields:` of the site file reads only the others\n"
        "0 of 1 fields read; not all of dead-meter\n"
    )


def test_a_refused_port_is_one_line_for_each_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        code, said = read(capsys, site(tmp_path, port))
    advice = (
        f"check power, network (ping 127.0.0.1) and port {port}; "
        "where an agent runs, stop it first: many meters admit one connection only"
    )
    assert code == 1
    assert said == (
        f"dead-meter: not read: cannot connect to 127.0.0.1:{port} (bus_down, unit 7 on line); {advice}\n"
        f"live-meter: not read: no connection to 127.0.0.1:{port} (bus_down, unit 3 on line); {advice}\n"
        "0 of 3 fields read; not all of dead-meter, live-meter\n"
    )


def test_a_script_gets_a_line_of_json_for_each_device(
    unit: ModbusUnit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit.refuses = {7}
    with served(unit) as port:
        code, said = read(capsys, site(tmp_path, port), "--json")
    dead, live = (json.loads(line) for line in said.splitlines())
    assert code == 1
    assert dead["values"] == [] and live["not_read"] == []
    assert [(each["fields"], each["cause"]) for each in dead["not_read"]] == [(["frequency_hz"], "exception")]
    assert [(v["field"], v["value"], v["words"]) for v in live["values"]] == [
        ("voltage_l1_v", 230.5, ["4366", "8000"]),
        ("frequency_hz", 49.75, ["4247", "0000"]),
    ]


def test_a_bin_without_a_calibration_shows_what_the_calibration_needs(
    unit: ModbusUnit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(unit) as port:
        path = site(tmp_path, port)
        path.write_text(path.read_text().replace("frequency_hz]}", "frequency_hz], bin: {weight: frequency_hz}}"))
        code, said = read(capsys, path, "--device", "live-meter")
    assert (code, said) == (0, LIVE + "2 of 2 fields read\n")


def test_a_device_that_the_file_does_not_know_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = site(tmp_path, 1)
    assert main(["edge", "read", str(path), "--once", "--device", "life-meter"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"loopgauge: {path}: --device life-meter: no such device; did you mean live-meter?\n"


def test_it_reads_on_until_ctrl_c_and_then_ends_at_once(unit: ModbusUnit, tmp_path: Path) -> None:
    with served(unit) as port:
        path = site(tmp_path, port)
        path.write_text(path.read_text().replace("frequency_hz]}", "frequency_hz], every_s: {main: 0.1}}"))
        command = [sys.executable, "-m", "loopgauge.cli.main", "edge", "read", str(path), "--json"]
        command += ["--profiles", profiles(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            devices = [json.loads(child.stdout.readline())["device"] for _ in range(6)]
            os.kill(child.pid, signal.SIGINT)
            _, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (0, "")
    assert sorted(devices) == ["dead-meter"] * 3 + ["live-meter"] * 3
