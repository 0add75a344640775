"""A gateway with a meter and a bin that is cut off for longer than its spool holds, and what would be known without."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

from data_contract import receipt
from data_contract.batch import Batch
from data_contract.reading import FieldKind
from device_profiles.profile import DecodeType, PollGroup, Profile, ProfileField, RegisterTable, Verified
from edge_agent.app import Agent, Ports
from edge_agent.config import EdgeConfig
from ingest.tables import tables_of
from rollups.assets_file import parse_assets
from rollups.library import load_catalog
from rollups.worker import Worker
from series_store import names
from series_store.table import Cell, Table
from tests.faults.world import Gateway, World, body_of
from tests.twins.broker import LinkTwin
from tests.twins.bus import BusTwin
from tests.twins.clock import ORIGIN_MS, ClockTwin, civil_ms
from tests.twins.death import Life
from tests.twins.disk import DiskTwin
from tests.twins.store import StoreTwin

HOUR_S, HOUR_MS = 3600, 3_600_000
ROLLOVER = 65_536


def _field(address: int, kind: FieldKind, of: DecodeType, unit: str = "1") -> ProfileField:
    return ProfileField(table=RegisterTable.INPUT, address=address, type=of, unit=unit, kind=kind)


METER = Profile(
    profile="outage-meter",
    version=1,
    title="A meter of four values",
    maker="none",
    model="none",
    kind="water_meter",
    groups={"main": PollGroup(every_s=60)},
    fields={
        "volume_m3": _field(0, FieldKind.COUNTER, DecodeType.U16, "m3"),
        "energy_import_kwh": _field(1, FieldKind.COUNTER, DecodeType.U32, "kW.h"),
        "running": _field(3, FieldKind.STATE, DecodeType.U16),
        "level": _field(4, FieldKind.GAUGE, DecodeType.U16),
    },
    verified=Verified(confidence="L", document="made up for tests"),
)
SCALE = METER.model_copy(
    update={
        "profile": "outage-scale",
        "kind": "scale",
        "fields": {"load": _field(0, FieldKind.GAUGE, DecodeType.U16, "kg")},
    }
)

ASSETS = f"""
zone: Asia/Kathmandu
areas: {{city: {{title: {{en: City}}}}}}
sites: {{plant: {{title: {{en: Plant}}, area: city}}}}
assets:
  feed:
    title: {{en: Feed}}
    site: plant
    role: seawater_feed
    places: [{{gateway: gw-1, device: meter, from: "2025-01-01"}}]
    rollover: {ROLLOVER}
    rate_max_per_h: 4000
  paper:
    title: {{en: Paper}}
    site: plant
    role: recycled
    places: [{{gateway: gw-1, device: bin, from: "2025-01-01"}}]
    rate_max_per_h: 500
    capacity_kg: 120
"""
# The days of Kathmandu begin a quarter of an hour before or after full hours of UTC.


def elapsed_h(now_ms: int) -> float:
    return (now_ms - ORIGIN_MS) / HOUR_MS


def volume(now_ms: int) -> int:
    """A total that rolls over after some 30 h, and stands still for two hours a day."""
    h = elapsed_h(now_ms)
    flowing = h - 2 * (h // 24) - min(max(h % 24 - 5, 0), 2)
    return int(20_000 + 1500 * flowing + 200 * math.sin(h))


def meter(address: int, now_ms: int) -> int:
    h = elapsed_h(now_ms)
    energy = int(100_000 + 700 * h + 90 * math.cos(h / 3))
    # Runs of 7 to 40 minutes, at no round time.
    running = int(math.sin(h * 2.3) + math.sin(h * 5.1) > 0)
    words = [volume(now_ms) % ROLLOVER, energy >> 16, energy & 0xFFFF, running, int(500 + 400 * math.sin(h * 1.7))]
    return words[address]


def scale(address: int, now_ms: int) -> int:
    """Deposits of 1 to 5 kg at no round times, and an emptying each day."""
    n = int(elapsed_h(now_ms) * 7.3)
    since = n - n % 175
    return sum(1 + step * 7 % 5 for step in range(since, n)) % 400


class Outage(World):
    """One gateway; `spool_bytes_max` bounds its spool."""

    def __init__(self, *, seed: int, folder: Path, spool_bytes_max: int) -> None:
        self.spool_bytes_max = spool_bytes_max
        self.given_up: set[tuple[str, int]] = set()
        """What was deleted without a receipt."""
        self.held: list[tuple[str, int]] = []
        """What the spool held at the end of the outage."""
        super().__init__(seed=seed, folder=folder)

    def _gateway(self, name: str, folder: Path) -> Gateway:
        device = {"bus": "line"}
        config = EdgeConfig.model_validate(
            {
                "gateway": name,
                "board": "board1",
                "seal_every_s": 300,
                "health_every_s": 0,
                "spool": {"file": str(folder / f"{name}.db")},
                "uplink": {"host": "localhost"},
                "buses": {"line": {"type": "modbus_tcp", "host": "localhost"}},
                "devices": {
                    "meter": {**device, "profile": "outage-meter", "unit_id": 1},
                    "bin": {**device, "profile": "outage-scale", "unit_id": 2, "bin": {"weight": "load"}},
                },
            }
        )
        bus = BusTwin(units={1: meter, 2: scale})
        return Gateway(name, config, bus, ClockTwin(), folder / f"{name}.db")

    def start_gateway(self, gateway: Gateway) -> None:
        gateway.life = Life()
        gateway.disk = DiskTwin(path=gateway.path, life=gateway.life, bytes_max=self.spool_bytes_max)
        gateway.disk.sealed = gateway.sealed
        gateway.disk.on_delete = lambda keys: self._deleted(gateway, keys)
        gateway.stop = asyncio.Event()
        ports = Ports(
            clock=gateway.clock,
            disk=gateway.disk,
            link=LinkTwin(gateway=gateway.name, broker=self.broker, life=gateway.life),
            buses={"line": gateway.bus},
            board=gateway.board,
            rng=self.rng,
        )
        profiles = {"meter": METER, "bin": SCALE}
        gateway.agent = Agent(
            config=gateway.config,
            devices={name: (device, profiles[name]) for name, device in gateway.config.devices.items()},
            ports=ports,
            board="board1",
            version="test",
            notifier=gateway.notifier,
        )
        gateway.booted[gateway.agent.run_id] = gateway.clock.booted_ms
        gateway.task = asyncio.create_task(self._live(gateway), name=gateway.name)

    def digests(self) -> dict[tuple[str, int], Any]:
        """Every digest that was ever sealed."""
        bodies = {key: body_of(sealed.body) for key, sealed in self.gateways[0].sealed.items()}
        return {key: body for key, body in bodies.items() if body.replaces}

    def _deleted(self, gateway: Gateway, keys: set[tuple[str, int]]) -> None:
        """A batch is deleted after its receipt; or for a digest, which is looked for when all is over."""
        self.given_up |= keys - self.receipted

    def evicted(self) -> set[tuple[str, int]]:
        """(run, seq) of every plain batch that a digest stands in for."""
        found = {
            (run, seq)
            for body in self.digests().values()
            for run, first, last in body.replaces
            for seq in range(first, last + 1)
        }
        return found - self.digests().keys()

    async def unbounded(self) -> StoreTwin:
        """The store as it would be if the spool had held everything: all plain batches that were ever sealed."""
        store = StoreTwin()
        gateway = self.gateways[0]
        for (run, seq), sealed in gateway.sealed.items():
            body = body_of(sealed.body)
            if body.replaces:
                continue
            assert sealed.base_ms is not None
            batch = Batch(seq=seq, base_ms=sealed.base_ms, body=body)
            found = tables_of(gateway.name, batch, civil_ms())
            assert (await store.write(found.tables)).stored
            said = receipt.write(receipt.of_batch(body, batch.base_ms, found.stored, {}))
            values = sum(count for count, _, _ in found.stored.values())
            cells: dict[str, Cell] = {names.RUN: run, names.SEQ: float(seq)}
            cells |= {names.FROM: float(batch.from_ms), names.TO: float(batch.to_ms)}
            rest: dict[str, Cell] = {names.READINGS: float(values), names.BAD: 0.0, names.COUNTS: said}
            tags = ((names.GATEWAY, gateway.name), (names.WORKER, "w"))
            columns: list[list[Cell]] = [[cell] for cell in (*cells.values(), *rest.values())]
            at_us = [batch.to_ms * 1000 + 1]
            table = Table(names.RECEIPT, tags, (*cells, *rest), at_us, columns, micros=True)
            assert (await store.write([table])).stored
        return store


async def rolled_up(store: StoreTwin) -> dict[tuple[str, int, str, str], dict[str, float | str]]:
    """Hours and days of a store: (measurement, begin, device, field) to the row."""
    assets = parse_assets(ASSETS, file="assets.yaml")
    worker = Worker(
        reader=store,
        figures=store,
        assets=assets,
        catalog=load_catalog(),
        now_ms=civil_ms,
    )
    while await worker.cycle():
        pass
    return {
        (measurement, t, tags[names.DEVICE], tags[names.FIELD]): cells
        for measurement in (names.ROLLUP_1H, names.ROLLUP_1D)
        for t, tags, cells in await store.figures(measurement, {}, 0, 2**50)
    }
