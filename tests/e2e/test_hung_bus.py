"""A bus hangs inside a running agent: the service manager hears no more, kills it, and nothing that was sealed is lost.

The service manager's part is played here: its socket, its time-out, its SIGABRT. `make lab` has the real one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

from series_store.open import open_reader
from tests.e2e.line import GATEWAY, TRAIN_METERS, Line
from tests.e2e.programs import Program, run
from tests.e2e.servers import PATIENCE_S, MosquittoServer, wait_until

WATCHDOG_S = 6.0
NAMED = "CRITICAL loopgauge.watchdog: bus "

Key = tuple[str, str, int]
"""(device, field, ms UTC)."""


class Manager:
    """What systemd is to a program of `Type=notify`: a socket, and a time-out that began when it was last heard of."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(self.address)
        self._ear.setblocking(False)
        self.said: list[str] = []
        self.fed_s = 0.0

    def hear(self) -> None:
        """Take all that has been said."""
        while True:
            try:
                message = self._ear.recv(65536).decode()
            except BlockingIOError:
                return
            self.said.append(message)
            if message == "WATCHDOG=1":
                self.fed_s = time.monotonic()

    def starved(self) -> bool:
        """Whether the time-out is over."""
        self.hear()
        return time.monotonic() - self.fed_s > WATCHDOG_S

    def close(self) -> None:
        self._ear.close()


class HangingAgent(Program):
    """The agent that ships, on buses of which one hangs when a file is there."""

    def __init__(self, *, line: Line, trigger: Path, manager: Manager) -> None:
        env = {**line.env, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
        super().__init__(folder=line.folder / "agent", words=(), env=env)
        self._site, self._trigger = str(line.folder / "edge.yaml"), str(trigger)

    def _command(self) -> list[str]:
        (self.folder.parent / "spool").mkdir(exist_ok=True)
        return [sys.executable, "-m", "tests.lab.hung_agent", self._trigger, "edge", "run", self._site]

    def abort(self) -> None:
        """SIGABRT, as the service manager does when the time-out is over."""
        process = self._running()
        process.send_signal(signal.SIGABRT)
        self.exit_code = process.wait(PATIENCE_S)
        self._process = None


def sealed(spool: Path) -> dict[Key, float]:
    """Every value in the spool, by the key that it must have in the store."""
    db = sqlite3.connect(f"{spool.as_uri()}?mode=ro", uri=True)
    try:
        rows = db.execute("SELECT base_ms, body FROM batch").fetchall()
    finally:
        db.close()
    found: dict[Key, float] = {}
    for base_ms, text in rows:
        body = json.loads(text)
        for device, about in body.get("devices", {}).items():
            for block in about.get("blocks", []):
                stamps = list(accumulate(block["t"], initial=body["from"]))[1:]
                for field, column in block["values"].items():
                    values = zip(stamps, column, strict=True)
                    found |= {(device, field, base_ms + t): value for t, value in values if value is not None}
    return found


def newest(values: Iterable[Key]) -> dict[str, int]:
    """Device → ms UTC of its last value."""
    return {device: t_ms for device, _, t_ms in sorted(values, key=lambda key: key[2])}


def stored(store: str) -> dict[Key, float]:
    """Every value in the store."""

    async def main() -> dict[Key, float]:
        reader = open_reader(store)
        try:
            keys = [key for key in await reader.series() if key.gateway == GATEWAY]
            windows = await reader.window(keys, 0, 2**50)
        finally:
            await reader.close()
        return {
            (key.device, key.field, int(t)): float(value)
            for key, window in windows.items()
            for t, value in zip(window.t, window.value, strict=True)
        }

    return asyncio.run(main())


def test_a_hung_bus_starves_the_watchdog_and_after_the_kill_all_that_was_sealed_is_stored(
    tmp_path: Path, mosquitto: MosquittoServer
) -> None:
    port, trigger = {"port": mosquitto.port}, tmp_path / "hang"
    line = Line(folder=tmp_path, store=f"sqlite:{tmp_path / 'store'}", uplink=port, broker=port)
    manager = Manager(tmp_path / "notify")
    agent = line.agent = HangingAgent(line=line, trigger=trigger, manager=manager)
    with line:
        line.meters.start()
        agent.start()
        # Nobody confirms yet: all that is sealed stays where it can be counted.
        line.wait(lambda: len(line.held()) >= 4, what="nothing was sealed")
        manager.hear()
        assert manager.said.count("READY=1") == 1
        assert wait_until(lambda: not manager.starved())
        trigger.touch()
        # An agent that has not run for a while on a busy machine looks starved, too.
        starved = wait_until(lambda: manager.starved() and NAMED in agent.log(), every_s=0.2)
        assert starved, "the watchdog is fed though a bus hangs, or nobody says which"
        (named,) = [text for text in agent.log().splitlines() if text.startswith(NAMED)]
        hung = named.split()[3]
        assert hung in TRAIN_METERS
        late_ms = 3000 * line.seal_every_s * line.speed

        def late() -> set[str]:
            found = newest(sealed(line.spool))
            return {device for device in TRAIN_METERS if line.now_ms() - found[device] > late_ms}

        line.wait(lambda: late() == {hung}, what="the others' readings are not sealed")
        agent.abort()
        assert agent.exit_code == -signal.SIGABRT
        before = sealed(line.spool)
        made = run("store", "init", "--store", line.store)
        assert made.returncode == 0, made.stderr
        line.start_workers()
        agent.start()
        line.wait(lambda: line.readings() > len(before), what="nothing arrived after the restart")
        line.drain()
        line.stop()
        after = stored(line.store)
        assert {key: after.get(key) for key in before} == before
        assert line.verdict().foreign_rows == ()
        assert line.audit()["total"]["fates"]["stored"] == len(after)
    manager.close()
    assert "NOTIFY_SOCKET" not in os.environ
