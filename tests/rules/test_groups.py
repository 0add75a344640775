"""Where several tests run at once, those of a file stay in one process: what they share is made once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LONGEST_FIRST, TESTS, TOGETHER

SMALL = (
    "unit/edge_agent/test_flight.py",
    "unit/data_contract/test_counter_law.py",
    "unit/data_contract/test_witness.py",
)
_RAN = re.compile(r"\[(gw\d)\].* PASSED tests/(\S+?)::")


@pytest.mark.slow
def test_what_the_tests_of_a_file_share_is_not_made_in_two_processes() -> None:
    files = [str(TESTS / name) for name in SMALL]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-v", "-p", "no:cacheprovider", *files],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    ran = _RAN.findall(done.stdout)
    assert len(ran) > 2 * len(SMALL), done.stdout + done.stderr
    assert len(set(ran)) == len(SMALL), f"a file in two processes: {sorted(set(ran))}"
    assert len({process for process, _ in ran}) == 2, "one process has run everything"


def test_the_groups_that_are_named_are_there() -> None:
    assert [name for name in (*LONGEST_FIRST, *TOGETHER) if not Path(TESTS, name).exists()] == []
