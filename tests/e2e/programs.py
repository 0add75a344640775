"""Programs of Loopgauge as processes of their own, started the way an operator starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.e2e.servers import Server

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "loopgauge.cli.main")
COMMAND_S_MAX = 180.0


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """That of the tests, with this repository's packages and `extra`."""
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1", **extra}


def run(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `loopgauge WORDS…` to its end."""
    return subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        env=environment(env or {}),
        stdin=subprocess.DEVNULL,
        check=False,
    )


class Program(Server):
    """`loopgauge WORDS…` with a folder for its log. `ready`: it has come up; `prepare` runs before each start."""

    def __init__(
        self,
        *,
        folder: Path,
        words: Sequence[str],
        env: Mapping[str, str],
        ready: Callable[[], bool] = lambda: True,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(folder=folder)
        self.words = tuple(words)
        self._env = env
        self._ready = ready
        self._prepare = prepare

    def _command(self) -> list[str]:
        self._prepare()
        return [*COMMAND, *self.words]

    def _environment(self) -> dict[str, str]:
        return environment(self._env)

    def _is_ready(self) -> bool:
        return self._ready()

    def _choose_ports(self) -> None:
        """Its files say which ports it uses."""
