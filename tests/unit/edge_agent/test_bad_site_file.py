"""A mistake in a site file is one line on stderr that names file, key and mend, and exit code 2; never a traceback."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from device_profiles.library import Library
from edge_agent.app import open_agent
from edge_agent.config import EdgeConfig
from loopgauge.cli.main import main
from yaml_models.files import load

ROOT = Path(__file__).parents[3]
SITE = """\
gateway: plant-1
board: b1
spool:
  file: {folder}/spool.db
uplink:
  host: localhost
buses:
  line: {{type: modbus_tcp, host: 127.0.0.1}}
devices:
  m1: {{profile: eastron-sdm630, bus: line}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(folder=tmp_path))
    return path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def complaint(path: Path, capsys: pytest.CaptureFixture[str], *more: str, verb: str = "check") -> str:
    """What `edge check` says about it."""
    assert main(["edge", verb, str(path), *more]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    return said.err.strip()


def test_a_good_file_is_good_and_says_what_would_be_read(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edge", "check", str(site)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == f"{site}: good"
    assert "m1 (" in said.out
    assert list(site.parent.iterdir()) == [site], "checking writes nothing"


def test_an_unknown_key_is_named_as_a_user_of_the_command_sees_it(site: Path) -> None:
    change(site, "  host: localhost\n", "  host: localhost\n  prot: 1883\n")
    done = subprocess.run(
        [sys.executable, "-m", "loopgauge.cli.main", "edge", "check", str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"loopgauge: {site}:7: uplink.prot: unknown key; did you mean port?\n"


MISTAKES = [
    ("gateway: plant-1", "gateway: Plant 1", "gateway"),
    ("gateway: plant-1", "gatway: plant-1", "gatway"),
    ("host: localhost", "host: broker.example", "tls"),
    ("profile: eastron-sdm630", "profile: eastron-sdm63", "eastron-sdm630"),
    ("bus: line", "bus: lien", "devices.m1.bus"),
    ("bus: line}", "bus: line, fields: [power_w, powr_w]}", "devices.m1.fields"),
    ("bus: line}", "bus: line, every_s: {fast: 5}}", "devices.m1.every_s"),
    ("bus: line}", "bus: line, every_s: {main: 0.0001}}", "every_s"),
    ("bus: line}", "bus: line, every_s: {main: 0}}", "every_s"),
    ("  m1:", "  gateway:", "gateway"),
    ("  m1:", "  M1:", "M1"),
    ("board: b1", "board: b 1", "board"),
    ("type: modbus_tcp", "type: modbus", "type"),
    ("spool:\n", "clock: {wait_s: soon}\nspool:\n", "clock.wait_s"),
    ("gateway: plant-1", "\tgateway: plant-1", "tab"),
]


@pytest.mark.parametrize("old, new, named", MISTAKES, ids=[f"{n}-{m[1].strip()}" for n, m in enumerate(MISTAKES)])
@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_mistake_is_one_line_with_file_and_key(
    old: str, new: str, named: str, verb: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(site, old, new)
    said = complaint(site, capsys, verb=verb)
    assert str(site) in said
    assert named in said


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.yaml" in complaint(tmp_path / "nowhere.yaml", capsys)


def test_a_profile_with_a_typo_is_named_with_its_file_and_line(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "profiles"
    shutil.copytree(ROOT / "device_profiles" / "catalog" / "eastron-sdm630", own / "my-meter")
    profile = own / "my-meter" / "profile.yaml"
    profile.write_text(profile.read_text().replace("profile: eastron-sdm630", "profile: my-meter"))
    change(site, "profile: eastron-sdm630", "profile: my-meter")
    assert main(["edge", "check", str(site), "--profiles", str(own)]) == 0
    capsys.readouterr()
    text = profile.read_text()
    profile.write_text(text.replace("    unit:", "    unti:", 1))
    said = complaint(site, capsys, "--profiles", str(own))
    assert f"{profile}:" in said
    assert "unti" in said


def test_a_folder_of_the_spool_that_is_not_there_is_said_before_anything_runs_for_long(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(site, "/spool.db", "/nowhere/spool.db")
    assert main(["edge", "run", str(site)]) in (1, 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "spool.file" in said and "nowhere" in said


def test_a_spool_that_is_damaged_is_set_aside_whole_and_the_start_record_says_so(site: Path) -> None:
    (site.parent / "spool.db").write_bytes(b"no database at all" * 500)

    async def main() -> None:
        agent = open_agent(load(site, EdgeConfig), library=Library(None), version="1")
        stop = asyncio.Event()
        stop.set()
        await agent.run(stop)

    asyncio.run(main())
    # It was told of at the very end; the next start finds that nothing is left to be carried over.
    assert (site.parent / "spool.db.damaged-1").read_bytes() == b"no database at all" * 500
    db = sqlite3.connect(site.parent / "spool.db")
    bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM batch ORDER BY seq")]
    db.close()
    records = {record["kind"]: record.get("data") for record in bodies[0]["records"]}
    assert records["start"]["damaged"] == "file is not a database"
    assert "stop" in records


@pytest.mark.parametrize("verb", ["check", "run"])
def test_more_devices_than_a_first_batch_can_tell_of_are_refused_before_any_is_read(
    site: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    """Ingest would refuse the batch with the schedule, and the audit would expect nothing of this gateway."""
    lines = "".join(f"  line-{bus}: {{type: modbus_tcp, host: 127.0.0.1, port: {502 + bus}}}\n" for bus in range(4))
    name = "a-meter-with-a-name-that-says-where-it-stands-and-what-for"
    devices = "".join(
        f"  {name}-{n}: {{profile: eastron-sdm630, bus: line-{n % 4}, unit_id: {n // 4 + 1}}}\n" for n in range(600)
    )
    change(site, "  line: {type: modbus_tcp, host: 127.0.0.1}\n", lines)
    change(site, "  m1: {profile: eastron-sdm630, bus: line}\n", devices)
    assert main(["edge", verb, str(site)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = [line for line in said.err.splitlines() if "devices: what a run tells" in line]
    assert "give some of them to another gateway" in line
    assert not (site.parent / "spool.db").exists()
