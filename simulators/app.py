"""Wires one simulated plant: a scenario's world, its meters on their ports, and the record of what they answer."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

from simulators.chips.feed import FeedServer
from simulators.clock import CivilClock
from simulators.devices.modbus import MeterServer
from simulators.devices.unit import Unit
from simulators.faults import FaultPlan
from simulators.load_scenario import Loaded
from simulators.scenario import Scenario
from simulators.sensors import Sensor
from simulators.truth.record import RecordError, RecordWriter
from simulators.world.world import World

NOTE_PERIOD_MS = 60_000
"""How often the true quantities are noted, in ms of civil time."""

NOTE_PAUSE_MIN_S = 0.2
"""Shortest real pause between two such notes, however fast civil time runs; the minutes between are left out."""

FED_PROFILES = ("avia-hx711",)
"""Devices that are chips on a gateway's pins: their conversions are fetched from here, not read over Modbus."""


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
) -> None:
    """Serve every meter of the scenario until `stop` is set, noting each answer in the record before it leaves.

    Once all ports listen, `ports_path` is written as JSON: `{device: {"host", "port", "unit_id"}}`, and for a chip
    `{device: {"feed_host", "feed_port"}}`. With `port_base` the ports that the scenario leaves open are numbered from
    there. The world begins `history_ms` before the clock. An existing record is gone on with, from its own origin, if
    it is of the same scenario. Raises RecordError and CannotListen.
    """
    record = RecordWriter(path=record_path)
    try:
        _forget_ports(ports_path)
        origin_ms = begin_record(record, record_path, loaded.scenario, clock, history_ms=history_ms)
        world = World(scenario=loaded.scenario, origin_ms=origin_ms)
        units = build_units(loaded, world=world)
        servers = _servers(loaded.scenario, units, record, clock.now_ms, host=host, port_base=port_base)
        try:
            listening = {line: await server.start() for line, server in servers.items()}
            _write_ports(ports_path, _places(loaded.scenario, units, listening, host))
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
        faults = FaultPlan.of(scenario, device, origin_ms=world.origin_ms)
        sensor = Sensor(device=device, meter=meter, profile=profile, world=world, faults=faults, seed=scenario.seed)
        units[device] = Unit(
            device=device,
            gateway=scenario.gateway_of(device),
            profile=profile,
            unit_id=meter.unit_id or profile.modbus.unit_id,
            gauge=sensor,
            faults=faults,
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


def _servers(
    scenario: Scenario,
    units: dict[str, Unit],
    record: RecordWriter,
    now_ms: Callable[[], int],
    *,
    host: str,
    port_base: int | None,
) -> dict[str, MeterServer | FeedServer]:
    """One server for each line that somebody is on, and for each meter or chip that has a port of its own."""
    ports: dict[str, int] = {}
    behind: dict[str, list[Unit]] = {}
    for device, meter in scenario.meters.items():
        line = _line_of(scenario, device)
        alone = meter.line is None or _is_fed(scenario, device)
        ports[line] = meter.port or 0 if alone else scenario.lines[meter.line or ""].port
        behind.setdefault(line, []).append(units[device])
    open_ports = [line for line, port in ports.items() if port == 0]
    if port_base is not None:
        ports |= {line: port_base + n for n, line in enumerate(open_ports)}
    servers: dict[str, MeterServer | FeedServer] = {}
    for line, served in behind.items():
        if _is_fed(scenario, served[0].device):
            servers[line] = FeedServer(host=host, port=ports[line], unit=served[0], record=record, now_ms=now_ms)
        else:
            servers[line] = MeterServer(host=host, port=ports[line], units=served, record=record, now_ms=now_ms)
    return servers


def _is_fed(scenario: Scenario, device: str) -> bool:
    return scenario.meters[device].profile in FED_PROFILES


def _line_of(scenario: Scenario, device: str) -> str:
    """A name for the port behind which `device` answers."""
    line = scenario.meters[device].line
    return f"line {line}" if line is not None and not _is_fed(scenario, device) else f"meter {device}"


def _places(
    scenario: Scenario, units: dict[str, Unit], listening: dict[str, int], host: str
) -> dict[str, dict[str, str | int]]:
    places: dict[str, dict[str, str | int]] = {}
    for device, unit in units.items():
        port = listening[_line_of(scenario, device)]
        if _is_fed(scenario, device):
            places[device] = {"feed_host": host, "feed_port": port}
        else:
            places[device] = {"host": host, "port": port, "unit_id": unit.unit_id}
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
