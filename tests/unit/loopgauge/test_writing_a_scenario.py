"""The guide to scenarios is copied from: every file in it must load, and every command must be one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from device_profiles.library import Library
from loopgauge.cli.main import parser
from simulators.load_scenario import Loaded, load_scenario, shipped_names
from simulators.story.happenings import RISES, SWITCHES
from simulators.story.packing import BITS
from simulators.world.world import World
from yaml_models.bad_file import BadFile

GUIDE = (Path(__file__).parents[3] / "docs" / "writing-a-scenario.md").read_text("utf-8")
SNIPPETS = {yaml.safe_load(text)["scenario"]: text for text in re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)}
COMMANDS = [line for text in re.findall(r"```sh\n(.*?)```", GUIDE, re.S) for line in text.splitlines()]


def load(text: str, folder: Path) -> Loaded:
    path = folder / "first.yaml"
    path.write_text(text, encoding="utf-8")
    return load_scenario(path, Library().load)


@pytest.mark.parametrize("name", SNIPPETS)
def test_every_scenario_of_the_guide_loads_and_lives(name: str, tmp_path: Path) -> None:
    plan = load(SNIPPETS[name], tmp_path).scenario
    world = World(scenario=plan, origin_ms=1_751_299_200_000)
    t_ms = world.origin_ms + 3_600_000 * np.arange(25, dtype=np.int64)
    assert all(np.isfinite(world.column(quantity, t_ms)).all() for quantity in world.names)


def test_the_guide_begins_with_five_lines() -> None:
    assert next(iter(SNIPPETS.values())).count("\n") == 5
    assert len(SNIPPETS) >= 7


def test_the_mistake_of_the_guide_is_refused_as_it_says(tmp_path: Path) -> None:
    said = re.search(r"`(first\.yaml:.*?)`", GUIDE)
    assert said is not None
    with pytest.raises(BadFile) as refused:
        load(SNIPPETS["first"].replace("{power_w: pump.power_w", "{power_w: pumps.power_w"), tmp_path)
    assert str(refused.value) == f"{tmp_path}/{said[1]}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_guide_is_one(command: str) -> None:
    words = shlex.split(command, comments=True)
    assert words[0] == "loopgauge"
    parser().parse_args(words[1:])


def test_the_guide_names_every_scenario_that_ships_and_every_event() -> None:
    assert all(f"| `{name}` |" in GUIDE for name in shipped_names())
    kinds = {*RISES.values(), *(each for both in SWITCHES.values() for each in both)}
    assert all(f"`{kind}`" in GUIDE for kind in kinds)
    assert f"or {BITS} for float64" in GUIDE


@pytest.mark.parametrize("section", ["loads", "bins", "plants", "parks", "trains"])
def test_the_table_of_parts_names_what_they_have(section: str, tmp_path: Path) -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith(f"| `{section}` |"))
    for text in SNIPPETS.values():
        plan = load(text, tmp_path).scenario
        for name, part in getattr(plan, section).items():
            if section in ("plants", "trains"):
                continue
            missing = [each for each in part.quantities() if f"`{each.split('.')[0]}`" not in row]
            assert not missing, (name, missing)
