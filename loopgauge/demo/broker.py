"""A broker for the demo on loopback: Mosquitto where it is installed, else amqtt inside this process."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
from pathlib import Path
from typing import Protocol

from amqtt.broker import Broker as Amqtt

from loopgauge.demo.processes import Child, start_child

QUEUED_MAX = 100_000
"""Messages that Mosquitto holds for a slow worker; nothing depends on them, gateways send again."""
_SBIN = ("/usr/sbin", "/usr/local/sbin")
"""Where Debian keeps servers, off an ordinary user's PATH."""


class DemoBroker(Protocol):
    """A running broker."""

    port: int
    shares: bool
    """It knows shared subscriptions."""

    async def stop(self) -> None:
        """End it."""


def free_port(wanted: int = 0) -> int:
    """`wanted` if it is free on loopback, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on loopback")


def find_mosquitto() -> str | None:
    """The path of Mosquitto, or None."""
    return shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *_SBIN]))


class _InProcess:
    """amqtt in this process: MQTT 3.1.1, no shared subscriptions; enough for one worker."""

    shares = False

    def __init__(self, broker: Amqtt, port: int) -> None:
        self._broker = broker
        self.port = port

    async def stop(self) -> None:
        await self._broker.shutdown()


class _Mosquitto:
    shares = True

    def __init__(self, child: Child, port: int) -> None:
        self._child = child
        self.port = port

    async def stop(self) -> None:
        await self._child.stop()


async def start_broker(kind: str, folder: Path) -> DemoBroker:
    """Start `mosquitto` or `amqtt` on a free loopback port and wait until it listens."""
    port = free_port()
    if kind == "amqtt":
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        broker = Amqtt(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 50}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
        return _InProcess(broker, port)
    program = find_mosquitto()
    if program is None:
        raise FileNotFoundError("mosquitto is not installed: sudo apt-get install -y mosquitto, or --broker amqtt")
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages {QUEUED_MAX}\n",
        "utf-8",
    )
    child = await start_child("mosquitto", [program, "-c", str(config)], folder=folder, env=dict(os.environ))
    await _listening(port)
    return _Mosquitto(child, port)


async def _listening(port: int, within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
