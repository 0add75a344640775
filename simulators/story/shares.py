"""A story in shares: the parts of a world with the meters that show them, so that several processes can tell it.

What a share tells of a day depends on the scenario alone, and every row has its own name, so it is the same story
however many shares there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from simulators.load_scenario import Loaded
from simulators.story.calendar import DAY_MS, Calendar
from simulators.story.happenings import Happening, happenings
from simulators.story.packing import pack
from simulators.story.shown import ShownColumns
from simulators.world.world import World

_RO_WEIGHT = 60
"""What a train with membranes costs, in columns; measured."""
_BIN_WEIGHT = 25


class What(StrEnum):
    """What is told."""

    TRUTH = "truth"
    METERS = "meters"
    BOTH = "both"

    @property
    def truth(self) -> bool:
        """Whether the quantities of the world are told."""
        return self is not What.METERS

    @property
    def meters(self) -> bool:
        """Whether it is told what the meters showed."""
        return self is not What.TRUTH


class Row(NamedTuple):
    """One column of one day, packed. Of a quantity `device` is empty."""

    device: str
    name: str
    data: bytes


class DayTold(NamedTuple):
    """One day of one share."""

    rows: tuple[Row, ...]
    happenings: tuple[Happening, ...]


@dataclass(slots=True)
class Share:
    """Parts and devices that are told together."""

    parts: set[str] = field(default_factory=set)
    devices: list[str] = field(default_factory=list)
    weight: int = 0


def names_of(loaded: Loaded, what: What, world: World) -> list[tuple[str, str]]:
    """Every row of a day as (device, name), in the order in which they are numbered."""
    truth = [("", name) for name in sorted(world.names)] if what.truth else []
    shown = [
        (device, name)
        for device, meter in sorted(loaded.scenario.meters.items())
        for name in loaded.profiles[meter.profile].fields
    ]
    return truth + (shown if what.meters else [])


def shares(loaded: Loaded, world: World, number: int) -> list[Share]:
    """At most `number` shares of about the same weight; a device goes with the part that it shows first."""
    of_part: dict[str, Share] = {}
    for name in sorted(world.names):
        share = of_part.setdefault(_part(name), Share(parts={_part(name)}))
        share.weight += 1
    for name, train in loaded.scenario.trains.items():
        of_part[name].weight += _RO_WEIGHT if train.ro is not None else 0
    for name in loaded.scenario.bins:
        of_part[name].weight += _BIN_WEIGHT
    for device, meter in sorted(loaded.scenario.meters.items()):
        first = min((_part(quantity) for quantity in meter.fields.values()), default=f"{device} alone")
        share = of_part.setdefault(first, Share())
        share.devices.append(device)
        share.weight += len(loaded.profiles[meter.profile].fields)
    found = [Share() for _ in range(min(max(1, number), len(of_part)))]
    for _, one in sorted(of_part.items(), key=lambda entry: (-entry[1].weight, entry[0])):
        least = min(found, key=lambda each: each.weight)
        least.parts |= one.parts
        least.devices += one.devices
        least.weight += one.weight
    return found


class Teller:
    """Tells the days of one share, in order."""

    def __init__(self, *, loaded: Loaded, share: Share, calendar: Calendar, what: What) -> None:
        self._calendar = calendar
        self._what = what
        self._world = World(scenario=loaded.scenario, origin_ms=calendar.from_ms)
        self._names = [name for name in self._world.names if _part(name) in share.parts]
        self._meters = {device: _columns(loaded, device, self._world) for device in share.devices if what.meters}

    def day(self, number: int) -> DayTold:
        """Everything of a day, its number counted from 0."""
        begin_ms = self._calendar.begin_ms(number)
        told = tuple(happenings(self._world, self._names, begin_ms, begin_ms + DAY_MS)) if self._what.truth else ()
        return DayTold(tuple(self._rows(number)), told)

    def days(self, numbers: Iterable[int]) -> Iterator[DayTold]:
        """Several days."""
        return (self.day(number) for number in numbers)

    def _rows(self, number: int) -> Iterator[Row]:
        t_ms = self._calendar.times(number)
        if self._what.truth:
            for name in self._names:
                yield Row("", name, pack(self._world.column(name, t_ms)))
        for device, meter in self._meters.items():
            for name, column in meter.columns(t_ms).items():
                yield Row(device, name, pack(column, meter.digits(name)))


def _columns(loaded: Loaded, device: str, world: World) -> ShownColumns:
    profile = loaded.profiles[loaded.scenario.meters[device].profile]
    return ShownColumns(device=device, scenario=loaded.scenario, profile=profile, world=world)


def _part(name: str) -> str:
    return name.partition(".")[0]
