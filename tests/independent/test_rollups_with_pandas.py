"""Hours, days and indicators computed a second time with pandas, from the readings alone and with nothing of ours."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest

from rollups.library import load_catalog
from rollups.worker import Worker
from series_store import names
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.plant import HOUR_MS, MIDNIGHT, RATES, TOTALS, Batch, assets, batches, deliver

ZONE = "Asia/Shanghai"
BEGIN, END = MIDNIGHT - 7 * HOUR_MS, MIDNIGHT + 60 * HOUR_MS
EVERY_S = 60


def uneven() -> list[Batch]:
    """Three days of a plant whose flow wanders, whose stamps jitter, and whose feed meter is off for six hours."""
    chance = random.Random(7)
    totals = dict.fromkeys(TOTALS, 12_345.0)
    last = dict.fromkeys(TOTALS, BEGIN)

    def total(device: str, t_ms: int) -> float:
        pace = RATES[device] * chance.uniform(0.2, 1.8)
        totals[device] += pace * (t_ms - last[device]) / HOUR_MS
        last[device] = t_ms
        return totals[device]

    def running(device: str, t_ms: int) -> bool:
        off = MIDNIGHT + 30 * HOUR_MS <= t_ms < MIDNIGHT + 36 * HOUR_MS
        return not (device == "feed" and off) and chance.random() > 0.01

    sealed = batches(BEGIN, END, total=total, runs=running)
    for batch in sealed:
        for device, columns in batch.readings.items():
            delay = [chance.randrange(0, 900) for _ in columns[TOTALS[device]]]
            for field, column in columns.items():
                columns[field] = [(t + d, v) for (t, v), d in zip(column, delay, strict=True)]
    return sealed


def frame(sealed: list[Batch], device: str) -> pd.Series:
    """The device's totals over its stamps in UTC."""
    readings = [reading for batch in sealed for reading in batch.readings[device][TOTALS[device]]]
    stamps = pd.to_datetime([t for t, _ in readings], unit="ms", utc=True)
    return pd.Series([v for _, v in readings], index=stamps)


def passed(series: pd.Series, edges: pd.DatetimeIndex) -> pd.Series:
    """What passed between successive edges, the total going straight between readings."""
    at = series.reindex(series.index.union(edges)).interpolate("time", limit_area="inside").ffill().bfill()
    return at[edges].diff().shift(-1).iloc[:-1]


def covered_share(series: pd.Series, begin: pd.Timestamp, end: pd.Timestamp) -> float:
    """The share of [begin, end) between readings no more than two and a half intervals apart."""
    starts, ends = series.index[:-1], series.index[1:]
    close = (ends - starts) <= pd.Timedelta(seconds=2.5 * EVERY_S)
    overlap = ends.where(ends < end, end) - starts.where(starts > begin, begin)
    inside: Any = overlap[close & (overlap > pd.Timedelta(0))].sum()
    return float(inside / (end - begin))


@pytest.fixture(scope="module")
def plant() -> tuple[list[Batch], dict[str, list[Any]]]:
    sealed = uneven()

    async def main() -> dict[str, list[Any]]:
        store = StoreTwin()
        for batch in sealed:
            await deliver(store, batch, batch.to_ms * 1000)
        worker = Worker(
            reader=store,
            figures=store,
            assets=assets(zone=ZONE),
            catalog=load_catalog(),
            now_ms=lambda: END + 48 * HOUR_MS,
        )
        while await worker.cycle():
            pass
        kept = (names.ROLLUP_1H, names.ROLLUP_1D, names.INDICATOR)
        return {name: await store.figures(name, {}, 0, 2**43) for name in kept}

    return sealed, run_virtual(main())


def test_every_hour_of_every_meter(plant: tuple[list[Batch], dict[str, list[Any]]]) -> None:
    sealed, rows = plant
    edges = pd.date_range(pd.Timestamp(BEGIN, unit="ms", tz="UTC"), pd.Timestamp(END, unit="ms", tz="UTC"), freq="h")
    compared = 0
    for device, field in TOTALS.items():
        expected = passed(frame(sealed, device), edges)
        counts = frame(sealed, device).resample("h").count()
        for t_ms, tags, cells in rows[names.ROLLUP_1H]:
            stamp = pd.Timestamp(t_ms, unit="ms", tz="UTC")
            if (tags["device"], tags["field"]) == (device, field) and stamp in expected.index:
                assert cells["delta"] == pytest.approx(expected[stamp], rel=1e-9, abs=1e-9)
                assert cells["readings"] == counts[stamp]
                share = covered_share(frame(sealed, device), stamp, stamp + pd.Timedelta(hours=1))
                assert cells["covered_s"] == pytest.approx(3600 * share, abs=0.01)
                compared += 1
    assert compared == 3 * len(edges[:-1])


def test_every_day_in_local_time(plant: tuple[list[Batch], dict[str, list[Any]]]) -> None:
    sealed, rows = plant
    days = pd.date_range("2026-01-01", periods=3, freq="D", tz=ZONE)
    for device, field in TOTALS.items():
        expected = passed(frame(sealed, device), days.tz_convert("UTC"))
        found = {
            pd.Timestamp(t, unit="ms", tz="UTC"): cells
            for t, tags, cells in rows[names.ROLLUP_1D]
            if (tags["device"], tags["field"]) == (device, field)
        }
        for stamp, volume in expected.items():
            assert found[stamp]["delta"] == pytest.approx(volume)


@pytest.mark.parametrize(
    "indicator, factor, above, below",
    [("desalination_recovery", 100, "permeate", "feed"), ("desalination_specific_energy", 1, "energy", "permeate")],
)
def test_every_indicator_is_the_ratio_of_the_sums(
    plant: tuple[list[Batch], dict[str, list[Any]]], indicator: str, factor: float, above: str, below: str
) -> None:
    sealed, rows = plant
    days = pd.date_range("2026-01-01", periods=3, freq="D", tz=ZONE).tz_convert("UTC")
    sums = {device: passed(frame(sealed, device), days) for device in (above, below)}
    found = {
        pd.Timestamp(t, unit="ms", tz="UTC"): cells
        for t, tags, cells in rows[names.INDICATOR]
        if (tags["indicator"], tags["area"], tags["period"]) == (indicator, "city", "1d")
    }
    for stamp in days[:-1]:
        assert found[stamp]["value"] == pytest.approx(factor * sums[above][stamp] / sums[below][stamp])
        day = pd.Timedelta(days=1)
        least = min(covered_share(frame(sealed, device), stamp, stamp + day) for device in (above, below))
        assert found[stamp]["completeness"] == pytest.approx(least, abs=1e-6)
        off = "feed" in (above, below) and stamp == days[1]
        assert (found[stamp]["completeness"] < 0.8) == off
        assert bool(found[stamp]["partial"]) == (found[stamp]["completeness"] < 0.99)
