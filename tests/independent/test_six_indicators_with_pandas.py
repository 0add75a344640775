"""All six indicators of a made-up city computed a second time with pandas, from the raw readings and a table by hand.

The table names devices. Neither the register of assets nor the rules of the indicators are read here.
"""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest

from rollups.ask import ask
from rollups.assets_file import parse_assets
from rollups.figures import Figure
from rollups.library import load_catalog
from rollups.worker import Worker
from series_store import names
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.city import BEGIN, END, ZONE, assets_yaml, at_ms, batches, readings
from tests.unit.rollups.plant import DAY_MS, deliver

TOLD = readings()

BY_HAND: dict[tuple[str, str], tuple[float, list[str], list[str]]] = {
    ("reclaimed_water_utilisation", "lumen"): (100, ["farm", "fountain", "brewery"], ["s1", "s2"]),
    ("reclaimed_water_utilisation", "upper"): (100, ["farm"], ["s1"]),
    ("reclaimed_water_utilisation", "lower"): (100, ["fountain", "brewery"], ["s2"]),
    ("reclaimed_water_utilisation", "docks"): (100, ["brewery"], ["s2"]),
    ("industrial_water_reuse", "lumen"): (100, ["forge-r", "yard-r"], ["forge-r", "yard-r", "forge-f", "yard-f"]),
    ("industrial_water_reuse", "hill"): (100, ["forge-r"], ["forge-r", "forge-f"]),
    ("industrial_water_reuse", "waterfront"): (100, ["yard-r"], ["yard-r", "yard-f"]),
    ("waste_diversion", "lumen"): (100, ["tin", "cloth"], ["tin", "cloth", "rest", "rest2"]),
    ("waste_diversion", "lower"): (100, ["tin"], ["tin", "rest", "rest2"]),
    ("waste_diversion", "market"): (100, ["tin"], ["tin", "rest"]),
    ("desalination_recovery", "lumen"): (100, ["p1", "p2"], ["f1"]),
    ("desalination_recovery", "salt-yard"): (100, ["p1", "p2"], ["f1"]),
    ("desalination_specific_energy", "old-town"): (1, ["e1"], ["p1", "p2"]),
    ("brine_utilisation", "waterfront"): (100, ["b1"], ["b1", "b2"]),
    ("brine_utilisation", "lower"): (100, ["b1"], ["b1", "b2"]),
}
"""(indicator, area) -> factor, devices above, devices below."""

NOT_DEFINED = {
    ("waste_diversion", "upper"),
    ("waste_diversion", "docks"),
    ("desalination_recovery", "docks"),
    ("brine_utilisation", "docks"),
    ("brine_utilisation", "old-town"),
    ("industrial_water_reuse", "old-town"),
    ("reclaimed_water_utilisation", "market"),
}


def frame(device: str) -> pd.Series:
    """The device's total over its stamps in UTC."""
    stamps = pd.to_datetime([t for t, _ in TOLD[device]], unit="ms", utc=True)
    return pd.Series([value for _, value in TOLD[device]], index=stamps)


def passed(devices: list[str], edges: pd.DatetimeIndex) -> pd.Series:
    """What all of them counted between successive edges, each total going straight between its readings."""
    parts = []
    for device in devices:
        line = frame(device)
        at = line.reindex(line.index.union(edges)).interpolate("time", limit_area="inside").ffill().bfill()
        parts.append(at[edges].diff().shift(-1).iloc[:-1])
    whole: pd.Series = pd.concat(parts, axis=1).sum(axis=1)
    return whole


@pytest.fixture(scope="module")
def city() -> tuple[list[tuple[int, dict[str, str], dict[str, Any]]], list[Figure]]:
    """The rows of `indicator` that the worker wrote, and the figures of a day and a half on demand."""

    async def main() -> Any:
        store = StoreTwin()
        sealed = list(batches(TOLD))
        random.Random(3).shuffle(sealed)
        assets = parse_assets(assets_yaml(), file="assets.yaml")
        worker = Worker(
            reader=store, figures=store, assets=assets, catalog=load_catalog(), now_ms=lambda: END + 9 * DAY_MS
        )
        for number, batch in enumerate(sealed, 1):
            await deliver(store, batch, END * 1000 + number)
        while await worker.cycle():
            pass
        begin, end = at_ms("2026-03-07T07:13"), at_ms("2026-03-08T19:47")
        asked = await ask(reader=store, figures=store, assets=assets, catalog=load_catalog(), from_ms=begin, to_ms=end)
        return await store.figures(names.INDICATOR, {}, 0, 2**43), asked

    rows, asked = run_virtual(main())
    return rows, asked


@pytest.mark.parametrize("indicator, area", BY_HAND, ids=lambda part: str(part))
@pytest.mark.parametrize("unit", ["1h", "1d"])
def test_every_hour_and_local_day_of_every_indicator(
    city: tuple[list[Any], list[Figure]], indicator: str, area: str, unit: str
) -> None:
    factor, above, below = BY_HAND[indicator, area]
    if unit == "1d":
        edges = pd.date_range("2026-03-07", periods=4, freq="D", tz=ZONE).tz_convert("UTC")
        assert [length.total_seconds() / 3600 for length in edges.diff()[1:]] == [24, 23, 24]
    else:
        edges = pd.date_range(*(pd.Timestamp(t, unit="ms", tz="UTC").ceil("h") for t in (BEGIN, END)), freq="h")[:-1]
    over, under = passed(above, edges), passed(below, edges)
    found = {
        pd.Timestamp(t, unit="ms", tz="UTC"): cells
        for t, tags, cells in city[0]
        if (tags["indicator"], tags["area"], tags["period"]) == (indicator, area, unit)
    }
    for stamp in edges[:-1]:
        if under[stamp] == 0:
            assert "value" in found[stamp]["void"].split(",")
            continue
        assert found[stamp]["numerator"] == pytest.approx(over[stamp], rel=1e-9, abs=1e-9)
        assert found[stamp]["denominator"] == pytest.approx(under[stamp], rel=1e-9, abs=1e-9)
        assert found[stamp]["value"] == pytest.approx(factor * over[stamp] / under[stamp], rel=1e-9, abs=1e-9)
        assert found[stamp]["low"] - 1e-9 <= found[stamp]["value"] <= found[stamp]["high"] + 1e-9


def test_any_interval_on_demand(city: tuple[list[Any], list[Figure]]) -> None:
    edges = pd.DatetimeIndex(["2026-03-07T07:13", "2026-03-08T19:47"]).tz_localize(ZONE).tz_convert("UTC")
    found = {(figure.indicator, figure.area): figure.value for figure in city[1]}
    for (indicator, area), (factor, above, below) in BY_HAND.items():
        expected = factor * passed(above, edges).iloc[0] / passed(below, edges).iloc[0]
        assert found[indicator, area] == pytest.approx(expected, rel=1e-9), (indicator, area)


def test_an_area_without_the_meters_for_an_indicator_has_no_figure(city: tuple[list[Any], list[Figure]]) -> None:
    kept = {(tags["indicator"], tags["area"]) for _, tags, _ in city[0]}
    assert kept >= set(BY_HAND)
    assert not kept & NOT_DEFINED
