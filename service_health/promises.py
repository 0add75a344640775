"""Who works, and when it will next be heard of: the difference between a task that waits and one that hangs.

A task says before each step how long it may take at most, sleep or talk. Nobody looks into it; that the time has passed
and it has not been heard of again is enough to call it hung.
"""

from __future__ import annotations

from collections.abc import Callable


class Promises:
    """The next sign of life that each task of a program has promised. `now_s` is a clock that never steps, in s."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._until: dict[str, float] = {}

    def within(self, task: str, seconds: float) -> None:
        """`task` will call again, here or by `done`, before `seconds` (real s) have passed."""
        self._until[task] = self._now_s() + seconds

    def done(self, task: str) -> None:
        """`task` has ended as it should, and promises nothing more. Harmless where it never did."""
        self._until.pop(task, None)

    def broken(self) -> dict[str, float]:
        """Tasks that are overdue, and by how many s."""
        now = self._now_s()
        return {task: now - until for task, until in self._until.items() if now > until}
