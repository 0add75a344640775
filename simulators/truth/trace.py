"""Questions to what a run left behind: what a meter showed, what was served, what truly was, and what happened.

A story (of `simulate world`) holds columns, a record (of `simulate modbus`) every answer; both give the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from simulators.scenario import Scenario
from simulators.story.calendar import DAY_MS, Calendar
from simulators.truth.rows import Traced
from simulators.world.world import World

if TYPE_CHECKING:
    from simulators.story.book import Book, Series
    from simulators.truth.record import Record

_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, in [from, to) of ms UTC. Patterns know * ? [...]; None asks for nothing of that kind."""

    from_ms: int
    to_ms: int
    quantity: str | None = None
    device: str | None = None
    field: str | None = None
    event: str | None = None
    every_ms: int | None = None
    """At most one row of each series in each step of this length, counted from the begin of the world: the first."""

    @property
    def of_devices(self) -> bool:
        """Whether what devices showed is asked for."""
        return self.device is not None or self.field is not None


def of_book(book: Book, asked: Asked) -> Iterator[Traced]:
    """Series after series, each in order of time, then events."""
    meta = book.meta()
    scenario = Scenario.model_validate_json(meta["scenario"])
    calendar = Calendar(int(meta["from_ms"]), int(meta["every_ms"]), int(meta["offset_ms"]))
    world = World(scenario=scenario, origin_ms=calendar.from_ms)
    first = max(0, (asked.from_ms - calendar.from_ms) // DAY_MS)
    last = min(book.days(), -(-(asked.to_ms - calendar.from_ms) // DAY_MS))
    days = range(first, last)
    if asked.quantity is not None:
        for series in book.series("", asked.quantity):
            yield from thinned(_column(book, calendar, series, days, asked, None), asked, world.origin_ms)
    if asked.of_devices:
        for series in book.series(asked.device or "*", asked.field or "*"):
            if series.device:
                behind = _Behind(scenario, world, series.device, series.name)
                yield from thinned(_column(book, calendar, series, days, asked, behind), asked, world.origin_ms)
    if asked.event is not None or asked.of_devices:
        told = book.happenings(asked.from_ms, asked.to_ms, kind=asked.event or "fault_*", part=asked.device or "*")
        yield from (Traced(each.t_ms, each.kind, "", each.part, each.value, None, each.text) for each in told)


def of_record(record: Record, asked: Asked) -> Iterator[Traced]:
    """The same of a record: quantities as noted once a minute, answers as served, requests that got no values."""
    meta = record.meta()
    scenario = Scenario.model_validate_json(meta["scenario"])
    world = World(scenario=scenario, origin_ms=int(meta["origin_ms"]))
    if asked.quantity is not None:
        for name in record.quantity_names():
            if fnmatchcase(name, asked.quantity):
                noted = (Traced(t_ms, "truth", "", name, value) for t_ms, value in record.quantities(name))
                yield from thinned(
                    (row for row in noted if asked.from_ms <= row.t_ms < asked.to_ms), asked, world.origin_ms
                )
    if not asked.of_devices:
        return
    for device in sorted(set(record.devices()) | set(scenario.meters)):
        if not fnmatchcase(device, asked.device or "*"):
            continue
        for field in record.fields(device):
            if fnmatchcase(field, asked.field or "*"):
                answers = record.answers(device, field, asked.from_ms, asked.to_ms)
                rows = (Traced(t_ms, "served", device, field, value, None, words) for t_ms, value, words in answers)
                yield from _Behind(scenario, world, device, field).beside(thinned(rows, asked, world.origin_ms))
        if asked.field is None:
            for t_ms, request, reason in record.refused(device):
                if asked.from_ms <= t_ms < asked.to_ms:
                    yield Traced(t_ms, "refused", device, request, None, None, reason)


def thinned(rows: Iterable[Traced], asked: Asked, origin_ms: int) -> Iterator[Traced]:
    """The first row of each step."""
    if asked.every_ms is None:
        yield from rows
        return
    last = None
    for row in rows:
        step = (row.t_ms - origin_ms) // asked.every_ms
        if step != last:
            yield row
        last = step


class _Behind:
    """The quantity of the world behind a field of a device."""

    def __init__(self, scenario: Scenario, world: World, device: str, field: str) -> None:
        meter = scenario.meters.get(device)
        self._name = meter.fields.get(field) if meter is not None else None
        self._world = world

    def beside(self, rows: Iterator[Traced]) -> Iterator[Traced]:
        """The rows with what was true, where there is such a quantity."""
        if self._name is None:
            yield from rows
            return
        while some := list(islice(rows, _AT_ONCE)):
            t_ms = np.array([row.t_ms for row in some], dtype=np.int64)
            true = self._world.columns([self._name], t_ms)[self._name].tolist()
            yield from (row._replace(true=each) for row, each in zip(some, true, strict=True))


def _column(
    book: Book, calendar: Calendar, series: Series, days: range, asked: Asked, behind: _Behind | None
) -> Iterator[Traced]:
    what = "shown" if series.device else "truth"
    rows = (
        Traced(t_ms, what, series.device, series.name, None if math.isnan(value) else value)
        for day in days
        for t_ms, value in zip(calendar.times(day).tolist(), book.column(series.id, day).tolist(), strict=True)
        if asked.from_ms <= t_ms < asked.to_ms
    )
    return rows if behind is None else behind.beside(rows)
