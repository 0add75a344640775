"""Known bugs, planted one at a time into a copy of the tree: the simulation alone must find each of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import NOTES

ROOT = Path(__file__).parents[2]
PATCHES = sorted((Path(__file__).parent / "planted").glob("*.patch"))
SEEDS_MAX = 50
SECONDS_MAX = 600


def copy(folder: Path) -> Path:
    """The tree without what it makes itself."""
    tree = folder / "tree"
    left_out = shutil.ignore_patterns(".git", ".venv*", "build", "*.egg-info", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, tree, ignore=left_out)
    return tree


def apply(patch: Path, tree: Path) -> None:
    """Plant a bug. Where the code has changed too much, the patch must be made anew."""
    done = subprocess.run(["git", "apply", str(patch)], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{patch.name} no longer fits: {done.stderr}"


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_every_planted_bug_still_fits_the_code(patch: Path) -> None:
    done = subprocess.run(
        ["git", "apply", "--check", str(patch)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{patch.name} no longer fits: {done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_the_simulation_finds_a_planted_bug(patch: Path, tmp_path: Path) -> None:
    tree = copy(tmp_path)
    apply(patch, tree)
    hunt = [sys.executable, "-m", "tests.faults.hunt", "0", str(SEEDS_MAX)]
    done = subprocess.run(hunt, cwd=tree, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    NOTES.append(f"{patch.stem}: {done.stdout.strip()[:200]}")
    assert done.returncode == 0, f"not found within {SEEDS_MAX} seeds\n{done.stdout}{done.stderr[-2000:]}"
