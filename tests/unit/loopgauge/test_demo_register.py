"""A demo of one's own city: its register follows from the scenario, or the scenario is refused with the mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from loopgauge.cli.main import main
from loopgauge.demo.chosen import ORIGIN, NotForADemo, choose
from loopgauge.demo.register import register
from loopgauge.demo.sites import PINS
from rollups.assets_file import parse_assets
from rollups.library import load_catalog
from simulators.load_scenario import shipped_names
from simulators.truth.figures import not_shown
from simulators.truth.ratios import ratios

TRAIN = "trains:\n  t: {feed_m3_h: 40, recovery: 0.42, brine_used_share: 0.3}\n"
FEED = "  feed: {profile: tuf-2000m, fields: {volume_m3: t.feed.volume_m3}}\n"
PERMEATE = "  made: {profile: tuf-2000m, fields: {volume_m3: t.permeate.volume_m3}}\n"
AGAIN = "  made-too: {profile: tuf-2000m, fields: {volume_m3: t.permeate.volume_m3}}\n"
LOAD = "loads:\n  lamp: {power_w: 60}\n"
LAMP = "  lamp-meter: {profile: eastron-sdm630, fields: {power_w: lamp.power_w}}\n"
CELL = "load_cell: {zero_counts: 1, counts_per_kg: 9}"
CHIP = (
    "  {name}: {{profile: avia-hx711, fields: {{raw_count: b.gross_kg}}, "
    + CELL.replace("{", "{{").replace("}", "}}")
    + "}}\n"
)
BIN = "bins:\n  b: {material: paper, capacity_kg: 100, deposits_per_day: 50, empty_hour: 5}\n"
SERIAL = "lines:\n  bus: {serial: true}\n"


def city(folder: Path, *parts: str) -> str:
    file = folder / "city.yaml"
    file.write_text("scenario: own\n" + "".join(parts), "utf-8")
    return str(file)


def made(name: str) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load(choose(name, seed=None, assets=None).assets)
    return said


def test_the_register_of_the_demos_city_is_the_one_that_a_person_wrote_for_it() -> None:
    chosen = choose("demo", seed=None, assets=None)
    written, derived = yaml.safe_load(chosen.assets), register(chosen.loaded.scenario, ORIGIN)
    roles = {
        (asset["role"], place["gateway"], place["device"], asset.get("use"), asset.get("material"))
        for asset in written["assets"].values()
        for place in asset["places"]
        if not asset["role"].endswith("_quality")
    }
    assert roles == {
        (asset["role"], place["gateway"], place["device"], asset.get("use"), asset.get("material"))
        for asset in derived["assets"].values()
        for place in asset["places"]
    }
    assert derived["areas"].keys() == written["areas"].keys()
    assert derived["zone"] == written["zone"]


@pytest.mark.parametrize("name", [name for name in shipped_names() if name != "bench"])
def test_every_ready_scenario_can_be_shown_and_its_figures_find_their_meters(name: str) -> None:
    chosen = choose(name, seed=5, assets=None)
    scenario = chosen.loaded.scenario
    assert scenario.seed == 5
    assets = parse_assets(chosen.assets.replace(ORIGIN, "2025-01-01"), file="assets.yaml")
    indicators, metered = load_catalog().indicators, not_shown(scenario)
    for ratio in ratios(scenario):
        if metered[ratio.id, ratio.area]:
            continue
        indicator = indicators[ratio.id]
        for totals, terms in ((ratio.over, indicator.numerator), (ratio.under, indicator.denominator)):
            found = [each for term in terms for each in assets.with_role(ratio.area, term.role, 0, 2**52)]
            assert len(found) == len(totals), (ratio.id, ratio.area)


def test_of_two_meters_that_show_one_total_only_the_first_counts(tmp_path: Path) -> None:
    said = made(city(tmp_path, TRAIN, "meters:\n", FEED, PERMEATE, AGAIN))
    assert {name: asset["role"] for name, asset in said["assets"].items()} == {
        "feed": "seawater_feed",
        "made": "permeate",
    }


def test_a_register_of_ones_own_is_taken_as_it_is_written(tmp_path: Path) -> None:
    own = tmp_path / "assets.yaml"
    own.write_text(choose("binhai-desal", seed=None, assets=None).assets + "# mine\n", "utf-8")
    assert choose("binhai-desal", seed=None, assets=own).assets.endswith("# mine\n")


@pytest.mark.parametrize(
    "parts, said",
    [
        ((LOAD, "meters:\n", LAMP), "no indicator follows from it; give it bins, plants, parks or trains"),
        ((TRAIN, "meters:\n", FEED), "begin with one that shows t.permeate.volume_m3"),
        ((TRAIN, SERIAL, "meters:\n", FEED.replace("{", "{line: bus, ", 1), PERMEATE), "lines.bus.serial: "),
        (
            (BIN, "meters:\n", *(CHIP.format(name=f"c{n}") for n in range(len(PINS) + 1))),
            f"meters.c{len(PINS)}.gateway: ",
        ),
    ],
)
def test_a_scenario_that_a_demo_cannot_show_is_refused_with_the_mend(
    tmp_path: Path, parts: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = city(tmp_path, *parts)
    with pytest.raises(NotForADemo):
        choose(file, seed=None, assets=None)
    assert main(["demo", "--scenario", file, "--folder", str(tmp_path / "demo")]) == 2
    told = capsys.readouterr().err
    assert file in told and said in told and told.count("\n") == 1
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (("--scenario", "no-such"), "no-such"),
        (("--every", "2h"), "--every must lie between"),
        (("--history", "0"), "--history must lie between"),
        (("--speed", "0.5"), "--speed must lie between"),
        (("--seed", "-1"), "--seed -1"),
        (("--assets", "/no/such.yaml"), "/no/such.yaml"),
    ],
)
def test_bad_input_is_one_line_and_2(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *words]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_fault_that_was_asked_for_may_let_the_agent_sleep_and_is_no_failure_of_the_line() -> None:
    """A silent device is asked again after a while of real time only, and `nan` and `no_value` are no values."""
    chosen = choose("bad-day", seed=None, assets=None)
    first_ms = round(1000 * min(fault.start_s for fault in chosen.loaded.scenario.faults))
    assert chosen.causes_of_faults(origin_ms=0, to_ms=first_ms) == ()
    begun = chosen.causes_of_faults(origin_ms=0, to_ms=first_ms + 1)
    assert {"timeout", "exception", "invalid", "bus_down", "asleep", "overrun"} == set(begun)
    assert choose("demo", seed=None, assets=None).causes_of_faults(origin_ms=0, to_ms=10**15) == ()
