"""A bin: people put things in, a crew empties it, and while the lid is open around that a hand may lean on it.

Events are made day by day from the seed and kept, so asking for any moment costs a search. Masses are whole grams:
content = in - out holds to the last digit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators import chance
from simulators.parts.city import Bin
from simulators.world import deposits
from simulators.world.deposits import DAY_MS, HOUR_MS
from simulators.world.heap import Heap, level_mm
from simulators.world.stepping import SteppingQuantity
from simulators.world.surroundings import NOWHERE, Surroundings

Column = NDArray[np.float64]
Times = NDArray[np.int64]

DAYS_MAX = 36_600
"""Most days that a bin is followed for; beyond them asking is refused."""

LID_LEAD_MS_MAX = 40_000
"""Longest time by which the lid opens before anything is put in or taken out."""
CREW_LATE_MS_MAX = 20 * 60_000
WORTH_SHARE = 0.1
"""The crew passes by a bin that holds less than this share of its capacity."""

LEAN_KG_MAX = 4.0
"""Most that a hand, or the wind in an open lid, adds to the load or takes from it."""
LEANING_SHARE = 0.7
"""Share of openings in which somebody does."""
_LEAN_EVERY_MS = 1500


class _After(NamedTuple):
    """How things stand from an event on."""

    in_g: int
    out_g: int
    emptyings: int
    held_ml: int = 0
    """Volume of the content; 0 for a bin without a body."""
    cone_share: float = 0.0
    """How much of the highest cone stands on it."""


class Crew(Protocol):
    """A vehicle, as a bin sees it."""

    def visits(self, day: int) -> Iterable[int]:
        """When it comes by on local day `day`, in ms UTC, in order."""
        ...

    def takes(self, t_ms: int, held_g: int, held_share: float) -> bool:
        """Whether it takes what the bin holds at `t_ms`."""
        ...


class Course:
    """What happens to one bin from the origin on."""

    def __init__(
        self,
        *,
        name: str,
        rule: Bin,
        seed: int,
        origin_ms: int,
        around: Surroundings = NOWHERE,
        vehicle: Crew | None = None,
    ) -> None:
        self._name, self._rule, self._seed, self._origin_ms = name, rule, seed, origin_ms
        self._around, self._vehicle = around, vehicle
        self._visits: deque[int] = deque()
        self._heap = Heap(rule, of=chance.key(seed, name, "volume")) if rule.body is not None else None
        offset_h = rule.utc_offset_h if around.utc_offset_h is None else around.utc_offset_h
        self._offset_ms = round(offset_h * HOUR_MS)
        self._day = self._first_day = (origin_ms + self._offset_ms) // DAY_MS
        self._times = [origin_ms]
        self._after = [_After(0, 0, 0)]
        self._opens: list[int] = []
        self._closes: list[int] = []
        self._crew_ms: int | None = None
        self._crew_gone_ms = origin_ms
        self._lid = chance.key(seed, name, "lid")
        self._lean = chance.key(seed, name, "lean")
        self._crew = chance.key(seed, name, "crew")

    def after(self, t_ms: int) -> _After:
        """What was put in and taken out up to and including `t_ms` (ms UTC). ValueError for a time too far away."""
        self._reach(t_ms)
        return self._after[max(0, bisect_right(self._times, t_ms) - 1)]

    def taken_g(self, t_ms: int) -> int:
        """What was taken out at exactly `t_ms`, in g."""
        return self.after(t_ms).out_g - self.after(t_ms - 1).out_g

    def content_kg(self, t_ms: int) -> float:
        """What the bin holds."""
        after = self.after(t_ms)
        return (after.in_g - after.out_g) / 1000.0

    def open_since_ms(self, t_ms: int) -> int | None:
        """When the lid that is open at `t_ms` was opened; None while it is closed."""
        self._reach(t_ms)
        at = bisect_right(self._opens, t_ms) - 1
        return self._opens[at] if at >= 0 and t_ms < self._closes[at] else None

    def gross_kg(self, t_ms: int) -> float:
        """The load on the scale: bin, content, and whoever leans on it."""
        rest_kg = self._rule.tare_kg + self.content_kg(t_ms)
        opened_ms = self.open_since_ms(t_ms)
        if opened_ms is None or chance.unit(self._lean, opened_ms) > LEANING_SHARE:
            return rest_kg
        size_kg = LEAN_KG_MAX * chance.unit(self._lean ^ 1, opened_ms)
        return rest_kg + size_kg * chance.drift(self._lean ^ 2, t_ms, _LEAN_EVERY_MS)

    def after_column(self, t_ms: Times) -> Column:
        """`after` for a column of times, as rows of its fields; grams are exact up to 2^53."""
        if not t_ms.size:
            return np.zeros((0, len(_After._fields)))
        self._reach(int(t_ms.max()))
        begin = max(0, bisect_right(self._times, int(t_ms.min())) - 1)
        end = bisect_right(self._times, int(t_ms.max()))
        at = np.searchsorted(np.asarray(self._times[begin:end], dtype=np.int64), t_ms, side="right") - 1
        rows: Column = np.asarray(self._after[begin : max(end, begin + 1)], dtype=np.float64)[np.maximum(at, 0)]
        return rows

    def content_column(self, t_ms: Times) -> Column:
        """`content_kg` for a column of times."""
        after = self.after_column(t_ms)
        return (after[:, 0] - after[:, 1]) / 1000.0

    def opened_column(self, t_ms: Times) -> NDArray[np.int64]:
        """`open_since_ms` for a column of times; -1 while the lid is closed."""
        if not t_ms.size:
            return np.zeros(0, dtype=np.int64)
        self._reach(int(t_ms.max()))
        begin = max(0, bisect_right(self._opens, int(t_ms.min())) - 1)
        end = bisect_right(self._opens, int(t_ms.max()))
        if begin >= end:
            return np.full(t_ms.shape, -1, dtype=np.int64)
        opens, closes = (np.asarray(each[begin:end], dtype=np.int64) for each in (self._opens, self._closes))
        at = np.searchsorted(opens, t_ms, side="right") - 1
        return np.where((at >= 0) & (t_ms < closes[at]), opens[at], -1)

    def gross_column(self, t_ms: Times) -> Column:
        """`gross_kg` for a column of times."""
        gross = self._rule.tare_kg + self.content_column(t_ms)
        opened = self.opened_column(t_ms)
        leant = (opened >= 0) & (chance.units(self._lean, opened) <= LEANING_SHARE)
        size_kg = LEAN_KG_MAX * chance.units(self._lean ^ 1, opened[leant])
        gross[leant] += size_kg * chance.drifts(self._lean ^ 2, t_ms[leant], _LEAN_EVERY_MS)
        return gross

    def _reach(self, t_ms: int) -> None:
        """Make every day that has a part in `t_ms`: also one whose first event opens the lid the evening before."""
        last_day = (t_ms + LID_LEAD_MS_MAX + self._offset_ms) // DAY_MS
        if last_day - self._first_day > DAYS_MAX:
            raise ValueError(f"{self._name}: {t_ms} ms lies more than {DAYS_MAX} days after the origin")
        while self._day <= last_day:
            self._make(self._day)
            self._day += 1

    def _make(self, day: int) -> None:
        midnight_ms = day * DAY_MS - self._offset_ms
        if self._rule.empty_hour is not None:
            late_ms = int(CREW_LATE_MS_MAX * chance.unit(self._crew, day))
            self._crew_ms = midnight_ms + round(self._rule.empty_hour * HOUR_MS) + late_ms
        if self._vehicle is not None:
            self._visits.extend(self._vehicle.visits(day))
            self._crew_ms = self._visits.popleft() if self._visits else None
        for deposit in deposits.of_day(self._rule, day, seed=self._seed, name=self._name, around=self._around):
            self._crew_until(midnight_ms + deposit.ms)
            self._put(midnight_ms + deposit.ms, deposit.grams)
        self._crew_until(midnight_ms + DAY_MS - 1)

    def _put(self, t_ms: int, grams: int) -> None:
        """A deposit; before the origin, beside the crew or beyond the capacity there is none."""
        now = self._after[-1]
        held_g = now.in_g - now.out_g
        volume_ml = self._heap.volume_ml(t_ms, grams) if self._heap is not None else 0
        crew_works = t_ms <= self._crew_gone_ms or (
            self._crew_ms is not None and t_ms >= self._crew_ms - LID_LEAD_MS_MAX
        )
        if crew_works or self._share(held_g + grams, now.held_ml + volume_ml) > 1.0:
            return
        cone_share = self._heap.cone_share(t_ms) if self._heap is not None else 0.0
        more = _After(now.in_g + grams, now.out_g, now.emptyings, now.held_ml + volume_ml, cone_share)
        self._note(t_ms, more, lead_s=(2.0, 6.0), tail_s=(2.0, 5.0))
        share = self._rule.empty_at_share
        if share is not None and self._crew_ms is None and self._share(held_g + grams, more.held_ml) >= share:
            way = 0.1 + 0.9 * chance.unit(self._crew, t_ms)
            self._crew_ms = t_ms + round(way * self._rule.empty_within_h * HOUR_MS)

    def _crew_until(self, t_ms: int) -> None:
        """Let the crew come, as often as it is due by `t_ms`."""
        while self._crew_ms is not None and self._crew_ms <= t_ms:
            due_ms, self._crew_ms = self._crew_ms, self._visits.popleft() if self._visits else None
            now = self._after[-1]
            held_g = now.in_g - now.out_g
            if due_ms > self._origin_ms and self._is_taken(due_ms, held_g, self._share(held_g, now.held_ml)):
                emptied = _After(now.in_g, now.out_g + held_g, now.emptyings + 1)
                self._note(due_ms, emptied, lead_s=(15.0, LID_LEAD_MS_MAX / 1000.0), tail_s=(10.0, 30.0))
                self._crew_gone_ms = self._closes[-1]

    def _share(self, held_g: int, held_ml: int) -> float:
        """How full it is, by mass or by volume, whichever is more."""
        by_mass = held_g / (self._rule.capacity_kg * 1000.0)
        return max(by_mass, held_ml / self._rule.body.volume_ml) if self._rule.body is not None else by_mass

    def _is_taken(self, t_ms: int, held_g: int, held_share: float) -> bool:
        if self._vehicle is not None:
            return self._vehicle.takes(t_ms, held_g, held_share)
        return held_share >= WORTH_SHARE

    def _note(self, t_ms: int, after: _After, *, lead_s: tuple[float, float], tail_s: tuple[float, float]) -> None:
        self._times.append(t_ms)
        self._after.append(after)
        opens = t_ms - round(1000.0 * _between(lead_s, chance.unit(self._lid, t_ms)))
        closes = t_ms + round(1000.0 * _between(tail_s, chance.unit(self._lid ^ 1, t_ms)))
        while self._closes and self._closes[-1] >= opens:  # who comes before the lid is closed finds it open
            opens, closes = min(opens, self._opens.pop()), max(closes, self._closes.pop())
        self._opens.append(opens)
        self._closes.append(closes)


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share


def bin_quantities(name: str, rule: Bin, course: Course, *, origin_ms: int) -> dict[str, SteppingQuantity]:
    """All quantities of a bin under their full names: kg, a count and a lid that is open (1) or closed (0).

    With a body also m3, a share and the mm that a sensor sees.
    """
    totals: dict[str, tuple[Callable[[int], float], Callable[[Times], Column]]] = {
        "mass_in_kg": (
            lambda t_ms: course.after(t_ms).in_g / 1000.0,
            lambda t_ms: course.after_column(t_ms)[:, 0] / 1000.0,
        ),
        "mass_out_kg": (
            lambda t_ms: course.after(t_ms).out_g / 1000.0,
            lambda t_ms: course.after_column(t_ms)[:, 1] / 1000.0,
        ),
        "emptyings": (
            lambda t_ms: float(course.after(t_ms).emptyings),
            lambda t_ms: course.after_column(t_ms)[:, 2],
        ),
    }
    others: dict[str, tuple[Callable[[int], float], Callable[[Times], Column]]] = {
        "content_kg": (course.content_kg, course.content_column),
        "gross_kg": (course.gross_kg, course.gross_column),
        "door_open": (
            lambda t_ms: float(course.open_since_ms(t_ms) is not None),
            lambda t_ms: (course.opened_column(t_ms) >= 0).astype(np.float64),
        ),
    }
    if rule.body is not None:
        body = rule.body
        others["volume_m3"] = (
            lambda t_ms: course.after(t_ms).held_ml / 1e6,
            lambda t_ms: course.after_column(t_ms)[:, 3] / 1e6,
        )
        others["fill_ratio"] = (
            lambda t_ms: course.after(t_ms).held_ml / body.volume_ml,
            lambda t_ms: course.after_column(t_ms)[:, 3] / body.volume_ml,
        )
        others["level_mm"] = (
            lambda t_ms: float(level_mm(body, course.after(t_ms).held_ml, course.after(t_ms).cone_share)),
            lambda t_ms: np.asarray(level_mm(body, *course.after_column(t_ms)[:, 3:].T), dtype=np.float64),
        )
    found = {f"{name}.{what}": SteppingQuantity(*of, origin_ms, total=True) for what, of in totals.items()}
    return found | {f"{name}.{what}": SteppingQuantity(*of, origin_ms, total=False) for what, of in others.items()}
