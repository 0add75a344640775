"""A city that nobody thought of when the code was written: areas, names, roles and targets are files, and no more."""

from __future__ import annotations

import asyncio
import json
from importlib import resources
from typing import Any

import pytest
import yaml

from loopgauge.cli.main import main
from series_store.open import open_writer, provision
from tests.unit.rollups.city import ZONE, assets_yaml, at_ms, batches, readings
from tests.unit.rollups.plant import deliver

TOLD = readings()
TARGET = {
    "area": "lumen",
    "value": 12.5,
    "year": 2027,
    "sense": "at_least",
    "nature": "binding",
    "department": "Harbour Board",
    "baseline": {"value": 9, "year": 2021},
    "source": "Lumen Charter of Waters, section 4",
}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The report of a local day of the city, as `loopgauge report` prints it from three files and a store."""
    folder = tmp_path_factory.mktemp("lumen")
    url = f"sqlite:{folder / 'store'}"
    rules = yaml.safe_load(resources.files("rollups").joinpath("indicators.yaml").read_text("utf-8"))
    for indicator in rules["indicators"].values():
        indicator.pop("targets", None)
    rules["indicators"]["reclaimed_water_utilisation"]["targets"] = [TARGET]
    (folder / "indicators.yaml").write_text(yaml.safe_dump(rules, allow_unicode=True), "utf-8")
    (folder / "assets.yaml").write_text(assets_yaml(), "utf-8")

    async def fill() -> None:
        await provision(url)
        writer = open_writer(url)
        for number, batch in enumerate(batches(TOLD), 1):
            await deliver(writer, batch, number)
        await writer.close()

    asyncio.run(fill())
    files = ["--assets", str(folder / "assets.yaml"), "--indicators", str(folder / "indicators.yaml")]
    period = ["--from", "2026-03-08", "--to", "2026-03-09"]
    out = folder / "report.json"
    assert main(["report", "--store", url, *files, *period, "--format", "json", "--out", str(out)]) == 0
    found: list[dict[str, Any]] = json.loads(out.read_text("utf-8"))["figures"]
    return found


def one(figures: list[dict[str, Any]], indicator: str, area: str) -> dict[str, Any]:
    (found,) = [line for line in figures if (line["indicator"], line["area"]) == (indicator, area)]
    return found


def rise(device: str) -> float:
    """What a total rose by in the day, roughly: between the readings nearest to its ends."""
    return _near(device, at_ms("2026-03-09")) - _near(device, at_ms("2026-03-08"))


def _near(device: str, edge_ms: int) -> float:
    return min(TOLD[device], key=lambda reading: abs(reading[0] - edge_ms))[1]


def test_all_six_indicators_have_a_figure_for_the_city(figures: list[dict[str, Any]]) -> None:
    values = {line["indicator"]: line["value"] for line in figures if line["area"] == "lumen"}
    assert len(values) == 6
    expected = 100 * sum(map(rise, ("farm", "fountain", "brewery"))) / sum(map(rise, ("s1", "s2")))
    assert values["reclaimed_water_utilisation"] == pytest.approx(expected, rel=0.01)
    assert all(value is not None and value > 0 for value in values.values())


def test_its_day_is_that_of_its_own_clocks(figures: list[dict[str, Any]]) -> None:
    line = one(figures, "brine_utilisation", "lumen")
    assert line["zone"] == ZONE
    assert (line["from_local"], line["to_local"]) == ("2026-03-08T00:00:00-03:30", "2026-03-09T00:00:00-02:30")


def test_its_own_target_is_shown_and_that_a_day_is_not_the_year(figures: list[dict[str, Any]]) -> None:
    line = one(figures, "reclaimed_water_utilisation", "lumen")
    assert (line["target"], line["target_nature"], line["target_department"]) == (12.5, "binding", "Harbour Board")
    assert (line["baseline"], line["baseline_year"], line["target_met"]) == (9, 2021, True)
    # A day of 23 hours.
    assert line["against"] == "23 hours of 2026 set against the target for 2027"
    assert {line["target"] for line in figures if line["indicator"] != "reclaimed_water_utilisation"} == {None}
