"""Page models from what is stored: plain data that becomes JSON. Nothing is computed here but ages, names and order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rollups.catalog import Catalog, Indicator, met
from series_store import names
from series_store.port import Figure
from series_store.table import SeriesKey, Window
from web_console.labels import DeviceLabel, Labels, name_and_unit
from web_console.silence import Heard, Silence

HOURS_SHOWN = 24
POINTS_MAX = 400
"""Points of a line; more cannot be seen."""

Json = dict[str, Any]
Newest = Mapping[SeriesKey, tuple[int, float]]


def day_start_ms(now_ms: int, zone: str) -> int:
    """When the day of `now_ms` began by the clocks of `zone`."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms)).astimezone(ZoneInfo(zone))
    return round(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp() * 1000)


def indicators(catalog: Catalog, labels: Labels, rows: Iterable[Figure], now_ms: int) -> list[Json]:
    """Each indicator with the areas that it is known for, as a tree in order; `rows` of the measurement `indicator`."""
    by_area: dict[str, dict[str, dict[str, list[Figure]]]] = {}
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
                "title": {"en": indicator.title.en, "zh": indicator.title.zh},
                "sign": indicator.sign,
                "decimals": indicator.decimals,
                "formula": indicator.formula,
                "source": indicator.source,
                "areas": [
                    _area(indicator, labels, name, areas[name], now_ms)
                    for name in labels.in_order(areas)
                    if name in labels.areas
                ],
            }
        )
    return found


def _area(
    indicator: Indicator, labels: Labels, area: str, periods: Mapping[str, Sequence[Figure]], now_ms: int
) -> Json:
    label = labels.areas[area]
    days, hours = (sorted(periods.get(unit, ()), key=lambda row: row[0]) for unit in ("1d", "1h"))
    today_ms = day_start_ms(now_ms, label.zone)
    day = _figure(indicator, area, days[-1]) if days else None
    if day is not None:
        day["is_today"] = days[-1][0] == today_ms
    return {
        "id": area,
        "title": {"en": label.en, "zh": label.zh},
        "kind": label.kind,
        "depth": labels.depth(area),
        "zone": label.zone,
        "day": day,
        "hour": _figure(indicator, area, hours[-1]) if hours else None,
        "hours": [[row[0], _number(row, "value"), _number(row, "completeness")] for row in hours[-HOURS_SHOWN:]],
        "target": _target(indicator, area),
    }


def _figure(indicator: Indicator, area: str, row: Figure) -> Json:
    value, target = _number(row, "value"), indicator.target(area)
    cells = row[2]
    return {
        "value": value,
        "reason": str(cells.get("reason", "")),
        "completeness": _number(row, "completeness"),
        "partial": bool(cells.get("partial")),
        "low": _number(row, "low"),
        "high": _number(row, "high"),
        "from_ms": _number(row, "from_ms"),
        "to_ms": _number(row, "to_ms"),
        "simulated": bool(cells.get("simulated")),
        "rule": str(cells.get("rule", "")),
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
        "source": target.source,
    }


def _number(row: Figure, name: str) -> float | None:
    """A number of a row, None where the row says that there is none."""
    cells = row[2]
    cell = cells.get(name)
    if not isinstance(cell, float | int) or name in str(cells.get(names.VOID, "")).split(","):
        return None
    return float(cell) if math.isfinite(cell) else None


def devices(
    keys: Iterable[SeriesKey], newest: Newest, labels: Labels, silences: Sequence[Silence], now_ms: int
) -> list[Json]:
    """Each device that is stored or registered, with its newest values, the silent ones first."""
    fields: dict[tuple[str, str], list[SeriesKey]] = {}
    for registered in labels.current(now_ms):
        fields[registered.gateway, registered.device] = []
    for key in keys:
        fields.setdefault((key.gateway, key.device), []).append(key)
    quiet = {(s.gateway, s.device): s for s in silences}
    found = []
    for (gateway, device), own in fields.items():
        silence = quiet.get((gateway, device)) or quiet.get((gateway, None))
        label = labels.device(gateway, device, now_ms)
        found.append(_device(gateway, device, own, newest, label, silence, now_ms))
    found.sort(key=lambda one: (one["silent"] is None, one["gateway"], one["device"]))
    return found


def _device(
    gateway: str,
    device: str,
    keys: Sequence[SeriesKey],
    newest: Newest,
    label: DeviceLabel | None,
    silence: Silence | None,
    now_ms: int,
) -> Json:
    values: list[Json] = []
    for key in keys:
        if key in newest:
            t_ms, value = newest[key]
            name, unit = name_and_unit(key.field)
            values.append({"field": key.field, "name": name, "unit": unit, "value": value, "t_ms": t_ms})
    last = max((newest[key][0] for key in keys if key in newest), default=None)
    return {
        "gateway": gateway,
        "device": device,
        "kind": keys[0].measurement if keys else "",
        "title": {"en": label.en, "zh": label.zh} if label else None,
        "role": label.role if label else "",
        "site": label.site if label else "",
        "simulated": label.simulated if label else False,
        "newest_ms": last,
        "age_ms": None if last is None else max(0, now_ms - last),
        "values": values,
        "silent": None if silence is None else silence.words,
    }


def gateways(heard: Iterable[Heard], now_ms: int, grace_ms: int) -> list[Json]:
    """Each gateway, when it was last heard, and what it still holds."""
    return [
        {
            "gateway": one.gateway,
            "heard_ms": one.at_ms,
            "age_ms": max(0, now_ms - one.at_ms),
            "data_to_ms": one.to_ms,
            "pending_batches": one.pending,
            "time_unsure": one.unsure,
            "silent": one.is_silent(now_ms, grace_ms),
        }
        for one in heard
    ]


def silent(silences: Iterable[Silence], labels: Labels, now_ms: int) -> list[Json]:
    """Who is silent, since when and why; the longest silence first."""
    found = []
    for one in silences:
        label = labels.device(one.gateway, one.device, now_ms) if one.device else None
        found.append(
            {
                "gateway": one.gateway,
                "device": one.device,
                "title": {"en": label.en, "zh": label.zh} if label else None,
                "since_ms": one.since_ms,
                "for_ms": None if one.since_ms is None else max(0, now_ms - one.since_ms),
                "cause": one.cause,
                "words": one.words,
                "missing": dict(one.missing),
            }
        )
    return sorted(found, key=lambda one: one["since_ms"] or 0)


def line(window: Window) -> Json:
    """A series as points, thinned by means over equal counts of readings where there are too many to be seen."""
    times, values = window.t.tolist(), window.value.tolist()
    step = -(-len(times) // POINTS_MAX) if times else 1
    if step > 1:
        parts = range(0, len(times), step)
        times = [round(sum(times[at : at + step]) / len(times[at : at + step])) for at in parts]
        values = [math.fsum(values[at : at + step]) / len(values[at : at + step]) for at in parts]
    return {"t": times, "v": values}


def asks_for(series: Iterable[SeriesKey], gateway: str, device: str, field: str) -> SeriesKey | None:
    """The series that a request names, None if it is not stored."""
    for key in series:
        if (key.gateway, key.device, key.field) == (gateway, device, field) and key.measurement not in names.RESERVED:
            return key
    return None
