"""Stations: what vehicles brought, what others took on, and what the weighbridge showed of each."""

from __future__ import annotations

from bisect import bisect_left

from simulators.world.rounds import WEIGHED_EMPTY_MS, Rounds
from simulators.world.stepping import Steps
from simulators.world.tabulated import DAY_MS


class Stock:
    """One station. What leaves it is decided when a vehicle stops: as much of the stock as finds room."""

    def __init__(self, *, name: str, origin_ms: int, offset_ms: int) -> None:
        self.feeders: list[Rounds] = []
        """Who brings, and below who takes on; given by whoever builds the city."""
        self.hauler: Rounds | None = None
        self.steps = Steps(origin_ms=origin_ms, width=2)
        """received_g, dispatched_g."""
        self.weighed = Steps(origin_ms=origin_ms, width=5)
        """gross_g, tare_g and net_g of the last weighing, sum of all nets, how many."""
        self._name, self._offset_ms = name, offset_ms
        self._day = (origin_ms + offset_ms) // DAY_MS
        self._taken: dict[int, int] = {}

    def taken_g(self, t_ms: int) -> int:
        """What a vehicle took at `t_ms`, in g."""
        self.reach(t_ms)
        return self._taken.get(t_ms, 0)

    def reach(self, t_ms: int) -> None:
        """Make every day up to that of `t_ms`."""
        last_day = (t_ms + self._offset_ms) // DAY_MS
        while self._day <= last_day:
            self._make(self._day)
            self._day += 1

    def _make(self, day: int) -> None:
        begin_ms = day * DAY_MS - self._offset_ms
        end_ms = begin_ms + DAY_MS
        brought = sorted(event for feeder in self.feeders for event in _unloaded(feeder, begin_ms, end_ms))
        for unloaded_ms, net_g, tare_g in brought:
            total_g, number = self.weighed.rows[-1][3:]
            ticket = (net_g + tare_g, tare_g, net_g, total_g + net_g, number + 1)
            self.weighed.append(unloaded_ms + WEIGHED_EMPTY_MS, ticket)
        moves = [(unloaded_ms, 0, net_g) for unloaded_ms, net_g, _ in brought]
        if self.hauler is not None:
            index = self.hauler.vehicle.collects.index(self._name)
            moves += [(each.stops_ms[index], 1, 0) for each in self.hauler.of_day(day)]
        for t_ms, leaves, net_g in sorted(moves):
            received_g, dispatched_g = self.steps.rows[-1]
            if not leaves:
                self.steps.append(t_ms, (received_g + net_g, dispatched_g))
                continue
            assert self.hauler is not None
            taken_g = min(received_g - dispatched_g, self.hauler.room_g(t_ms, self._name))
            if taken_g > 0:
                self._taken[t_ms] = taken_g
                self.steps.append(t_ms, (received_g, dispatched_g + taken_g))


def _unloaded(feeder: Rounds, begin_ms: int, end_ms: int) -> list[tuple[int, int, int]]:
    """What `feeder` unloads in [begin, end): (when, g, its tare in g)."""
    feeder.reach(end_ms - 1)
    tare_g = round(feeder.vehicle.tare_kg * 1000.0)
    first = bisect_left(feeder.unloaded, (begin_ms, 0))
    last = bisect_left(feeder.unloaded, (end_ms, 0))
    return [(*event, tare_g) for event in feeder.unloaded[first:last]]
