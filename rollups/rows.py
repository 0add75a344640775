"""What rollups write to the store and read back: names of tags and fields, stretches and figures as rows.

A row holds nothing that depends on when it was computed. It always has all of its fields, since a store merges what
is written under one key: a field left out would leave the value of an earlier row standing. A number that does not
exist is written as 0 and named in the field `void`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from data_contract.counter_law import Span, StepKind
from rollups.assets import TIME_MAX_MS, Assets
from rollups.catalog import Catalog
from rollups.choices import of_area, of_place, path_of
from rollups.doubts import Doubts, Edge
from rollups.figures import Figure
from rollups.gauges import Course
from rollups.hours import Gap, Stretch
from series_store import names
from series_store.port import Figure as Row
from series_store.table import Cell, SeriesKey, Table

Tags = tuple[tuple[str, str], ...]


def series_tags(key: SeriesKey) -> Tags:
    """The tags of a rollup row."""
    return ((names.GATEWAY, key.gateway), (names.DEVICE, key.device), (names.FIELD, key.field))


def figure_tags(indicator: str, area: str, period: str) -> Tags:
    """The tags of an indicator's row."""
    return ((names.INDICATOR_TAG, indicator), (names.AREA_TAG, area), (names.PERIOD_TAG, period))


def stretch_table(measurement: str, key: SeriesKey, stretches: Iterable[Stretch], is_counter: bool) -> Table:
    """Rows of one field of one device at the begin of each stretch."""
    rows = [(stretch.from_ms, _stretch_cells(stretch, is_counter)) for stretch in stretches]
    return _table(measurement, series_tags(key), names.STRETCH_FIELDS, rows)


def _stretch_cells(stretch: Stretch, is_counter: bool) -> dict[str, Cell]:
    course = stretch.course
    gaps = [None if gap is None else [gap.from_ms, gap.to_ms, gap.delta] for gap in (stretch.lead, stretch.tail)]
    return {
        "kind": "counter" if is_counter else "gauge",
        "readings": float(stretch.readings),
        "summarised": float(stretch.summarised),
        names.TIME_UNSURE: float(stretch.doubts.readings),
        "expected": None if stretch.expected is None else float(stretch.expected),
        "covered_s": stretch.covered_ms / 1000,
        "first_ms": None if stretch.first_ms is None else float(stretch.first_ms),
        "last_ms": None if stretch.last_ms is None else float(stretch.last_ms),
        "delta": stretch.delta,
        "mean": course.mean if course else None,
        "min": course.least if course else None,
        "max": course.greatest if course else None,
        "odd": _json([[s.from_ms, s.to_ms, s.kind.value, s.delta, s.believed] for s in stretch.odd]),
        "gaps": _json(gaps),
        "doubts": _json([stretch.doubts.volume, stretch.doubts.lead, stretch.doubts.tail]),
    }


def read_stretch(row: Row, length_ms: int) -> Stretch:
    """What `stretch_table` wrote."""
    t_ms, _, cells = row
    lead, tail = (None if gap is None else Gap(*gap) for gap in json.loads(_text(cells, "gaps", "[null,null]")))
    mean = _number(cells, "mean")
    volume, before, after = json.loads(_text(cells, "doubts", "[0.0,null,null]"))
    return Stretch(
        from_ms=t_ms,
        to_ms=t_ms + length_ms,
        readings=_whole(cells, "readings") or 0,
        expected=_whole(cells, "expected"),
        covered_ms=round((_number(cells, "covered_s") or 0.0) * 1000),
        first_ms=_whole(cells, "first_ms"),
        last_ms=_whole(cells, "last_ms"),
        delta=_number(cells, "delta"),
        odd=tuple(_read_span(*said) for said in json.loads(_text(cells, "odd", "[]"))),
        lead=lead,
        tail=tail,
        course=None if mean is None else Course(mean, _number(cells, "min") or 0.0, _number(cells, "max") or 0.0),
        summarised=_whole(cells, "summarised") or 0,
        doubts=Doubts(_whole(cells, names.TIME_UNSURE) or 0, volume, _read_edge(before), _read_edge(after)),
    )


def figure_tables(figures: Iterable[tuple[str, int, Figure]], assets: Assets, catalog: Catalog) -> list[Table]:
    """Rows of `indicator` from (length of the period, its begin, figure): one row at the begin of each period.

    The area's name and its target stand beside the figure, so that a dashboard shows them without reading any file.
    """
    rows: dict[Tags, list[tuple[int, dict[str, Cell]]]] = {}
    for period, start_ms, figure in figures:
        tags = figure_tags(figure.indicator, figure.area, period)
        target = catalog.indicators[figure.indicator].target(figure.area)
        en, zh = of_area(assets, figure.area)
        cells: dict[str, Cell] = {
            **_figure_cells(figure),
            "target": None if target is None else target.value,
            "area_choice": en,
            "area_choice_zh": zh,
        }
        rows.setdefault(tags, []).append((start_ms, cells))
    return [_table(names.INDICATOR, tags, names.FIGURE_FIELDS, found) for tags, found in rows.items()]


def _figure_cells(figure: Figure) -> dict[str, Cell]:
    return {
        "value": figure.value,
        "from_ms": float(figure.from_ms),
        "to_ms": float(figure.to_ms),
        "numerator": figure.numerator,
        "denominator": figure.denominator,
        "completeness": figure.completeness,
        "partial": float(figure.partial),
        "summarised": float(figure.summarised),
        names.TIME_UNSURE: float(figure.time_unsure),
        "low": figure.low,
        "high": figure.high,
        "simulated": float(figure.simulated),
        "rule": figure.rule,
        "reason": figure.reason,
        "meters": _json([[c.asset, c.role, c.delta, c.completeness] for c in figure.contributions]),
    }


def asset_tables(assets: Assets) -> list[Table]:
    """The register as rows, one per place, so that a dashboard can go from city to device without reading any file."""
    tables = []
    for asset in assets.assets.values():
        for place in asset.places:
            tags = (
                (names.GATEWAY, place.gateway),
                (names.DEVICE, place.device),
                (names.ASSET_TAG, asset.id),
                (names.ROLE_TAG, asset.role),
                (names.SITE_TAG, asset.site),
            )
            cells: dict[str, Cell] = {
                "title": asset.title.en,
                "title_zh": asset.title.zh,
                "path": path_of(assets, asset.site),
                **of_place(assets, asset, place),
                "zone": assets.areas[asset.site].zone,
                "to_ms": float(min(place.to_ms, TIME_MAX_MS)),
                "simulated": float(asset.simulated),
                "use": asset.use,
                "material": asset.material,
                "capacity_kg": asset.capacity_kg,
            }
            tables.append(_table(names.ASSET, tags, names.ASSET_FIELDS, [(max(place.from_ms, 0), cells)]))
    return tables


def _table(measurement: str, tags: Tags, fields: tuple[str, ...], rows: list[tuple[int, dict[str, Cell]]]) -> Table:
    full = [{**cells, "void": _void(cells)} for _, cells in rows]
    columns = [[0.0 if cells[field] is None else cells[field] for cells in full] for field in fields]
    return Table(measurement, tags, fields, [t for t, _ in rows], columns)


def _void(cells: Mapping[str, Cell]) -> str:
    return ",".join(sorted(name for name, cell in cells.items() if cell is None))


def _read_span(from_ms: int, to_ms: int, kind: str, delta: float, believed: bool) -> Span:
    return Span(from_ms, to_ms, StepKind(kind), float(delta), believed)


def _read_edge(said: list[float] | None) -> Edge | None:
    if said is None:
        return None
    from_ms, to_ms, before, after, readings_before, readings_after = said
    return Edge(int(from_ms), int(to_ms), before, after, int(readings_before), int(readings_after))


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _number(cells: Mapping[str, float | str], name: str) -> float | None:
    cell = cells.get(name)
    if not isinstance(cell, float | int) or name in _text(cells, "void", "").split(","):
        return None
    return float(cell)


def _whole(cells: Mapping[str, float | str], name: str) -> int | None:
    number = _number(cells, name)
    return None if number is None else round(number)


def _text(cells: Mapping[str, float | str], name: str, default: str) -> str:
    cell = cells.get(name)
    return cell if isinstance(cell, str) else default
