"""Figures as lines of a report: everything that a reader needs to check one, or to compute it again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rollups.against import against
from rollups.assets import Assets
from rollups.catalog import Catalog, Target, Titles, met
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
    "summarised",
    "time_unsure",
    "low",
    "high",
    "reason",
    "rule",
    "formula",
    "formula_zh",
    "note",
    "note_zh",
    "simulated",
    "target",
    "target_sense",
    "target_year",
    "target_nature",
    "target_department",
    "target_source",
    "target_note",
    "target_note_zh",
    "baseline",
    "baseline_year",
    "target_met",
    "against_kind",
    "against_share",
    "against",
    "against_zh",
    "meters",
)
"""Keys of a line, in the order of the columns."""

Line = dict[str, Any]


def lines(figures: Iterable[Figure], catalog: Catalog, assets: Assets) -> list[Line]:
    """One line per figure; what does not exist is None. `completeness` is 0 to 1, units are UCUM codes.

    `against` says what part of which year stands beside a target that holds for a whole year, and `against_share` how
    much of the target's year that is.
    """
    return [_line(figure, catalog, assets) for figure in figures]


def _line(figure: Figure, catalog: Catalog, assets: Assets) -> Line:
    indicator = catalog.indicators[figure.indicator]
    area = assets.areas[figure.area]
    en, zh = _said(indicator.note)
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
        "summarised": figure.summarised,
        "time_unsure": figure.time_unsure,
        "low": figure.low,
        "high": figure.high,
        "reason": figure.reason,
        "rule": figure.rule,
        "formula": indicator.formula.en,
        "formula_zh": indicator.formula.zh,
        "note": en,
        "note_zh": zh,
        "simulated": figure.simulated,
        **_target(indicator.target(figure.area), figure, area.zone),
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


def _target(target: Target | None, figure: Figure, zone: str) -> Line:
    """What was promised, and what of the promised year the figure is."""
    if target is None:
        return dict.fromkeys(column for column in COLUMNS if column.startswith(("target", "baseline", "against")))
    en, zh = _said(target.note)
    beside = against(target, figure.from_ms, figure.to_ms, zone)
    return {
        "target": target.value,
        "target_sense": target.sense,
        "target_year": target.year,
        "target_nature": target.nature,
        "target_department": target.department or None,
        "target_source": target.source,
        "target_note": en,
        "target_note_zh": zh,
        "baseline": None if target.baseline is None else target.baseline.value,
        "baseline_year": None if target.baseline is None else target.baseline.year,
        "target_met": None if figure.value is None else met(target, figure.value),
        "against_kind": None if beside is None else beside.kind,
        "against_share": None if beside is None else round(beside.share, 6),
        "against": None if beside is None else beside.en,
        "against_zh": None if beside is None else beside.zh,
    }


def _said(note: Titles | None) -> tuple[str | None, str | None]:
    return (None, None) if note is None else (note.en, note.zh)
