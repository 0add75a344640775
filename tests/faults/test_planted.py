"""Known bugs, planted one at a time into a copy of the tree: the simulation alone finds each of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import NOTES
from tests.faults.hunt import FOUND, PATCHES, ROOT, SEEDS_MAX, apply, copy, try_seeds

BUGS_MIN = 12
SECONDS_MAX = 1800


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_every_planted_bug_still_fits_the_code(patch: Path) -> None:
    done = subprocess.run(
        ["git", "apply", "--check", str(patch)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{patch.name} no longer fits: {done.stderr}"


def test_a_seed_is_listed_only_for_bugs_that_are_planted_and_was_found_in_time() -> None:
    found = json.loads(FOUND.read_text("utf-8"))
    assert found.keys() <= {patch.stem for patch in PATCHES}
    assert len(PATCHES) >= BUGS_MIN
    assert all(0 < each["tried"] <= SEEDS_MAX for each in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_the_seed_that_found_a_planted_bug_finds_it_again(patch: Path, tmp_path: Path) -> None:
    known = json.loads(FOUND.read_text("utf-8")).get(patch.stem)
    assert known is not None, "no seed is known that finds it: make faults-hunt"
    tree = copy(tmp_path)
    apply(patch, tree)
    found = try_seeds(tree, known["seed"], 1, SECONDS_MAX)
    assert found is not None, f"seed {known['seed']} no longer finds it: make faults-hunt ARGS={patch.stem}"
    NOTES.append(f"{patch.stem}: found after {known['tried']} seeds: {found[1][:160]}")
