"""The service manager's ear: systemd's notification protocol, a datagram of KEY=VALUE lines to a Unix socket.

Source: sd_notify(3), sd_watchdog_enabled(3), systemd 252.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Self

STATUS_BYTES_MAX = 200


class Notifier:
    """Tells the service manager how this program is, or nobody where there is none. Never raises, never waits."""

    def __init__(self, *, address: str | None = None, watchdog_s: float | None = None) -> None:
        """`address`: a path, or `@name` in the abstract namespace; `watchdog_s`: time-out of the watchdog."""
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address is not None and address.startswith("@") else address

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """As the service manager asked for. Takes the variables away, so that no child speaks in our name."""
        address = environment.pop("NOTIFY_SOCKET", None)
        usec, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", None)
        meant = pid is None or pid == str(os.getpid())
        watchdog_s = int(usec) / 1e6 if meant and usec.isdecimal() and int(usec) > 0 else None
        return cls(address=address, watchdog_s=watchdog_s)

    def ready(self) -> None:
        """The program does what it is there for."""
        self._tell("READY=1")

    def alive(self) -> None:
        """All tasks get on: the watchdog may wait for another of its time-outs."""
        self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for people, as `systemctl status` shows it."""
        line = " ".join(text.split()).encode()[:STATUS_BYTES_MAX].decode(errors="ignore")
        self._tell(f"STATUS={line}")

    def stopping(self) -> None:
        """The program has begun to end."""
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if self._address is None:
            return
        # A service manager that does not listen is no reason to stop measuring.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode(), self._address)
