"""A small city as ingest would store it: bins, a reclaimed-water plant with users, a desalination plant.

Everything is a plain function of time: bins fill by day and are emptied when they are full, meters count, one meter
falls silent, and one gateway's clock cannot be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from data_contract.batch import SCHEDULE, START, Start
from data_contract.receipt import BatchReceipt, DeviceReceipt, write
from data_contract.schedule import Poll, Schedule
from rollups.assets import Assets
from rollups.assets_file import parse_assets
from series_store import names
from series_store.port import Writer
from series_store.table import Table

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW = 1_779_789_600_000
"""2026-05-26T18:00 in Shanghai."""
CAPACITIES = {"bin-paper": 60.0, "bin-plastic": 40.0, "bin-glass": 120.0, "bin-residual": 90.0}
RATES = {"bin-paper": 3.1, "bin-plastic": 1.4, "bin-glass": 2.33, "bin-residual": 4.07}
"""Kilograms put in per hour, on the mean of a day."""
SILENT = "river-meter"
SILENT_FROM = NOW - 5 * HOUR_MS


@dataclass(frozen=True)
class Device:
    """A device, its kind, its asset, and its fields as functions of hours since the begin."""

    gateway: str
    id: str
    kind: str
    role: str
    en: str
    zh: str
    site: str
    fields: Mapping[str, Callable[[float], float]]
    more: str = ""
    rate_max_per_h: float = 1e4


def _slow(name: str) -> tuple[float, float]:
    """A slow swing of a device's own: hours of its period, and its phase."""
    own = sum(map(ord, name))
    return 60.0 + own % 90, own % 7


def _rate(name: str, rate: float) -> Callable[[float], float]:
    """What passes per hour: with the course of the day, and a slow swing."""
    period, phase = _slow(name)

    def at(hours: float) -> float:
        return rate * (
            1 + 0.5 * math.sin((hours - 7) * math.tau / 24) + 0.06 * math.sin(hours * math.tau / period + phase)
        )

    return at


def _counted(name: str, rate: float) -> Callable[[float], float]:
    """The total of the same."""
    period, phase = _slow(name)

    def total(hours: float) -> float:
        day = 0.5 * 24 / math.tau * math.cos((hours - 7) * math.tau / 24)
        slow = 0.06 * period / math.tau * math.cos(hours * math.tau / period + phase)
        return 1000 + rate * (hours - day - slow)

    return total


def _meter(gateway: str, name: str, role: str, en: str, zh: str, site: str, rate: float, more: str = "") -> Device:
    fields: dict[str, Callable[[float], float]] = {
        "flow_m3_h": _rate(name, rate),
        "volume_m3": _counted(name, rate),
        "volume_reverse_m3": lambda hours: 0.25,
        "velocity_m_s": _rate(name, 1.2),
        "signal_quality": lambda hours: 92.0,
    }
    return Device(gateway, name, "water_meter", role, en, zh, site, fields, more, rate * 2)


def _bin(name: str, role: str, en: str, zh: str) -> Device:
    rate, capacity = RATES[name], CAPACITIES[name]
    put_in, full_at = _counted(name, rate), capacity * 0.95

    def thrown(hours: float) -> float:
        return put_in(hours) - put_in(0)

    fields: dict[str, Callable[[float], float]] = {
        "weight_kg": lambda hours: thrown(hours) % full_at,
        "mass_in_kg": thrown,
        "mass_out_kg": lambda hours: thrown(hours) // full_at * full_at,
        "emptyings": lambda hours: thrown(hours) // full_at,
        "gross_weight_kg": lambda hours: 18 + thrown(hours) % full_at,
    }
    more = f"material: {name[4:]}, capacity_kg: {capacity:g}"
    return Device("nankai-1", name, "bin", role, en, zh, "nankai-collection", fields, more, rate * 4)


def _quality(gateway: str, site: str, salty: float) -> Device:
    fields: dict[str, Callable[[float], float]] = {
        "conductivity_us_cm": lambda hours: salty * (1 + 0.03 * math.sin(hours)),
        "turbidity_ntu": lambda hours: 0.8 + 0.2 * math.sin(hours / 3),
        "ph": lambda hours: 7.4 + 0.1 * math.sin(hours / 5),
    }
    name = "reclaimed-quality" if gateway == "jizhou-1" else "brine-quality"
    en, zh = ("Reclaimed water quality", "再生水水质") if gateway == "jizhou-1" else ("Brine quality", "浓海水水质")
    return Device(gateway, name, "analyser", "water_quality", en, zh, site, fields)


def _energy() -> Device:
    fields: dict[str, Callable[[float], float]] = {
        "power_w": _rate("energy", 1.5e6),
        "energy_import_kwh": _counted("energy", 1500.0),
        "frequency_hz": lambda hours: 50.0,
        **{f"voltage_l{n}_v": lambda hours: 230.0 for n in (1, 2, 3)},
        **{f"current_l{n}_a": lambda hours: 2100.0 for n in (1, 2, 3)},
    }
    return Device(
        "binhai-1", "energy-meter", "energy_meter", "desal_energy", "Plant energy", "全厂用电", "desalination", fields
    )


_J, _B = ("jizhou-1", "reclaimed-plant"), ("binhai-1", "desalination")
DEVICES = (
    _bin("bin-paper", "recycling_bin", "Paper, Changhong Park", "长虹公园废纸箱"),
    _bin("bin-plastic", "recycling_bin", "Plastic, Changhong Park", "长虹公园塑料箱"),
    _bin("bin-glass", "recycling_bin", "Glass, Changhong Park", "长虹公园玻璃箱"),
    _bin("bin-residual", "residual_bin", "Residual, Changhong Park", "长虹公园其他垃圾箱"),
    _meter(_J[0], "treated-meter", "sewage_treated", "Treated sewage", "污水处理量", _J[1], 820),
    _meter(_J[0], "reclaimed-meter", "reclaimed_supply", "Reclaimed water, outlet", "再生水出厂", _J[1], 470),
    _meter(_J[0], "steel-meter", "reclaimed_use", "Steel works", "钢铁厂用水", _J[1], 200, "use: industry"),
    _meter(_J[0], "power-plant-meter", "reclaimed_use", "Power plant", "电厂用水", _J[1], 130, "use: industry"),
    _meter(_J[0], "park-meter", "reclaimed_use", "Park irrigation", "公园绿化用水", _J[1], 40, "use: landscape"),
    _meter(_J[0], SILENT, "reclaimed_use", "River replenishment", "河道生态补水", _J[1], 75, "use: ecological"),
    _meter(_J[0], "mill-reuse-meter", "industrial_reuse", "Mill, water used again", "轧钢循环水", _J[1], 950),
    _meter(_J[0], "mill-fresh-meter", "industrial_fresh", "Mill, fresh water", "轧钢新鲜水", _J[1], 44),
    _quality(*_J, 1200),
    _meter(_B[0], "feed-meter", "seawater_feed", "Seawater feed", "海水进水", _B[1], 1000),
    _meter(_B[0], "permeate-meter", "permeate", "Desalinated water", "淡化产水", _B[1], 430),
    _meter(_B[0], "brine-users-meter", "brine_to_users", "Brine to salt works", "浓海水供盐场", _B[1], 390),
    _meter(_B[0], "brine-outfall-meter", "brine_outfall", "Brine to outfall", "浓海水排放", _B[1], 180),
    _energy(),
    _quality(*_B, 78000),
)
GATEWAYS = ("nankai-1", "jizhou-1", "binhai-1")

_HEAD = """
zone: Asia/Shanghai
areas:
  tianjin:
    title: {en: Tianjin, zh: 天津市}
    areas:
      nankai: {title: {en: Nankai, zh: 南开区}}
      jizhou: {title: {en: Jizhou, zh: 蓟州区}}
      binhai: {title: {en: Binhai, zh: 滨海新区}}
sites:
  nankai-collection: {title: {en: Changhong Park collection point, zh: 长虹公园投放点}, area: nankai}
  reclaimed-plant: {title: {en: Reclaimed-water plant, zh: 再生水厂}, area: jizhou}
  desalination: {title: {en: Desalination plant, zh: 海水淡化厂}, area: binhai}
assets:
"""


def assets() -> Assets:
    """The register of the city."""
    entries = [
        f"  {one.id}:\n"
        f"    {{title: {{en: '{one.en}', zh: '{one.zh}'}}, site: {one.site}, role: {one.role}, accuracy_percent: 1,\n"
        f"     rate_max_per_h: {one.rate_max_per_h:g},\n"
        f"     simulated: true, {one.more + ', ' if one.more else ''}"
        f"places: [{{gateway: {one.gateway}, device: {one.id}, from: '2025-01-01'}}]}}\n"
        for one in DEVICES
    ]
    return parse_assets(_HEAD + "".join(entries), file="assets.yaml")


def answers(device: Device, t_ms: int) -> bool:
    """Whether a device answers at that time."""
    return device.id != SILENT or t_ms < SILENT_FROM


async def fill(store: Writer, *, days: float, every_ms: int = 600_000, until_ms: int = NOW) -> None:
    """Store the last `days` of the city in hourly batches, data before receipts, as ingest does."""
    from_ms = until_ms - round(days * DAY_MS)
    for gateway in GATEWAYS:
        own = [one for one in DEVICES if one.gateway == gateway]
        await store.write(_records(gateway, own, from_ms, every_ms))
    for seq, begin in enumerate(range(from_ms, until_ms, HOUR_MS), 1):
        end = min(begin + HOUR_MS, until_ms)
        tables: list[Table] = []
        for gateway in GATEWAYS:
            tables += _batch(gateway, seq, begin, end, from_ms, every_ms)
        outcome = await store.write(tables)
        assert outcome.stored, outcome.reason


def _records(gateway: str, own: list[Device], at_ms: int, every_ms: int) -> list[Table]:
    polls = tuple(
        Poll(device=one.id, kind=one.kind, group="main", every_ms=every_ms, fields=tuple(one.fields)) for one in own
    )
    schedule = Schedule(seal_every_ms=HOUR_MS, polls=polls).model_dump_json()
    start = Start(run="r1", version="0.4.0", boot="b").model_dump_json()
    base = ((names.GATEWAY, gateway), (names.DEVICE, "gateway"))
    return [
        Table(names.EVENT, (*base, (names.KIND, kind)), (names.EVENT_TEXT,), [at_ms], [[text]])
        for kind, text in ((SCHEDULE, schedule), (START, start))
    ]


def _batch(gateway: str, seq: int, begin: int, end: int, origin_ms: int, every_ms: int) -> list[Table]:
    tables, devices, stored = [], {}, 0
    slots = range(-(-begin // every_ms) * every_ms, end, every_ms)
    for one in (device for device in DEVICES if device.gateway == gateway):
        times = [t for t in slots if answers(one, t)]
        columns = [[float(value((t - origin_ms) / HOUR_MS)) for t in times] for value in one.fields.values()]
        count, lost = len(times) * len(one.fields), (len(slots) - len(times)) * len(one.fields)
        missing = {"timeout": lost} if lost else {}
        if times:
            base = ((names.GATEWAY, gateway), (names.DEVICE, one.id))
            tables.append(Table(one.kind, base, tuple(one.fields), times, columns))
            devices[one.id] = DeviceReceipt({"main": (count + lost, count, missing)}, count, times[0], times[-1])
        else:
            devices[one.id] = DeviceReceipt({"main": (lost, 0, missing)})
        stored += count
    unsure = (end - 400_000, end + 500_000) if gateway == "binhai-1" else None
    cells: dict[str, float | str] = {
        names.RUN: "r1",
        names.SEQ: float(seq),
        names.FROM: float(begin),
        names.TO: float(end),
        names.READINGS: float(stored),
        names.BAD: 0.0,
        names.COUNTS: write(BatchReceipt(devices=devices, unsure=unsure)),
    }
    tags = ((names.GATEWAY, gateway), (names.WORKER, "w1"))
    at_us = (end + 2_000) * 1000 + GATEWAYS.index(gateway)
    return [
        *tables,
        Table(names.RECEIPT, tags, tuple(cells), [at_us], [[cell] for cell in cells.values()], micros=True),
    ]
