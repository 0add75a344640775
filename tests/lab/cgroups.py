"""A cgroup of its own for each host and for the meters, by which all their processes are ended at once.

On a machine with a folder for each controller beside `unified`, in every one of them: guests that share a path there
stop each other's services. On a machine with cgroup v2 alone, in that one.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.lab.shell import wait_for

CGROUPS = Path("/sys/fs/cgroup")
GROUP = "loopgauge-lab"
CONTROLLERS = ("systemd", "unified", "memory", "cpu", "cpuacct", "pids")
END_S_MAX = 20
ENTER = 'for each in $CGROUPS_OF_MINE; do mkdir -p "$each" && echo $$ > "$each/cgroup.procs"; done'
"""Shell: go into the cgroups that `variables` names."""


def can_end() -> bool:
    """Whether this machine has what ends a whole cgroup (Linux 5.14, cgroup v2 or hybrid)."""
    return any((hierarchy / "cgroup.controllers").exists() for hierarchy in _hierarchies())


def variables(name: str) -> dict[str, str]:
    """What `ENTER` needs in its environment."""
    return {"CGROUPS_OF_MINE": " ".join(str(hierarchy / GROUP / name) for hierarchy in _hierarchies())}


def end(name: str) -> None:
    """End every process in the cgroups of a name, and remove them."""
    for hierarchy in _hierarchies():
        kill = hierarchy / GROUP / name / "cgroup.kill"
        if kill.exists():
            kill.write_text("1")
    for hierarchy in _hierarchies():
        _remove(name, hierarchy / GROUP / name)


def end_all() -> None:
    """End everything that a lab left behind."""
    names = {path.name for each in _hierarchies() for path in (each / GROUP).glob("*") if path.is_dir()}
    for name in sorted(names):
        end(name)
    for hierarchy in _hierarchies():
        if (hierarchy / GROUP).exists():
            (hierarchy / GROUP).rmdir()


def _hierarchies() -> list[Path]:
    return [CGROUPS / each for each in CONTROLLERS if (CGROUPS / each).is_dir()] or [CGROUPS]


def _remove(name: str, top: Path) -> None:
    """Remove a tree of cgroups, deepest first, once the last process has left it."""

    def removed() -> bool:
        try:
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()
        except OSError:
            return False
        return True

    wait_for(f"the processes of {name} end", removed, within_s=END_S_MAX, every_s=0.1)
