"""A made-up city with all that indicators know of: other names, other places, three levels of areas and another zone.

Its clocks go forward on 2026-03-08, in the second of its four days.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from data_contract.schedule import Poll, Schedule
from tests.unit.rollups.plant import HOUR_MS, Batch

ZONE = "America/St_Johns"
EVERY_MS = 600_000


def at_ms(text: str) -> int:
    """A local time of the city, ms UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp() * 1000)


BEGIN, END = at_ms("2026-03-06T21:30"), at_ms("2026-03-10T02:30")

AREAS = """
zone: America/St_Johns
areas:
  lumen:
    title: {en: Lumen}
    areas:
      upper:
        title: {en: Upper Lumen}
        areas: {hill: {title: {en: Hill}}}
      lower:
        title: {en: Lower Lumen}
        areas:
          old-town: {title: {en: Old Town}}
          docks: {title: {en: Docks}}
sites:
  hill-works: {title: {en: Hill works}, area: hill}
  market: {title: {en: Market}, area: old-town}
  salt-yard: {title: {en: Salt yard}, area: old-town}
  pier: {title: {en: Pier}, area: docks}
groups:
  waterfront: {title: {en: Waterfront}, sites: [pier, salt-yard]}
assets:
"""


class Meter(NamedTuple):
    """A device and the asset that it is. `pace` is what its total rises by in an hour."""

    gateway: str
    device: str
    kind: str
    site: str
    role: str
    field: str
    pace: float
    asks: str = ""
    """The field that the indicator asks for, where the device calls it otherwise."""


METERS = (
    Meter("north", "s1", "water_meter", "hill-works", "sewage_treated", "volume_m3", 80.0),
    Meter("south", "s2", "water_meter", "pier", "sewage_treated", "volume_m3", 140.0),
    Meter("north", "farm", "water_meter", "hill-works", "reclaimed_use", "volume_m3", 21.0),
    Meter("south", "fountain", "water_meter", "market", "reclaimed_use", "volume_m3", 9.0),
    Meter("south", "brewery", "water_meter", "pier", "reclaimed_use", "volume_m3", 55.0),
    Meter("north", "forge-r", "water_meter", "hill-works", "industrial_reuse", "volume_m3", 300.0),
    Meter("north", "forge-f", "water_meter", "hill-works", "industrial_fresh", "volume_m3", 30.0),
    Meter("south", "yard-r", "water_meter", "pier", "industrial_reuse", "volume_m3", 90.0),
    Meter("south", "yard-f", "water_meter", "pier", "industrial_fresh", "volume_m3", 4.0),
    Meter("south", "tin", "bin", "market", "recycling_bin", "mass_in_kg", 0.8),
    Meter("north", "cloth", "bin", "hill-works", "recycling_bin", "mass_in_kg", 2.0),
    Meter("south", "rest", "bin", "market", "residual_bin", "mass_in_kg", 3.0),
    Meter("south", "rest2", "bin", "pier", "residual_bin", "net_in_kg", 1.5, "mass_in_kg"),
    Meter("south", "f1", "water_meter", "salt-yard", "seawater_feed", "volume_m3", 100.0),
    Meter("south", "p1", "water_meter", "salt-yard", "permeate", "volume_m3", 26.0),
    Meter("south", "p2", "water_meter", "salt-yard", "permeate", "volume_m3", 15.0),
    Meter("south", "e1", "energy_meter", "salt-yard", "desal_energy", "energy_total_kwh", 140.0, "energy_import_kwh"),
    Meter("south", "b1", "water_meter", "pier", "brine_to_users", "volume_m3", 12.0),
    Meter("south", "b2", "water_meter", "salt-yard", "brine_outfall", "volume_m3", 40.0),
)


def assets_yaml() -> str:
    """The register of the city."""
    return AREAS + "".join(_asset(meter) for meter in METERS)


def _asset(meter: Meter) -> str:
    entry = [
        f"  the-{meter.device}:",
        f"    title: {{en: Meter {meter.device}}}",
        f"    site: {meter.site}",
        f"    role: {meter.role}",
        f"    rate_max_per_h: {meter.pace * 20:g}",
        "    accuracy_percent: 1",
        f'    places: [{{gateway: {meter.gateway}, device: {meter.device}, from: "2026-01-01"}}]',
    ]
    if meter.asks:
        entry.append(f"    fields: {{{meter.asks}: {meter.field}}}")
    if meter.kind == "bin":
        entry.append("    capacity_kg: 60")
    return "\n".join(entry) + "\n"


def readings(seed: int = 11) -> dict[str, list[tuple[int, float]]]:
    """Device -> its total over its stamps: flows wander, bags are thrown in, stamps jitter, now and then one fails."""
    chance = random.Random(seed)
    found = {}
    for meter in METERS:
        total, last, line = chance.uniform(0, 5000), BEGIN, []
        for slot in range(BEGIN, END, EVERY_MS):
            stamp = slot + chance.randrange(20_000)
            passed = meter.pace * (stamp - last) / HOUR_MS
            if meter.kind == "bin":
                total += passed * 4 if chance.random() < 0.25 else 0.0
            else:
                total += passed * chance.uniform(0.2, 1.8)
            last = stamp
            if chance.random() > 0.01:
                line.append((stamp, round(total, 4)))
        found[meter.device] = line
    return found


def batches(told: dict[str, list[tuple[int, float]]]) -> Iterator[Batch]:
    """What the two gateways of the city sealed, an hour each."""
    for gateway in ("north", "south"):
        own = [meter for meter in METERS if meter.gateway == gateway]
        plan = Schedule(
            seal_every_ms=EVERY_MS,
            polls=tuple(
                Poll(device=m.device, kind=m.kind, group="main", every_ms=EVERY_MS, fields=(m.field,)) for m in own
            ),
        )
        for seq, begin in enumerate(range(BEGIN, END, HOUR_MS), 1):
            end = min(begin + HOUR_MS, END)
            inside = {m.device: {m.field: [(t, v) for t, v in told[m.device] if begin <= t < end]} for m in own}
            kinds = {meter.device: meter.kind for meter in own}
            yield Batch(seq, begin, end, inside, plan if seq == 1 else None, gateway=gateway, run=gateway, kinds=kinds)
