"""What docs/first-gateway.md tells a technician to write works as it is written there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_agent.commission.site_check import read_site
from ingest.config import IngestConfig
from loopgauge.cli.main import main, parser
from loopgauge.operator import OperatorConfig
from rollups.assets_file import parse_assets
from yaml_models.parse import parse

DOC = (Path(__file__).parents[3] / "docs" / "first-gateway.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", DOC, flags=re.MULTILINE | re.DOTALL)
YAML = [text for kind, text in BLOCKS if kind == "yaml"]
BAD_BIN = "    bin: {weight: raw_count, door: door_open, tare_kg: 12.5}\n"


def test_the_site_file_is_good_but_for_the_calibration_that_it_says_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, calibrated = YAML[0], YAML[1]
    path = tmp_path / "site.yaml"
    path.write_text(site)
    assert main(["edge", "check", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "edge calibrate" in said
    assert site.count(BAD_BIN) == 1
    path.write_text(site.replace(BAD_BIN, calibrated))
    assert main(["edge", "check", str(path)]) == 0
    assert capsys.readouterr().err == ""
    bin_ = read_site(path.read_text(), file="x").model.devices["bin-paper"].bin
    assert bin_ is not None and bin_.calibrations[0].kilograms(84210 + 20 * 20512.4) == pytest.approx(20)


def test_the_files_of_worker_and_operator_and_the_assets_can_be_read() -> None:
    assert parse(YAML[2], IngestConfig, file="ingest.yaml").broker.username == "ingest"
    assert parse(YAML[3], OperatorConfig, file="command.yaml").broker.username == "operator"
    assets = parse_assets(YAML[4], file="assets.yaml")
    assert list(assets.assets) == ["energy-meter"]


def _commands() -> list[list[str]]:
    shell = "\n".join(text for kind, text in BLOCKS if kind == "sh").replace("\\\n", " ")
    return [line.split()[1:] for line in shell.splitlines() if line.startswith("~/lg/bin/loopgauge ")]


@pytest.mark.parametrize("words", [c for c in _commands() if c != ["--version"]], ids=" ".join)
def test_each_command_exists_with_its_options(words: list[str]) -> None:
    parser().parse_args(words)


def test_the_commands_are_found_at_all() -> None:
    verbs = {" ".join(words[:2]) for words in _commands()}
    assert {"edge check", "edge read", "edge calibrate", "edge run", "ingest run", "simulate modbus"} <= verbs
