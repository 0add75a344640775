"""From registers and counts to the six figures of the demo's city: each mistake that a person can plant moves a figure.

The registers are made here with struct, the truth by a table of devices; profiles, the bin's rule, the register of
assets and the rollups are those that ship.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from itertools import combinations

import pytest
import yaml

from data_contract.calibration import Calibration
from data_contract.reading import Quality
from device_profiles.library import Library
from device_profiles.profile import Profile, WordOrder
from device_profiles.registers import decoders
from edge_agent.ports import Civil
from edge_agent.weigh.bin import BinMeter, BinRule
from rollups.ask import ask
from rollups.assets_file import parse_assets
from rollups.library import load_catalog
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.plant import HOUR_MS, MIDNIGHT, Batch, deliver

EVERY_MS = 1_800_000
FROM, TO = MIDNIGHT, MIDNIGHT + 24 * HOUR_MS
SLOTS = range(MIDNIGHT - HOUR_MS, TO + HOUR_MS, EVERY_MS)
ERROR_MAX = 0.001

ASSETS = resources.files("loopgauge.demo").joinpath("assets.yaml").read_text("utf-8").replace("{origin}", "2025-01-01")

PACES = {
    "treated-meter": 2100.0,
    "reclaimed-meter": 1150.0,
    "steel-meter": 420.0,
    "power-plant-meter": 310.0,
    "park-meter": 90.0,
    "river-meter": 230.0,
    "mill-reuse-meter": 1900.0,
    "mill-fresh-meter": 120.0,
    "feed-meter": 40.0,
    "permeate-meter": 17.0,
    "energy-meter": 50.0,
    "brine-users-meter": 8.0,
    "brine-outfall-meter": 15.0,
}
"""Device -> m3 or kWh in an hour."""
BAGS = {"bin-paper": 1.1, "bin-plastic": 0.3, "bin-glass": 0.7, "bin-residual": 1.6}
"""Device -> kg that are put in at most slots."""
EMPTIED = {FROM + 7 * HOUR_MS, FROM + 19 * HOUR_MS}
GATEWAYS = {"nankai-1": ("bin",), "jizhou-1": ("treated", "reclaimed", "steel", "power", "park", "river", "mill")}

TRUTH = {
    "reclaimed_water_utilisation": (
        100,
        ["steel-meter", "power-plant-meter", "park-meter", "river-meter"],
        ["treated-meter"],
    ),
    "industrial_water_reuse": (100, ["mill-reuse-meter"], ["mill-reuse-meter", "mill-fresh-meter"]),
    "waste_diversion": (100, ["bin-paper", "bin-plastic", "bin-glass"], list(BAGS)),
    "desalination_recovery": (100, ["permeate-meter"], ["feed-meter"]),
    "desalination_specific_energy": (1, ["energy-meter"], ["permeate-meter"]),
    "brine_utilisation": (100, ["brine-users-meter"], ["brine-users-meter", "brine-outfall-meter"]),
}

Readings = dict[str, dict[str, list[tuple[int, float]]]]


def gateway_of(device: str) -> str:
    return next((name for name, firsts in GATEWAYS.items() if device.split("-")[0] in firsts), "binhai-1")


def total(device: str, t_ms: int) -> float:
    """A flow that wanders by a tenth over the day, on top of years."""
    hours = (t_ms - SLOTS[0]) / HOUR_MS
    return 70_000.25 + PACES[device] * (hours + 0.4 * math.sin(2 * math.pi * hours / 24))


def bags(device: str, t_ms: int) -> float:
    """What was put in at a slot, kg: nothing at an emptying and in the night."""
    hour = (t_ms - FROM) / HOUR_MS
    return 0.0 if t_ms in EMPTIED or not 6 <= hour <= 22 else BAGS[device] * (1 + t_ms // EVERY_MS % 3)


def counted(device: str) -> float:
    """What truly passed in [FROM, TO)."""
    if device in BAGS:
        return math.fsum(bags(device, t) for t in SLOTS if FROM < t <= TO)
    return total(device, TO) - total(device, FROM)


def truth() -> dict[str, float]:
    return {
        name: factor * math.fsum(map(counted, above)) / math.fsum(map(counted, below))
        for name, (factor, above, below) in TRUTH.items()
    }


def meter_words(profile: str, value: float) -> tuple[int, ...]:
    """The registers of a total, as the meters' manuals describe them."""
    if profile == "eastron-sdm630":
        return struct.unpack(">2H", struct.pack(">f", value))
    long, real = (struct.unpack(">2H", struct.pack(f, v)) for f, v in ((">i", int(value)), (">f", value % 1)))
    return (*long[::-1], *real[::-1])


def read_meters(profiles: Mapping[str, Profile]) -> Readings:
    """What an agent with these profiles makes of the registers."""
    found: Readings = {}
    for device in PACES:
        name = "eastron-sdm630" if device == "energy-meter" else "tuf-2000m"
        field = "energy_import_kwh" if device == "energy-meter" else "volume_m3"
        decode = decoders(profiles[name])[field]
        values = [(t, decode(meter_words(name, total(device, t)))) for t in SLOTS]
        good = [(t, v.value) for t, v in values if v.value is not None and v.quality <= Quality.UNCERTAIN]
        found[device] = {field: good}
    return found


def weigh_bins(spans: Mapping[str, float]) -> Readings:
    """What an agent makes of the counts of load cells, with these factors on the true span in its site file."""
    found: Readings = {}
    for device in BAGS:
        zero, counts_per_kg, content = 84_210.0, 20_000.0, 3.0
        said = {"id": "a", "from": datetime(2025, 1, 1, tzinfo=UTC), "zero_counts": zero}
        line = Calibration.model_validate(said | {"counts_per_kg": counts_per_kg * spans.get(device, 1.0)})
        rule = BinRule(
            tare_kg=0, least_kg=0.04, emptying_kg=5, steady_samples=1, steady_span_kg=0.1, calibrations=(line,)
        )
        meter, told = BinMeter(rule), []
        for t in SLOTS:
            content = 0.0 if t in EMPTIED else content + bags(device, t)
            raw = round(zero + counts_per_kg * content)
            told.append((t, meter.weigh(raw, door_open=False, civil=Civil(t, trusted=True))[1]))
        found[device] = {"mass_in_kg": told}
    return found


def filled(readings: Readings) -> StoreTwin:
    """A store with all of it, from three gateways."""
    kinds = dict.fromkeys(PACES, "water_meter") | dict.fromkeys(BAGS, "bin") | {"energy-meter": "energy_meter"}
    store = StoreTwin()

    async def fill() -> None:
        for number, gateway in enumerate(("nankai-1", "jizhou-1", "binhai-1"), 1):
            own = {device: columns for device, columns in readings.items() if gateway_of(device) == gateway}
            batch = Batch(1, SLOTS[0], SLOTS[-1] + 1, own, gateway=gateway, run=gateway, kinds=kinds)
            await deliver(store, batch, number)

    run_virtual(fill())
    return store


def figures(store: StoreTwin, register: str = ASSETS) -> dict[str, float | None]:
    """The six figures of the whole city over the day."""
    assets = parse_assets(register, file="assets.yaml")
    found = run_virtual(
        ask(
            reader=store,
            figures=store,
            assets=assets,
            catalog=load_catalog(),
            from_ms=FROM,
            to_ms=TO,
            area=next(iter(assets.areas)),
        )
    )
    return {figure.indicator: figure.value for figure in found}


def wrong(found: Mapping[str, float | None]) -> set[str]:
    """The indicators that are not within a thousandth of the truth."""
    return {name for name, true in truth().items() if not abs((found[name] or 0.0) / true - 1) <= ERROR_MAX}


@cache
def profiles() -> dict[str, Profile]:
    return {name: Library().load(name) for name in ("tuf-2000m", "eastron-sdm630")}


@cache
def as_shipped() -> StoreTwin:
    return filled(read_meters(profiles()) | weigh_bins({}))


def test_all_six_figures_of_the_demo_are_what_truly_passed() -> None:
    assert set(truth()) == set(load_catalog().indicators)
    assert wrong(figures(as_shipped())) == set()


@cache
def roles() -> dict[str, str]:
    return {name: asset["role"] for name, asset in yaml.safe_load(ASSETS)["assets"].items()}


def with_swapped(one: str, other: str) -> str:
    """The register with the roles of two assets exchanged."""
    own = roles()
    text = ASSETS
    for name, role in ((one, own[other]), (other, own[one])):
        text, changed = re.subn(rf"(\n  {name}:\n(?:    .*\n)*?    role: )\w+", rf"\g<1>{role}", text)
        assert changed == 1
    return text


UNCOUNTED = {"reclaimed_supply", "reclaimed_quality", "brine_quality"}
PAIRS = [
    (one, other)
    for one, other in combinations(roles(), 2)
    # Two of one role are the same either way, and so are two that no indicator counts.
    if roles()[one] != roles()[other] and not {roles()[one], roles()[other]} <= UNCOUNTED
]


def test_no_two_roles_can_be_swapped_without_a_wrong_figure() -> None:
    assert len(PAIRS) > 150
    unseen = [pair for pair in PAIRS if not wrong(figures(as_shipped(), with_swapped(*pair)))]
    assert unseen == []


def other_orders() -> list[tuple[str, WordOrder]]:
    return [(name, order) for name, own in profiles().items() for order in WordOrder if order != own.modbus.word_order]


@pytest.mark.parametrize("name, order", other_orders())
def test_a_wrong_word_order_in_the_agent_s_copy_of_a_profile_is_a_wrong_figure(name: str, order: WordOrder) -> None:
    own = profiles()[name]
    mutant = own.model_copy(update={"modbus": own.modbus.model_copy(update={"word_order": order})})
    assert wrong(figures(filled(read_meters(profiles() | {name: mutant}) | weigh_bins({}))))


@pytest.mark.parametrize("name, field", [("tuf-2000m", "volume_m3"), ("eastron-sdm630", "energy_import_kwh")])
def test_a_wrong_scale_in_the_agent_s_copy_of_a_profile_is_a_wrong_figure(name: str, field: str) -> None:
    own = profiles()[name]
    scaled = own.fields[field].model_copy(update={"scale": own.fields[field].scale * 1.01})
    mutant = own.model_copy(update={"fields": {**own.fields, field: scaled}})
    # All volumes alike cancel in a share; energy per volume shows it.
    found = wrong(figures(filled(read_meters(profiles() | {name: mutant}) | weigh_bins({}))))
    assert "desalination_specific_energy" in found


@pytest.mark.parametrize("device", BAGS)
@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_wrong_span_of_one_scale_is_a_wrong_figure(device: str, factor: float) -> None:
    assert wrong(figures(filled(read_meters(profiles()) | weigh_bins({device: factor})))) == {"waste_diversion"}
