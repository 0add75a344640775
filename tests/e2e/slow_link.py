"""A network namespace at the end of a link with a rate: a token bucket filter on both ends of a veth pair."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

NEAR, FAR = "10.213.77.1", "10.213.77.2"
"""Our end, and the end in the namespace."""
QUEUE = ("burst", "4kb", "latency", "800ms")
"""Of the filter: what passes at once, and the longest that a packet may wait in it before it is dropped (tc-tbf(8))."""


@dataclass(frozen=True, slots=True)
class SlowLink:
    """The namespace; what runs in it reaches us at NEAR."""

    namespace: str
    near: str

    def inside(self, command: Sequence[str]) -> list[str]:
        """The same command, run at the far end."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def sent(self) -> int:
        """Bytes that have come out of the far end."""
        with open(f"/sys/class/net/{self.near}/statistics/rx_bytes", encoding="ascii") as file:
            return int(file.read())


@contextmanager
def slow_link(rate: str) -> Iterator[SlowLink]:
    """A link with a rate such as `64kbit`. Skips where no namespace may be made."""
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: sudo apt-get install -y iproute2")
    name = f"lg-slow-{os.getpid()}"
    near, far = f"lgn{os.getpid()}", f"lgf{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespace can be made here, which takes root: {made.stderr.strip()}")
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("addr", "add", f"{NEAR}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", name, "addr", "add", f"{FAR}/30", "dev", far)
        _ip("-n", name, "link", "set", far, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        for place, device in ((("-n", name), far), ((), near)):
            _run("tc", *place, "qdisc", "add", "dev", device, "root", "tbf", "rate", rate, *QUEUE)
        yield SlowLink(name, near)
    finally:
        subprocess.run(["ip", "link", "del", near], capture_output=True, check=False)
        _ip("netns", "del", name)


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
