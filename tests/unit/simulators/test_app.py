"""The simulator as a process: ports that scripts can rely on, a record that survives its death, errors in one line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_profiles.library import Library
from simulators.load_scenario import find, load_scenario, shipped_names
from simulators.truth.figures import Truth
from simulators.truth.record import Record
from tests.e2e.servers import PATIENCE_S, free_port, wait_until
from tests.unit.simulators.plant import ORIGIN_MS
from tests.unit.simulators.wire import on_line, rtu

PROGRAM = """
import argparse, sys
from loopgauge.cli import simulate
parser = argparse.ArgumentParser(prog="loopgauge")
simulate.add_parser(parser.add_subparsers())
args = parser.parse_args(sys.argv[1:])
sys.exit(args.run(args))
"""


class Simulator:
    """`loopgauge simulate modbus` in a process of its own, 60 times faster than life."""

    def __init__(self, folder: Path, *more: str, scenario: str = "demo", clock: str | None = None) -> None:
        self.record = folder / "record.db"
        self.ports_file = folder / "ports.json"
        arguments = ["--scenario", scenario, "--record", str(self.record), "--ports", str(self.ports_file), *more]
        now_ms = time.time_ns() // 1_000_000
        self.clock = clock if clock is not None else f"{ORIGIN_MS}:{now_ms}:60"
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "simulate", "modbus", *arguments],
            env=os.environ | {"PYTHONPATH": os.getcwd(), "LOOPGAUGE_CLOCK": self.clock},
            stderr=subprocess.PIPE,
            text=True,
        )

    def ports(self) -> dict[str, dict[str, Any]]:
        for _ in range(1800):
            if self.ports_file.exists():
                found: dict[str, dict[str, Any]] = json.loads(self.ports_file.read_text())
                return found
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.05)
        raise AssertionError("the ports were never written")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, errors


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Simulator]]:
    running: list[Simulator] = []
    yield running
    for simulator in running:
        if simulator.process.poll() is None:
            simulator.end(signal.SIGKILL)
        elif simulator.process.stderr is not None:
            simulator.process.stderr.close()


def ask(connection: socket.socket, n: int, unit_id: int, function: int, address: int, count: int) -> bytes:
    """The registers of one answer, by hand."""
    head = n.to_bytes(2, "big") + b"\x00\x00\x00\x06"
    connection.sendall(head + bytes([unit_id, function]) + address.to_bytes(2, "big") + count.to_bytes(2, "big"))
    answer = b""
    while len(answer) < 9 + 2 * count:
        piece = connection.recv(300)
        assert piece, "the connection was closed"
        answer += piece
    assert answer[:2] == n.to_bytes(2, "big")
    return answer[9:]


def test_every_answer_that_was_received_is_in_the_record_after_a_kill(tmp_path: Path, started: list[Simulator]) -> None:
    simulator = Simulator(tmp_path)
    started.append(simulator)
    place = simulator.ports()["energy-meter"]
    received = []
    with socket.create_connection((place["host"], place["port"]), timeout=PATIENCE_S) as connection:
        for n in range(300):
            received.append(ask(connection, n, place["unit_id"], 4, 0x48, 2).hex(" ", 2))
        os.kill(simulator.process.pid, signal.SIGKILL)
    simulator.process.wait(PATIENCE_S)
    noted = [words for _, words in Record.open_readonly(simulator.record).words("energy-meter", "energy_import_kwh")]
    assert len(received) == 300
    assert noted == received


def test_a_restarted_simulator_goes_on_where_it_was(tmp_path: Path, started: list[Simulator]) -> None:
    first = Simulator(tmp_path)
    started.append(first)
    place = first.ports()["feed-meter"]
    with socket.create_connection((place["host"], place["port"]), timeout=PATIENCE_S) as connection:
        ask(connection, 1, place["unit_id"], 3, 8, 4)
    first.end(signal.SIGKILL)
    first.ports_file.unlink()
    second = Simulator(tmp_path, clock=first.clock)
    started.append(second)
    place = second.ports()["feed-meter"]
    with socket.create_connection((place["host"], place["port"]), timeout=PATIENCE_S) as connection:
        ask(connection, 1, place["unit_id"], 3, 8, 4)
    assert second.end() == (0, "")
    (t_0, v_0), (t_1, v_1) = Record.open_readonly(second.record).served("feed-meter", "volume_m3", 0, 2**62)
    assert v_0 is not None and v_1 is not None
    assert 0 <= v_1 - v_0 == pytest.approx(40 * (t_1 - t_0) / 3.6e6, rel=0.25)


def test_it_stops_cleanly_and_leaves_the_truth_of_every_minute(tmp_path: Path, started: list[Simulator]) -> None:
    simulator = Simulator(tmp_path)
    started.append(simulator)
    assert {"energy-meter", "feed-meter", "permeate-meter"} <= simulator.ports().keys()
    record = Record.open_readonly(simulator.record)

    def minutes() -> int:
        return sum(t_ms % 60_000 == 0 for t_ms, _ in record.quantities("train-1.permeate.volume_m3"))

    assert wait_until(lambda: minutes() >= 2)
    assert simulator.end(signal.SIGINT) == (0, "")
    noted = record.quantities("train-1.permeate.volume_m3")
    truth = Truth(record=record)
    assert truth.origin_ms == ORIGIN_MS
    assert all(truth.world.value("train-1.permeate.volume_m3", t_ms) == value for t_ms, value in noted)


def test_a_world_with_a_history_began_before_the_clock_and_says_so(tmp_path: Path, started: list[Simulator]) -> None:
    first = Simulator(tmp_path, "--history", "14d")
    started.append(first)
    place = first.ports()["feed-meter"]
    with socket.create_connection((place["host"], place["port"]), timeout=PATIENCE_S) as connection:
        ask(connection, 1, place["unit_id"], 3, 8, 4)
    assert first.end() == (0, "")
    truth = Truth(record=Record.open_readonly(first.record))
    assert truth.origin_ms == ORIGIN_MS - 14 * 86_400_000
    ((_, shown),) = Record.open_readonly(first.record).served("feed-meter", "volume_m3", 0, 2**62)
    assert shown is not None
    assert shown - 182_400 == pytest.approx(14 * 24 * 40, rel=0.02)
    second = Simulator(tmp_path, "--history", "13d", clock=first.clock)
    started.append(second)
    code, errors = second.process.wait(PATIENCE_S), second.process.communicate()[1]
    assert (code, "another origin of time" in errors) == (1, True)
    third = Simulator(tmp_path, "--history", "fortnight")
    started.append(third)
    code, errors = third.process.wait(PATIENCE_S), third.process.communicate()[1]
    assert (code, "such as 14d" in errors) == (2, True)


def test_ports_can_be_numbered_and_the_bench_shares_one(tmp_path: Path, started: list[Simulator]) -> None:
    base = free_port()
    simulator = Simulator(tmp_path, "--port-base", str(base), scenario="bench")
    started.append(simulator)
    places = simulator.ports()
    assert len(places) == 20
    assert {place["port"] for place in places.values()} == {base}
    assert sorted(place["unit_id"] for place in places.values()) == list(range(1, 21))
    with socket.create_connection(("127.0.0.1", base), timeout=PATIENCE_S) as connection:
        answers = {ask(connection, n, n, 4, 0, 76) for n in range(1, 21)}
    assert len(answers) == 20
    assert simulator.end() == (0, "")


def test_all_lines_are_serial_where_a_folder_for_them_is_given_and_keep_their_names_after_a_kill(
    tmp_path: Path, started: list[Simulator]
) -> None:
    first = Simulator(tmp_path, "--serial", str(tmp_path / "lines"), scenario="bench")
    started.append(first)
    places = first.ports()
    assert {place["serial"] for place in places.values()} == {str(tmp_path / "lines" / "bus")}
    assert {place["baud"] for place in places.values()} == {9600}
    first.end(signal.SIGKILL)
    assert (tmp_path / "lines" / "bus").is_symlink()
    (tmp_path / "ports.json").unlink()
    second = Simulator(tmp_path, "--serial", str(tmp_path / "lines"), scenario="bench", clock=first.clock)
    started.append(second)
    second.ports()

    async def read() -> list[bytes]:
        async with on_line(places["meter-01"]["serial"]) as asker:
            heard = []
            for unit in (1, 20):
                asker.writer.write(rtu(unit, 4, 0, 2))
                heard.append(await asyncio.wait_for(asker.reader.readexactly(9), PATIENCE_S))
            return heard

    answers = asyncio.run(read())
    assert [one[:3].hex() for one in answers] == ["010404", "140404"]
    assert second.end() == (0, "")
    assert not (tmp_path / "lines" / "bus").is_symlink()
    words = [Record.open_readonly(second.record).words(f"meter-{n:02}", "voltage_l1_v") for n in (1, 20)]
    assert [one[-1][1].replace(" ", "") for one in words] == [one[3:7].hex() for one in answers]


def test_a_file_where_a_line_should_get_its_name_is_left_alone_and_named(
    tmp_path: Path, started: list[Simulator]
) -> None:
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "bus").write_text("precious")
    simulator = Simulator(tmp_path, "--serial", str(tmp_path / "lines"), scenario="bench")
    started.append(simulator)
    code, errors = simulator.process.wait(PATIENCE_S), simulator.process.communicate()[1]
    assert (code, errors.count("\n"), "no link" in errors) == (1, 1, True)
    assert (tmp_path / "lines" / "bus").read_text() == "precious"


def test_a_record_of_another_seed_is_not_mixed_with_this_one(tmp_path: Path, started: list[Simulator]) -> None:
    first = Simulator(tmp_path)
    started.append(first)
    first.ports()
    first.end()
    second = Simulator(tmp_path, "--seed", "2", clock=first.clock)
    started.append(second)
    code, errors = second.process.wait(PATIENCE_S), second.process.communicate()[1]
    assert code == 1
    assert errors.count("\n") == 1
    assert "another scenario or seed" in errors
    assert not second.ports_file.exists()


@pytest.mark.parametrize(
    "arguments, clock, code, said",
    [
        (["--scenario", "dmeo"], "", 2, "no such scenario; did you mean demo?"),
        (["--scenario", "demo", "--seed", "-1"], "", 2, "--seed"),
        (["--scenario", "demo"], "1:2", 2, "LOOPGAUGE_CLOCK"),
        (["--scenario", "demo", "--host", "203.0.113.7"], "", 1, "203.0.113.7"),
    ],
)
def test_bad_input_is_said_in_one_line(tmp_path: Path, arguments: list[str], clock: str, code: int, said: str) -> None:
    files = ["--record", str(tmp_path / "r.db"), "--ports", str(tmp_path / "ports.json")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "simulate", "modbus", *files, *arguments],
        env=os.environ | {"PYTHONPATH": os.getcwd(), "LOOPGAUGE_CLOCK": clock},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", [each for each in shipped_names() if each not in ("demo", "bench")])
def test_a_ready_scenario_is_served_with_every_device_and_its_truth_is_noted(
    tmp_path: Path, started: list[Simulator], name: str
) -> None:
    simulator = Simulator(tmp_path, "--history", "5m", scenario=name)
    started.append(simulator)
    plan = load_scenario(find(name), Library().load)
    ports = simulator.ports()
    assert set(ports) == set(plan.scenario.meters)
    for device, place in ports.items():
        if device in ("treated-meter", "feed-meter", "train-1-feed-meter", "east-treated-meter", "cart-scale"):
            with socket.create_connection((place["host"], place["port"]), timeout=PATIENCE_S) as connection:
                assert len(ask(connection, 1, place["unit_id"], 3, 7 if device == "cart-scale" else 0, 2)) == 4
    assert simulator.end() == (0, "")
    record = Record.open_readonly(simulator.record)
    assert set(record.quantity_names()) == plan.scenario.quantities()
    record.close()
