"""Wires one story: a scenario, the processes that tell its days, and the file that they are written to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulators.load_scenario import Loaded
from simulators.story.book import FORMAT, BookWriter
from simulators.story.calendar import DAY_MS, Calendar
from simulators.story.happenings import faults
from simulators.story.shares import What, names_of, shares
from simulators.story.workers import tellers
from simulators.world.world import World


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a story: its days in all, those of this run, its series and its size."""

    days: int
    new: int
    series: int
    bytes: int


def write_story(
    loaded: Loaded,
    *,
    folder: Path,
    calendar: Calendar,
    days: int,
    what: What = What.BOTH,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Written:
    """Tell `days` days of a scenario into `folder`; the world begins with the first of them.

    A story that is there already is gone on with after its last whole day. The file is the same, byte for byte,
    however many `workers` there are. `progress` hears how many days are done, and of how many. BookError, WorkerDied.
    """
    world = World(scenario=loaded.scenario, origin_ms=calendar.from_ms)
    names = names_of(loaded, what, world)
    book = BookWriter(folder=folder)
    try:
        begun = book.open(meta(loaded, calendar, what), names)
        progress(begun, max(days, begun))
        if begun < days:
            numbers = range(begun, days)
            with tellers(loaded, shares(loaded, world, workers), calendar, what, numbers) as told:
                for number, parts in zip(numbers, zip(*told, strict=True), strict=True):
                    begin_ms = calendar.begin_ms(number)
                    happened = faults(loaded.scenario, calendar.from_ms, begin_ms, begin_ms + DAY_MS)
                    book.write(
                        number,
                        begin_ms,
                        [row for part in parts for row in part.rows],
                        [*happened, *(each for part in parts for each in part.happenings)],
                    )
                    progress(number + 1, days)
    finally:
        book.close()
    return Written(max(days, begun), max(0, days - begun), len(names), book.path.stat().st_size)


def meta(loaded: Loaded, calendar: Calendar, what: What) -> dict[str, str]:
    """What makes two stories the same."""
    return {
        "format": FORMAT,
        "scenario": loaded.scenario.model_dump_json(exclude_unset=True),
        "seed": str(loaded.scenario.seed),
        "from_ms": str(calendar.from_ms),
        "every_ms": str(calendar.every_ms),
        "offset_ms": str(calendar.offset_ms),
        "what": what.value,
    }
