"""Pets the service manager's dog while every task keeps its promise; a hung task is named once, and then it is silence.

The service manager kills a program that is silent for too long and starts it anew. That is safe here at any moment:
what a gateway has sealed, and what a worker has not acknowledged, is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from service_health.promises import Promises

log = logging.getLogger("loopgauge.watchdog")

LOOK_S = 5.0
"""Pause between two looks where no watchdog waits."""
PETS_PER_TIMEOUT = 3
SECOND_LOOK_S = 1.0
"""Before a task counts as hung, it may get on for so long: where the whole loop was held up, all are late at once."""


class Dog(Protocol):
    """What waits to be told that all is well."""

    @property
    def watchdog_s(self) -> float | None:
        """Time-out in s; None where nobody waits."""

    def alive(self) -> None:
        """All tasks get on."""


async def keep(promises: Promises, dog: Dog) -> None:
    """Run beside the program's tasks until cancelled."""
    pause_s = LOOK_S if dog.watchdog_s is None else dog.watchdog_s / PETS_PER_TIMEOUT
    named: set[str] = set()
    while True:
        if promises.broken():
            await asyncio.sleep(SECOND_LOOK_S)
        broken = promises.broken()
        if not broken:
            dog.alive()
        for task in broken.keys() - named:
            log.critical(
                "%s has not got on for %.0f s longer than it said; the watchdog is not fed", task, broken[task]
            )
        for task in named - broken.keys():
            log.warning("%s gets on again", task)
        named = set(broken)
        await asyncio.sleep(pause_s)
