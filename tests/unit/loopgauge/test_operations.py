"""The procedures for dead letters, batches set aside and replaced cards in docs/operations.md work as written there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ingest.letters_folder import LettersFolder
from ingest.ports import DeadLetter
from loopgauge.cli.main import main, parser

DOC = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
SHELL = "\n".join(re.findall(r"^```sh\n(.*?)^```", DOC, flags=re.MULTILINE | re.DOTALL)).replace("\\\n", " ")


def _commands() -> list[str]:
    """What follows the program's name, as the remote shell reads it."""
    found = []
    for line in SHELL.splitlines():
        if line.startswith("loopgauge "):
            found.append(line.removeprefix("loopgauge "))
        elif " audit close " in line:
            found.append(line.partition("/bin/loopgauge ")[2].replace("\"'", "'").replace("'\"", "'"))
    return found


@pytest.mark.parametrize("line", _commands())
def test_each_command_exists_with_its_options(line: str) -> None:
    parser().parse_args(shlex.split(line))


def test_the_commands_are_found_at_all() -> None:
    said = [" ".join(line.split()[:3]) for line in _commands()]
    verbs = {"list", "show", "replay", "drop"}
    assert {f"ingest dead {verb}" for verb in verbs} <= set(said)
    assert {f"edge aside {verb}" for verb in (verbs - {"replay"}) | {"offer"}} <= set(said)
    assert "audit close plant-1" in said


def test_the_commands_for_dead_letters_do_what_the_text_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text(
        f"worker: w1\nbroker: {{host: localhost}}\nstore: {{url: 'sqlite:{tmp_path}'}}\n"
        f"gateways_file: {tmp_path}/gateways.json\ndead_letters: {tmp_path}/dead\n"
    )
    folder = LettersFolder(folder=tmp_path / "dead", bytes_max=1_000_000)
    folder.keep([DeadLetter("plant-1", "a" * 32, 1, "stamp lies in the future", line="[1,0,{}]")], 1_700_000_000_000)
    for line in _commands():
        if line.startswith("ingest dead"):
            words = shlex.split(line.replace("$FILE", str(file)))
            assert main([*words, *(["--wait", "0"] if "replay" in words else [])]) == ("replay" in words)
    said = capsys.readouterr().out
    assert "1 letters; " in said
    assert "1 letters handed to the worker" in said
    assert "1 letters dropped" in said
