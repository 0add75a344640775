"""How many seeds it takes to find each planted bug: `python -m tests.faults.hunt [NAME …]`, again and again.

A hunt goes on where the last one was stopped, takes so many seconds for each bug at most, and writes the seed that
found one into `planted/found.json`, which is committed and replayed by the tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.run import quiet, run

ROOT = Path(__file__).parents[2]
PLANTED = Path(__file__).parent / "planted"
PATCHES = sorted(PLANTED.glob("*.patch"))
FOUND = PLANTED / "found.json"
"""By bug: the seed that finds it, how many it took, and what the simulation said."""
PROGRESS = ROOT / "build" / "faults" / "hunt.json"
"""By bug: the seeds up to which nothing was found."""
SEEDS_MAX = 200
SECONDS_MAX = 300
AT_ONCE = 2
"""Seeds after which progress is noted."""


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


def try_seeds(tree: Path, first: int, count: int, seconds_max: float) -> tuple[int, str] | None:
    """(seed, what it says) of the first seed in that tree that fails, None where all pass."""
    asked = [sys.executable, "-m", "tests.faults.hunt", "--here", str(first), str(count)]
    environment = {"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        asked, cwd=tree, env=environment, capture_output=True, text=True, timeout=seconds_max, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    return None if said is None else (said[0], said[1])


def here(first: int, count: int) -> tuple[int, str] | None:
    """The same in this tree and process."""
    for seed in range(first, first + count):
        if wrong := run(seed).wrong:
            return seed, wrong[0][:200]
    return None


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def _note(path: Path, name: str, what: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(sorted({**_read(path), name: what}.items())), indent=1) + "\n", "utf-8")


def hunt(patch: Path) -> str:
    """Go on with one bug; what came of it, in a line."""
    name = patch.stem
    with tempfile.TemporaryDirectory() as folder:
        tree = copy(Path(folder))
        apply(patch, tree)
        first = _read(PROGRESS).get(name, 0)
        while first < SEEDS_MAX:
            count = min(AT_ONCE, SEEDS_MAX - first)
            try:
                found = try_seeds(tree, first, count, SECONDS_MAX)
            except subprocess.TimeoutExpired:
                return f"{name}: nothing yet in {first} seeds, and {count} more took too long"
            if found is not None:
                seed, said = found
                _note(FOUND, name, {"seed": seed, "tried": seed + 1, "said": said})
                return f"{name}: found after {seed + 1} seeds: {said}"
            first += count
            _note(PROGRESS, name, first)
    return f"{name}: not found within {SEEDS_MAX} seeds"


def main(names: Sequence[str]) -> int:
    """Hunt for these bugs, or for those that no seed is known for."""
    known = _read(FOUND)
    chosen = [patch for patch in PATCHES if (patch.stem in names if names else patch.stem not in known)]
    for patch in chosen:
        print(hunt(patch), flush=True)
    missing = {patch.stem for patch in PATCHES} - _read(FOUND).keys()
    print(
        f"{len(PATCHES) - len(missing)} of {len(PATCHES)} planted bugs found"
        + "".join(f"\n  not: {m}" for m in missing)
    )
    return 1 if missing else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        quiet()
        print(json.dumps(here(int(sys.argv[2]), int(sys.argv[3]))))
    else:
        sys.exit(main(sys.argv[1:]))
