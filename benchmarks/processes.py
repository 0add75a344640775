"""Programs under measurement: started as a user starts them, each with a log of its own, and what the kernel says of
one of them alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

STOP_S_MAX = 20.0
WAIT_S_MAX = 30.0


class NotMeasured(Exception):
    """Something that a bench needs did not come, did not go, or did not do its work; the message says what."""


def cpu_s(pid: int) -> float:
    """CPU time of one process, all its threads, user and system, in s.

    This is the clock that clock_getcpuclockid(3) names: it counts ns where /proc/PID/stat counts ticks of 10 ms.
    """
    return time.clock_gettime(((~pid) << 3) | 2)


class Program:
    """A running program."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log

    def check(self) -> None:
        """Raise NotMeasured if it has ended."""
        code = self._process.poll()
        if code is not None:
            raise NotMeasured(f"{self.name} ended with {code}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line that it wrote."""
        lines = self._log.read_text("utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def cpu_s(self) -> float:
        """CPU time of this process alone, in s."""
        self.check()
        return cpu_s(self.pid)

    def peak_mb(self) -> float:
        """The most memory that it ever had resident (VmHWM of proc(5)), in 10^6 bytes."""
        self.check()
        for line in Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise NotMeasured(f"the kernel tells no VmHWM of {self.name}")

    def wait(self, within_s: float) -> None:
        """Wait until it ends by itself with 0; NotMeasured otherwise."""
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise NotMeasured(f"{self.name} did not end within {within_s:g} s: {self.last_words()}") from None
        if code != 0:
            raise NotMeasured(f"{self.name} ended with {code}: {self.last_words()}")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for one that does not go."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(
    name: str, command: Sequence[str], *, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """A program whose output goes to `folder/name.log`; it is stopped at the end."""
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
        )
    program = Program(name, process, log)
    try:
        yield program
    finally:
        program.stop()


def verb(*words: str) -> list[str]:
    """The command line of `loopgauge WORDS…` under this Python."""
    return [sys.executable, "-m", "loopgauge.cli.main", *words]


def wait_for(what: str, ready: Callable[[], bool], *, of: Program, within_s: float = WAIT_S_MAX) -> None:
    """Wait until `ready`; NotMeasured when a program ends meanwhile, or when it takes too long."""
    deadline = time.monotonic() + within_s
    while not ready():
        of.check()
        if time.monotonic() > deadline:
            raise NotMeasured(f"{what} did not happen within {within_s:g} s: {of.last_words()}")
        time.sleep(0.05)
