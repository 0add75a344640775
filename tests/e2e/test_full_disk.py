"""A full disk under the spool: what cannot be kept is counted, and the agent goes on when there is room again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.compare import TOO_SLOW, UNHEARD, unheard
from tests.e2e.line import ENERGY_METER, Line
from tests.e2e.servers import MosquittoServer, wait_until

DISK_BYTES = 12_000_000
"""The agent sets its ballast of 2 MB aside where there is room for it several times over."""
CHUNK = bytes(65_536)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of `DISK_BYTES`."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=1777", "tmpfs", str(folder)]
    made = subprocess.run([*root, *mount], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here, which takes root or sudo: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([*root, "umount", "-l", str(folder)], check=True)


def _fill(filler: Path) -> None:
    """Take every byte that is left."""
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(CHUNK)
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0")


def test_what_a_full_disk_costs_is_counted_exactly_and_the_agent_recovers_by_itself(
    small_disk: Path, tmp_path: Path, mosquitto: MosquittoServer
) -> None:
    port = {"port": mosquitto.port}
    line = Line(
        folder=tmp_path,
        store=f"sqlite:{tmp_path / 'store'}",
        uplink=port,
        broker=port,
        meters=ENERGY_METER,
        spool=small_disk / "spool.db",
    )
    filler, ballast = small_disk / "filler", small_disk / "spool.db.ballast"
    with line:
        line.start()
        line.wait(lambda: len(line.receipts()) >= 2, what="fewer than 2 receipts")
        assert ballast.stat().st_size > 0

        def full(log: str) -> bool:
            _fill(filler)
            return log.count("no room for new readings") > log.count("there is room again") and not ballast.exists()

        assert wait_until(lambda: full(line.agent.log()), every_s=0.1), "the disk did not fill"
        lost = len(line.receipts())
        filler.unlink()
        line.wait(
            lambda: line.agent.log().count("no room") == line.agent.log().count("there is room again"),
            what="the agent did not notice that there is room again",
        )
        line.wait(lambda: len(line.receipts()) >= lost + 2, what="nothing came after the full disk")
        line.wait(ballast.exists, what="the ballast was not set aside again")
        line.stop()
        fates, found = line.fates(), line.verdict()
        assert fates["disk_full"] > 0
        assert set(fates) <= {"stored", "disk_full", "silent", *TOO_SLOW, *UNHEARD}
        assert (found.delivered, found.foreign) == (fates["stored"], 0)
        assert fates["disk_full"] <= found.missing <= fates["disk_full"] + unheard(fates)
        said = [text for text in line.agent.log().splitlines() if "energy-meter: " not in text]  # it was too slow
        assert all("no room" in text or "room again" in text for text in said), said
