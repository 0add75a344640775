"""Running other programs, with what they said in the error when they fail."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Failed(RuntimeError):
    """A step of the lab did not show what it must; the message says what was seen."""


def run(
    *words: str | Path,
    check: bool = True,
    within_s: float = 120,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. Raises Failed when it fails (unless `check` is false) or takes too long."""
    try:
        done = subprocess.run(
            [str(word) for word in words],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within_s,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{shown(words)}: not done after {within_s:g} s") from late
    if check and done.returncode:
        raise Failed(f"{shown(words)}: exit code {done.returncode}\n{tail(done.stdout + done.stderr)}")
    return done


def shown(words: Sequence[str | Path], length: int = 160) -> str:
    """A command as one line that fits on the terminal."""
    text = " ".join(str(word) for word in words)
    return text if len(text) <= length else text[: length - 1] + "…"


def tail(text: str, lines: int = 30) -> str:
    """The end of what a program said."""
    return "\n".join(text.strip().splitlines()[-lines:])


def wait_for(what: str, ready: Callable[[], object], *, within_s: float, every_s: float = 0.5) -> float:
    """Ask `ready` until its answer is true; the seconds that it took. Raises Failed with its last answer."""
    begin = time.monotonic()
    while not (answer := ready()):
        if time.monotonic() - begin > within_s:
            raise Failed(f"{what}: not within {within_s:g} s; last seen: {answer!r}")
        time.sleep(every_s)
    return time.monotonic() - begin


def expect(condition: object, message: str) -> None:
    """Raise Failed with `message` unless `condition` holds."""
    if not condition:
        raise Failed(message)
