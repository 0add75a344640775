"""What git holds stands alone: no path of anybody's machine, and every library that is used is pinned."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.rules.tables import PACKAGES
from tests.rules.tree import ROOT, held_files

SLASH = "/"
MACHINE_PATHS = tuple(f"{SLASH}{folder}{SLASH}" for folder in ("work", "root", "farm", "tmp/brief"))
"""Written so that this file does not name them itself."""


def _lines(path: Path) -> list[str]:
    data = path.read_bytes()
    return [] if b"\0" in data else data.decode("utf-8", errors="replace").splitlines()


def machine_paths(line: str, own: tuple[str, ...] = ()) -> list[str]:
    """The paths in a line that exist only on the machine where it was written."""
    return [path for path in (*MACHINE_PATHS, *own) if re.search(rf"(?<![\w.]){re.escape(path)}", line)]


def test_no_file_names_a_folder_of_the_machine_on_which_it_was_written() -> None:
    own = tuple(f"{path}{SLASH}" for path in (ROOT, Path.home()) if len(path.parts) > 1)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in held_files()
        for number, line in enumerate(_lines(path), 1)
        if machine_paths(line, own)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("folder", MACHINE_PATHS)
def test_a_path_of_a_machine_is_caught(folder: str) -> None:
    assert machine_paths(f"see {folder}notes.txt") == [folder]
    assert machine_paths(f'open("{folder}notes.txt")') == [folder]
    assert machine_paths(f"home{folder}notes.txt") == []


def _direct() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return {_name(requirement) for group in groups for requirement in group}


def _name(requirement: str) -> str:
    """The normal form of a distribution's name (PyPA, "Names and normalization")."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_every_direct_dependency_is_pinned_to_one_version() -> None:
    pins = _pins()
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.+!]+", pin) for pin in pins), pins
    pinned = [_name(pin) for pin in pins]
    assert len(pinned) == len(set(pinned))
    assert _direct() <= set(pinned)


def test_the_constraints_name_no_registry() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--|sha256|@", text)


def test_every_package_of_the_house_is_in_the_distribution() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = settings["tool"]["setuptools"]["packages"]["find"]
    assert found["namespaces"] is False
    assert sorted(found["include"]) == sorted(f"{name}{rest}" for name in PACKAGES for rest in ("", ".*"))


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
