"""Wires one simulated plant: a scenario's world, its meters on their ports, and the record of what they answer."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulators.chips.feed import FeedServer
from simulators.clock import CivilClock
from simulators.devices.line import LineServer
from simulators.devices.modbus import MeterServer
from simulators.devices.unit import Unit
from simulators.faults import FaultPlan
from simulators.load_scenario import Loaded
from simulators.parts.meter import FED_PROFILES
from simulators.scenario import Scenario
from simulators.sensors.sensor import Sensor
from simulators.truth.record import RecordError, RecordWriter
from simulators.world.world import World

NOTE_PERIOD_MS = 60_000
"""How often the true quantities are noted, in ms of civil time."""

NOTE_PAUSE_MIN_S = 0.2
"""Shortest real pause between two such notes, however fast civil time runs; the minutes between are left out."""


async def serve(
    loaded: Loaded,
    *,
    record_path: Path,
    ports_path: Path,
    clock: CivilClock,
    stop: asyncio.Event,
    host: str = "127.0.0.1",
    port_base: int | None = None,
    history_ms: int = 0,
    serial_dir: Path | None = None,
) -> None:
    """Serve every meter of the scenario until `stop` is set, noting each answer in the record before it leaves.

    Once all ports listen, `ports_path` is written as JSON: `{device: {"host", "port", "unit_id"}}`, and for a chip
    `{device: {"feed_host", "feed_port"}}`, and on a serial line `{device: {"serial", "baud", "unit_id"}}`. Serial lines
    get their names in `serial_dir` (default: `serial` beside `ports_path`); where it is given and the scenario marks no
    line as serial, all are. With `port_base` the ports that the scenario leaves open are numbered from
    there. The world begins `history_ms` before the clock. An existing record is gone on with, from its own origin, if
    it is of the same scenario. Raises RecordError and CannotListen.
    """
    record = RecordWriter(path=record_path)
    try:
        _forget_ports(ports_path)
        origin_ms = begin_record(record, record_path, loaded.scenario, clock, history_ms=history_ms)
        world = World(scenario=loaded.scenario, origin_ms=origin_ms)
        units = build_units(loaded, world=world)
        ends = _ends(loaded, units, port_base=port_base, all_serial=serial_dir is not None)
        folder = (serial_dir if serial_dir is not None else ports_path.parent / "serial").absolute()
        servers = _servers(loaded.scenario, ends, record, clock.now_ms, origin_ms=origin_ms, host=host, folder=folder)
        try:
            listening = {name: await server.start() for name, server in servers.items()}
            _write_ports(ports_path, _places(ends, listening, host))
            await _note_truth(world, record, clock, stop)
        finally:
            for server in servers.values():
                await server.stop()
    finally:
        record.close()


def build_units(loaded: Loaded, *, world: World) -> dict[str, Unit]:
    """Every meter of the scenario as a Modbus unit, by device id."""
    scenario, units = loaded.scenario, {}
    for device, meter in scenario.meters.items():
        profile = loaded.profiles[meter.profile]
        faults = FaultPlan.of_device(scenario, device, origin_ms=world.origin_ms)
        line = FaultPlan.of_device(scenario, meter.line, origin_ms=world.origin_ms) if meter.line else None
        sensor = Sensor(device=device, meter=meter, profile=profile, world=world, faults=faults, seed=scenario.seed)
        units[device] = Unit(
            device=device,
            gateway=scenario.gateway_of(device),
            profile=profile,
            unit_id=meter.unit_id or profile.modbus.unit_id,
            gauge=sensor,
            faults=faults,
            line=line,
        )
    return units


def begin_record(
    record: RecordWriter, path: Path, scenario: Scenario, clock: CivilClock, *, history_ms: int = 0
) -> int:
    """Open the record of a world that begins `history_ms` before the clock, and give back its origin in ms UTC.

    In real time a world begins when its record does. RecordError if the record is of another world.
    """
    text = scenario.model_dump_json(exclude_unset=True)
    begin_ms = clock.origin_ms if clock.origin_ms is not None else clock.now_ms()
    origin_ms = begin_ms - history_ms
    meta = record.open({"scenario": text, "seed": str(scenario.seed), "origin_ms": str(origin_ms)})
    if meta["scenario"] != text:
        raise RecordError(
            f"{path}: holds the record of another scenario or seed; give another file, or delete this one"
        )
    if clock.origin_ms is not None and int(meta["origin_ms"]) != origin_ms:
        raise RecordError(f"{path}: holds a record with another origin of time; give another file, or delete this one")
    return int(meta["origin_ms"])


@dataclass(frozen=True, slots=True)
class _End:
    """Where something is to be connected: a TCP port, a serial line, or the feed of a chip; and who is behind it."""

    name: str
    units: tuple[Unit, ...]
    port: int = 0
    baud: int | None = None
    fed: bool = False


def _ends(loaded: Loaded, units: dict[str, Unit], *, port_base: int | None, all_serial: bool) -> list[_End]:
    """One end for each line that somebody is on, and for each meter or chip that has one of its own."""
    scenario, ends = loaded.scenario, list[_End]()
    all_serial = all_serial and not any(line.serial for line in scenario.lines.values())
    behind: dict[str, list[Unit]] = {}
    for device, meter in scenario.meters.items():
        fed = meter.profile in FED_PROFILES
        name = device if fed or meter.line is None else meter.line
        if name in behind:
            behind[name].append(units[device])
            continue
        behind[name] = [units[device]]
        line = None if name == device else scenario.lines[name]
        port = (meter.port or 0) if line is None else line.port
        baud = line.baud if line is not None else loaded.profiles[meter.profile].modbus.serial.baud
        serial = not fed and (all_serial or (line is not None and line.serial))
        ends.append(_End(name, (), port=port, baud=baud if serial else None, fed=fed))
    base, found = port_base, list[_End]()
    for end in ends:
        port = end.port
        if base is not None and port == 0 and end.baud is None:
            port, base = base, base + 1
        found.append(_End(end.name, tuple(behind[end.name]), port=port, baud=end.baud, fed=end.fed))
    return found


def _servers(
    scenario: Scenario,
    ends: list[_End],
    record: RecordWriter,
    now_ms: Callable[[], int],
    *,
    origin_ms: int,
    host: str,
    folder: Path,
) -> dict[str, MeterServer | LineServer | FeedServer]:
    servers: dict[str, MeterServer | LineServer | FeedServer] = {}
    for end in ends:
        faults = FaultPlan.of_device(scenario, end.name, origin_ms=origin_ms)
        if end.fed:
            servers[end.name] = FeedServer(host=host, port=end.port, unit=end.units[0], record=record, now_ms=now_ms)
        elif end.baud is not None:
            link = folder / end.name
            servers[end.name] = LineServer(
                units=end.units, record=record, now_ms=now_ms, baud=end.baud, link=link, faults=faults
            )
        else:
            servers[end.name] = MeterServer(
                host=host, port=end.port, units=end.units, record=record, now_ms=now_ms, faults=faults
            )
    return servers


def _places(ends: list[_End], listening: dict[str, int | str], host: str) -> dict[str, dict[str, str | int]]:
    places: dict[str, dict[str, str | int]] = {}
    for end in ends:
        at = listening[end.name]
        for unit in end.units:
            if end.fed:
                places[unit.device] = {"feed_host": host, "feed_port": at}
            elif end.baud is not None:
                places[unit.device] = {"serial": at, "baud": end.baud, "unit_id": unit.unit_id}
            else:
                places[unit.device] = {"host": host, "port": at, "unit_id": unit.unit_id}
    return places


def _forget_ports(path: Path) -> None:
    """Remove what an earlier run left, so that nobody mistakes its ports for ours."""
    path.unlink(missing_ok=True)


def _write_ports(path: Path, places: dict[str, dict[str, str | int]]) -> None:
    """Put the file there whole: whoever waits for it never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(places, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


async def _note_truth(world: World, record: RecordWriter, clock: CivilClock, stop: asyncio.Event) -> None:
    """Note the true quantities now, at each civil minute and at the end."""
    _note(world, record, clock.now_ms())
    while not stop.is_set():
        now_ms = clock.now_ms()
        due_ms = (now_ms // NOTE_PERIOD_MS + 1) * NOTE_PERIOD_MS
        pause_s = max(clock.real_s(due_ms - now_ms), NOTE_PAUSE_MIN_S)
        try:
            async with asyncio.timeout(pause_s):
                await stop.wait()
        except TimeoutError:
            _note(world, record, clock.now_ms() // NOTE_PERIOD_MS * NOTE_PERIOD_MS)
    _note(world, record, clock.now_ms())


def _note(world: World, record: RecordWriter, t_ms: int) -> None:
    record.note_quantities(t_ms, {name: world.value(name, t_ms) for name in world.names})
