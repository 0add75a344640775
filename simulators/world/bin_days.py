"""What happens at one bin in a day: people put things in, a crew empties it, and the lid is open around that.

Masses are whole grams: content = in - out holds to the last digit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators import chance
from simulators.parts.city import Bin
from simulators.world import deposits
from simulators.world.deposits import DAY_MS, HOUR_MS
from simulators.world.heap import Heap
from simulators.world.surroundings import Surroundings

Column = NDArray[np.float64]
Times = NDArray[np.int64]

LID_LEAD_MS_MAX = 40_000
"""Longest time by which the lid opens before anything is put in or taken out."""
CREW_LATE_MS_MAX = 20 * 60_000
WORTH_SHARE = 0.1
"""The crew passes by a bin that holds less than this share of its capacity."""


class After(NamedTuple):
    """How things stand from an event on."""

    in_g: int
    out_g: int
    emptyings: int
    held_ml: int = 0
    """Volume of the content; 0 for a bin without a body."""
    cone_share: float = 0.0
    """How much of the highest cone stands on it."""


class Night(NamedTuple):
    """What is carried over midnight."""

    after: After
    crew_ms: int | None
    """When the crew comes next, as far as it is known."""
    crew_gone_ms: int
    visits: tuple[int, ...] = ()
    """When a vehicle comes after that."""
    opens: tuple[int, ...] = ()
    closes: tuple[int, ...] = ()
    """Openings of the lid so late that the next day may be a part of them."""


class Crew(Protocol):
    """A vehicle, as a bin sees it."""

    def visits(self, day: int) -> Iterable[int]:
        """When it comes by on local day `day`, in ms UTC, in order."""
        ...

    def takes(self, t_ms: int, held_g: int, held_share: float) -> bool:
        """Whether it takes what the bin holds at `t_ms`."""
        ...


class BinDay(NamedTuple):
    """A day that was made, as columns in order of time.

    A lid that is open less than LID_LEAD_MS_MAX before midnight belongs to the day after, which knows more of it.
    """

    times: Times
    after: Column
    """Rows of the fields of `After`, each from its time on, the first from midnight; grams are exact up to 2^53."""
    opens: Times
    closes: Times


class BinDays:
    """Makes the days of one bin; the same day and night before give the same."""

    def __init__(
        self,
        *,
        name: str,
        rule: Bin,
        seed: int,
        origin_ms: int,
        offset_ms: int,
        around: Surroundings,
        vehicle: Crew | None,
    ) -> None:
        self._name, self._rule, self._seed = name, rule, seed
        self._origin_ms, self._offset_ms = origin_ms, offset_ms
        self._around, self._vehicle = around, vehicle
        self._heap = Heap(rule, of=chance.key(seed, name, "volume")) if rule.body is not None else None
        self._lid = chance.key(seed, name, "lid")
        self._crew = chance.key(seed, name, "crew")

    def night0(self) -> Night:
        """What is carried into the first day."""
        return Night(After(0, 0, 0), crew_ms=None, crew_gone_ms=self._origin_ms)

    def day(self, day: int, night: Night) -> tuple[BinDay, Night]:
        """Local day `day`, counted from 1970-01-01, and what is carried into the next."""
        midnight_ms = day * DAY_MS - self._offset_ms
        now = _Day(midnight_ms, night)
        if self._rule.empty_hour is not None:
            late_ms = int(CREW_LATE_MS_MAX * chance.unit(self._crew, day))
            now.crew_ms = midnight_ms + round(self._rule.empty_hour * HOUR_MS) + late_ms
        if self._vehicle is not None:
            now.visits.extend(self._vehicle.visits(day))
            now.crew_ms = now.visits.popleft() if now.visits else None
        for deposit in deposits.of_day(self._rule, day, seed=self._seed, name=self._name, around=self._around):
            self._crew_until(now, midnight_ms + deposit.ms)
            self._put(now, midnight_ms + deposit.ms, deposit.grams)
        self._crew_until(now, midnight_ms + DAY_MS - 1)
        return now.made(), now.night(midnight_ms + DAY_MS)

    def _put(self, day: _Day, t_ms: int, grams: int) -> None:
        """A deposit; before the origin, beside the crew or beyond the capacity there is none."""
        now = day.after[-1]
        held_g = now.in_g - now.out_g
        volume_ml = self._heap.volume_ml(t_ms, grams) if self._heap is not None else 0
        crew_works = t_ms <= day.crew_gone_ms or (day.crew_ms is not None and t_ms >= day.crew_ms - LID_LEAD_MS_MAX)
        if crew_works or self._share(held_g + grams, now.held_ml + volume_ml) > 1.0:
            return
        cone_share = self._heap.cone_share(t_ms) if self._heap is not None else 0.0
        more = After(now.in_g + grams, now.out_g, now.emptyings, now.held_ml + volume_ml, cone_share)
        day.note(t_ms, more, *self._lid_ms(t_ms, lead_s=(2.0, 6.0), tail_s=(2.0, 5.0)))
        share = self._rule.empty_at_share
        if share is not None and day.crew_ms is None and self._share(held_g + grams, more.held_ml) >= share:
            way = 0.1 + 0.9 * chance.unit(self._crew, t_ms)
            day.crew_ms = t_ms + round(way * self._rule.empty_within_h * HOUR_MS)

    def _crew_until(self, day: _Day, t_ms: int) -> None:
        """Let the crew come, as often as it is due by `t_ms`."""
        while day.crew_ms is not None and day.crew_ms <= t_ms:
            due_ms, day.crew_ms = day.crew_ms, day.visits.popleft() if day.visits else None
            now = day.after[-1]
            held_g = now.in_g - now.out_g
            if due_ms > self._origin_ms and self._is_taken(due_ms, held_g, self._share(held_g, now.held_ml)):
                emptied = After(now.in_g, now.out_g + held_g, now.emptyings + 1)
                lid_ms = self._lid_ms(due_ms, lead_s=(15.0, LID_LEAD_MS_MAX / 1000.0), tail_s=(10.0, 30.0))
                day.note(due_ms, emptied, *lid_ms)
                day.crew_gone_ms = day.closes[-1]

    def _share(self, held_g: int, held_ml: int) -> float:
        """How full it is, by mass or by volume, whichever is more."""
        by_mass = held_g / (self._rule.capacity_kg * 1000.0)
        return max(by_mass, held_ml / self._rule.body.volume_ml) if self._rule.body is not None else by_mass

    def _is_taken(self, t_ms: int, held_g: int, held_share: float) -> bool:
        if self._vehicle is not None:
            return self._vehicle.takes(t_ms, held_g, held_share)
        return held_share >= WORTH_SHARE

    def _lid_ms(self, t_ms: int, *, lead_s: tuple[float, float], tail_s: tuple[float, float]) -> tuple[int, int]:
        """When the lid opens and closes around what happens at `t_ms`."""
        opens = t_ms - round(1000.0 * _between(lead_s, chance.unit(self._lid, t_ms)))
        return opens, t_ms + round(1000.0 * _between(tail_s, chance.unit(self._lid ^ 1, t_ms)))


class _Day:
    """A day while it is made."""

    def __init__(self, midnight_ms: int, night: Night) -> None:
        self.times, self.after = [midnight_ms], [night.after]
        self.opens, self.closes = list(night.opens), list(night.closes)
        self.visits = deque(night.visits)
        self.crew_ms, self.crew_gone_ms = night.crew_ms, night.crew_gone_ms

    def note(self, t_ms: int, after: After, opens: int, closes: int) -> None:
        """From `t_ms` on it is `after`, and the lid is open around that."""
        self.times.append(t_ms)
        self.after.append(after)
        while self.closes and self.closes[-1] >= opens:  # who comes before the lid is closed finds it open
            opens, closes = min(opens, self.opens.pop()), max(closes, self.closes.pop())
        self.opens.append(opens)
        self.closes.append(closes)

    def made(self) -> BinDay:
        """The whole day."""
        times, opens, closes = (np.asarray(each, dtype=np.int64) for each in (self.times, self.opens, self.closes))
        return BinDay(times, np.asarray(self.after, dtype=np.float64), opens, closes)

    def night(self, midnight_ms: int) -> Night:
        """What is carried over the midnight that ends it."""
        late = sum(closes >= midnight_ms - LID_LEAD_MS_MAX for closes in self.closes)
        first = len(self.closes) - late
        return Night(
            self.after[-1],
            self.crew_ms,
            self.crew_gone_ms,
            tuple(self.visits),
            tuple(self.opens[first:]),
            tuple(self.closes[first:]),
        )


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share
