"""The register of assets that follows from a scenario: each meter that shows a total of which indicators are made.

It says by itself what a total's role is. What is true of a world is told without it, so that a wrong one shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from simulators.parts.areas import Area
from simulators.parts.city import Bin, Park, Plant
from simulators.parts.train import Train
from simulators.scenario import Scenario
from simulators.story.calendar import offset_ms_of

_HOUR_MS = 3_600_000
_ZONES = {8: "Asia/Shanghai", 0: "UTC"}
_RATE_OF_MEAN = 10.0
"""A meter's largest possible rate over the mean flow of its part; beyond it a rise is a glitch."""
_BIN_KG_H_MIN = 200.0
_KWH_M3_MAX = 10.0

Said = dict[str, Any]
Total = tuple[str, Said]
"""The field that an indicator asks for, and what the register says of the asset."""


class NoRegister(ValueError):
    """No register follows from the scenario; one line says why, and the mend."""


def register(scenario: Scenario, since: str) -> Said:
    """The content of assets.yaml for meters that stand where they are from `since` (ISO) on. Raises NoRegister."""
    totals = _totals(scenario)
    seen: set[str] = set()
    assets: dict[str, Said] = {}
    for device, meter in scenario.meters.items():
        for field, quantity in meter.fields.items():
            if quantity not in totals or quantity in seen:
                continue  # of two meters that show one total, the first is the one that counts
            if device in assets:
                raise NoRegister(f"meters.{device}.fields.{field}: a device is one asset; show {quantity} by another")
            seen.add(quantity)
            asked, said = totals[quantity]
            renamed = {} if field == asked or asked == "mass_in_kg" else {"fields": {asked: field}}
            place = {"gateway": scenario.gateway_of(device), "device": device, "from": since}
            about = {"accuracy_percent": meter.class_percent} if meter.class_percent else {}
            assets[device] = {**said, **about, **renamed, "simulated": True, "places": [place]}
    areas = _areas(scenario)
    flat, sites = _flat(areas), dict[str, str]()
    for area in dict.fromkeys(said["site"] for said in assets.values()):
        names = (f"{area[:50]}-site{n or ''}" for n in count())
        sites[area] = next(name for name in names if name not in flat and name not in sites.values())
    return {
        "zone": _zone(scenario),
        "areas": areas,
        "sites": {site: {"title": dict(flat[area]["title"]), "area": area} for area, site in sites.items()},
        "assets": {device: {**said, "site": sites[said["site"]]} for device, said in assets.items()},
    }


def _totals(scenario: Scenario) -> dict[str, Total]:
    """Every total that indicators are made of, by what a meter shows of it."""
    found: dict[str, Total] = {}
    for name, rule in scenario.bins.items():
        found[f"{name}.gross_kg"] = ("mass_in_kg", _bin(name, rule))
    for name, plant in scenario.plants.items():
        say = _volumes(name, plant, plant.treated_m3_h)
        found[f"{name}.treated.volume_m3"] = say("treated", "sewage_treated")
        found[f"{name}.reclaimed.volume_m3"] = say("reclaimed", "reclaimed_supply")
        for user, drawn in plant.users.items():
            asked, said = say(user, "reclaimed_use")
            found[f"{name}.{user}.volume_m3"] = (asked, {**said, "use": drawn.use})
    for name, park in scenario.parks.items():
        say = _volumes(name, park, park.used_m3_h)
        found[f"{name}.reuse.volume_m3"] = say("reuse", "industrial_reuse")
        found[f"{name}.fresh.volume_m3"] = say("fresh", "industrial_fresh")
    for name, train in scenario.trains.items():
        say = _volumes(name, train, train.feed_m3_h)
        found[f"{name}.feed.volume_m3"] = say("feed", "seawater_feed")
        found[f"{name}.permeate.volume_m3"] = say("permeate", "permeate")
        found[f"{name}.brine_used.volume_m3"] = say("brine to users", "brine_to_users")
        found[f"{name}.brine_outfall.volume_m3"] = say("brine to the sea", "brine_outfall")
        _, said = say("energy", "desal_energy")
        said["rate_max_per_h"] = train.feed_m3_h * _KWH_M3_MAX
        found[f"{name}.energy.energy_kwh"] = ("energy_import_kwh", said)
    return found


def _volumes(name: str, part: Plant | Park | Train, mean_m3_h: float) -> Callable[[str, str], Total]:
    """What is said of a volume of `part` by the word for it and its role."""

    def said(word: str, role: str) -> Total:
        title = {"en": f"{part.title or name}: {word}"}
        rate = mean_m3_h * _RATE_OF_MEAN
        return "volume_m3", {"title": title, "site": part.area, "role": role, "rate_max_per_h": rate}

    return said


def _bin(name: str, rule: Bin) -> Said:
    median_kg, sigma = rule.deposit
    busiest = rule.deposits_per_day * max(1.0, rule.weekend, rule.holiday)
    return {
        "title": {"en": rule.title or name},
        "site": rule.area,
        "role": f"{rule.role}_bin",
        "material": rule.material,
        "capacity_kg": rule.capacity_kg,
        "rate_max_per_h": max(_BIN_KG_H_MIN, round(busiest * median_kg * math.exp(0.5 * sigma**2), 1)),
    }


def _areas(scenario: Scenario) -> Said:
    """The tree of areas; where the scenario has none, those of its parts, in its city."""
    if scenario.areas:
        return _tree(scenario.areas)
    parts = (scenario.bins, scenario.plants, scenario.parks, scenario.trains)
    found: Said = {part.area: {"title": {"en": part.area}} for named in parts for part in named.values()}
    city = scenario.city
    return found if city is None or city in found else {city: {"title": {"en": city}, "areas": found}}


def _tree(areas: Mapping[str, Area]) -> Said:
    return {name: {"title": {"en": area.title or name}, "areas": _tree(area.areas)} for name, area in areas.items()}


def _flat(areas: Said) -> dict[str, Said]:
    """Every area by its name, however deep."""
    found: dict[str, Said] = {}
    for name, said in areas.items():
        found |= {name: said} | _flat(said.get("areas", {}))
    return found


def _zone(scenario: Scenario) -> str:
    """A time zone of the scenario's local time."""
    hours, rest_ms = divmod(offset_ms_of(scenario), _HOUR_MS)
    if rest_ms:
        raise NoRegister(f"utc_offset_h: {hours + rest_ms / _HOUR_MS:g} h is no zone of whole hours; write a register")
    return _ZONES.get(hours) or f"Etc/GMT{-hours:+d}"
