"""A meter with every kind of register, on one train or one bin, for the tests of sensors."""

from __future__ import annotations

from typing import Any

from device_profiles.profile import Profile
from simulators.app import build_units
from simulators.checked_scenario import CheckedScenario
from simulators.devices.unit import Unit
from simulators.load_scenario import Loaded
from simulators.world.world import World
from tests.unit.simulators.plant import ORIGIN_MS, field

DAY_MS = 86_400_000

ALL = Profile.model_validate(
    {
        "profile": "test-all",
        "version": 1,
        "title": "meter",
        "maker": "none",
        "model": "none",
        "kind": "water_meter",
        "groups": {"main": {"every_s": 10}},
        "fields": {
            "flow_m3_h": field(0, "gauge", "m3/h", resolution=1e-6),
            "volume_m3": field(2, "counter", "m3", type="f64", resolution=1e-6),
            "short_m3": field(6, "counter", "m3", type="u16", scale=0.1),
            "long_m3": field(7, "counter", "m3", type="i32", scale=0.001),
            "split_m3": field(9, "counter", "m3", type="i32_f32", resolution=0.001),
            "single_m3": field(13, "counter", "m3"),
            "power_kw": field(15, "gauge", "kW", type="i16", scale=0.1, sentinels=[0x8000]),
            "plain_kw": field(16, "gauge", "kW", type="u16", scale=0.1, range=[0, 40]),
            "working_s": field(17, "counter", "s", type="u32"),
        },
        "verified": {"confidence": "L", "document": "none"},
    }
)

SCALE = Profile.model_validate(
    {
        "profile": "test-scale",
        "version": 1,
        "title": "scale",
        "maker": "none",
        "model": "none",
        "kind": "scale",
        "groups": {"main": {"every_s": 10}},
        "fields": {"gross_kg": field(0, "gauge", "kg", type="f64", resolution=1e-9)},
        "verified": {"confidence": "L", "document": "none"},
    }
)

AT = {name: (spec.address, spec.type.registers) for name, spec in (ALL.fields | SCALE.fields).items()}


def meter(**changes: Any) -> dict[str, Any]:
    """A meter without errors that shows the feed of a train in all of its totals; `changes` are of its entry."""
    totals = ("volume_m3", "short_m3", "long_m3", "split_m3", "single_m3")
    return {
        "profile": "test-all",
        "fields": {"flow_m3_h": "train-1.feed.flow_m3_h"}
        | dict.fromkeys(totals, "train-1.feed.volume_m3")
        | dict.fromkeys(("power_kw", "plain_kw"), "train-1.feed.flow_m3_h"),
        "class_percent": 0,
        "noise_percent": 0,
    } | changes


def made(entry: dict[str, Any], *faults: dict[str, Any], feed_m3_h: float = 36.0) -> tuple[Unit, World]:
    """The unit `m` and its world: a train that takes in 36 m3/h, night and day, unless told otherwise."""
    scenario = CheckedScenario.model_validate(
        {
            "scenario": "test",
            "seed": 3,
            "trains": {"train-1": {"feed_m3_h": feed_m3_h, "day": {"swing": 0, "wander": 0}, "recovery_wander": 0}},
            "bins": {
                "bin-1": {
                    "material": "paper",
                    "capacity_kg": 500,
                    "tare_kg": 20,
                    "deposits_per_day": 20,
                    "empty_hour": 3,
                }
            },
            "meters": {"m": entry},
            "faults": [{"device": "m", **fault} for fault in faults],
        }
    )
    loaded = Loaded(scenario, {"test-all": ALL, "test-scale": SCALE})
    world = World(scenario=scenario, origin_ms=ORIGIN_MS)
    return build_units(loaded, world=world)["m"], world


def value(unit: Unit, name: str, since_s: float) -> float | None:
    """What the registers of `name` show so long after the origin."""
    return shown(unit, name, since_s)[0]


def shown(unit: Unit, name: str, since_s: float) -> tuple[float | None, str]:
    """What the registers of `name` show so long after the origin, and they in hex."""
    ((_, number, words),) = unit.answer(4, *AT[name], ORIGIN_MS + round(since_s * 1000))[1]
    return number, words
