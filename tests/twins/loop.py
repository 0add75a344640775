"""An event loop whose clock jumps: when nothing is ready, time is the next deadline.

`asyncio.sleep`, `asyncio.timeout` and TaskGroup work unchanged, so a day of a gateway's life passes in milliseconds
and always in the same order. Nothing in it may use a thread or a real socket: those sit behind ports, whose twins run
inline.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stalled(AssertionError):
    """Every task waits and no timer is set: in real life this program would hang for ever."""


class _JumpingSelector(selectors.SelectSelector):
    """Looks at the self-pipe without waiting, and moves the loop's clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Stalled("every task waits for something that no timer will bring")
        self.now_s += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time; `time()` starts at 0 s."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.now_s


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time, and cancel what it left behind."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
