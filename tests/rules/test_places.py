"""No city is written into the code: places, roles and targets stand in YAML, so another city is other files."""

from __future__ import annotations

import ast
import functools
import re

import pytest
import yaml

from tests.rules.tables import PACKAGES
from tests.rules.tree import ROOT, Module, modules, parse

REGISTERS = ("loopgauge/demo/assets.yaml",)
CATALOG = "rollups/indicators.yaml"
JUDGES = ("rollups", "web_console", "series_store", "delivery_audit")
"""Packages in which no role is named: the world that they measure may be any."""


def _titles(areas: dict[str, dict[str, object]]) -> set[str]:
    found: set[str] = set()
    for name, area in areas.items():
        title, below = area["title"], area.get("areas", {})
        assert isinstance(title, dict)
        assert isinstance(below, dict)
        found |= {name, title["en"], title["zh"], title["zh"].rstrip("市区新县")} | _titles(below)
    return found


def _read(path: str) -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = yaml.safe_load((ROOT / path).read_text("utf-8"))
    return found


@functools.cache
def places() -> frozenset[str]:
    """Every area by id and title, every gateway, and every area, plan and department that a target names."""
    found: set[str] = set()
    for path in REGISTERS:
        register = _read(path)
        found |= _titles(register["areas"]) | set(register["sites"])
        for asset in register["assets"].values():
            assert isinstance(asset["places"], list)
            found |= {place["gateway"] for place in asset["places"]}
    for indicator in _read(CATALOG)["indicators"].values():
        targets = indicator.get("targets", [])
        assert isinstance(targets, list)
        found |= {target[key] for target in targets for key in ("area", "department") if key in target}
        found |= {target["source"].split(",")[0] for target in targets}
    return frozenset(found)


@functools.cache
def roles() -> frozenset[str]:
    """Every role of the registers and of the indicators."""
    terms = [
        term
        for indicator in _read(CATALOG)["indicators"].values()
        for side in (indicator["numerator"], indicator["denominator"])
        if isinstance(side, list)
        for term in side
    ]
    registered = {asset["role"] for path in REGISTERS for asset in _read(path)["assets"].values()}
    return frozenset({term["role"] for term in terms} | {role for role in registered if isinstance(role, str)})


@functools.cache
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<![\w]){re.escape(name)}(?![a-z0-9_])" for name in sorted(places())), re.I)


def named_places(module: Module) -> list[str]:
    """Lines that name a place of the YAML files."""
    pattern = _pattern()
    lines = enumerate(module.text.splitlines(), 1)
    return [f"{module.path}:{number}: {line.strip()}" for number, line in lines if pattern.search(line)]


def named_roles(module: Module) -> list[str]:
    """Strings of the code that are a role; examples in a model's documentation are none."""
    examples = {
        id(node)
        for call in ast.walk(module.tree)
        if isinstance(call, ast.keyword) and call.arg == "examples"
        for node in ast.walk(call.value)
    }
    return [
        f"{module.path}:{node.lineno}: {node.value}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and node.value in roles() and id(node) not in examples
    ]


def made_targets(module: Module) -> list[str]:
    """Calls that make a target or a baseline: only the reader of YAML does."""
    return [
        f"{module.path}:{call.line}: {call.name}()"
        for call in module.calls()
        if call.name in ("rollups.catalog.Target", "rollups.catalog.Baseline")
    ]


def test_no_program_names_a_place_of_the_registers_or_the_targets() -> None:
    found = [line for module in modules(*PACKAGES) for line in named_places(module)]
    assert not found, "\n" + "\n".join(found)


def test_what_computes_and_shows_figures_knows_no_role() -> None:
    found = [line for module in modules(*JUDGES) for line in named_roles(module)]
    assert not found, "\n" + "\n".join(found)


def test_no_program_makes_a_target() -> None:
    found = [line for module in modules(*PACKAGES) for line in made_targets(module)]
    assert not found, "\n" + "\n".join(found)


def test_the_page_names_no_place_either() -> None:
    files = [path for path in (ROOT / "web_console/static").glob("*") if path.suffix in (".html", ".js", ".css")]
    assert files
    assert not [path.name for path in files if _pattern().search(path.read_text("utf-8"))]


@pytest.mark.parametrize("line", ['AREA = "tianjin"', "# 南开 only", 'GATEWAY = "jizhou-1"', "X = 'Binhai'"])
def test_a_place_in_a_program_is_caught(line: str) -> None:
    assert named_places(parse("rollups/jobs.py", line))


def test_a_role_and_a_target_in_a_program_are_caught() -> None:
    assert named_roles(parse("rollups/jobs.py", 'ROLE = "permeate"'))
    assert not named_roles(parse("rollups/jobs.py", '"""Such as permeate."""\nField(examples=["permeate"])'))
    made = "from rollups.catalog import Target\nTarget(value=50, sense='at_least', source='')"
    assert made_targets(parse("rollups/jobs.py", made))
