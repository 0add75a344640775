"""A bin at any moment: what it holds, what it weighs, and whether its lid is open, when a hand may lean on it.

What happened is made day by day from the seed; a few days are kept, so asking for any moment of them costs a search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulators import chance
from simulators.parts.city import Bin
from simulators.world.bin_days import LID_LEAD_MS_MAX, After, BinDay, BinDays, Column, Crew, Times
from simulators.world.deposits import DAY_MS, HOUR_MS
from simulators.world.heap import level_mm
from simulators.world.kept_days import KeptDays
from simulators.world.stepping import SteppingQuantity
from simulators.world.surroundings import NOWHERE, Surroundings

LEAN_KG_MAX = 4.0
"""Most that a hand, or the wind in an open lid, adds to the load or takes from it."""
LEANING_SHARE = 0.7
"""Share of openings in which somebody does."""
_LEAN_EVERY_MS = 1500

DAYS_KEPT_MAX = 40
"""Most days that are kept: a month is often asked for as one column, and a day is some 10 kB."""


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
        self._rule = rule
        offset_h = rule.utc_offset_h if around.utc_offset_h is None else around.utc_offset_h
        self._offset_ms = offset_ms = round(offset_h * HOUR_MS)
        self._first_day = first_day = (origin_ms + offset_ms) // DAY_MS
        days = BinDays(
            name=name,
            rule=rule,
            seed=seed,
            origin_ms=origin_ms,
            offset_ms=offset_ms,
            around=around,
            vehicle=vehicle,
        )
        self._days = KeptDays(
            lambda n, night: days.day(first_day + n, night), days.night0(), name=name, kept_max=DAYS_KEPT_MAX
        )
        self._lean = chance.key(seed, name, "lean")

    @property
    def days_kept(self) -> int:
        """How many days are in memory."""
        return self._days.count

    def after(self, t_ms: int) -> After:
        """What was put in and taken out up to and including `t_ms` (ms UTC). ValueError for a time too far away."""
        day = self._day(t_ms)
        row = day.after[max(0, int(day.times.searchsorted(t_ms, side="right")) - 1)].tolist()
        in_g, out_g, emptyings, held_ml = map(int, row[:4])
        return After(in_g, out_g, emptyings, held_ml, row[4])

    def changes(self, from_ms: int, to_ms: int) -> Iterator[int]:
        """When something was put in or taken out in [from, to), in order."""
        for n in range(self._number(from_ms), self._number(to_ms) + 1):
            yield from (t_ms for t_ms in self._days.day(n).times[1:].tolist() if from_ms <= t_ms < to_ms)

    def taken_g(self, t_ms: int) -> int:
        """What was taken out at exactly `t_ms`, in g."""
        return self.after(t_ms).out_g - self.after(t_ms - 1).out_g

    def content_kg(self, t_ms: int) -> float:
        """What the bin holds."""
        after = self.after(t_ms)
        return (after.in_g - after.out_g) / 1000.0

    def open_since_ms(self, t_ms: int) -> int | None:
        """When the lid that is open at `t_ms` was opened; None while it is closed."""
        day = self._day(t_ms + LID_LEAD_MS_MAX)
        at = int(day.opens.searchsorted(t_ms, side="right")) - 1
        return int(day.opens[at]) if at >= 0 and t_ms < day.closes[at] else None

    def gross_kg(self, t_ms: int) -> float:
        """The load on the scale: bin, content, and whoever leans on it."""
        rest_kg = self._rule.tare_kg + self.content_kg(t_ms)
        opened_ms = self.open_since_ms(t_ms)
        if opened_ms is None or chance.unit(self._lean, opened_ms) > LEANING_SHARE:
            return rest_kg
        size_kg = LEAN_KG_MAX * chance.unit(self._lean ^ 1, opened_ms)
        return rest_kg + size_kg * chance.drift(self._lean ^ 2, t_ms, _LEAN_EVERY_MS)

    def after_column(self, t_ms: Times) -> Column:
        """`after` for a column of times, as rows of its fields."""
        found = np.zeros((t_ms.size, len(After._fields)))
        for day, here in self._by_day(t_ms):
            at = day.times.searchsorted(t_ms[here], side="right") - 1
            found[here] = day.after[np.maximum(at, 0)]
        return found

    def content_column(self, t_ms: Times) -> Column:
        """`content_kg` for a column of times."""
        after = self.after_column(t_ms)
        return (after[:, 0] - after[:, 1]) / 1000.0

    def opened_column(self, t_ms: Times) -> NDArray[np.int64]:
        """`open_since_ms` for a column of times; -1 while the lid is closed."""
        found = np.full(t_ms.shape, -1, dtype=np.int64)
        for day, here in self._by_day(t_ms + LID_LEAD_MS_MAX):
            if day.opens.size:
                then = t_ms[here]
                at = day.opens.searchsorted(then, side="right") - 1
                is_open = (at >= 0) & (then < day.closes[at])
                found[here] = np.where(is_open, day.opens[at], -1)
        return found

    def gross_column(self, t_ms: Times) -> Column:
        """`gross_kg` for a column of times."""
        gross = self._rule.tare_kg + self.content_column(t_ms)
        opened = self.opened_column(t_ms)
        leant = (opened >= 0) & (chance.units(self._lean, opened) <= LEANING_SHARE)
        size_kg = LEAN_KG_MAX * chance.units(self._lean ^ 1, opened[leant])
        gross[leant] += size_kg * chance.drifts(self._lean ^ 2, t_ms[leant], _LEAN_EVERY_MS)
        return gross

    def _number(self, t_ms: int) -> int:
        """Of the day of `t_ms`, counted from the first."""
        return max(0, (t_ms + self._offset_ms) // DAY_MS - self._first_day)

    def _day(self, t_ms: int) -> BinDay:
        return self._days.day(self._number(t_ms))

    def _by_day(self, t_ms: Times) -> Iterator[tuple[BinDay, NDArray[np.int64] | slice]]:
        """Each day of a column of times, with where they stand in it."""
        if not t_ms.size:
            return
        first, last = self._number(int(t_ms.min())), self._number(int(t_ms.max()))
        if first == last:
            yield self._days.day(first), slice(None)
            return
        if (t_ms[1:] >= t_ms[:-1]).all():
            midnights = (np.arange(first + 1, last + 1) + self._first_day) * DAY_MS - self._offset_ms
            cuts = [0, *t_ms.searchsorted(midnights).tolist(), t_ms.size]
            for n, (begin, end) in enumerate(pairwise(cuts), start=first):
                if begin < end:
                    yield self._days.day(n), slice(begin, end)
            return
        numbers = np.maximum(0, (t_ms + self._offset_ms) // DAY_MS - self._first_day)
        for n in np.unique(numbers).tolist():
            yield self._days.day(n), np.flatnonzero(numbers == n)


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
