"""Figures over any interval, on demand: from readings, or from the hours in the store where the interval is long."""

from __future__ import annotations

from collections.abc import Sequence

from rollups.assets import Assets
from rollups.catalog import Catalog, Indicator
from rollups.figures import Figure, evaluate
from rollups.gather import Hours, Readings, Source, index_of, meter_sums, timelines_of
from rollups.measure import counter_fields
from series_store.port import FigureStore, Reader

READINGS_MS_MAX = 40 * 86_400_000
"""A longer interval is computed from the hours in the store: reading it again would take minutes."""


async def ask(
    *,
    reader: Reader,
    figures: FigureStore,
    assets: Assets,
    catalog: Catalog,
    from_ms: int,
    to_ms: int,
    area: str | None = None,
) -> list[Figure]:
    """Every indicator over exactly [from_ms, to_ms), ms UTC, in one area, or in all that have a meter for it.

    For an area that is named, an indicator that it has no meters for is a figure without a value, with the reason.
    Raises Unavailable.
    """
    index = await index_of(reader)
    timelines = await timelines_of(reader, {gateway for gateway, _ in assets.devices()})
    readings = Readings(reader=reader, assets=assets, timelines=timelines, counters=counter_fields(catalog, assets))
    source: Source = readings if to_ms - from_ms <= READINGS_MS_MAX else Hours(figures=figures, readings=readings)
    found = []
    for indicator_id, indicator in catalog.indicators.items():
        for name in _areas(assets, indicator, area, from_ms, to_ms):
            sums = await meter_sums(source, index, assets, indicator, name, from_ms, to_ms)
            found.append(evaluate(indicator_id, indicator, name, from_ms, to_ms, sums))
    return found


def _areas(assets: Assets, indicator: Indicator, area: str | None, from_ms: int, to_ms: int) -> Sequence[str]:
    if area is not None:
        return [area]
    terms = indicator.terms
    return [name for name in assets.areas if any(assets.with_role(name, term.role, from_ms, to_ms) for term in terms)]
