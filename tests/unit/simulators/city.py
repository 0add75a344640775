"""A second, made-up city with devices of our own making: two bins, a water plant, a park, a train with brine users."""

from __future__ import annotations

from typing import Any

from device_profiles.profile import Profile
from simulators.checked_scenario import CheckedScenario
from simulators.load_scenario import Loaded
from simulators.scenario import Scenario
from simulators.world.world import World
from tests.unit.simulators.plant import FLOW, ORIGIN_MS, PROFILES, field, plant

SCALE = Profile.model_validate(
    {
        "profile": "test-scale",
        "version": 1,
        "title": "weight transmitter",
        "maker": "none",
        "model": "none",
        "kind": "bin",
        "groups": {"main": {"every_s": 10}},
        "fields": {"gross_weight_kg": field(0, "gauge", "kg", table="holding", type="i32", scale=0.1)},
        "verified": {"confidence": "L", "document": "none"},
    }
)

CHIP = Profile.model_validate(
    {
        "profile": "test-chip",
        "version": 1,
        "title": "load-cell converter",
        "maker": "none",
        "model": "none",
        "kind": "bin",
        "groups": {"main": {"every_s": 10}},
        "fields": {
            "raw_count": field(0, "gauge", "1", table="holding", type="i32"),
            "door_open": field(2, "state", "1", table="holding", type="u16"),
        },
        "verified": {"confidence": "L", "document": "none"},
    }
)

CITY_PROFILES = PROFILES | {"test-scale": SCALE, "test-chip": CHIP}

BINS: dict[str, Any] = {
    "tins": {
        "area": "north",
        "material": "cans",
        "capacity_kg": 30,
        "tare_kg": 11,
        "deposits_per_day": 150,
        "empty_at_share": 0.7,
    },
    "rest": {
        "area": "north",
        "role": "residual",
        "material": "mixed",
        "capacity_kg": 90,
        "tare_kg": 20,
        "deposits_per_day": 60,
        "empty_hour": 4,
    },
}


def _flow_meter(flow: str) -> dict[str, Any]:
    return {
        "profile": FLOW.profile,
        "fields": {"volume_m3": f"{flow}.volume_m3", "flow_m3_h": f"{flow}.flow_m3_h"},
        "class_percent": 0.5,
    }


def city(**changes: Any) -> dict[str, Any]:
    """The whole city as a person would write it; `changes` replace whole parts."""
    flows = ["works.treated", "works.dyer", "works.ponds", "tannery.reuse", "tannery.fresh"]
    flows += ["train-1.brine_used", "train-1.brine_outfall"]
    return (
        plant(trains={"train-1": {"area": "south", "feed_m3_h": 250.0, "brine_used_share": 0.3}})
        | {
            "city": "elsewhere",
            "bins": BINS,
            "plants": {
                "works": {
                    "area": "south",
                    "treated_m3_h": 900,
                    "losses_m3_h": 12,
                    "users": {
                        "dyer": {"use": "industry", "flow_m3_h": 210},
                        "ponds": {"use": "landscape", "flow_m3_h": 90, "day": {"swing": 0.4, "peak_hour": 5}},
                    },
                }
            },
            "parks": {"tannery": {"area": "south", "used_m3_h": 120, "reuse_share": 0.9}},
            "meters": plant()["meters"]
            | {flow.replace(".", "-").replace("_", "-"): _flow_meter(flow) for flow in flows}
            | {
                "tins-scale": {
                    "profile": "test-chip",
                    "fields": {"raw_count": "tins.gross_kg", "door_open": "tins.door_open"},
                    "load_cell": {"zero_counts": 84_210, "counts_per_kg": 20_971.5},
                    "class_percent": 1.0,
                },
                "rest-scale": {
                    "profile": "test-scale",
                    "fields": {"gross_weight_kg": "rest.gross_kg"},
                    "class_percent": 0.5,
                },
            },
        }
        | changes
    )


def city_scenario(**changes: Any) -> Scenario:
    return CheckedScenario.model_validate(city(**changes))


def city_loaded(**changes: Any) -> Loaded:
    return Loaded(city_scenario(**changes), CITY_PROFILES)


def city_world(**changes: Any) -> World:
    return World(scenario=city_scenario(**changes), origin_ms=ORIGIN_MS)
