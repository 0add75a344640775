"""A small plant with devices of our own making, so that these tests do not lean on the catalog."""

from __future__ import annotations

from typing import Any

from device_profiles.profile import Profile
from simulators.app import build_units
from simulators.checked_scenario import CheckedScenario
from simulators.devices.unit import Unit
from simulators.load_scenario import Loaded
from simulators.scenario import Scenario
from simulators.world.world import World

ORIGIN_MS = 1_760_000_000_000
HOUR_MS = 3_600_000


def field(address: int, kind: str, unit: str, **more: Any) -> dict[str, Any]:
    return {"table": "input", "address": address, "type": "f32", "kind": kind, "unit": unit, **more}


ENERGY = Profile.model_validate(
    {
        "profile": "test-energy",
        "version": 1,
        "title": "energy meter",
        "maker": "none",
        "model": "none",
        "kind": "energy_meter",
        "modbus": {"even_only": True, "registers_max": 80},
        "groups": {"main": {"every_s": 10}},
        "fields": {
            "voltage_l1_v": field(0x00, "gauge", "V", resolution=0.1),
            "voltage_l2_v": field(0x02, "gauge", "V", resolution=0.1),
            "voltage_l3_v": field(0x04, "gauge", "V", resolution=0.1),
            "current_l1_a": field(0x06, "gauge", "A"),
            "current_l2_a": field(0x08, "gauge", "A"),
            "current_l3_a": field(0x0A, "gauge", "A"),
            "power_w": field(0x34, "gauge", "W", resolution=0.1),
            "power_factor": field(0x3E, "gauge", "1", resolution=0.001),
            "frequency_hz": field(0x46, "gauge", "Hz"),
            "energy_kwh": field(0x48, "counter", "kW.h"),
        },
        "forbidden": [{"table": "input", "first": 0x60, "last": 0x63}],
        "verified": {"confidence": "L", "document": "none"},
    }
)

FLOW = Profile.model_validate(
    {
        "profile": "test-flow",
        "version": 1,
        "title": "flow meter",
        "maker": "none",
        "model": "none",
        "kind": "water_meter",
        "modbus": {"word_order": "CDAB"},
        "groups": {"main": {"every_s": 10}},
        "fields": {
            "flow_m3_h": field(0, "gauge", "m3/h", table="holding", resolution=0.001),
            "velocity_m_s": field(4, "gauge", "m/s", table="holding", resolution=0.001),
            "volume_m3": field(8, "counter", "m3", table="holding", type="i32_f32", resolution=0.001),
            "error_bits": field(71, "state", "1", table="holding", type="u16"),
            "signal_quality": field(91, "gauge", "1", table="holding", type="u16", mask=0xFF, range=[0, 99]),
        },
        "verified": {"confidence": "L", "document": "none"},
    }
)

PROFILES = {"test-energy": ENERGY, "test-flow": FLOW}


def plant(**changes: Any) -> dict[str, Any]:
    """One train with three meters on one line, as a person would write it; `changes` replace whole parts."""
    feed, permeate, energy = "train-1.feed", "train-1.permeate", "train-1.energy"
    return {
        "scenario": "test",
        "seed": 7,
        "trains": {"train-1": {"feed_m3_h": 250.0}},
        "lines": {"line-1": {}},
        "meters": {
            "feed-meter": {
                "profile": "test-flow",
                "line": "line-1",
                "unit_id": 1,
                "fields": {"volume_m3": f"{feed}.volume_m3", "flow_m3_h": f"{feed}.flow_m3_h"},
                "start": {"volume_m3": 12_345.0},
            },
            "permeate-meter": {
                "profile": "test-flow",
                "line": "line-1",
                "unit_id": 2,
                "fields": {"volume_m3": f"{permeate}.volume_m3", "flow_m3_h": f"{permeate}.flow_m3_h"},
            },
            "energy-meter": {
                "profile": "test-energy",
                "fields": {"energy_kwh": f"{energy}.energy_kwh", "power_w": f"{energy}.power_w"},
                "start": {"energy_kwh": 1000.0},
            },
        },
    } | changes


def scenario(**changes: Any) -> Scenario:
    return CheckedScenario.model_validate(plant(**changes))


def loaded(**changes: Any) -> Loaded:
    return Loaded(scenario(**changes), PROFILES)


def units(**changes: Any) -> dict[str, Unit]:
    plan = loaded(**changes)
    return build_units(plan, world=World(scenario=plan.scenario, origin_ms=ORIGIN_MS))


def fault(what: str, device: str = "energy-meter", **more: Any) -> dict[str, Any]:
    return {"device": device, "what": what, "start_s": 100, "duration_s": 50, **more}
