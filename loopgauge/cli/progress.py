"""A bar on a terminal; silence anywhere else."""

from __future__ import annotations

import sys
import time

_WIDTH = 30
_EVERY_S = 0.1


class Progress:
    """How far something is, of how much, and how long the rest will take at the pace so far."""

    def __init__(self, *, what: str) -> None:
        self.done = 0
        self._what = what
        self._begun: tuple[float, int] | None = None
        self._shown_s = 0.0
        self._live = sys.stderr.isatty()

    def show(self, done: int, of: int) -> None:
        """Say that `done` of `of` are done."""
        self.done = done
        now_s = time.monotonic()
        self._begun = self._begun or (now_s, done)
        if not self._live or (now_s - self._shown_s < _EVERY_S and done < of):
            return
        self._shown_s = now_s
        filled = _WIDTH * done // max(of, 1)
        bar = "█" * filled + "·" * (_WIDTH - filled)
        print(f"\r\033[K{bar} {self._what} {done} of {of}{self._rest(done, of, now_s)}", end="", file=sys.stderr)
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the line to others."""
        if self._live and self._shown_s:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _rest(self, done: int, of: int, now_s: float) -> str:
        assert self._begun is not None
        began_s, at_first = self._begun
        if done <= at_first or done >= of:
            return ""
        left_s = (now_s - began_s) / (done - at_first) * (of - done)
        return f", {left_s / 60:.0f} min left" if left_s >= 90 else f", {left_s:.0f} s left"
