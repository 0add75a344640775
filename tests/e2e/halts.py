"""How late the machine was, and when: what ran on one that halts is judged with so much leave, and no more."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Self

STAMP_ERROR_S, STAMP_ERROR_S_MAX = 0.2, 1.2
"""Real time between the stamp of a request and the moment at which the device notes its answer, on a busy machine; and
on one that halts, where no agent waits longer for it."""
EVERY_S = 0.2
NOTED_MS = 100
NEAR_MS = 10_000
"""What was queued while the machine halted may come this much later."""


class Halts:
    """A thread that sleeps and writes a little to the disk, as the programs do, and notes when that took longer."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "halts"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._noted: list[tuple[int, int, int]] = []
        """(from, to: real ms; how late)."""

    def __enter__(self) -> Self:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def late_ms(self, t_ms: int) -> int:
        """How late a program may have been at a real time, ms."""
        return max((late for from_, to, late in self._noted if from_ - NEAR_MS <= t_ms <= to + NEAR_MS), default=0)

    @property
    def worst_s(self) -> float:
        """The longest of all, real s; 0 where it was never late."""
        return max((late for _, _, late in self._noted), default=0) / 1000

    @property
    def stamp_error_s(self) -> float:
        """How far a stamp and the note of its answer may have come apart."""
        return min(STAMP_ERROR_S + self.worst_s, STAMP_ERROR_S_MAX)

    def _watch(self) -> None:
        began_s = time.monotonic()
        while not self._stop.wait(EVERY_S):
            with self._file.open("w") as out:
                out.write("x")
                out.flush()
                os.fsync(out.fileno())
            now_s = time.monotonic()
            late_ms = int((now_s - began_s - EVERY_S) * 1000)
            if late_ms >= NOTED_MS:
                to_ms = int(time.time() * 1000)
                self._noted.append((to_ms - late_ms, to_ms, late_ms))
            began_s = now_s
