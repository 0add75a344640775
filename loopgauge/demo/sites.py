"""The site files of the demo's gateways, and the file of its ingest worker, as they follow from the scenario. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from device_profiles.profile import Profile
from simulators.parts.meter import Meter
from simulators.scenario import Scenario

PINS = ((5, 6, 13), (16, 17, 18), (19, 20, 21), (22, 23, 24), (25, 26, 27), (2, 3, 4), (7, 8, 9), (10, 11, 12))
"""Where the load cells sit on their gateway, by GPIO number: data, clock, door."""
RATE_HZ = 80
"""At 10 conversions a second a reading would take half a minute of a demo's time."""
ON_PINS = "avia-hx711"
"""Profile of the devices that are read from pins."""

Places = Mapping[str, Mapping[str, Any]]
"""Device → where the simulated world serves it: host, port, unit_id."""


def gateways(scenario: Scenario) -> list[str]:
    """The gateways of a scenario, in the order of their meters."""
    return list(dict.fromkeys(scenario.gateway_of(device) for device in scenario.meters))


def devices_of(scenario: Scenario, gateway: str) -> list[str]:
    """The devices that a gateway reads."""
    return [device for device in scenario.meters if scenario.gateway_of(device) == gateway]


def on_pins(scenario: Scenario, gateway: str) -> bool:
    """Whether a gateway has a chip on its pins, and so is simulated together with it."""
    return any(scenario.meters[device].profile == ON_PINS for device in devices_of(scenario, gateway))


def cannot_stand(scenario: Scenario) -> str | None:
    """Why a demo cannot put gateways to these meters: where, what, and the mend; None if it can."""
    for name, line in scenario.lines.items():
        if line.serial:
            return f"lines.{name}.serial: a demo reads over TCP, as the pace of a serial line is real; leave it out"
    for gateway in gateways(scenario):
        on_pins = [device for device in devices_of(scenario, gateway) if scenario.meters[device].profile == ON_PINS]
        if len(on_pins) > len(PINS):
            number = f"gateway {gateway} has pins for {len(PINS)} load cells"
            return f"meters.{on_pins[len(PINS)]}.gateway: {number}; give another gateway"
    return None


def site(
    gateway: str,
    *,
    scenario: Scenario,
    profiles: Mapping[str, Profile],
    places: Places,
    every_s: float,
    seal_every_s: float,
    since: str,
    spool: str,
    broker_port: int,
) -> dict[str, Any]:
    """The site file of one gateway. Without `places` it says what is read, but not where.

    `since` (ISO) is when its scales were calibrated.
    """
    buses, devices = {}, {}
    pins = iter(PINS)
    for name in devices_of(scenario, gateway):
        meter = scenario.meters[name]
        profile = profiles[meter.profile]
        at = places.get(name, {})
        buses[name] = _on_pins(next(pins)) if meter.profile == ON_PINS else _bus(at)
        devices[name] = {
            "profile": meter.profile,
            "bus": name,
            "unit_id": at.get("unit_id", meter.unit_id or profile.modbus.unit_id),
            "every_s": dict.fromkeys(profile.groups, every_s),
            "simulated": True,
            **_bin(scenario, meter, since),
        }
    return {
        "gateway": gateway,
        "board": gateway.replace("-", ""),
        "seal_every_s": seal_every_s,
        "spool": {"file": spool},
        "uplink": {"host": "127.0.0.1", "port": broker_port},
        "clock": {"trust": "always"},
        "buses": buses,
        "devices": devices,
    }


def _bin(scenario: Scenario, meter: Meter, since: str) -> dict[str, Any]:
    """The section of a meter that weighs a bin, none for any other."""
    weighed = {f"{name}.gross_kg" for name in scenario.bins}
    loads = [field for field, quantity in meter.fields.items() if quantity in weighed]
    doors = [field for field, quantity in meter.fields.items() if quantity.endswith(".door_open")]
    if not loads:
        return {}
    weight = loads[0]
    said: dict[str, Any] = {"weight": weight}
    said |= {"door": doors[0]} if doors else {}
    said["tare_kg"] = scenario.bins[meter.fields[weight].removesuffix(".gross_kg")].tare_kg
    if meter.load_cell is not None:
        line = {"zero_counts": meter.load_cell.zero_counts, "counts_per_kg": meter.load_cell.counts_per_kg}
        said["calibrations"] = [{"id": "as-built", "from": since, **line}]
    return {"bin": said}


def _on_pins(pins: tuple[int, int, int]) -> dict[str, Any]:
    dout, clock, door = pins
    return {"type": "hx711", "dout_pin": dout, "clock_pin": clock, "door_pin": door, "rate_hz": RATE_HZ}


def _bus(at: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "modbus_tcp", "host": at.get("host", "127.0.0.1"), "port": at.get("port", 502)}


def ingest(*, broker_port: int, shared: bool, store: str, folder: str) -> dict[str, Any]:
    """The configuration of the ingest worker."""
    return {
        "worker": "demo",
        "broker": {"host": "127.0.0.1", "port": broker_port, "shared": shared},
        "store": {"url": store},
        "gateways_file": f"{folder}/gateways.json",
        "dead_letters": f"{folder}/dead",
    }


def added(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Reports of readings, added up: numbers by key, and `missing` by cause."""
    total: dict[str, Any] = {}
    missing: dict[str, int] = {}
    for part in parts:
        for key, number in part.items():
            if key != "missing":
                total[key] = total.get(key, 0) + number
        for cause, number in part["missing"].items():
            missing[cause] = missing.get(cause, 0) + number
    return {**total, "missing": missing}
