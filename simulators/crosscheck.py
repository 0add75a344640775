"""What the types of a scenario cannot say: names that nothing has, ports that collide, faults that overlap.

Each mistake keeps its place in the file, so that the reader of YAML files can name the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from data_contract.reading import QUALITY_PREFIX

if TYPE_CHECKING:
    from device_profiles.profile import Profile
    from simulators.scenario import Fault, Meter, Scenario

Place = tuple[str | int, ...]


class Mistake(NamedTuple):
    """One mistake, at its place in the file: what is wrong, and what would mend it."""

    at: Place
    problem: str
    mend: str


def mistakes(scenario: Scenario) -> Iterator[Mistake]:
    """Everything in which the parts of a scenario contradict one another."""
    for name in scenario.loads:
        if name in scenario.trains:
            yield Mistake(("loads", name), f"{name} is already a train", "give the load another name")
    for device, meter in scenario.meters.items():
        yield from _meter(scenario, device, meter)
    yield from _ports(scenario)
    yield from _faults(scenario)


def against_profiles(scenario: Scenario, profiles: Mapping[str, Profile]) -> Iterator[Mistake]:
    """What a scenario asks of its device profiles that they do not have; `profiles` by their id."""
    units: dict[tuple[str, int], str] = {}
    for device, meter in scenario.meters.items():
        profile = profiles[meter.profile]
        for part, fields in (("fields", meter.fields), ("start", meter.start), ("resolution", meter.resolution)):
            for field in fields:
                if field not in profile.fields:
                    yield _unknown(("meters", device, part, field), f"field of {meter.profile}", field, profile.fields)
        unit = (meter.line or f"port of {device}", meter.unit_id or profile.modbus.unit_id)
        if unit in units:
            problem = f"unit {unit[1]} of {unit[0]} is already {units[unit]}"
            yield Mistake(("meters", device, "unit_id"), problem, "give one of them another unit_id")
        units.setdefault(unit, device)


def _unknown(at: Place, what: str, given: str, known: Iterable[str]) -> Mistake:
    names = sorted(known)
    near = get_close_matches(given, names, n=1, cutoff=0.5)
    return Mistake(
        at, f"no {what} {given!r}", f"did you mean {near[0]}?" if near else f"there is {', '.join(names) or 'none'}"
    )


def _meter(scenario: Scenario, device: str, meter: Meter) -> Iterator[Mistake]:
    at: Place = ("meters", device)
    quantities = scenario.quantities()
    for field, quantity in meter.fields.items():
        if quantity not in quantities:
            yield _unknown((*at, "fields", field), "quantity", quantity, quantities)
        if field.startswith(QUALITY_PREFIX):
            yield Mistake(
                (*at, "fields", field), f"{QUALITY_PREFIX} is reserved for qualities", "name a field of the profile"
            )
    if meter.line is not None and meter.line not in scenario.lines:
        yield _unknown((*at, "line"), "line", meter.line, scenario.lines)
    if meter.line is not None and meter.port is not None:
        yield Mistake((*at, "port"), "a port of its own and a shared line", "remove one of the two")


def _ports(scenario: Scenario) -> Iterator[Mistake]:
    taken: dict[int, str] = {}
    ports = [("lines", name, line.port) for name, line in scenario.lines.items()]
    ports += [("meters", name, meter.port or 0) for name, meter in scenario.meters.items()]
    for part, name, port in ports:
        if port and port in taken:
            mend = "choose another, or let them share a line"
            yield Mistake((part, name, "port"), f"port {port} is taken by {taken[port]}", mend)
        taken.setdefault(port, name)


def _faults(scenario: Scenario) -> Iterator[Mistake]:
    last: dict[str, tuple[int, Fault]] = {}
    for index, fault in sorted(enumerate(scenario.faults), key=lambda entry: entry[1].start_s):
        if fault.device not in scenario.meters:
            yield _unknown(("faults", index, "device"), "meter", fault.device, scenario.meters)
        if fault.device in last:
            other, before = last[fault.device]
            if fault.start_s < before.end_s:
                problem = f"overlaps faults[{other}] of {fault.device}, which lasts until {before.end_s:g} s"
                yield Mistake(("faults", index, "start_s"), problem, "let it begin later")
            if fault.end_s <= before.end_s:
                continue
        last[fault.device] = (index, fault)
