"""An event loop in real time that does not see it when the machine halts the process.

Where both ends of a connection run in one loop, a halt only does harm because the loop's clock has jumped when it goes
on: everybody's time-out is over at once. On this clock the time in which nothing ran counts for no more than two steps.
What else is true of time is as ever: a sleep lasts as long as it says, and so does a time-out while the other end is
silent. It is no help with another process or thread, which do see the halt.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

STEP_S = 0.02
"""The longest time that may pass between two looks at the clock; a sleep takes a look as often."""


class _SteadySelector(selectors.DefaultSelector):
    """Waits as any selector, and keeps the clock."""

    def __init__(self) -> None:
        super().__init__()
        self._shown_s = 0.0
        self._seen_s = time.monotonic()

    def now_s(self) -> float:
        """Since the start."""
        self._shown_s += min(self._passed_s(), STEP_S)
        return self._shown_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s()
        # A halt may come while all of them sleep, too. The loop looks again when nothing was ready.
        ready = super().select(STEP_S if timeout is None else min(timeout, STEP_S))
        self._shown_s += min(self._passed_s(), 2 * STEP_S)
        return ready

    def _passed_s(self) -> float:
        seen_s, self._seen_s = self._seen_s, time.monotonic()
        return self._seen_s - seen_s


class SteadyLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on that clock; `time()` starts at 0 s."""

    def __init__(self) -> None:
        self._steady = _SteadySelector()
        super().__init__(self._steady)

    def time(self) -> float:
        return self._steady.now_s()


def run_steady(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on that clock, and cancel what it left behind."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(main)
