"""The rounds of a collecting vehicle: when it is where, what it loads there, and what the weighbridge says.

What a vehicle loads is what its bins, or a station, lose at that moment, and it unloads all of it: masses are whole
grams and none is made or lost on the way.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from simulators import chance
from simulators.parts.calendar import weekday_of
from simulators.parts.collection import Vehicle
from simulators.world.kept_days import DAYS_MAX
from simulators.world.stepping import Steps
from simulators.world.surroundings import Surroundings
from simulators.world.tabulated import DAY_MS, HOUR_MS, MINUTE_MS

UNLOADING_MS, WEIGHED_EMPTY_MS = 6 * MINUTE_MS, 4 * MINUTE_MS
"""From being weighed full to being unloaded, and from there to being weighed empty."""


class Source(Protocol):
    """What a vehicle collects from: a bin or a station."""

    def taken_g(self, t_ms: int) -> int:
        """How much left it at exactly `t_ms`, in g."""
        ...


class Round(NamedTuple):
    """One round: when it stops at each source, and when it is unloaded, in ms UTC."""

    stops_ms: tuple[int, ...]
    unloaded_ms: int


class Rounds:
    """All rounds of one vehicle, day by day."""

    def __init__(
        self, *, name: str, vehicle: Vehicle, seed: int, origin_ms: int, offset_ms: int, around: Surroundings
    ) -> None:
        self.vehicle = vehicle
        self.sources: dict[str, Source] = {}
        """By name, in the order of the round; given by whoever builds the city."""
        self._name, self._origin_ms, self._offset_ms, self._around = name, origin_ms, offset_ms, around
        self._late = chance.key(seed, name, "rounds")
        self._first_day = self._day = (origin_ms + offset_ms) // DAY_MS
        self.steps = Steps(origin_ms=origin_ms, width=4)
        """load_g, collected_g, delivered_g, rounds."""
        self.unloaded: list[tuple[int, int]] = []
        """(when, how many g) of each round that brought something."""

    def of_day(self, day: int) -> list[Round]:
        """The rounds of local day `day` that begin after the origin, whatever is found on them."""
        vehicle = self.vehicle
        if vehicle.days is not None and weekday_of(day) not in vehicle.days:
            return []
        if not vehicle.holidays and self._around.days.kind(day) == "holiday":
            return []
        midnight_ms = day * DAY_MS - self._offset_ms
        found = []
        for n, hour in enumerate(sorted(vehicle.hours)):
            late_ms = vehicle.late_min * MINUTE_MS * chance.unit(self._late, day * len(vehicle.hours) + n)
            begin_ms = midnight_ms + round(hour * HOUR_MS + late_ms)
            stops = tuple(begin_ms + round(k * vehicle.stop_min * MINUTE_MS) for k in range(len(vehicle.collects)))
            unloaded_ms = stops[-1] + round(vehicle.drive_min * MINUTE_MS) + UNLOADING_MS
            if begin_ms > self._origin_ms:
                found.append(Round(stops, unloaded_ms))
        return found

    def room_g(self, t_ms: int, source: str) -> int:
        """What it can still carry when it stops at `source` at `t_ms`."""
        index = self.vehicle.collects.index(source)
        day = (t_ms + self._offset_ms) // DAY_MS
        stops = next(each.stops_ms for each in self.of_day(day) if each.stops_ms[index] == t_ms)
        before = zip(self.vehicle.collects[:index], stops, strict=False)
        return round(self.vehicle.capacity_kg * 1000.0) - sum(self.sources[name].taken_g(at) for name, at in before)

    def reach(self, t_ms: int) -> None:
        """Make every day up to that of `t_ms`."""
        last_day = (t_ms + self._offset_ms) // DAY_MS
        if last_day - self._first_day > DAYS_MAX:
            raise ValueError(f"{self._name}: {t_ms} ms lies more than {DAYS_MAX} days after the origin")
        while self._day <= last_day:
            for each in self.of_day(self._day):
                self._make(each)
            self._day += 1

    def _make(self, each: Round) -> None:
        load_g, collected_g, delivered_g, number = self.steps.rows[-1]
        assert load_g == 0, "it is unloaded before the next round begins"
        for name, t_ms in zip(self.vehicle.collects, each.stops_ms, strict=True):
            taken_g = self.sources[name].taken_g(t_ms)
            if taken_g:
                load_g, collected_g = load_g + taken_g, collected_g + taken_g
                self.steps.append(t_ms, (load_g, collected_g, delivered_g, number))
        if load_g:
            self.unloaded.append((each.unloaded_ms, load_g))
        self.steps.append(each.unloaded_ms, (0, collected_g, delivered_g + load_g, number + 1))


class CollectedBin:
    """A vehicle, as one of its bins sees it."""

    def __init__(self, rounds: Rounds, bin_name: str) -> None:
        self._rounds, self._name = rounds, bin_name
        self._index = rounds.vehicle.collects.index(bin_name)

    def visits(self, day: int) -> list[int]:
        """When it stops there on local day `day`, in ms UTC."""
        return [each.stops_ms[self._index] for each in self._rounds.of_day(day)]

    def takes(self, t_ms: int, held_g: int, held_share: float) -> bool:
        """Whether there is enough to take, and room for it."""
        enough = held_g > 0 and held_share >= self._rounds.vehicle.from_share
        return enough and held_g <= self._rounds.room_g(t_ms, self._name)


def round_min(vehicle: Vehicle) -> float:
    """The most minutes that a round lasts, from its hour until the vehicle is weighed empty."""
    driving = (len(vehicle.collects) - 1) * vehicle.stop_min + vehicle.drive_min
    return vehicle.late_min + driving + (UNLOADING_MS + WEIGHED_EMPTY_MS) / MINUTE_MS
