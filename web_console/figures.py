"""Indicators for the page: what was stored for each area and period, beside the target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rollups.against import against
from rollups.catalog import Catalog, Indicator, Titles, met
from series_store import names
from series_store.port import Figure
from web_console.labels import Labels

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HOUR, DAY = "1h", "1d"
REACH_MS: Mapping[str, int] = {HOUR: 25 * HOUR_MS, DAY: 15 * DAY_MS}
"""Period -> how far back its rows are read: a day of hours, a fortnight of days."""

Json = dict[str, Any]
_ByPeriod = dict[str, list[Figure]]


def day_start_ms(now_ms: int, zone: str) -> int:
    """When the day of `now_ms` began by the clocks of `zone`."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms)).astimezone(ZoneInfo(zone))
    return round(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp() * 1000)


def indicators(catalog: Catalog, labels: Labels, rows: Iterable[Figure], now_ms: int) -> list[Json]:
    """Each indicator with the areas that it is known for, as a tree in order; `rows` of the measurement `indicator`."""
    by_area: dict[str, dict[str, _ByPeriod]] = {}
    for row in rows:
        tags = row[1]
        periods = by_area.setdefault(tags[names.INDICATOR_TAG], {}).setdefault(tags[names.AREA_TAG], {})
        periods.setdefault(tags[names.PERIOD_TAG], []).append(row)
    found = []
    for indicator_id, indicator in catalog.indicators.items():
        areas = by_area.get(indicator_id, {})
        found.append(
            {
                "id": indicator_id,
                "title": both(indicator.title),
                "sign": indicator.sign,
                "decimals": indicator.decimals,
                "formula": both(indicator.formula),
                "source": both(indicator.source),
                "note": both(indicator.note),
                "areas": [
                    _area(indicator, labels, name, areas[name], now_ms)
                    for name in labels.in_order(areas)
                    if name in labels.areas
                ],
            }
        )
    return found


def both(text: object) -> Json:
    """A text in both languages; what is written in one stands for both, and None is empty."""
    if isinstance(text, Titles):
        return {"en": text.en, "zh": text.zh}
    said = "" if text is None else str(text)
    return {"en": said, "zh": said}


def _area(indicator: Indicator, labels: Labels, area: str, periods: _ByPeriod, now_ms: int) -> Json:
    label = labels.areas[area]
    today_ms = day_start_ms(now_ms, label.zone)
    days, hours = (sorted(periods.get(unit, ()), key=lambda row: row[0]) for unit in (DAY, HOUR))
    shown = [_figure(indicator, area, row, label.zone) for row in days[-2:]]
    return {
        "id": area,
        "depth": labels.depth(area),
        "zone": label.zone,
        "day": {**shown[-1], "is_today": days[-1][0] == today_ms} if shown else None,
        "day_before": shown[0] if len(shown) > 1 else None,
        "hours": _course(hours),
        "days": _course(days),
        "target": _target(indicator, area),
    }


def _course(rows: Sequence[Figure]) -> list[list[float | bool | None]]:
    """[begin, value, completeness, whether digests tell of it, whether its time is unsure] of each period."""
    return [
        [
            row[0],
            number(row, "value"),
            number(row, "completeness"),
            bool(number(row, names.SUMMARISED)),
            bool(number(row, names.TIME_UNSURE)),
        ]
        for row in rows
    ]


def _figure(indicator: Indicator, area: str, row: Figure, zone: str) -> Json:
    value, target = number(row, "value"), indicator.target(area)
    from_ms, to_ms = number(row, "from_ms"), number(row, "to_ms")
    beside = None if from_ms is None or to_ms is None else against(target, round(from_ms), round(to_ms), zone)
    cells = row[2]
    return {
        "value": value,
        "reason": str(cells.get("reason", "")),
        "completeness": number(row, "completeness"),
        "partial": bool(cells.get("partial")),
        "summarised": bool(number(row, names.SUMMARISED)),
        "time_unsure": bool(number(row, names.TIME_UNSURE)),
        "low": number(row, "low"),
        "high": number(row, "high"),
        "from_ms": from_ms,
        "to_ms": to_ms,
        "simulated": bool(cells.get("simulated")),
        "rule": str(cells.get("rule", "")),
        "against": None if beside is None else {"kind": beside.kind, "en": beside.en, "zh": beside.zh},
        "target_met": None if target is None or value is None else met(target, value),
    }


def _target(indicator: Indicator, area: str) -> Json | None:
    target = indicator.target(area)
    if target is None:
        return None
    return {
        "value": target.value,
        "sense": target.sense,
        "year": target.year,
        "nature": target.nature,
        "department": both(target.department),
        "source": both(target.source),
        "note": both(target.note),
        "baseline": None if target.baseline is None else [target.baseline.year, target.baseline.value],
    }


def number(row: Figure, name: str) -> float | None:
    """A number of a row, None where the row says that there is none."""
    cells = row[2]
    cell = cells.get(name)
    if not isinstance(cell, float | int) or name in str(cells.get(names.VOID, "")).split(","):
        return None
    return float(cell) if math.isfinite(cell) else None
