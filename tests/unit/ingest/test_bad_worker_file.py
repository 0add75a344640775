"""A mistake in a worker's file, and a board that a person allows: what the command says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.gateways import GatewaysFile
from loopgauge.cli.main import main

WORKER = """\
worker: w1
broker:
  host: localhost
store:
  url: sqlite:{folder}/store
gateways_file: {folder}/gateways.json
dead_letters: {folder}/dead
"""


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    path = tmp_path / "worker.yaml"
    path.write_text(WORKER.format(folder=tmp_path))
    return path


@pytest.mark.parametrize(
    "old, new, named",
    [
        ("worker: w1", "worker: W 1", "worker"),
        ("worker: w1", "wroker: w1", "wroker"),
        ("  host: localhost", "  host: broker.example", "tls"),
        ("  host: localhost", "  host: localhost\n  prot: 1", "broker.prot"),
        ("dead_letters:", "dead_letters_bytes_max: 5\ndead_letters:", "dead_letters_bytes_max"),
        ("sqlite:", "mysql:", "mysql"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(
    old: str, new: str, named: str, worker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = worker.read_text()
    assert old in text
    worker.write_text(text.replace(old, new))
    assert main(["ingest", "run", str(worker)]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert named in said.err


def test_a_second_board_speaks_after_a_person_has_allowed_it(
    worker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateways = GatewaysFile(tmp_path / "gateways.json")

    async def meets(board: str) -> bool:
        return await GatewaysFile(tmp_path / "gateways.json").admits("gw-1", board)

    assert asyncio.run(meets("b1"))
    assert not asyncio.run(meets("b2"))
    assert main(["ingest", "gateway", "list", str(worker)]) == 0
    assert "parked: b2" in capsys.readouterr().out
    assert main(["ingest", "gateway", "allow", str(worker), "gw-1", "b2"]) == 0
    assert asyncio.run(meets("b2"))
    assert gateways.read()[0] == {"gw-1": {"b1", "b2"}}
    assert main(["ingest", "gateway", "allow", str(worker), "gw-1"]) == 2
    assert main(["ingest", "gateway", "allow", str(worker), "GW 1", "b2"]) == 2


def test_a_damaged_list_of_gateways_is_one_line(
    worker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gateways.json").write_text("{")
    assert main(["ingest", "gateway", "list", str(worker)]) in (1, 2)
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "gateways.json" in said.err
