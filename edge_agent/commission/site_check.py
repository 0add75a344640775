"""What a schema cannot say of a site file, found before anybody climbs a ladder: each mistake with line, key and mend.

Errors would stop the agent, or make it read something that is not there; warnings are what a site should know of.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from data_contract.reading import GATEWAY_DEVICE
from device_profiles.library import Library
from device_profiles.profile import Profile
from edge_agent.commission.line_load import TURNAROUND_S, round_s, share
from edge_agent.config import (
    BinConfig,
    BusConfig,
    DeviceConfig,
    EdgeConfig,
    Hx711Config,
    ModbusRtuConfig,
    ModbusTcpConfig,
)
from edge_agent.read.poller import PollPlan
from yaml_models.bad_file import BadFile
from yaml_models.explain import one_of, suggest
from yaml_models.parse import Parsed, parse_with_lines
from yaml_models.tree import Tree, read_tree

HX711_REGISTERS = 3
"""What the pins of an HX711 offer: two of the count, one of the door."""
HX711_CONVERSIONS = 4
"""For one answer: the one that is under way when it is asked for, and three to choose the middle one of."""
UNIT_MAX = 247
"""Largest id of a unit on a serial line; 0 is for messages to all, which nobody answers."""
SHARE_MAX = 0.8
"""Part of a serial line's time beyond which a repeat or a silent unit makes others late."""

PlansOf = Callable[[str, DeviceConfig, Profile], Sequence[PollPlan]]
Known = Mapping[str, tuple[DeviceConfig, Profile]]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, each as one line."""

    errors: list[BadFile] = field(default_factory=list)
    warnings: list[BadFile] = field(default_factory=list)


def read_site(text: str, *, file: str) -> Parsed[EdgeConfig]:
    """The site file with its lines. Raises BadFile."""
    misplaced = next(_across_sections(read_tree(text, file=file), file), None)
    if misplaced is not None:
        raise misplaced
    return parse_with_lines(text, EdgeConfig, file=file)


def _across_sections(tree: Tree, file: str) -> Iterator[BadFile]:
    """The model would find these, too, but name the line where the file begins."""
    data = tree.data if isinstance(tree.data, dict) else {}
    buses, devices = data.get("buses"), data.get("devices")
    if not isinstance(buses, dict) or not isinstance(devices, dict):
        return
    for name, device in devices.items():
        if name == GATEWAY_DEVICE:
            line = tree.line(("devices", name))
            yield BadFile(file, line, f"devices.{name}", "this id is the gateway's own", "choose another")
        bus = device.get("bus") if isinstance(device, dict) else None
        if isinstance(bus, str) and bus not in buses:
            line, mend = tree.line(("devices", name, "bus")), _meant(bus, buses, "the buses are")
            yield BadFile(file, line, f"devices.{name}.bus", f"there is no bus {bus!r}", mend)


def _meant(name: str, known: Iterable[str], they_are: str) -> str:
    known = list(known)
    meant = suggest(name, known)
    return f"did you mean {meant}?" if meant else f"{they_are} {one_of(known)}"


def check_site(parsed: Parsed[EdgeConfig], library: Library, plans_of: PlansOf) -> Findings:
    """Everything that is wrong, in the order of the file's sections. `plans_of` says how a sound device is read."""
    found = Findings()
    _buses(parsed, found)
    known = _profiles(parsed, library, found)
    for name, (device, profile) in known.items():
        found.errors.extend(_device(parsed, name, device, profile))
        found.errors.extend(_fits_bus(parsed, name, device, profile))
        found.warnings.extend(_serial_settings(parsed, name, device, profile))
    found.errors.extend(_same_units(parsed, known))
    if not found.errors:
        _loads(parsed, {name: (known[name][0], plans_of(name, *known[name])) for name in known}, found)
    return found


def _buses(parsed: Parsed[EdgeConfig], found: Findings) -> None:
    """Two buses on one serial port or pin take each other's answers; on one address they cost a connection more."""
    taken: dict[object, str] = {}
    for name, bus in parsed.model.buses.items():
        for key, what in _takes(bus):
            other = taken.setdefault(what, name)
            if other == name:
                continue
            mend = "choose another pin" if isinstance(bus, Hx711Config) else "put its devices on that bus"
            bad = parsed.bad(f"buses.{name}.{key}", f"the bus {other} has this already", mend)
            (found.warnings if isinstance(bus, ModbusTcpConfig) else found.errors).append(bad)


def _takes(bus: BusConfig) -> Sequence[tuple[str, object]]:
    """(key, what it takes for itself alone)."""
    match bus:
        case ModbusTcpConfig():
            return [("host", (bus.host, bus.port))]
        case ModbusRtuConfig():
            return [("port", bus.port)]
        case Hx711Config():
            pins = {"dout_pin": bus.dout_pin, "clock_pin": bus.clock_pin, "door_pin": bus.door_pin}
            return [(key, pin) for key, pin in pins.items() if pin is not None]


def _profiles(parsed: Parsed[EdgeConfig], library: Library, found: Findings) -> Known:
    known = {}
    for name, device in parsed.model.devices.items():
        try:
            library.folder(device.profile)
        except BadFile as error:
            found.errors.append(parsed.bad(f"devices.{name}.profile", f"no such profile: {device.profile}", error.mend))
            continue
        try:
            known[name] = (device, library.load(device.profile))
        except BadFile as error:
            found.errors.append(error)
    return known


def _device(parsed: Parsed[EdgeConfig], name: str, device: DeviceConfig, profile: Profile) -> Iterator[BadFile]:
    here = f"devices.{name}"
    for index, of in enumerate(device.fields or ()):
        if of not in profile.fields:
            mend = _meant(of, profile.fields, "it has")
            yield parsed.bad(f"{here}.fields[{index}]", f"{profile.profile} has no field {of!r}", mend)
    if device.fields == ():
        yield parsed.bad(f"{here}.fields", "nothing is read from this device", "name fields, or leave the key out")
    for of, count in Counter(device.fields or ()).items():
        if count > 1:
            yield parsed.bad(f"{here}.fields", f"{of!r} stands there {count} times", "once is enough")
    for group in device.every_s:
        if group not in profile.groups:
            mend = _meant(group, profile.groups, "it has")
            yield parsed.bad(f"{here}.every_s.{group}", f"{profile.profile} has no poll group {group!r}", mend)
    if device.bin is not None:
        yield from _bin(parsed, f"{here}.bin", device, device.bin, profile)


def _bin(
    parsed: Parsed[EdgeConfig], here: str, device: DeviceConfig, of: BinConfig, profile: Profile
) -> Iterator[BadFile]:
    for key, name in (("weight", of.weight), ("door", of.door)):
        if name is None:
            continue
        if name not in profile.fields:
            mend = _meant(name, profile.fields, "it has")
            yield parsed.bad(f"{here}.{key}", f"{profile.profile} has no field {name!r}", mend)
        elif device.fields is not None and name not in device.fields:
            yield parsed.bad(f"{here}.{key}", f"{name!r} is not among the fields that are read", "add it to `fields`")
    weight, door = profile.fields.get(of.weight), profile.fields.get(of.door or "")
    if weight is None:
        return
    if door is not None and door.group != weight.group:
        problem = f"{of.door} is in the poll group {door.group}, {of.weight} in {weight.group}"
        yield parsed.bad(f"{here}.door", problem, "leave it out: both must be read together")
    if weight.unit == "kg" and of.calibrations:
        yield parsed.bad(f"{here}.calibrations", f"{of.weight} is in kg already", "leave them out")
    if weight.unit != "kg" and not of.calibrations:
        mend = "add what `loopgauge edge calibrate` prints"
        yield parsed.bad(here, f"{of.weight} is in {weight.unit}, not kg, and there is no calibration", mend)
    for key, count in Counter(each.id for each in of.calibrations).items():
        if count > 1:
            yield parsed.bad(f"{here}.calibrations", f"{count} calibrations are called {key}", "give each its own id")


def _fits_bus(parsed: Parsed[EdgeConfig], name: str, device: DeviceConfig, profile: Profile) -> Iterator[BadFile]:
    bus = parsed.model.buses[device.bus]
    if isinstance(bus, Hx711Config):
        yield from _fits_pins(parsed, name, device, profile, bus)
    unit = profile.modbus.unit_id if device.unit_id is None else device.unit_id
    if isinstance(bus, ModbusRtuConfig) and not 1 <= unit <= UNIT_MAX:
        problem = f"on a serial line no device answers to unit id {unit}"
        yield parsed.bad(f"devices.{name}.unit_id", problem, f"write the device's own, 1 to {UNIT_MAX}")


def _fits_pins(
    parsed: Parsed[EdgeConfig], name: str, device: DeviceConfig, profile: Profile, bus: Hx711Config
) -> Iterator[BadFile]:
    """A chip on pins has its own few registers, and converts at its own pace."""
    here = f"devices.{name}"
    read = {of: about for of, about in profile.fields.items() if device.fields is None or of in device.fields}
    for of, about in read.items():
        last = about.address + about.type.registers - 1
        if about.table.value != "holding" or last >= HX711_REGISTERS:
            problem = f"{of} of {profile.profile} is not what an HX711 gives, and {device.bus} is one"
            yield parsed.bad(f"{here}.bus", problem, "give the bus that the device is wired to")
            return
        if last == HX711_REGISTERS - 1 and bus.door_pin is None:
            rest = ", ".join(each for each in read if each != of)
            mend = f"add `door_pin` to the bus, or read `fields: [{rest}]` only"
            yield parsed.bad(f"{here}.fields", f"{of} is read, but {device.bus} has no door contact", mend)
    for group, about_group in profile.groups.items():
        every_s = device.every_s.get(group, about_group.every_s)
        if every_s * bus.rate_hz < HX711_CONVERSIONS:
            problem = f"every {every_s:g} s, but {HX711_CONVERSIONS} conversions at {bus.rate_hz} Hz take longer"
            yield parsed.bad(f"{here}.every_s.{group}", problem, f"write {HX711_CONVERSIONS / bus.rate_hz:g} or more")


def _serial_settings(
    parsed: Parsed[EdgeConfig], name: str, device: DeviceConfig, profile: Profile
) -> Iterator[BadFile]:
    bus, factory = parsed.model.buses[device.bus], profile.modbus.serial
    if not isinstance(bus, ModbusRtuConfig):
        return
    line = (bus.baud, bus.parity, bus.stop_bits)
    if line != (factory.baud, factory.parity, factory.stop_bits):
        problem = (
            f"leaves the factory with {factory.baud} {factory.parity}{factory.stop_bits}, "
            f"but {device.bus} has {bus.baud} {bus.parity}{bus.stop_bits}"
        )
        yield parsed.bad(f"devices.{name}", problem, "make sure that it has been set so")


def _same_units(parsed: Parsed[EdgeConfig], known: Known) -> Iterator[BadFile]:
    taken: dict[tuple[str, int], str] = {}
    for name, (device, profile) in known.items():
        pins = isinstance(parsed.model.buses[device.bus], Hx711Config)
        unit = 0 if pins else profile.modbus.unit_id if device.unit_id is None else device.unit_id
        other = taken.setdefault((device.bus, unit), name)
        if other == name:
            continue
        if pins:
            yield parsed.bad(f"devices.{name}.bus", f"{device.bus} is one chip, and {other} has it", "add a bus")
        elif device.unit_id is None:
            problem = f"{other} on {device.bus} has unit id {unit} too, which is this profile's"
            yield parsed.bad(f"devices.{name}", problem, "set another on the device, and give it here as `unit_id`")
        else:
            problem = f"{other} on {device.bus} has unit id {unit} too"
            yield parsed.bad(f"devices.{name}.unit_id", problem, "give each device its own, here and on the device")


def _loads(
    parsed: Parsed[EdgeConfig], devices: Mapping[str, tuple[DeviceConfig, Sequence[PollPlan]]], found: Findings
) -> None:
    """Whether each serial line can carry what is asked of it."""
    for name, bus in parsed.model.buses.items():
        if not isinstance(bus, ModbusRtuConfig):
            continue
        plans = [plan for device, many in devices.values() if device.bus == name for plan in many]
        at_best, likely = (share(plans, bus, turnaround_s=each) for each in (0.0, TURNAROUND_S))
        what = f"of the time of this line at {bus.baud} baud"
        mend = "longer `every_s`, fewer `fields`, more baud, or a second line"
        if at_best > 1:
            found.errors.append(parsed.bad(f"buses.{name}", f"what is asked takes {at_best:.0%} {what}", mend))
        elif likely > SHARE_MAX:
            problem = f"what is asked takes about {likely:.0%} {what}, answers after {TURNAROUND_S:g} s"
            found.warnings.append(parsed.bad(f"buses.{name}", problem, mend))
        _rounds(parsed, name, round_s(plans, bus, turnaround_s=TURNAROUND_S), found)


def _rounds(parsed: Parsed[EdgeConfig], bus: str, takes_s: float, found: Findings) -> None:
    """Whether a round is over before the sealer gives up what is still open: one seal interval after its own."""
    least_s = math.ceil(takes_s / 2)
    if least_s > parsed.model.seal_every_s:
        problem = (
            f"to ask for everything once takes about {takes_s:.1f} s on {bus}; what comes last is given up by then"
        )
        found.warnings.append(parsed.bad("seal_every_s", problem, f"set it to {least_s} or more"))
