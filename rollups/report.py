"""Figures as lines of a report: everything that a reader needs to check one, or to compute it again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rollups.assets import Assets
from rollups.catalog import Catalog, met
from rollups.figures import Figure
from rollups.periods import iso_local, iso_utc

COLUMNS = (
    "indicator",
    "title",
    "title_zh",
    "area",
    "area_title",
    "area_title_zh",
    "value",
    "unit",
    "from_utc",
    "to_utc",
    "from_local",
    "to_local",
    "zone",
    "numerator",
    "numerator_unit",
    "denominator",
    "denominator_unit",
    "completeness",
    "partial",
    "low",
    "high",
    "reason",
    "rule",
    "formula",
    "simulated",
    "target",
    "target_sense",
    "target_year",
    "target_nature",
    "target_source",
    "target_met",
    "meters",
)
"""Keys of a line, in the order of the columns."""

Line = dict[str, Any]


def lines(figures: Iterable[Figure], catalog: Catalog, assets: Assets) -> list[Line]:
    """One line per figure; what does not exist is None. `completeness` is 0 to 1, units are UCUM codes."""
    return [_line(figure, catalog, assets) for figure in figures]


def _line(figure: Figure, catalog: Catalog, assets: Assets) -> Line:
    indicator = catalog.indicators[figure.indicator]
    area = assets.areas[figure.area]
    target = indicator.target(figure.area)
    return {
        "indicator": figure.indicator,
        "title": indicator.title.en,
        "title_zh": indicator.title.zh,
        "area": area.id,
        "area_title": area.title.en,
        "area_title_zh": area.title.zh,
        "value": figure.value,
        "unit": indicator.unit,
        "from_utc": iso_utc(figure.from_ms),
        "to_utc": iso_utc(figure.to_ms),
        "from_local": iso_local(figure.from_ms, area.zone),
        "to_local": iso_local(figure.to_ms, area.zone),
        "zone": area.zone,
        "numerator": figure.numerator,
        "numerator_unit": indicator.amount[0],
        "denominator": figure.denominator,
        "denominator_unit": indicator.amount[1],
        "completeness": round(figure.completeness, 6),
        "partial": figure.partial,
        "low": figure.low,
        "high": figure.high,
        "reason": figure.reason,
        "rule": figure.rule,
        "formula": indicator.formula,
        "simulated": figure.simulated,
        "target": None if target is None else target.value,
        "target_sense": None if target is None else target.sense,
        "target_year": None if target is None else target.year,
        "target_nature": None if target is None else target.nature,
        "target_source": None if target is None else target.source,
        "target_met": None if target is None or figure.value is None else met(target, figure.value),
        "meters": [
            {
                "asset": meter.asset,
                "role": meter.role,
                "counted": meter.delta,
                "completeness": round(meter.completeness, 6),
                "odd_steps": meter.odd,
                "simulated": assets.assets[meter.asset].simulated,
            }
            for meter in figure.contributions
        ],
    }
