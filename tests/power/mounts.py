"""Mounts what the tests cut: an ext4 on the card that keeps a book, and ext4 as a cut has left it. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.programs import ROOT

CARD_BYTES = 24_000_000
"""Room for a spool and its ballast, and little to copy for each cut."""
STEP_S_MAX = 90.0
PROGRAMS = {"mkfs.ext4": "e2fsprogs", "losetup": "mount", "mount": "mount", "umount": "mount"}
_ALSO_LOOK_IN = ("/usr/sbin", "/sbin")
_REFUSALS = ("not permitted", "Permission denied", "permission denied", "loop device")
"""How a container says that it may not; any other failure is one of ours."""


class NotMounted(Exception):
    """The kernel cannot make sense of what is left of the card."""


def _run(*words: str | Path) -> str:
    """What a program says. Raises NotMounted."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_ALSO_LOOK_IN])
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        timeout=STEP_S_MAX,
        env={**os.environ, "PATH": path},
        check=False,
    )
    if done.returncode != 0:
        raise NotMounted(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout.strip()


def require(folder: Path) -> None:
    """Leave the test out where this machine has not what it takes; the reason says what."""
    if os.geteuid() != 0:
        pytest.skip("power cuts need root, to mount what is cut: sudo make test-all")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("power cuts need /dev/fuse, which this machine or container does not have")
    path = os.pathsep.join([os.environ.get("PATH", ""), *_ALSO_LOOK_IN])
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=path) is None:
            pytest.skip(f"{program} is not installed: sudo apt-get install -y {package}")
    try:
        with Card(folder / "probe").mounted():
            pass
    except NotMounted as error:
        if not any(words in str(error) for words in _REFUSALS):
            raise
        pytest.skip(f"power cuts need to mount FUSE and loop devices, which this machine refuses: {error}")


class Card:
    """One card with a new file system; `image` is its first content, `book` what happened to it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.image = folder / "image"
        self.book = folder / "book"
        self.place = folder / "mounted"
        self._file = folder / "card"
        with self.image.open("wb") as image:
            image.truncate(CARD_BYTES)
        _run("mkfs.ext4", "-q", "-F", "-J", "size=4", self.image)
        self._file.touch()
        self.place.mkdir()

    @contextmanager
    def mounted(self, options: str = "noatime") -> Iterator[Path]:
        """The file system on the card, while a process of its own serves it."""
        words = [sys.executable, "-m", "tests.power.card", *map(str, (self.image, self._file, self.book))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        server = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            self._wait_for(server)
            device = _run("losetup", "--find", "--show", self._file)
            try:
                _run("mount", "-t", "ext4", "-o", options, device, self.place)
                try:
                    yield self.place
                finally:
                    _run("umount", self.place)
            finally:
                _run("losetup", "--detach", device)
        finally:
            if self._is_served():
                _run("umount", self._file)
            server.kill()
            server.communicate()

    def _is_served(self) -> bool:
        return os.path.ismount(self._file)

    def _wait_for(self, server: subprocess.Popen[str]) -> None:
        until_s = time.monotonic() + STEP_S_MAX
        while not self._is_served():
            if server.poll() is not None or time.monotonic() > until_s:
                said = server.communicate()[1] if server.poll() is not None else "it does not come up"
                raise NotMounted(f"the card is not served: {said.strip().splitlines()[-1:]}")
            time.sleep(0.01)


@contextmanager
def after(cut: bytes, folder: Path) -> Iterator[Path]:
    """The file system of a card as a cut has left it, after the kernel has gone through its journal.

    Raises NotMounted.
    """
    place = folder / "after"
    place.mkdir(parents=True, exist_ok=True)
    # A file of its own for each cut: the loop device of the last one may still be there, with what it held in memory,
    # and mount(8) takes whatever device it finds for a file.
    with tempfile.NamedTemporaryFile(dir=folder, prefix="cut-") as image:
        image.write(cut)
        image.flush()
        _run("mount", "-t", "ext4", "-o", "loop,noatime", image.name, place)
        try:
            yield place
        finally:
            _run("umount", place)
