"""What the hosts install: a copy of the wheelhouse that make built, and one with this tree under a higher version.

The lab has copies of its own, so that a wheelhouse built anew meanwhile does not change what its hosts have.
"""

from __future__ import annotations

import re
import shutil

from tests.lab.place import LAB, PYTHON, ROOT
from tests.lab.shell import expect, run

NEXT = "99.0.0"
WHEELHOUSE = LAB / "wheelhouse"
NEXT_WHEELHOUSE = LAB / "next-wheelhouse"
MADE = ROOT / "build" / "wheelhouse"
PARTS = ("pyproject.toml", "README.md", "LICENSE")
BUILD_S_MAX = 300


def prepare() -> None:
    """Make both. Needs the network, as building a wheel does. Raises Failed where there is no wheelhouse to copy."""
    expect(MADE.is_dir(), f"{MADE} is missing: make wheelhouse")
    for old in (WHEELHOUSE, NEXT_WHEELHOUSE):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(MADE, WHEELHOUSE)
    shutil.copytree(MADE, NEXT_WHEELHOUSE, ignore=shutil.ignore_patterns("loopgauge-*.whl"))
    tree, wheels = LAB / "next-tree", LAB / "next-wheel"
    for old in (tree, wheels):
        shutil.rmtree(old, ignore_errors=True)
    tree.mkdir(parents=True)
    for package in (path.parent for path in ROOT.glob("*/__init__.py")):
        shutil.copytree(package, tree / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    for part in PARTS:
        shutil.copy(ROOT / part, tree / part)
    project = tree / "pyproject.toml"
    project.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{NEXT}"', project.read_text(), count=1))
    run(PYTHON, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, tree, within_s=BUILD_S_MAX)
    for platform in NEXT_WHEELHOUSE.iterdir():
        shutil.copy(next(wheels.glob(f"loopgauge-{NEXT}-*.whl")), platform)
