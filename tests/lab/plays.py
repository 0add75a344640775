"""Playbooks run against the lab, and what their recap says."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.place import ANSIBLE, DEPLOY, LOGS
from tests.lab.shell import Failed, tail
from tests.lab.ssh import config_file

PLAY_S_MAX = 900
_RECAP = re.compile(r"^(?P<host>\S+)\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recap:
    """What a run of a playbook did, by host."""

    log: Path
    ok: dict[str, int]
    changed: dict[str, int]
    failed: dict[str, int]
    """Failed tasks, and 1 more for a host that was not reached."""
    changes: tuple[str, ...]
    """`task [host]` of each change."""

    @property
    def is_good(self) -> bool:
        """Whether every host was reached and nothing failed."""
        return bool(self.failed) and not any(self.failed.values())

    def expect_good(self) -> Recap:
        """Itself; raises Failed with the end of the log where something failed."""
        if not self.is_good:
            raise Failed(f"failed: {self.failed}; {self.log}:\n{tail(self.log.read_text(), 60)}")
        return self

    def expect_nothing_changed(self) -> Recap:
        """Itself; raises Failed with the tasks that changed something."""
        self.expect_good()
        if any(self.changed.values()):
            raise Failed("changed again: " + "; ".join(self.changes))
        return self

    def __str__(self) -> str:
        return ", ".join(f"{host} ok={self.ok[host]} changed={self.changed[host]}" for host in sorted(self.ok))


def play(name: str, playbook: str, inventories: Sequence[Path], *words: str) -> Recap:
    """Run a playbook; its output goes to the log `name`. What failed stands in the recap."""
    command = [str(ANSIBLE / "ansible-playbook"), *(word for path in inventories for word in ("-i", str(path)))]
    output = _run(name, [*command, f"playbooks/{playbook}", *words])
    return recap_of(output, LOGS / f"{name}.log")


def ping(name: str, inventories: Sequence[Path]) -> str:
    """What Ansible says when it asks every host of the inventory for an answer."""
    command = [str(ANSIBLE / "ansible"), *(word for path in inventories for word in ("-i", str(path)))]
    output = _run(name, [*command, "all", "-o", "-m", "ansible.builtin.ping"])
    if not output or "UNREACHABLE" in output or "FAILED" in output:
        raise Failed(f"not every host answers:\n{tail(output)}")
    return f"{output.count('SUCCESS')} hosts"


def _run(name: str, command: list[str]) -> str:
    LOGS.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(DEPLOY / "ansible.cfg"),
        "ANSIBLE_SSH_COMMON_ARGS": f"-F {config_file()}",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "False",
    }
    log = LOGS / f"{name}.log"
    try:
        with log.open("w") as file:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=DEPLOY,
                timeout=PLAY_S_MAX,
                check=False,
            )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{name}: not done after {PLAY_S_MAX} s; {log}:\n{tail(log.read_text())}") from late
    return log.read_text()


def recap_of(output: str, log: Path) -> Recap:
    """What ansible-playbook's own words say of a run; of no host, where it did not come so far."""
    rows = [(match["host"], [int(number) for number in match.groups()[1:]]) for match in _RECAP.finditer(output)]
    return Recap(
        log=log,
        ok={host: ok for host, (ok, _, _, _) in rows},
        changed={host: changed for host, (_, changed, _, _) in rows},
        failed={host: unreachable + failed for host, (_, _, unreachable, failed) in rows},
        changes=tuple(_changes(output)),
    )


def _changes(output: str) -> list[str]:
    found, task = [], ""
    for line in output.splitlines():
        if line.startswith(("TASK [", "RUNNING HANDLER [")):
            task = line.partition("[")[2].partition("]")[0]
        elif line.startswith("changed: ["):
            found.append(f"{task} [{line.partition('[')[2].partition(']')[0]}]")
    return found
