"""A test on real servers that did not run is named at the end, and stops what CI would let through."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.tree import ROOT

SKIPS = """
import pytest

@pytest.fixture
def server():
    pytest.skip("no such server")

def test_in_the_fixture(server):
    pass

def test_in_the_test():
    pytest.skip("no such server")

@pytest.mark.xfail
def test_known_to_fail():
    assert False
"""
SKIPS_WHOLE = 'import pytest\npytest.importorskip("no_such_library")\n'


def run_pytest(folder: Path, *, ci: bool, where: str, text: str) -> tuple[int, str]:
    """Exit code and output of pytest on one test file at `where`, under a copy of our conftest."""
    (folder / "tests" / where).parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests/conftest.py", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "tests" / where).write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "true"} if ci else {})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("folder", ["e2e", "chaos"])
def test_a_person_is_told_which_tests_were_left_out_and_why(tmp_path: Path, folder: str) -> None:
    code, said = run_pytest(tmp_path, ci=False, where=f"{folder}/test_x.py", text=SKIPS)
    assert code == 0
    left_out = said[said.index("left out") :]
    assert "no such server (2):" in left_out
    assert f"  tests/{folder}/test_x.py::test_in_the_fixture\n" in left_out
    assert f"  tests/{folder}/test_x.py::test_in_the_test\n" in left_out


def test_ci_fails_where_a_test_on_real_servers_skips(tmp_path: Path) -> None:
    code, said = run_pytest(tmp_path, ci=True, where="e2e/test_x.py", text=SKIPS)
    assert code == 1
    assert "1 failed, 1 xfailed, 1 error in" in said
    assert said.count("skipped, which CI=true does not allow: no such server") >= 2


def test_ci_fails_where_a_whole_file_of_them_skips(tmp_path: Path) -> None:
    code, said = run_pytest(tmp_path, ci=True, where="e2e/test_x.py", text=SKIPS_WHOLE)
    assert code != 0
    assert "skipped, which CI=true does not allow" in said


def test_what_a_machine_refuses_is_named_and_stops_nothing(tmp_path: Path) -> None:
    code, said = run_pytest(tmp_path, ci=True, where="power/test_x.py", text=SKIPS)
    assert code == 0
    left_out = said[said.index("left out") :]
    assert "no such server (2):" in left_out


def test_other_tests_may_skip_in_ci(tmp_path: Path) -> None:
    code, said = run_pytest(tmp_path, ci=True, where="unit/test_x.py", text=SKIPS)
    assert code == 0
    assert "left out" not in said
