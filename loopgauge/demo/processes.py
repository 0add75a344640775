"""The demo's programs: each a process of its own with a log of its own, none of which outlives the demo."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

STOP_S_MAX = 15.0
_PR_SET_PDEATHSIG = 1


class ChildFailed(Exception):
    """A program of the demo ended by itself; the message says which, and its last words."""


def _die_with_parent(nice: int) -> None:
    """Ask the kernel for SIGTERM when the supervisor is gone, however it went; and give way to others by `nice`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.nice(nice)


class Child:
    """A running program."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    def check(self) -> None:
        """Raise ChildFailed if it has ended."""
        if self._process.returncode is not None:
            raise ChildFailed(
                f"{self.name} ended with {self._process.returncode}: {self.last_words()} (see {self._log})"
            )

    def done(self) -> bool:
        """Whether it has ended well; raise ChildFailed if it has not ended well."""
        if self._process.returncode:
            self.check()
        return self._process.returncode == 0

    def last_words(self) -> str:
        """The last line of its log."""
        with contextlib.suppress(OSError):
            lines = self._log.read_text("utf-8", errors="replace").strip().splitlines()
            if lines:
                return lines[-1]
        return "it said nothing"

    async def stop(self) -> int:
        """SIGTERM, then SIGKILL for one that does not go; its exit code."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_S_MAX):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        assert self._process.returncode is not None
        return self._process.returncode


async def start_child(
    name: str, command: Sequence[str], *, folder: Path, env: Mapping[str, str], nice: int = 0
) -> Child:
    """Start a program whose output goes to `folder/name.log`."""
    log = folder / f"{name}.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=dict(env),
            start_new_session=True,
            preexec_fn=partial(_die_with_parent, nice),
        )
    finally:
        os.close(descriptor)
    return Child(name, process, log)


async def start_verb(name: str, words: Sequence[str], *, folder: Path, env: Mapping[str, str], nice: int = 0) -> Child:
    """Start `loopgauge WORDS…` under this Python."""
    command = [sys.executable, "-m", "loopgauge.cli.main", *words]
    return await start_child(name, command, folder=folder, env=env, nice=nice)
