"""A town that cannot be is refused before anything is served, with the line, the key and the mend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from device_profiles.library import Library
from simulators.checked_scenario import CheckedScenario
from simulators.load_scenario import load_scenario
from simulators.truth.figures import Truth
from simulators.truth.ratios import ratios
from simulators.truth.record import Record, RecordWriter
from simulators.world.world import World
from tests.unit.simulators.test_scenario import refusal
from tests.unit.simulators.town import DAY_MS, MIDNIGHT_MS, town_scenario

GOOD = """\
scenario: town
city: town
areas:
  town:
    areas:
      lane: {title: Lane}
      hill: {}
calendar:
  holidays:
    - {title: New Year, first: 2026-01-01, last: 2026-01-03}
    - {first: 2026-02-15, last: 2026-02-23}
  working_days: [2026-01-04]
weather:
  rain: {events_per_year: 60}
bins:
  paper:
    area: lane
    material: paper
    capacity_kg: 150
    deposits_per_day: 60
    body: {area_m2: 0.6, height_mm: 1100}
    open:
      - {from_hour: 7, to_hour: 9}
      - {from_hour: 18, to_hour: 20}
  rest:
    area: hill
    material: mixed
    capacity_kg: 150
    deposits_per_day: 60
    empty_hour: 4
vehicles:
  cart:
    area: lane
    collects: [paper]
    station: yard
    hours: [6, 13]
  truck:
    area: lane
    collects: [yard]
    station: sorting
    hours: [16]
stations:
  yard: {area: lane}
  sorting: {area: hill, tier: sorting}
plants:
  works:
    area: hill
    treated_m3_h: 800
    losses_m3_h: 30
    users:
      mill: {use: industry, flow_m3_h: 300}
    process:
      population: 80000
      network: {drop_bar: 1.2}
      storage: {volume_m3: 3000}
meters:
  scale:
    profile: laumas-tlb4
    fields: {gross_weight_kg: paper.gross_kg, net_weight_kg: cart.load_kg}
"""


WEATHER = "weather:\n  rain: {events_per_year: 60}\n"


def load(folder: Path, text: str = GOOD) -> World:
    path = folder / "town.yaml"
    path.write_text(text)
    return World(scenario=load_scenario(path, Library().load).scenario, origin_ms=MIDNIGHT_MS)


def test_a_good_town_is_loaded_and_has_exactly_the_quantities_that_it_says(tmp_path: Path) -> None:
    world = load(tmp_path)
    path = tmp_path / "town.yaml"
    assert set(world.names) == load_scenario(path, Library().load).scenario.quantities()
    assert set(World(scenario=town_scenario(), origin_ms=0).names) == town_scenario().quantities()
    for name in ("weather.rain_mm", "paper.level_mm", "yard.weighbridge.net_kg", "works.storage.level_m"):
        assert name in world.names


@pytest.mark.parametrize(
    "good, bad, line, key, said",
    [
        ("capacity_kg: 150", "capacity_kg: -1", 19, "bins.paper.capacity_kg", "more than 0"),
        ("volume_m3: 3000", "volume_m3: -3000", 55, "plants.works.process.storage.volume_m3", "more than 0"),
        ("area_m2: 0.6", "area_m2: -0.6", 21, "bins.paper.body.area_m2", "more than 0"),
        ("{title: Lane}", "{titel: Lane}", 6, "areas.town.areas.lane.titel", "title"),
        ("    area: lane\n    material", "    area: lain\n    material", 17, "bins.paper.area", "did you mean lane?"),
        ("    area: hill\n    material: mixed", "    material: mixed", 25, "bins.rest", "no area 'site'"),
        ("hill: {}", "hill: {areas: {lane: {}}}", 7, "areas.town.areas.hill.areas.lane", "already"),
        ("city: town", "city: lane", 2, "city", "there is town"),
        ("first: 2026-02-15", "first: 2026-01-03", 11, "calendar.holidays[1].first", "overlaps holidays[0]"),
        ("last: 2026-02-23", "last: 2026-02-03", 11, "calendar.holidays[1].last", "another last day"),
        ("last: 2026-02-23", "last: 9999-02-23", 11, "calendar.holidays[1].last", "are not 1 to 400 days"),
        ("working_days: [2026-01-04]", "working_days: [2026-01-02]", 12, "calendar.working_days[0]", "is a holiday"),
        (
            "calendar:",
            "calendar:\n  years: [2025]",
            11,
            "calendar.holidays[0].first",
            "2026-01-01 does not lie in 2025",
        ),
        (
            "working_days: [2026-01-04]",
            "working_days: [2027-01-04]\n  years: [2026]",
            12,
            "calendar.working_days[0]",
            "add its",
        ),
        ("first: 2026-02-15", "first: 2026-02-30", 11, "calendar.holidays[1].first", "date"),
        ("from_hour: 18", "from_hour: 8.5", 24, "bins.paper.open[1].from_hour", "overlaps open[0]"),
        ("from_hour: 18, to_hour: 20", "from_hour: 22, to_hour: 5", 24, "bins.paper.open[1].to_hour", "two windows"),
        ("collects: [paper]", "collects: [papr]", 34, "vehicles.cart.collects[0]", "did you mean paper?"),
        ("collects: [paper]", "collects: [paper, rest]", 25, "bins.rest", "at an hour and by a vehicle"),
        ("    empty_hour: 4\n", "", 25, "bins.rest", "let a vehicle collect it"),
        ("collects: [yard]", "collects: [paper]", 39, "vehicles.truck.collects[0]", "already collected by cart"),
        ("station: sorting", "station: yard", 39, "vehicles.truck.collects[0]", "does not go up"),
        ("station: yard", "station: yad", 35, "vehicles.cart.station", "did you mean yard?"),
        ("hours: [6, 13]", "hours: [6, 23.5]", 36, "vehicles.cart.hours", "past midnight; begin before 23.08"),
        ("hours: [6, 13]", "hours: [6, 6.5]", 36, "vehicles.cart.hours", "leave 0.9167 h between"),
        ("    empty_hour: 4\n", "    empty_hour: 4\n    utc_offset_h: 3\n", 31, "bins.rest.utc_offset_h", "UTC+8"),
        ("flow_m3_h: 300", "flow_m3_h: 900", 48, "plants.works.treated_m3_h", "lower the flows of the users"),
        ("volume_m3: 3000", "volume_m3: 10", 55, "plants.works.process.storage.volume_m3", "would do"),
        ("      storage: {volume_m3: 3000}\n", "", 52, "plants.works.process", "add storage: {volume_m3: "),
        ("drop_bar: 1.2", "drop_bar: 4.5", 54, "plants.works.process.network.drop_bar", "keep it below 4"),
        (
            "population: 80000",
            "population: 80000\n      capacity_m3_h: 500",
            54,
            "plants.works.process.capacity_m3_h",
            "raise it",
        ),
        ("mill: {use", "product: {use", 51, "plants.works.users.product", "rename the user"),
        (
            "losses_m3_h: 30",
            "losses_m3_h: 30\n    day: {swing: 0.3}",
            50,
            "plants.works.day.swing",
            "follows from process",
        ),
        (
            "flow_m3_h: 300",
            "flow_m3_h: 300, day: {utc_offset_h: 1}",
            51,
            "plants.works.users.mill.day.utc_offset_h",
            "UTC+8",
        ),
        (WEATHER, "", 52, "plants.works.process.runoff_m3_per_mm", "no weather"),
        ("cart.load_kg", "cart.lode_kg", 59, "meters.scale.fields.net_weight_kg", "did you mean cart.load_kg?"),
        ("  yard: {area: lane}", "  paper: {area: lane}\n  yard: {area: lane}", 43, "stations.paper", "already a bin"),
        ("  rest:\n", "  weather:\n", 25, "bins.weather", "name of the world itself"),
    ],
)
def test_a_town_that_cannot_be_is_refused(tmp_path: Path, good: str, bad: str, line: int, key: str, said: str) -> None:
    assert good in GOOD
    text = GOOD.replace(good, bad, 1)
    if "runoff" in key:
        text = text.replace("population: 80000", "population: 80000\n      runoff_m3_per_mm: 5")
    refused = refusal(tmp_path, text)
    assert refused.startswith(f":{line}: {key}"), refused
    assert said in refused, refused


def test_a_store_that_is_said_to_do_does(tmp_path: Path) -> None:
    bad = GOOD.replace("volume_m3: 3000", "volume_m3: 10")
    mend = refusal(tmp_path, bad).rpartition("; ")[2].removesuffix(" would do")
    load(tmp_path, GOOD.replace("volume_m3: 3000", f"volume_m3: {mend}"))


def test_what_a_record_keeps_of_a_town_is_the_same_town(tmp_path: Path) -> None:
    ro = {"train-1": {"area": "hill", "feed_m3_h": 40, "ro": {}}}
    west = {"calendar": {"utc_offset_h": -5}}
    for scenario in (
        town_scenario(),
        town_scenario(**west),
        town_scenario(trains=ro),
        town_scenario(seed=3).model_copy(update={"seed": 4}),
    ):
        written = scenario.model_dump_json(exclude_unset=True)
        texts = (written,) if '"ro"' in written else (written, scenario.model_dump_json())
        for text in texts:
            again = CheckedScenario.model_validate_json(text)
            assert again == scenario
            worlds = [World(scenario=each, origin_ms=MIDNIGHT_MS) for each in (scenario, again)]
            for name in ("works.mill.flow_m3_h", "paper-1.content_kg", "train-1.permeate.volume_m3"):
                one, other = (world.value(name, MIDNIGHT_MS + 3 * DAY_MS) for world in worlds)
                assert one == other > 0.0


def test_each_area_has_the_figures_of_all_below_it() -> None:
    found = {(ratio.id, ratio.area): ratio for ratio in ratios(town_scenario())}
    assert {area for what, area in found if what == "waste_diversion"} == {"town", "lane", "hill", "top"}
    assert found["waste_diversion", "hill"].under == ("rest-1.mass_in_kg",)
    assert len(found["waste_diversion", "town"].under) == 4
    assert found["desalination_recovery", "town"] != found["desalination_recovery", "hill"]
    assert ("desalination_recovery", "lane") not in found
    used = found["reclaimed_water_utilisation", "town"]
    assert used.under == ("works.treated.volume_m3",) and "works.mill.volume_m3" in used.over


def test_the_true_figures_of_a_town_are_those_of_its_world(tmp_path: Path) -> None:
    scenario, path = town_scenario(), tmp_path / "record.db"
    writer = RecordWriter(path=path)
    writer.open({"scenario": scenario.model_dump_json(exclude_unset=True), "origin_ms": str(MIDNIGHT_MS)})
    writer.close()
    record = Record.open_readonly(path)
    truth = Truth(record=record)
    end_ms = MIDNIGHT_MS + 7 * DAY_MS
    figures = {(each.id, each.area): each for each in truth.indicators(MIDNIGHT_MS, end_ms)}
    used = sum(truth.world.value(f"works.{user}.volume_m3", end_ms) for user in ("mill", "streets", "lawn", "brook"))
    share = figures["reclaimed_water_utilisation", "hill"].world
    assert share == pytest.approx(100 * used / truth.world.value("works.treated.volume_m3", end_ms), rel=1e-12)
    assert share is not None and 30 < share < 60
    diverted = figures["waste_diversion", "town"].world
    assert diverted is not None and 50 < diverted < 95
    assert figures["waste_diversion", "lane"].world == 100.0
    record.close()


_PRINT = """
import hashlib, json
from tests.unit.simulators.town import MIDNIGHT_MS, town_world
world = town_world()
seen = [(name, world.value(name, MIDNIGHT_MS + n * 3_777_777)) for name in sorted(world.names) for n in range(300)]
print(hashlib.sha256(repr(seen).encode()).hexdigest())
"""


def test_one_seed_is_one_town_in_every_process() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-c", _PRINT],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "77")
    ]
    assert len(printed[0]) == 65
    assert printed[0] == printed[1]


@pytest.mark.parametrize("name", sorted(town_scenario().quantities()))
def test_a_column_is_what_asking_one_by_one_gives(name: str) -> None:
    world = _WORLD
    t_ms = np.sort(np.random.default_rng(3).integers(MIDNIGHT_MS - DAY_MS, MIDNIGHT_MS + 9 * DAY_MS, 150))
    one_by_one = [world.value(name, int(t)) for t in t_ms]
    assert world.column(name, t_ms) == pytest.approx(one_by_one, rel=1e-12, abs=1e-9)
    assert world.column(name, t_ms[:0]).size == 0


_WORLD = World(scenario=town_scenario(), origin_ms=MIDNIGHT_MS)
