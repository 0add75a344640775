"""Quantities that change in steps: counts, masses and the like, known by the events that changed them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SteppingQuantity:
    """One quantity, as the rest of the world asks for it."""

    of: Callable[[int], float]
    of_column: Callable[[Times], Column]
    origin_ms: int
    total: bool

    def at(self, tau_s: float) -> float:
        """The value `tau_s` seconds after the origin."""
        return self.of(self.origin_ms + round(tau_s * 1000.0))

    def column(self, tau_s: Column) -> Column:
        """The values at a column of times."""
        return self.of_column(self.origin_ms + np.rint(tau_s * 1000.0).astype(np.int64))


class Steps:
    """Rows of integers, each holding from its moment on; moments never fall."""

    def __init__(self, *, origin_ms: int, width: int) -> None:
        self.times = [origin_ms]
        self.rows: list[tuple[int, ...]] = [(0,) * width]

    def append(self, t_ms: int, row: Sequence[int]) -> None:
        """From `t_ms` on it is `row`."""
        assert t_ms >= self.times[-1], "events are noted in their order"
        self.times.append(t_ms)
        self.rows.append(tuple(row))

    def at(self, t_ms: int) -> tuple[int, ...]:
        """The row that holds at `t_ms`; before the first, that one."""
        return self.rows[max(0, bisect_right(self.times, t_ms) - 1)]

    def column(self, t_ms: Times, field: int) -> Column:
        """One field of the rows that hold at a column of times."""
        if not t_ms.size:
            return np.zeros(0)
        begin = max(0, bisect_right(self.times, int(t_ms.min())) - 1)
        end = max(begin + 1, bisect_right(self.times, int(t_ms.max())))
        at = np.searchsorted(np.asarray(self.times[begin:end], dtype=np.int64), t_ms, side="right") - 1
        found: Column = np.asarray([row[field] for row in self.rows[begin:end]], dtype=np.float64)[np.maximum(at, 0)]
        return found
