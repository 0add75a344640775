"""Days that are made one after the other, because something is carried over midnight, and of which a few are kept.

What was carried is kept for every midnight, so that an earlier day is made again from there, and is the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

DAYS_MAX = 36_600
"""Most days that a part is followed for; beyond them asking is refused."""
DAYS_KEPT_MAX = 8
"""Most days that are kept unless a part says otherwise; the one asked for the longest time ago makes room."""

State = TypeVar("State")
Made = TypeVar("Made")


class KeptDays(Generic[State, Made]):
    """The days of one part, numbered from 0."""

    def __init__(
        self,
        make: Callable[[int, State], tuple[Made, State]],
        state0: State,
        *,
        name: str,
        kept_max: int = DAYS_KEPT_MAX,
    ) -> None:
        """`make` gives the n-th day by what is carried into it, and what is carried on; states are never changed."""
        self._make, self._name, self._kept_max = make, name, kept_max
        self._midnights = [state0]
        self._kept: OrderedDict[int, Made] = OrderedDict()

    @property
    def count(self) -> int:
        """How many days are in memory."""
        return len(self._kept)

    def day(self, n: int) -> Made:
        """The n-th day. ValueError for one too far away."""
        if n in self._kept:
            self._kept.move_to_end(n)
            return self._kept[n]
        if n > DAYS_MAX:
            raise ValueError(f"{self._name}: more than {DAYS_MAX} days after the origin")
        while len(self._midnights) <= n:
            self._add(len(self._midnights) - 1)
        return self._kept[n] if n in self._kept else self._add(n)

    def _add(self, n: int) -> Made:
        made, state = self._make(n, self._midnights[n])
        if len(self._midnights) == n + 1:
            self._midnights.append(state)
        self._kept[n] = made
        while len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)
        return made
