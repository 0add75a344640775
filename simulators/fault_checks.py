"""What the types of a timed fault cannot say: whom it may befall, with which words, and not two of a kind at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from data_contract.reading import FieldKind
from simulators.mistake import Mistake, Place, unknown
from simulators.parts.fault import LINE_FAULTS, MEANT_FOR, NEEDED
from simulators.parts.meter import FED_PROFILES
from simulators.sensors.widths import can_show_nothing

if TYPE_CHECKING:
    from device_profiles.profile import Profile
    from simulators.parts.fault import Fault
    from simulators.scenario import Scenario

END_S_MAX = 36_600 * 86_400.0
"""No world is followed for longer."""

_SHOWS = ("stuck", "spike", "saturated", "no_value", "wire_off")
"""Faults of which a field can show one at a time."""


def check_faults(scenario: Scenario) -> Iterator[Mistake]:
    """The timed faults of a scenario, in the order of their begins."""
    held: dict[tuple[str, str], list[tuple[int, Fault]]] = {}
    for index, fault in sorted(enumerate(scenario.faults), key=lambda entry: entry[1].start_s):
        at: Place = ("faults", index)
        yield from _befalls(scenario, at, fault)
        yield from _words(at, fault)
        before = held.setdefault((fault.device, _layer(fault)), [])
        before[:] = [(other, one) for other, one in before if one.end_s > fault.start_s]
        for other, one in before:
            if not one.fields or not fault.fields or set(one.fields) & set(fault.fields):
                problem = f"overlaps faults[{other}] of {fault.device}, which lasts until {one.end_s:g} s"
                yield Mistake((*at, "start_s"), problem, "let it begin later")
                break
        before.append((index, fault))


def _layer(fault: Fault) -> str:
    """Faults of one layer exclude each other."""
    if not fault.of_sensor:
        return "device"
    return "shows" if fault.what in _SHOWS else fault.what


def _befalls(scenario: Scenario, at: Place, fault: Fault) -> Iterator[Mistake]:
    meter, line = scenario.meters.get(fault.device), scenario.lines.get(fault.device)
    if line is not None:
        if fault.what not in LINE_FAULTS:
            problem = f"{fault.device} is a line; {fault.what} befalls a meter"
            yield Mistake((*at, "device"), problem, "name the meter")
        elif line.serial and fault.what != "unplugged":
            yield Mistake((*at, "what"), "a serial line has no connections", "make it unplugged")
        return
    if meter is None:
        yield unknown((*at, "device"), "meter", fault.device, (*scenario.meters, *scenario.lines))
        return
    fed = meter.profile in FED_PROFILES
    if fault.what in LINE_FAULTS and meter.line is not None and not fed:
        yield Mistake((*at, "device"), f"{fault.device} shares {meter.line} with others", f"name {meter.line}")
    if fault.what in LINE_FAULTS and fed:
        yield Mistake((*at, "what"), "a chip on a gateway's pins has no port", "make it silent, or power_down")
    if fault.what == "power_down" and not fed:
        yield Mistake((*at, "what"), f"{fault.device} is no chip on a gateway's pins", "make it reboot")
    if fault.what == "wire_off" and meter.load_cell is None:
        yield Mistake((*at, "what"), f"{fault.device} has no load cell", "add load_cell, or make it no_value")


def _words(at: Place, fault: Fault) -> Iterator[Mistake]:
    for key, faults in MEANT_FOR.items():
        if fault.what not in faults and getattr(fault, key) != type(fault).model_fields[key].default:
            yield Mistake((*at, key), f"means nothing to {fault.what}", "remove it")
    key = NEEDED.get(fault.what, "")
    if key and getattr(fault, key) is None:
        yield Mistake(at, f"{fault.what} without {key}", f"add {key}")
    if fault.end_s > END_S_MAX:
        problem = f"it would last until {fault.end_s / 86_400.0:g} d, after the end of the world"
        yield Mistake((*at, "duration_s"), problem, f"let it end before {END_S_MAX / 86_400.0:g} d")
    if fault.what == "flapping" and fault.period_s > fault.duration_s:
        yield Mistake((*at, "period_s"), "one period is longer than the fault", f"at most {fault.duration_s:g}")
    if fault.what == "spike" and fault.spike_s > fault.duration_s:
        yield Mistake((*at, "spike_s"), "one spike is longer than the fault", f"at most {fault.duration_s:g}")


def check_fault_fields(index: int, fault: Fault, profile: Profile, unit_id: int) -> Iterator[Mistake]:
    """A fault against the profile of the meter that it befalls."""
    for n, field in enumerate(fault.fields):
        at: Place = ("faults", index, "fields", n)
        spec = profile.fields.get(field)
        if spec is None:
            yield unknown(at, f"field of {profile.profile}", field, profile.fields)
        elif fault.what in ("frozen", "reset") and spec.kind is not FieldKind.COUNTER:
            yield Mistake(at, f"{field} counts nothing", "name a total")
        elif fault.what == "no_value" and not can_show_nothing(spec):
            yield Mistake(at, f"{field} has no sign for no value", "make it saturated, or name another field")
    if fault.what == "wrong_unit" and fault.answers_as == unit_id:
        yield Mistake(("faults", index, "answers_as"), f"{unit_id} is its own unit id", "give another")
