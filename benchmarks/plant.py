"""The load of the agent's benches: twenty simulated meters, ten fields each, and the programs around the agent."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import Program, running, verb, wait_for
from data_contract.reading import GATEWAY_DEVICE
from data_contract.receipt import read
from device_profiles.library import Library
from edge_agent import site_plan
from edge_agent.config import EdgeConfig
from series_store.open import open_reader
from series_store.table import Receipt
from simulators.truth.record import Record

PROFILE = "eastron-sdm630"
FIELDS = (
    "voltage_l1_v",
    "voltage_l2_v",
    "voltage_l3_v",
    "current_l1_a",
    "current_l2_a",
    "current_l3_a",
    "power_w",
    "power_factor",
    "frequency_hz",
    "energy_import_kwh",
)
"""What is read of each meter."""
READINGS = 20 * len(FIELDS)
"""What one round over all meters brings."""


@dataclass(frozen=True, slots=True)
class Meters:
    """The simulated meters, all behind one port, and the record of what they answered."""

    host: str
    port: int
    units: Mapping[str, int]
    record: Path

    def served(self, from_ms: int, to_ms: int) -> int:
        """How many readings they gave away in [from_ms, to_ms), civil ms UTC."""
        record = Record.open_readonly(self.record)
        try:
            return sum(from_ms <= reading.t_ms < to_ms for reading in record.all_served())
        finally:
            record.close()


@contextmanager
def meters(folder: Path, env: Mapping[str, str]) -> Iterator[Meters]:
    """Twenty meters in a process of their own."""
    ports, record = folder / "ports.json", folder / "record.db"
    command = verb("simulate", "modbus", "--scenario", "bench", "--record", str(record), "--ports", str(ports))
    with running("simulator", command, folder=folder, env=env) as program:
        wait_for("serving meters", ports.exists, of=program)
        places = json.loads(ports.read_text())
        first = next(iter(places.values()))
        units = {device: place["unit_id"] for device, place in places.items()}
        assert len(units) * len(FIELDS) == READINGS
        yield Meters(first["host"], first["port"], units, record)


def site(name: str, of: Meters, *, every_s: float, folder: Path, uplink: Mapping[str, Any]) -> Path:
    """The site file of a gateway that reads all meters."""
    device = {"profile": PROFILE, "bus": "line", "fields": list(FIELDS), "every_s": {"main": every_s}}
    config = {
        "gateway": name,
        "board": "bench",
        "spool": {"file": str(folder / f"{name}.db")},
        "uplink": {"host": "127.0.0.1", **uplink},
        "clock": {"trust": "always"},
        "buses": {"line": {"type": "modbus_tcp", "host": of.host, "port": of.port}},
        "devices": {meter: {**device, "unit_id": unit, "simulated": True} for meter, unit in of.units.items()},
    }
    return _write(folder / f"{name}.yaml", config)


def requests(path: Path) -> list[tuple[int, int, int, list[int]]]:
    """The requests that an agent makes for a site file: unit, first register, registers, offset of each value."""
    config = EdgeConfig.model_validate(yaml.safe_load(path.read_text("utf-8")))
    return [
        (plan.unit, request.address, request.count, [plan.readers[f].address - request.address for f in request.fields])
        for name, (device, profile) in site_plan.load_devices(config, Library()).items()
        for plan in site_plan.plans_of(name, device, profile)
        for request in plan.requests
    ]


def broker_config(*more: str) -> str:
    """Mosquitto for a bench: one open listener, queues that nobody fills, nothing logged for each message."""
    lines = [
        "listener {port} 127.0.0.1",
        "allow_anonymous true",
        "max_queued_messages 1000000",
        "max_inflight_messages 1000",
        "persistence false",
        # Started by root it would become another user, who may not read a temporary folder.
        f"user {getpass.getuser()}",
    ]
    return "\n".join([*lines, *more])


def agent(name: str, path: Path, *, folder: Path, env: Mapping[str, str]) -> Any:
    """The agent of a site file, running; a context manager that gives a Program."""
    return running(name, verb("edge", "run", str(path)), folder=folder, env=env)


@contextmanager
def ingest(folder: Path, *, port: int, store: str, env: Mapping[str, str]) -> Iterator[Program]:
    """A worker with broker and store."""
    config = {
        "worker": "bench",
        "broker": {"host": "127.0.0.1", "port": port},
        "store": {"url": store},
        "gateways_file": str(folder / "gateways.json"),
        "dead_letters": str(folder / "dead"),
    }
    command = verb("ingest", "run", str(_write(folder / "ingest.yaml", config)))
    with running("ingest", command, folder=folder, env=env) as program:
        yield program


async def receipts(store: str) -> list[Receipt]:
    """One receipt for each batch that is in a store, the first where it came more than once."""
    reader = open_reader(store)
    try:
        found = await reader.receipts(0, 10_000_000)
    finally:
        await reader.close()
    return list({(each.run, each.seq): each for each in reversed(found)}.values())


def of_meters(receipt: Receipt) -> int:
    """Readings of a batch without what the gateway says of itself: nobody asked for that work."""
    own = read(receipt.counts).devices.get(GATEWAY_DEVICE)
    return receipt.readings - (own.stored if own is not None else 0)


def _write(path: Path, config: Mapping[str, Any]) -> Path:
    # JSON is YAML, and needs no library to write.
    path.write_text(json.dumps(config, indent=1) + os.linesep, encoding="utf-8")
    return path
