from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.plays import recap_of
from tests.lab.shell import Failed

OUTPUT = """
TASK [broker : Install the broker] ****
changed: [cloud]
ok: [gw-1]

RUNNING HANDLER [broker : Restart the broker] ****
changed: [cloud] => (item=one)

PLAY RECAP ****
cloud                      : ok=9    changed=2    unreachable=0    failed=0
gw-1                       : ok=3    changed=0    unreachable={unreachable}    failed=0
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "play.log"
    path.write_text("what was said")
    return path


def test_a_second_run_that_changes_something_fails_the_lab_and_names_the_task(log: Path) -> None:
    recap = recap_of(OUTPUT.format(unreachable=0), log).expect_good()
    with pytest.raises(Failed, match=r"Restart the broker \[cloud\]"):
        recap.expect_nothing_changed()


def test_a_host_that_was_not_reached_fails_the_lab(log: Path) -> None:
    with pytest.raises(Failed, match="what was said"):
        recap_of(OUTPUT.format(unreachable=1), log).expect_good()


def test_a_playbook_that_ended_before_its_recap_fails_the_lab(log: Path) -> None:
    with pytest.raises(Failed):
        recap_of("ERROR! the playbook could not be read", log).expect_good()


def test_a_run_that_changes_nothing_is_good(log: Path) -> None:
    quiet = OUTPUT.replace("changed=2", "changed=0").format(unreachable=0)
    assert recap_of(quiet, log).expect_nothing_changed().ok == {"cloud": 9, "gw-1": 3}
