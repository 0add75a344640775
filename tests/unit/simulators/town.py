"""A town with all that a city may have: areas, days, weather, bins with a body, vehicles, stations, a plant."""

from __future__ import annotations

import json
from typing import Any

from simulators.checked_scenario import CheckedScenario
from simulators.scenario import Scenario
from simulators.world.world import World
from tests.unit.simulators.plant import plant

MIDNIGHT_MS = 1_767_196_800_000
"""2026-01-01 00:00 at UTC+8, a Thursday."""
DAY_MS = 86_400_000

CALENDAR: dict[str, Any] = {
    "holidays": [
        {"title": "New Year", "first": "2026-01-01", "last": "2026-01-03"},
        {"title": "Spring Festival", "first": "2026-02-15", "last": "2026-02-23"},
    ],
    "working_days": ["2026-01-04", "2026-02-14", "2026-02-28"],
}
BODY: dict[str, Any] = {"area_m2": 0.6, "height_mm": 1100, "cone_mm": 150}
SPOT: dict[str, Any] = {
    "area": "lane",
    "material": "paper",
    "capacity_kg": 150,
    "tare_kg": 20,
    "deposits_per_day": 60,
    "body": BODY,
}
WORKS: dict[str, Any] = {
    "area": "hill",
    "treated_m3_h": 800,
    "losses_m3_h": 30,
    "users": {
        "mill": {"use": "industry", "flow_m3_h": 200, "weekend": 0.7},
        "streets": {"use": "municipal", "flow_m3_h": 60},
        "lawn": {"use": "landscape", "flow_m3_h": 70},
        "brook": {"use": "ecological", "flow_m3_h": 120},
    },
    "process": {
        "population": 80_000,
        "runoff_m3_per_mm": 900,
        "storage": {"volume_m3": 3000},
    },
}


def town(**changes: Any) -> dict[str, Any]:
    """The whole town as a person would write it; `changes` replace whole parts."""
    return (
        plant(trains={"train-1": {"area": "hill", "feed_m3_h": 250.0}})
        | {
            "city": "town",
            "areas": {"town": {"areas": {"lane": {"title": "Lane"}, "hill": {"areas": {"top": {}}}}}},
            "calendar": CALENDAR,
            "weather": {},
            "bins": {
                "paper-1": SPOT,
                "paper-2": SPOT | {"open": [{"from_hour": 7, "to_hour": 9}, {"from_hour": 18, "to_hour": 20.5}]},
                "glass-1": SPOT | {"material": "glass", "capacity_kg": 300, "deposits_per_day": 40},
                "rest-1": SPOT | {"material": "mixed", "role": "residual", "area": "top", "empty_hour": 4.5},
            },
            "vehicles": {
                "cart": {
                    "area": "lane",
                    "collects": ["paper-1", "paper-2", "glass-1"],
                    "station": "yard",
                    "hours": [5.5, 14.0],
                    "capacity_kg": 160,
                    "tare_kg": 900,
                },
                "truck": {
                    "area": "hill",
                    "collects": ["yard"],
                    "station": "plant-1",
                    "hours": [16.5],
                    "days": ["monday", "thursday"],
                },
            },
            "stations": {"yard": {"area": "lane"}, "plant-1": {"area": "hill", "tier": "sorting"}},
            "plants": {"works": WORKS},
        }
        | changes
    )


def town_scenario(**changes: Any) -> Scenario:
    return CheckedScenario.model_validate_json(json.dumps(town(**changes)))


def town_world(origin_ms: int = MIDNIGHT_MS, **changes: Any) -> World:
    return World(scenario=town_scenario(**changes), origin_ms=origin_ms)
