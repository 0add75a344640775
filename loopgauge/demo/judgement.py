"""The demo before its judge: readings against the record, indicators against the meters and the physical truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loopgauge.demo.summary import relative_error
from loopgauge.judge import judge_gateway
from rollups.ask import ask
from rollups.library import load_assets, load_catalog
from rollups.report import lines
from series_store.open import open_figures, open_reader
from simulators.truth.figures import TrainFigures, Truth
from simulators.truth.record import Record

TRAIN = "train-1"
AREA = "binhai"


def _true(figures: TrainFigures, indicator: str) -> float | None:
    """What an indicator is by other means than its rule."""
    if indicator == "desalination_recovery":
        return None if figures.recovery is None else 100 * figures.recovery
    return figures.specific_energy_kwh_m3


async def judge_run(
    *, store: str, record: Path, assets: Path, gateway: str, now_ms: int, live: tuple[int, int], tolerance_ms: int
) -> dict[str, Any]:
    """`readings`, `history` and `indicators` of the demo's report. `live` is the period of the indicators, ms UTC."""
    register, catalog = load_assets(assets), load_catalog()
    served = Record.open_readonly(record)
    reader, figures = open_reader(store), open_figures(store, writes=False)
    try:
        readings = await judge_gateway(served, reader, gateway, now_ms=now_ms, tolerance_ms=tolerance_ms)
        found = await ask(
            reader=reader, figures=figures, assets=register, catalog=catalog, from_ms=live[0], to_ms=live[1], area=AREA
        )
        truth = Truth(record=served)
        shown, true = truth.meter_figures(TRAIN, *live), truth.world_figures(TRAIN, *live)
        indicators = [_compared(line, shown, true) for line in lines(found, catalog, register)]
    finally:
        await reader.close()
        await figures.close()
        served.close()
    return {"readings": readings, "history": {}, "indicators": indicators}


def _compared(line: dict[str, Any], shown: TrainFigures, true: TrainFigures) -> dict[str, Any]:
    """One indicator of the report beside the truths."""
    meter_truth, world_truth = _true(shown, line["indicator"]), _true(true, line["indicator"])
    return {
        "id": line["indicator"],
        "area": line["area"],
        "value": line["value"],
        "unit": line["unit"],
        "target": line["target"],
        "completeness": line["completeness"],
        "from": line["from_utc"],
        "to": line["to_utc"],
        "meter_truth": meter_truth,
        "meter_error": relative_error(line["value"], meter_truth),
        "world_truth": world_truth,
        "world_error": relative_error(line["value"], world_truth),
    }
