"""How long the backlog will take, and for how long the spool has room: rates of the last while. Pure.

Rates are of plain JSON as the spool holds it, so that what waits, is added and is confirmed is counted alike.
"""

from __future__ import annotations

import math

FOREVER_S = 31_536_000.0
"""A year, and everything beyond it, also what will never come. A number, since it is a reading, too."""
RECENT_S = 120.0
"""The rate of draining follows the uplink over about so long, real s."""
LONG_S = 3_600.0
"""The rate of sealing hardly changes; but the first batch of a run is large."""
LAG_S = 60.0
"""What was sealed within so long, or is collected on purpose, is no backlog."""
FILE_SHARE = 1.3
"""Bytes of the spool's file for each byte of its batches, about: pages are filled in part."""


class Rate:
    """Bytes per second, the last `memory_s` weighing most. Times are s of a clock that never steps."""

    def __init__(self, *, memory_s: float, now_s: float) -> None:
        self._memory_s = memory_s
        self._began_s = self._at_s = now_s
        self._sum = 0.0

    def add(self, size: float, now_s: float) -> None:
        """So many bytes now."""
        self._sum = self._sum * math.exp((self._at_s - now_s) / self._memory_s) + size
        self._at_s = now_s

    def per_s(self, now_s: float) -> float:
        """The rate; 0 in the very beginning."""
        seen = self._memory_s * -math.expm1((self._began_s - now_s) / self._memory_s)
        return self._sum * math.exp((self._at_s - now_s) / self._memory_s) / seen if seen > 0 else 0.0


class Forecast:
    """Told what is sealed and what is confirmed; sizes in bytes of plain JSON."""

    def __init__(self, *, now_s: float) -> None:
        self._sealed = Rate(memory_s=LONG_S, now_s=now_s)
        self._confirmed: Rate | None = None

    def connected(self, now_s: float) -> None:
        """A session begins: how fast the last one was says nothing of this one."""
        self._confirmed = Rate(memory_s=RECENT_S, now_s=now_s)

    def lost(self) -> None:
        """The session is over."""
        self._confirmed = None

    def sealed(self, size: int, now_s: float) -> None:
        """A batch has been sealed."""
        self._sealed.add(size, now_s)

    def confirmed(self, size: int, now_s: float) -> None:
        """Batches have been confirmed."""
        if self._confirmed is not None:
            self._confirmed.add(size, now_s)

    def drain_s(self, waiting: int, now_s: float, *, collecting_s: float = 0.0) -> float:
        """Real s until what waits has become what always waits; FOREVER_S where it does not shrink, 0 for no backlog.

        `collecting_s`: for how long live data is held back on purpose.
        """
        sealed = self._sealed.per_s(now_s)
        backlog = waiting - sealed * (collecting_s + LAG_S)
        if backlog <= 0:
            return 0.0
        net = self._confirmed.per_s(now_s) - sealed if self._confirmed is not None else 0.0
        return min(backlog / net, FOREVER_S) if net > 0 else FOREVER_S

    def full_s(self, waiting: int, bytes_max: int, free: float | None, now_s: float) -> float:
        """Real s until the spool has no room if nothing were confirmed from now on. `free`: bytes left on its disk."""
        room = bytes_max - waiting * FILE_SHARE
        if free is not None:
            room = min(room, free)
        sealed = self._sealed.per_s(now_s) * FILE_SHARE
        return FOREVER_S if sealed <= 0 else min(max(0.0, room) / sealed, FOREVER_S)
