"""Reads devices for a person who stands beside them: every poll group, once or again and again, over the real buses.

It keeps and sends nothing. A silent request is made twice, and whoever stays silent is then left alone, so that a dead
device costs its neighbours on the line two time-outs and no more.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from data_contract.cause import Missing
from data_contract.reading import Quality
from device_profiles.profile import Profile
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Bus, Civil, Talk
from edge_agent.read.planner import Request
from edge_agent.read.poller import PollPlan
from edge_agent.weigh.bin import FIELDS, UNITS

ATTEMPTS = 2
"""How often a request is made that meets silence: one answer may be lost to noise, two are a finding."""

BUS_SPARE_S = 10.0
"""What a bus may take, in s, for connecting and the like beside all of its time-outs; a bus that takes more is hung."""


@dataclass(frozen=True, slots=True)
class Target:
    """A device and the poll groups of it that are to be read."""

    device: str
    bus: str
    profile: Profile
    plans: tuple[PollPlan, ...]


@dataclass(frozen=True, slots=True)
class FieldValue:
    """What one field read: registers [address, ...) of `table` as `words`, and their value in `unit`.

    A weight that the edge makes of other fields has no words, and those of what is personal are not shown.
    """

    field: str
    group: str
    unit: str
    table: str
    address: int
    words: tuple[int, ...]
    value: float | None
    quality: Quality


@dataclass(frozen=True, slots=True)
class Miss:
    """Fields that were not read, and why."""

    fields: tuple[str, ...]
    cause: Missing
    detail: str


@dataclass(frozen=True, slots=True)
class DeviceRead:
    """One device, as it was found. `unit` is the id under which it was asked."""

    device: str
    bus: str
    unit: int
    profile: Profile
    values: tuple[FieldValue, ...]
    misses: tuple[Miss, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """What reading needs of the world, and who hears of each device as soon as it is done."""

    buses: Mapping[str, Bus]
    civil: Callable[[], Civil]
    heard: Callable[[DeviceRead], None]


async def read_once(targets: Sequence[Target], reader: Reader) -> None:
    """Read every target. All buses are read at the same time, the devices of one bus one after the other."""
    async with asyncio.TaskGroup() as tasks:
        for bus, mine in _by_bus(targets).items():
            tasks.create_task(_read_bus(bus, mine, reader), name=f"read {bus}")


async def read_on(targets: Sequence[Target], reader: Reader) -> None:
    """Read each poll group at its interval, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for bus, mine in _by_bus(targets).items():
            tasks.create_task(_read_bus_on(bus, mine, reader), name=f"read {bus}")


def _by_bus(targets: Sequence[Target]) -> dict[str, list[Target]]:
    buses: dict[str, list[Target]] = {}
    for target in targets:
        if target.plans:
            buses.setdefault(target.bus, []).append(target)
    return buses


async def _read_bus_on(bus: str, targets: Sequence[Target], reader: Reader) -> None:
    loop = asyncio.get_running_loop()
    due_s = {(t.device, plan.poll.group): loop.time() for t in targets for plan in t.plans}
    while True:
        await asyncio.sleep(max(0.0, min(due_s.values()) - loop.time()))
        now_s = loop.time()
        turn = [replace(t, plans=tuple(p for p in t.plans if due_s[t.device, p.poll.group] <= now_s)) for t in targets]
        turn = [target for target in turn if target.plans]
        await _read_bus(bus, turn, reader)
        for target in turn:
            for plan in target.plans:
                key, every_s = (target.device, plan.poll.group), plan.poll.every_ms / 1000
                # A turn that outlasts an interval leaves out what has passed, rather than run after it.
                due_s[key] += max(1, math.ceil((loop.time() - due_s[key]) / every_s)) * every_s


async def _read_bus(bus: str, targets: Sequence[Target], reader: Reader) -> None:
    left = list(targets)

    def talk() -> Talk:
        while left:
            reader.heard((yield from _read(left[0], reader.civil)))
            left.pop(0)

    longest_s = BUS_SPARE_S + sum(ATTEMPTS * p.timeout_s * len(p.requests) for t in targets for p in t.plans)
    try:
        async with asyncio.timeout(longest_s):
            await reader.buses[bus].carry(talk())
    except TimeoutError:
        why = NotSampled(Missing.BUS_DOWN, f"the bus gave no answer at all within {longest_s:g} s")
        for target in left:
            reader.heard(_found(target, [], [_miss(_asked(target), why)]))


def _asked(target: Target) -> list[tuple[PollPlan, Request]]:
    return [(plan, request) for plan in target.plans for request in plan.requests]


def _read(target: Target, civil: Callable[[], Civil]) -> Generator[Ask, Answer, DeviceRead]:
    values: list[FieldValue] = []
    misses: list[Miss] = []
    asked = _asked(target)
    for index, (plan, request) in enumerate(asked):
        answer = yield from _insist(Ask(plan.unit, request.table, request.address, request.count, plan.timeout_s))
        if not isinstance(answer, NotSampled):
            values += _values(target.profile, plan, request, answer)
            values += _weighed(plan, request, values, civil())
        elif _is_silence(answer):
            misses.append(_miss(asked[index:], answer))
            break
        else:
            misses.append(_miss([(plan, request)], answer))
    return _found(target, values, misses)


def _insist(ask: Ask) -> Generator[Ask, Answer, Answer]:
    """Ask again where there was silence; of two silences the first says more."""
    first = answer = yield ask
    for _ in range(ATTEMPTS - 1):
        if not isinstance(answer, NotSampled) or not _is_silence(answer):
            return answer
        answer = yield ask
    return first if isinstance(answer, NotSampled) and _is_silence(answer) else answer


def _is_silence(answer: NotSampled) -> bool:
    return answer.cause in (Missing.TIMEOUT, Missing.BUS_DOWN)


def _values(profile: Profile, plan: PollPlan, request: Request, words: Sequence[int]) -> list[FieldValue]:
    values = []
    for field in request.fields:
        reader, unit = plan.readers[field], profile.fields[field].unit
        start = reader.address - request.address
        own = tuple(words[start : start + reader.registers])
        value, quality = reader.decode(own)
        seen = () if profile.fields[field].personal else own
        values.append(FieldValue(field, plan.poll.group, unit, request.table, reader.address, seen, value, quality))
    return values


def _weighed(plan: PollPlan, request: Request, values: Sequence[FieldValue], civil: Civil) -> list[FieldValue]:
    """What a bin's scale shows in kilograms. Totals are the agent's: they come from more than one look."""
    if plan.bin is None or plan.bin.weight not in request.fields:
        return []
    by_field = {each.field: each for each in values}
    raw, name = by_field[plan.bin.weight], FIELDS[0]
    weight, *_ = plan.bin.meter.weigh(raw.value, door_open=False, civil=civil)
    quality = Quality.INVALID if weight is None else Quality.GOOD
    return [FieldValue(name, raw.group, UNITS[name], raw.table, raw.address, (), weight, quality)]


def _miss(asked: Sequence[tuple[PollPlan, Request]], why: NotSampled) -> Miss:
    return Miss(tuple(field for _, request in asked for field in request.fields), why.cause, why.detail)


def _found(target: Target, values: Sequence[FieldValue], misses: Sequence[Miss]) -> DeviceRead:
    unit = target.plans[0].unit
    return DeviceRead(target.device, target.bus, unit, target.profile, tuple(values), tuple(misses))
