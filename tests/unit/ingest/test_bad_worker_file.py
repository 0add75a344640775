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


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def checked(worker: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit code and lines of `ingest check`."""
    code = main(["ingest", "check", str(worker)])
    said = capsys.readouterr()
    return code, (said.err or said.out).splitlines()


def test_a_good_file_is_called_good_and_nothing_is_made(worker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(worker, capsys) == (0, [f"{worker}: good"])
    assert list(worker.parent.iterdir()) == [worker]


MISTAKES = [
    ("broker.password_file", "  host: localhost\n  password_file: {f}/no", "{f}/no: no such file"),
    ("broker.password_file", "  host: localhost\n  password_file: {f}/open", "others may read or change; chmod 600"),
    ("broker.share_file", "  host: localhost\n  share_file: {f}/no", "{f}/no: no such file"),
    ("broker.share_file", "  host: localhost\n  share_file: {f}/odd", "letters and digits"),
    ("broker.tls.ca_file", "  host: localhost\n  tls: {{ca_file: {f}/no}}", "{f}/no: no such file"),
    ("broker.tls.ca_file", "  host: localhost\n  tls: {{ca_file: {f}/secret}}", "{f}/secret: holds no certificate"),
    ("store.secret_file", "{store}\n  secret_file: {f}/open", "others may read or change; chmod 600 {f}/open"),
    ("store.secret_file", "{store}\n  secret_file: {f}/empty", "empty"),
    ("store.ca_file", "{store}\n  ca_file: {f}/no", "{f}/no: no such file"),
    ("store.url", "  url: influx1://u@db.example/db\n  secret_file: {f}/secret", "for all to read"),
    ("store.url", "  url: influx1://u@localhost/db", "has no password"),
    ("gateways_file", "gateways_file: {f}/secret", "cannot be read"),
    ("gateways_file", "gateways_file: {f}/secret/x/gateways.json", "{f}/secret"),
    ("dead_letters", "dead_letters: {f}/secret", "{f}/secret is no folder"),
]


@pytest.mark.parametrize("key, text, says", MISTAKES, ids=[f"{key}-{n}" for n, (key, *_) in enumerate(MISTAKES)])
def test_a_mistake_is_found_without_connecting(
    key: str, text: str, says: str, worker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = worker.parent
    write(folder / "open", "hunter2", 0o644)
    write(folder / "secret", "hunter2")
    write(folder / "empty", "")
    write(folder / "odd", "a/b")
    store = f"  url: sqlite:{folder}/store"
    text = text.format(f=folder, store=store)
    begin = text.splitlines()[0].split(":")[0] + ":"
    lines = worker.read_text().splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith(begin)]
    lines[at] = text
    worker.write_text("\n".join(lines) + "\n")
    code, said = checked(worker, capsys)
    assert code == 2
    assert said[0].startswith(f"loopgauge: {worker}:"), said
    assert f" {key}: " in said[0]
    assert says.format(f=folder) in said[0]
    assert "hunter2" not in "".join(said)


def test_every_mistake_has_a_line_of_its_own(worker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = worker.read_text().replace("  host: localhost", "  host: localhost\n  password_file: /nowhere/a")
    worker.write_text(text.replace("dead_letters:", f"dead_letters: {worker} #"))
    code, said = checked(worker, capsys)
    assert code == 2
    assert [line.split(": ")[2] for line in said] == ["broker.password_file", "dead_letters"]
    assert [line.split(":")[2] for line in said] == ["4", "8"]


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
