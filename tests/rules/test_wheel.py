"""What a user installs holds every file that the programs read, and nothing else."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.rules.tables import PACKAGES
from tests.rules.tree import ROOT, held_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of what git holds, built in isolation as an installer would."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in held_files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(target), str(source)]
    elif shutil.which("uv") is None:
        pytest.skip("neither pip nor uv is there to build a wheel")
    else:
        command = ["uv", "build", "--wheel", "-o", str(target), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(target.glob("loopgauge-*.whl"))


def test_the_wheel_holds_every_file_of_every_package_and_no_other(wheel: Path) -> None:
    expected = {path.relative_to(ROOT).as_posix() for path in held_files()}
    expected = {name for name in expected if name.split("/")[0] in PACKAGES}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == expected


def test_the_command_of_the_wheel_says_what_it_can_do(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    said = subprocess.run(
        [sys.executable, "-m", "loopgauge.cli.main", "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed"), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "loopgauge" in said.stdout
