"""A small desalination plant as ingest would store it: batches with readings, schedules and receipts, in any order.

Other tests store other plants the same way: a batch says of what kind its devices are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from data_contract.batch import SCHEDULE
from data_contract.receipt import BatchReceipt, DeviceReceipt, write
from data_contract.schedule import Poll, Schedule
from rollups.assets import Assets
from rollups.assets_file import parse_assets
from series_store import names
from series_store.port import Writer
from series_store.table import Table

GATEWAY = "gw-1"
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NOON = 1_767_240_000_000
"""2026-01-01T12:00 in Shanghai, 04:00 UTC."""
MIDNIGHT = NOON - 12 * HOUR_MS
"""2026-01-01T00:00 in Shanghai."""

KINDS = {"feed": "water_meter", "permeate": "water_meter", "energy": "energy_meter"}
TOTALS = {"feed": "volume_m3", "permeate": "volume_m3", "energy": "energy_import_kwh"}
RATES = {"feed": 100.0, "permeate": 42.0, "energy": 120.0}
"""What passes per hour: a recovery of 42 %, 2.857 kWh/m3."""

ASSETS = """
zone: ZONE
areas:
  city:
    title: {en: City, zh: 城市}
    areas:
      harbour:
        title: {en: Harbour district}
sites:
  plant:
    title: {en: Plant}
    area: harbour
groups:
  coast:
    title: {en: Coast}
    sites: [plant]
assets:
  feed-1:
    title: {en: Feed water, zh: 进水}
    site: plant
    role: seawater_feed
    places: [{gateway: gw-1, device: feed, from: "2025-01-01"}]
    rate_max_per_h: 200
    accuracy_percent: 1
    simulated: true
  permeate-1:
    title: {en: Permeate}
    site: plant
    role: permeate
    places: [{gateway: gw-1, device: permeate, from: "2025-01-01"}]
    rate_max_per_h: 100
    accuracy_percent: 0.5
  energy-1:
    title: {en: Plant energy}
    site: plant
    role: desal_energy
    places: [{gateway: gw-1, device: energy, from: "2025-01-01"}]
    rate_max_per_h: 400
    accuracy_percent: 1
"""


def assets(text: str = ASSETS, zone: str = "Asia/Shanghai") -> Assets:
    return parse_assets(text.replace("ZONE", zone), file="assets.yaml")


def schedule(every_ms: int, devices: Sequence[str] = tuple(KINDS)) -> Schedule:
    polls = tuple(
        Poll(device=name, kind=KINDS[name], group="main", every_ms=every_ms, fields=(TOTALS[name], "flow_m3_h"))
        for name in devices
    )
    return Schedule(seal_every_ms=10_000, polls=polls)


@dataclass
class Batch:
    """What one gateway sealed over [from_ms, to_ms)."""

    seq: int
    from_ms: int
    to_ms: int
    readings: dict[str, dict[str, list[tuple[int, float]]]]
    schedule: Schedule | None = None
    gateway: str = GATEWAY
    run: str = "run-1"
    missing: dict[str, dict[str, int]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=lambda: KINDS)


def total_at(device: str, t_ms: int) -> float:
    """A total that rises by the device's rate from 1000 at MIDNIGHT."""
    return 1000 + RATES[device] * (t_ms - MIDNIGHT) / HOUR_MS


def batches(
    from_ms: int,
    to_ms: int,
    *,
    every_ms: int = 60_000,
    seal_ms: int = 600_000,
    total: Callable[[str, int], float] = total_at,
    runs: Callable[[str, int], bool] = lambda device, t_ms: True,
    devices: Sequence[str] = tuple(KINDS),
) -> list[Batch]:
    """Readings of the plant; `runs` says whether a device answers at an instant."""
    sealed = []
    for seq, begin in enumerate(range(from_ms, to_ms, seal_ms), 1):
        end = min(begin + seal_ms, to_ms)
        slots = range(-(-begin // every_ms) * every_ms, end, every_ms)
        readings: dict[str, dict[str, list[tuple[int, float]]]] = {}
        missing = {}
        for device in devices:
            answered = [t for t in slots if runs(device, t)]
            readings[device] = {
                TOTALS[device]: [(t, total(device, t)) for t in answered],
                "flow_m3_h": [(t, RATES[device]) for t in answered],
            }
            if len(answered) < len(slots):
                missing[device] = {"timeout": 2 * (len(slots) - len(answered))}
        first = schedule(every_ms, devices) if seq == 1 else None
        sealed.append(Batch(seq, begin, end, readings, first, missing=missing))
    return sealed


def tables_of(batch: Batch, at_us: int, worker: str = "w1") -> tuple[list[Table], Table]:
    """(data, receipt) as ingest writes them."""
    data, devices, stored = [], {}, 0
    for device, fields in batch.readings.items():
        times = sorted({t for column in fields.values() for t, _ in column})
        columns = [[dict(column).get(t) for t in times] for column in fields.values()]
        count = sum(len(column) for column in fields.values())
        if times:
            tags = ((names.GATEWAY, batch.gateway), (names.DEVICE, device))
            data.append(Table(batch.kinds.get(device, "other"), tags, tuple(fields), times, columns))
        lost = batch.missing.get(device, {})
        called = count + sum(lost.values())
        devices[device] = DeviceReceipt(
            {"main": (called, count, lost)}, count, times[0] if times else 0, times[-1] if times else 0
        )
        stored += count
    if batch.schedule is not None:
        of_event = ((names.GATEWAY, batch.gateway), (names.DEVICE, "gateway"), (names.KIND, SCHEDULE))
        text = batch.schedule.model_dump_json()
        data.append(Table(names.EVENT, of_event, (names.EVENT_TEXT,), [batch.from_ms], [[text]]))
    cells: Mapping[str, float | str] = {
        names.RUN: batch.run,
        names.SEQ: float(batch.seq),
        names.FROM: float(batch.from_ms),
        names.TO: float(batch.to_ms),
        names.READINGS: float(stored),
        names.BAD: 0.0,
        names.COUNTS: write(BatchReceipt(devices=devices)),
    }
    tags = ((names.GATEWAY, batch.gateway), (names.WORKER, worker))
    receipt = Table(names.RECEIPT, tags, tuple(cells), [at_us], [[cell] for cell in cells.values()], micros=True)
    return data, receipt


async def deliver(store: Writer, batch: Batch, at_us: int, worker: str = "w1") -> None:
    """Write a batch in ingest's order: data, then receipt."""
    data, receipt = tables_of(batch, at_us, worker)
    assert (await store.write(data)).stored
    assert (await store.write([receipt])).stored
