"""The guide to scenarios is copied from: every file in it must load, and every command must be one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml

from device_profiles.library import Library
from loopgauge.cli.main import main, parser
from simulators.keys import SECTIONS
from simulators.load_scenario import Loaded, load_scenario, shipped_names
from simulators.parts.calendar import Window
from simulators.parts.city import Body
from simulators.parts.fault import Fault
from simulators.parts.meter import Ambient, LoadCell, Scale
from simulators.scenario import Scenario
from simulators.story.happenings import RISES, SPELLS, SWITCHES
from simulators.story.packing import BITS
from simulators.world.world import World
from yaml_models.bad_file import BadFile

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "scenario-keys.md").read_text("utf-8")
RATIOS = frozenset(
    [
        "weekend",
        "holiday",
        "wander",
        "rain_deters",
        "compaction",
        "bulk_sigma",
        "season",
        "leak_exponent",
        "swing",
        "losses_wander",
        "reuse_wander",
        "yield_wander",
        "recovery_wander",
        "brine_used_wander",
        "recovery",
        "hp_efficiency",
        "booster_efficiency",
        "erd_efficiency",
        "erd_leakage",
        "erd_mixing",
        "feed_pump_efficiency",
        "restored",
    ]
)
"""Keys whose numbers have no unit."""
TUNING = {"bulk_kg_m3", "bulk_sigma", "compaction", "sensor_mm", "drive_min", "late_min", "stop_min", "from_share"}
"""Keys that do without an example: the reference says what they are."""
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
    kinds |= {f"{spell.what}_{end}" for spell in SPELLS.values() for end in ("begin", "end")}
    assert all(f"`{kind}`" in GUIDE for kind in kinds)
    assert f"or {BITS} for float64" in GUIDE


@pytest.mark.parametrize("section", ["loads", "bins", "vehicles", "stations", "plants", "parks", "trains"])
def test_the_table_of_parts_names_what_they_have(section: str, tmp_path: Path) -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith(f"| `{section}` |"))
    for text in SNIPPETS.values():
        plan = load(text, tmp_path).scenario
        for name, part in getattr(plan, section).items():
            if section in ("plants", "trains"):
                continue
            short = {each: each if section != "stations" else "." + each.split(".")[-1] for each in part.quantities()}
            named = {each: (f"`{each}`", f"`{short[each]}`", f"`{each.split('.')[0]}`") for each in short}
            missing = [each for each, ways in named.items() if not any(way in row for way in ways)]
            assert not missing, (name, missing)


@pytest.mark.parametrize("section, key", [(s, k) for s, models in SECTIONS.items() for k in models])
def test_every_key_is_in_the_reference_with_its_unit_and_default(section: str, key: str) -> None:
    model = SECTIONS[section][key]
    table = REFERENCE.split(f"## {section}{': ' + key if key else ''}\n")[1].split("\n## ")[0]
    for name, field in model.model_fields.items():
        row = next(line for line in table.splitlines() if line.startswith(f"| `{name}` |"))
        _, _, unit, default, what, _ = (each.strip() for each in row.split("|"))
        assert what and (field.is_required() == (default == ""))
        number = isinstance(field.default, float) and name not in RATIOS
        assert unit or not number, f"{name}: give it a unit in tools/scenario_keys.py, or name it as a ratio"
        assert not unit or name not in RATIOS


def test_every_key_of_towns_sensors_and_faults_stands_in_an_example() -> None:
    """Of these a person learns by example; a key that no example shows is as good as none."""
    sections = ("areas", "calendar", "vehicles", "stations", "faults")
    models = [model for section in sections for model in SECTIONS[section].values()]
    models += [Body, Window, Scale, LoadCell, Ambient]
    keys = {name for model in models for name in model.model_fields}
    shown = set(re.findall(r"([a-z][a-z0-9_]*):", "".join(SNIPPETS.values())))
    assert keys - shown <= TUNING


def test_every_fault_stands_in_an_example(tmp_path: Path) -> None:
    plan = load(SNIPPETS["trouble"], tmp_path).scenario
    assert {fault.what for fault in plan.faults} == set(get_args(Fault.model_fields["what"].annotation))


def test_the_keys_of_a_section_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for section in SECTIONS:
        assert main(["simulate", "keys", section]) == 0
        said = capsys.readouterr().out
        for model in SECTIONS[section].values():
            assert all(re.search(rf"^[#\s]*{name}:", said, re.M) for name in model.model_fields), (section, model)
    assert main(["simulate", "keys"]) == 0
    assert len(capsys.readouterr().out) > 10_000
    assert main(["simulate", "keys", "calender"]) == 2
    assert "calendar" in capsys.readouterr().err


def test_the_help_names_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", "keys", "--help"])
    said = capsys.readouterr().out
    assert all(section in said for section in SECTIONS)
    models = {name for name, field in Scenario.model_fields.items() if name in SECTIONS}
    assert models == set(SECTIONS)
    assert set(Scenario.model_fields) - models == {"scenario", "seed", "gateway", "city"}
