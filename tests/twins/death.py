"""How a process dies or stands still in virtual time: at a named step, at once, with no work of its own afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable


class Killed(BaseException):
    """The process is gone. Not an Exception, so that no handler of the program takes it for an error of its own."""


class Life:
    """One life of a process. Twins call `step` wherever a kill may fall; after a kill nothing passes any more."""

    def __init__(self) -> None:
        self.dead = False
        self.passed: Counter[str] = Counter()
        self.died_at: str | None = None
        self.last = "start"
        """The step that was passed last."""
        self._aim: str | None = None
        self._skip = 0
        self._at: dict[str, list[Callable[[], None]]] = {}
        self._going = asyncio.Event()
        self._going.set()

    def at(self, step: str, do: Callable[[], None]) -> None:
        """Do something the next time that `step` is reached: a fault that falls right there."""
        self._at.setdefault(step, []).append(do)

    def not_at(self, step: str, do: Callable[[], None]) -> None:
        """Forget it."""
        if do in self._at.get(step, ()):
            self._at[step].remove(do)

    def pause(self) -> None:
        """Stand still as after SIGSTOP: whatever goes through a twin waits."""
        self._going.clear()

    def resume(self) -> None:
        """Go on."""
        self._going.set()

    async def going(self) -> None:
        """Wait while the process stands still."""
        await self._going.wait()

    def aim(self, step: str, *, skip: int = 0) -> None:
        """Die when `step` is reached for the (skip + 1)th time from now."""
        self._aim, self._skip = step, skip

    def step(self, name: str) -> None:
        """A place where this process may die. Raises Killed."""
        if self.dead:
            raise Killed
        self.passed[name] += 1
        self.last = name
        for do in self._at.pop(name, ()):
            do()
        if self.dead:
            self.died_at = name
            raise Killed
        if name == self._aim:
            if self._skip:
                self._skip -= 1
                return
            self.dead, self.died_at = True, name
            raise Killed
