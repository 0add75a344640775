"""The demo before its judge: readings against the record, indicators against the meters and the physical truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from loopgauge.demo.sites import added
from loopgauge.demo.summary import relative_error
from loopgauge.judge import judge_gateway
from rollups.ask import ask
from rollups.library import load_assets, load_catalog
from rollups.report import lines
from series_store.open import open_figures, open_reader
from simulators.truth.figures import TrueFigure, Truth, not_shown
from simulators.truth.record import Record


async def judge_run(
    *,
    store: str,
    record: Path,
    assets: Path,
    gateways: Sequence[str],
    origin_ms: int,
    now_ms: int,
    live: tuple[int, int],
    tolerance_ms: tuple[int, int],
) -> dict[str, Any]:
    """`readings`, `history` and `indicators` of the demo's report.

    Readings that were sampled before `origin_ms` are history. `live` is the period of the indicators, ms UTC;
    `tolerance_ms` is how far a stamp may be from the record's: in the history, and live.
    """
    served, reader = Record.open_readonly(record), open_reader(store)
    scenario = Truth(record=served).scenario
    try:
        judge = partial(judge_gateway, served, reader, now_ms=now_ms)
        history = [await judge(name, to_ms=origin_ms, tolerance_ms=tolerance_ms[0]) for name in gateways]
        readings = [await judge(name, from_ms=origin_ms, tolerance_ms=tolerance_ms[1]) for name in gateways]
    finally:
        await reader.close()
        served.close()
    indicators = await judge_indicators(store=store, record=record, assets=assets, live=live)
    return {
        "readings": added(readings),
        "history": added(history),
        "indicators": indicators,
        "not_judged": [
            {"id": figure, "area": area, "no_meter": list(missing)}
            for (figure, area), missing in not_shown(scenario).items()
            if missing
        ],
    }


async def judge_indicators(*, store: str, record: Path, assets: Path, live: tuple[int, int]) -> list[dict[str, Any]]:
    """Every indicator that is true of the world over `live` (ms UTC), beside what the store says of it."""
    register, catalog = load_assets(assets), load_catalog()
    served, reader, figures = Record.open_readonly(record), open_reader(store), open_figures(store, writes=False)
    try:
        truth = Truth(record=served)
        no_meter = not_shown(truth.scenario)
        true = [figure for figure in truth.indicators(*live) if not no_meter[figure.id, figure.area]]
        found = await ask(
            reader=reader, figures=figures, assets=register, catalog=catalog, from_ms=live[0], to_ms=live[1]
        )
    finally:
        await figures.close()
        await reader.close()
        served.close()
    by_key = {(line["indicator"], line["area"]): line for line in lines(found, catalog, register)}
    return [_compared(by_key.get((figure.id, figure.area), {}), figure) for figure in true]


def _compared(line: dict[str, Any], true: TrueFigure) -> dict[str, Any]:
    """One indicator of the report beside the truths; without a `line` there is no value."""
    value = line.get("value")
    return {
        "id": true.id,
        "area": true.area,
        "title": line.get("title", true.id),
        "area_title": line.get("area_title", true.area),
        "value": value,
        "unit": line.get("unit"),
        "target": line.get("target"),
        "completeness": line.get("completeness"),
        "from": line.get("from_utc"),
        "to": line.get("to_utc"),
        "meter_truth": true.meter,
        "meter_low": true.meter_low,
        "meter_high": true.meter_high,
        "meter_error": relative_error(value, true.meter),
        "world_truth": true.world,
        "world_error": relative_error(value, true.world),
        "class_percent": true.class_percent,
    }
