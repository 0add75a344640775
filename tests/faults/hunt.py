"""How many seeds it takes to find a bug: `python -m tests.faults.hunt FIRST COUNT` in a tree that has one."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from tests.faults.test_seeds import live


def find(first: int, count: int) -> tuple[int, str] | None:
    """(seeds tried, what was wrong) of the first seed that fails, or None where all pass."""
    for tried, seed in enumerate(range(first, first + count), 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                _, verdict, unexplained = live(seed, Path(folder))
            except Exception as error:
                return tried, repr(error)
        wrong = [*verdict.wrong, *unexplained]
        if wrong:
            return tried, wrong[0]
    return None


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    found = find(int(sys.argv[1]), int(sys.argv[2]))
    print("not found" if found is None else f"found after {found[0]} seeds: {found[1]}")
    sys.exit(found is None)
