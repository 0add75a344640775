"""What the types of a meter cannot say: names that nothing has, ports that collide, values that nobody can show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from data_contract.reading import QUALITY_PREFIX, FieldKind
from device_profiles.profile import DecodeType
from simulators.mistake import Mistake, Place, unknown
from simulators.parts.meter import Line, Scale
from simulators.parts.weather import WEATHER
from simulators.sensors.widths import WIDTHS, can_show_nothing

if TYPE_CHECKING:
    from device_profiles.profile import Profile, ProfileField
    from simulators.parts.meter import Meter
    from simulators.scenario import Scenario

_OF_COUNTERS = ("start", "rolls_over", "pulse")
_OF_GAUGES = ("lag_s", "ends", "offset")


def check_meter(scenario: Scenario, device: str, meter: Meter) -> Iterator[Mistake]:
    """A meter against the rest of its scenario."""
    at: Place = ("meters", device)
    quantities = scenario.quantities()
    for field, quantity in meter.fields.items():
        if quantity not in quantities:
            yield _no_quantity(scenario, (*at, "fields", field), quantity)
        if field.startswith(QUALITY_PREFIX):
            mend = "name a field of the profile"
            yield Mistake((*at, "fields", field), f"{QUALITY_PREFIX} is reserved for qualities", mend)
    for field in meter.levels:
        if field in meter.fields:
            yield Mistake((*at, "levels", field), f"the world feeds {field} already", "remove it here, or in fields")
    if meter.ambient.quantity is not None and meter.ambient.quantity not in quantities:
        yield _no_quantity(scenario, (*at, "ambient", "quantity"), meter.ambient.quantity)
    yield from _load_cell(at, meter)
    yield from _sensor(at, meter)
    yield from _line(scenario, device, at, meter)


def _no_quantity(scenario: Scenario, at: Place, given: str) -> Mistake:
    part = given.partition(".")[0]
    if part == WEATHER and scenario.weather is None:
        return Mistake(at, f"no quantity {given!r}", "add weather: {}")
    return unknown(at, "quantity", given, scenario.quantities())


def _load_cell(at: Place, meter: Meter) -> Iterator[Mistake]:
    if meter.load_cell is not None and not meter.load_cell.counts_per_kg:
        yield Mistake((*at, "load_cell", "counts_per_kg"), "0 counts per kilogram", "give what one kilogram adds")
    loads = any(quantity.endswith((".gross_kg", ".content_kg")) for quantity in meter.fields.values())
    if meter.load_cell is not None and not any(quantity.endswith(".gross_kg") for quantity in meter.fields.values()):
        yield Mistake((*at, "load_cell"), "a load cell without a load", "let one of its fields show a bin's gross_kg")
    if meter.scale != Scale() and not loads:
        yield Mistake((*at, "scale"), "a scale without a load", "let one of its fields show a bin's gross_kg")


def _sensor(at: Place, meter: Meter) -> Iterator[Mistake]:
    for field, (low, high) in meter.ends.items():
        if low >= high:
            yield Mistake((*at, "ends", field), f"{low:g} does not lie below {high:g}", "give the lower end first")
    for part in ("lag_s", "pulse"):
        for field in getattr(meter, part):
            if field not in meter.fields:
                mend = "remove it here, or say in fields what it shows"
                yield Mistake((*at, part, field), f"nothing in the world feeds {field}", mend)
    for field in meter.pulse:
        if field in meter.resolution:
            mend = "remove it: its steps are those of its float32"
            yield Mistake((*at, "resolution", field), f"{field} counts in pulses", mend)
    for field, end in meter.rolls_over.items():
        if end != "register" and meter.start.get(field, 0.0) >= end:
            yield Mistake((*at, "start", field), f"it rolls over at {end:g}", "let it start below")


def _line(scenario: Scenario, device: str, at: Place, meter: Meter) -> Iterator[Mistake]:
    if device in scenario.lines:
        yield Mistake(at, f"a line is called {device} too", "give the meter another name")
    if meter.line is not None and meter.line not in scenario.lines:
        yield unknown((*at, "line"), "line", meter.line, scenario.lines)
    if meter.line is not None and meter.port is not None:
        yield Mistake((*at, "port"), "a port of its own and a shared line", "remove one of the two")


def check_ports(scenario: Scenario) -> Iterator[Mistake]:
    """Ports that two would share."""
    taken: dict[int, str] = {}
    ports = [("lines", name, line.port) for name, line in scenario.lines.items()]
    ports += [("meters", name, meter.port or 0) for name, meter in scenario.meters.items()]
    for part, name, port in ports:
        if port and port in taken:
            mend = "choose another, or let them share a line"
            yield Mistake((part, name, "port"), f"port {port} is taken by {taken[port]}", mend)
        taken.setdefault(port, name)
    for name, line in scenario.lines.items():
        if line.serial and line.port:
            yield Mistake(("lines", name, "port"), "a serial line has no TCP port", "remove it, or serial")
        if not line.serial and line.baud != Line().baud:
            yield Mistake(("lines", name, "baud"), "a TCP port has no baud rate", "remove it, or add serial: true")


def check_fields(device: str, meter: Meter, profile: Profile) -> Iterator[Mistake]:
    """The fields that a meter's entry names, against its profile."""
    parts = ("fields", "start", "resolution", "levels", *_OF_GAUGES, "rolls_over", "pulse")
    named: dict[str, Iterable[str]] = {part: getattr(meter, part) for part in parts}
    for part, fields in named.items():
        for field in fields:
            at: Place = ("meters", device, part, field)
            if field not in profile.fields:
                yield unknown(at, f"field of {meter.profile}", field, profile.fields)
            else:
                yield from _kind(at, part, field, profile.fields[field], meter)


def _kind(at: Place, part: str, field: str, spec: ProfileField, meter: Meter) -> Iterator[Mistake]:
    counts = spec.kind is FieldKind.COUNTER
    if part in _OF_COUNTERS and not counts:
        yield Mistake(at, f"{field} counts nothing", f"remove it from {part}")
    elif part in _OF_GAUGES and counts:
        yield Mistake(at, f"{field} is a total", f"remove it from {part}")
    elif part == "ends" and meter.beyond == "no_value" and not can_show_nothing(spec):
        yield Mistake(at, f"{field} has no sign for no value", "say beyond: end")
    elif part == "rolls_over" and meter.rolls_over[field] == "register" and spec.type not in WIDTHS:
        yield Mistake(at, f"a {spec.type.value} does not roll over by its width", "give the total at which it does")
    elif part == "pulse" and spec.type is not DecodeType.F32:
        yield Mistake(at, f"{field} is a {spec.type.value} and keeps every pulse", "remove it from pulse")
