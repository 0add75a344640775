"""Physics without a closed form, on a grid of minutes: within one, rates are constant and totals rise linearly.

A part computes whole local days, one after the other, because fouling, stores and the like are carried over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.world.kept_days import KeptDays, State
from simulators.world.waves import Column

DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
MINUTES = 1440
"""Values in a column: one for each minute of a local day."""


class DaySource(Protocol[State]):
    """What one part does in a day. Days are local and counted from 1970-01-01."""

    def state0(self) -> State:
        """What is carried into the first day; states are never changed."""
        ...

    def day(self, day: int, state: State) -> tuple[Mapping[str, Column], State]:
        """The columns (shape (1440,)) of `day`, and what is carried into the next. The same arguments give the same."""
        ...


@dataclass(frozen=True, slots=True)
class Integral:
    """A quantity that is the integral over hours of the column `rate`, times `factor`; it is `start` at the origin.

    `total`: its rate is never negative and its start is 0.
    """

    rate: str
    factor: float = 1.0
    start: float = 0.0
    total: bool = True


class _Midnight(NamedTuple, Generic[State]):
    state: State
    sums: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Day:
    rates: Mapping[str, Column]
    risen: Mapping[str, Column] = field(repr=False)
    """Integral -> what it has risen by at the begin of each minute, from the first midnight on."""


class Tabulated(Generic[State]):
    """The days of one part from the local midnight before the origin on; before it, everything stands still."""

    def __init__(
        self,
        source: DaySource[State],
        *,
        name: str,
        origin_ms: int,
        utc_offset_h: float,
        integrals: Mapping[str, Integral],
    ) -> None:
        self.origin_ms = origin_ms
        self.integrals = dict(integrals)
        self._source, self._name = source, name
        offset_ms = round(utc_offset_h * HOUR_MS)
        self._first_day = (origin_ms + offset_ms) // DAY_MS
        self._first_ms = self._first_day * DAY_MS - offset_ms
        before = _Midnight(source.state0(), (0.0,) * len(self.integrals))
        self._days: KeptDays[_Midnight[State], _Day] = KeptDays(self._make, before, name=name)
        self._begins: dict[str, float] = {}

    @property
    def days_kept(self) -> int:
        """How many days are in memory."""
        return self._days.count

    def quantities(self, rates: Iterable[str] = ()) -> dict[str, TabulatedQuantity]:
        """The integrals, and the columns `rates`, as quantities of the world under their full names."""
        totals = {name: each.total for name, each in self.integrals.items()} | dict.fromkeys(rates, False)
        return {f"{self._name}.{name}": TabulatedQuantity(self, name, total) for name, total in totals.items()}

    def value(self, column: str, t_ms: int) -> float:
        """The value of a column or an integral at `t_ms` (ms UTC). ValueError for a time too far away."""
        integral = self.integrals.get(column)
        if integral is not None:
            return integral.start + (self._risen(column, t_ms) - self._begin(column))
        n, rest_ms = divmod(max(0, t_ms - self._first_ms), DAY_MS)
        return float(self._days.day(n).rates[column][rest_ms // MINUTE_MS])

    def values(self, column: str, t_ms: NDArray[np.int64]) -> Column:
        """`value` for a column of times."""
        found = np.empty(t_ms.shape, dtype=np.float64)
        days, rest_ms = np.divmod(np.maximum(t_ms - self._first_ms, 0), DAY_MS)
        order = np.argsort(days, kind="stable")
        numbers, begins = np.unique(days[order], return_index=True)
        ends = np.append(begins[1:], days.size)[: numbers.size]
        for n, begin, end in zip(numbers, begins, ends, strict=True):
            here = order[begin:end]
            found[here] = self._within(self._days.day(int(n)), column, rest_ms[here])
        return found

    def _within(self, day: _Day, column: str, rest_ms: NDArray[np.int64]) -> Column:
        """The same as `value` for times of one day, to the last digit."""
        minute, into_ms = np.divmod(rest_ms, MINUTE_MS)
        integral = self.integrals.get(column)
        if integral is None:
            return day.rates[column][minute]
        step = day.rates[integral.rate][minute] * (integral.factor / 60.0)
        risen = day.risen[column][minute] + step * (into_ms / MINUTE_MS)
        return integral.start + (risen - self._begin(column))

    def _risen(self, column: str, t_ms: int) -> float:
        """What an integral has risen by since the first midnight."""
        n, rest_ms = divmod(max(0, t_ms - self._first_ms), DAY_MS)
        minute, into_ms = divmod(rest_ms, MINUTE_MS)
        day, integral = self._days.day(n), self.integrals[column]
        step = day.rates[integral.rate][minute] * (integral.factor / 60.0)
        return float(day.risen[column][minute] + step * (into_ms / MINUTE_MS))

    def _begin(self, column: str) -> float:
        if column not in self._begins:
            self._begins[column] = self._risen(column, self.origin_ms)
        return self._begins[column]

    def _make(self, n: int, begin: _Midnight[State]) -> tuple[_Day, _Midnight[State]]:
        """The n-th day from the first on."""
        columns, state = self._source.day(self._first_day + n, begin.state)
        risen, sums = {}, []
        for (name, integral), before in zip(self.integrals.items(), begin.sums, strict=True):
            steps = columns[integral.rate] * (integral.factor / 60.0)
            line = np.cumsum(np.concatenate(((before,), steps)))
            risen[name] = line[:MINUTES]
            sums.append(float(line[MINUTES]))
        return _Day(dict(columns), risen), _Midnight(state, tuple(sums))


class _Table(Protocol):
    """A `Tabulated`, whatever it carries from day to day."""

    origin_ms: int

    def value(self, column: str, t_ms: int) -> float: ...

    def values(self, column: str, t_ms: NDArray[np.int64]) -> Column: ...


@dataclass(frozen=True, slots=True)
class TabulatedQuantity:
    """One column or integral of a part, as the rest of the world asks for it."""

    of: _Table
    name: str
    total: bool

    def at(self, tau_s: float) -> float:
        """The value `tau_s` seconds after the origin."""
        return self.of.value(self.name, self.of.origin_ms + round(tau_s * 1000.0))

    def column(self, tau_s: Column) -> Column:
        """The values at a column of times."""
        return self.of.values(self.name, self.of.origin_ms + np.rint(tau_s * 1000.0).astype(np.int64))
