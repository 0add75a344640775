"""Twin of the service manager: it hears all that it is told, and notes when, in s of the loop."""

from __future__ import annotations

import asyncio

from service_health.notify import Notifier

TIMEOUT_S = 60.0


class NotifierTwin(Notifier):
    """The shipped notifier, whose datagrams stay here."""

    def __init__(self, *, watchdog_s: float | None = TIMEOUT_S) -> None:
        super().__init__(watchdog_s=watchdog_s)
        self.heard: list[tuple[float, str]] = []

    def _tell(self, message: str) -> None:
        self.heard.append((asyncio.get_running_loop().time(), message))

    def times(self, message: str) -> list[float]:
        """When something that begins so was said."""
        return [at_s for at_s, said in self.heard if said.startswith(message)]

    @property
    def last_status(self) -> str:
        """The line that people see now."""
        return [said for _, said in self.heard if said.startswith("STATUS=")][-1].removeprefix("STATUS=")
