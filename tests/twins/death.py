"""How a process dies in virtual time: at a named step, at once, with no handler of its own doing work afterwards."""

from __future__ import annotations

from collections import Counter


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

    def aim(self, step: str, *, skip: int = 0) -> None:
        """Die when `step` is reached for the (skip + 1)th time from now."""
        self._aim, self._skip = step, skip

    def step(self, name: str) -> None:
        """A place where this process may die. Raises Killed."""
        if self.dead:
            raise Killed
        self.passed[name] += 1
        self.last = name
        if name == self._aim:
            if self._skip:
                self._skip -= 1
                return
            self.dead, self.died_at = True, name
            raise Killed
