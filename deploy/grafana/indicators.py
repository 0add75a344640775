"""Panels of indicators: the newest day against the target, all areas, the days before, and how complete they are."""

from __future__ import annotations

from typing import Any

from deploy.grafana import influxql as ql
from deploy.grafana.looks import (
    BLUE,
    CHOICE_CELL,
    ORANGE,
    SHARE_CELL,
    SIMULATED_CELL,
    column,
    in_order,
    lines,
    sorted_by,
    stat,
    table,
)
from deploy.grafana.model import Override, Panel, Query
from deploy.grafana.words import Words
from rollups.catalog import Catalog, Indicator
from series_store import names

NEWEST = "36h"
"""So long before now began either today or yesterday, whatever the time zone."""

INDICATOR = f'"{names.INDICATOR}"'
DAYS = ql.is_(names.PERIOD_TAG, "1d")
VALUE, TARGET = Words("Value", "数值"), Words("Target", "目标")
LOW, HIGH = Words("Low", "下限"), Words("High", "上限")
_YEARS = Words("A target is one for a whole year.", "目标为全年目标。")
_LINE_OF = {"value": VALUE, "low": LOW, "high": HIGH, "target": TARGET}


def _unit(indicator: Indicator) -> dict[str, Any]:
    unit = "percent" if indicator.unit == "%" else f"suffix:{indicator.sign}"
    return {"unit": unit, "decimals": indicator.decimals}


def _figure(indicator: str, field: str) -> str:
    """One number of an indicator in the chosen area, day by day."""
    conditions = [
        ql.is_(names.INDICATOR_TAG, indicator),
        DAYS,
        ql.chosen(names.AREA_TAG, "area"),
        ql.has(field),
        ql.SHOWN,
    ]
    return ql.select(f'"{field}"', INDICATOR, conditions)


def newest(name: str, indicator: Indicator) -> Panel:
    """The newest day of an indicator in the chosen area, beside its target."""
    title, formula = indicator.title, indicator.formula
    return stat(
        Words(title.en, title.zh),
        (8, 4),
        [Query(_figure(name, field), _LINE_OF[field]) for field in ("value", "target")],
        about=Words(
            f"{formula.en}. Of a day that has not ended, so far. {_YEARS.en}",
            f"{formula.zh}。当日未结束时为截至目前。{_YEARS.zh}",
        ),
        defaults={**_unit(indicator), "color": {"mode": "fixed", "fixedColor": BLUE}},
        overrides=(Override(TARGET, {"color": {"mode": "fixed", "fixedColor": ORANGE}}),),
        only_last=NEWEST,
    )


def _indicator_cell(catalog: Catalog) -> list[dict[str, Any]]:
    """An indicator's id in words with its unit."""
    named = {
        name: {"text": Words(f"{one.title.en}, {one.sign}", f"{one.title.zh}，{one.sign}"), "index": at}
        for at, (name, one) in enumerate(catalog.indicators.items())
    }
    return [{"type": "value", "options": named}]


def all_areas(catalog: Catalog) -> Panel:
    """The newest day of every indicator in every area."""
    asked = [
        ql.newest_rows(
            names.INDICATOR,
            ("value", "low", "high", "target"),
            ("completeness", field, "reason", "simulated"),
            [DAYS],
        )
        for field in ("area_choice", "area_choice_zh")
    ]
    area = Words("area_choice", "area_choice_zh")
    return table(
        Words("Indicators of all areas", "所有区域的指标"),
        (24, 11),
        [Query(Words(*asked), table=True)],
        about=Words(
            "Low and high: what the meters' classes and what is missing leave open. Completeness is that of the least "
            "complete meter.",
            "下限与上限：由计量器具准确度等级和缺失数据决定。完整率取最不完整的计量器具。",
        ),
        overrides=(
            column("Time", Words("Day", "日"), unit="time: YYYY-MM-DD", width=100),
            Override(area, {"displayName": Words("Area", "区域"), "mappings": CHOICE_CELL, "custom.width": 170}),
            column(names.AREA_TAG, hidden=True),
            column(names.INDICATOR_TAG, Words("Indicator", "指标"), width=290, mappings=_indicator_cell(catalog)),
            column("value", VALUE, decimals=2, width=80),
            column("target", TARGET, decimals=2, width=80),
            column("low", LOW, decimals=2, width=80),
            column("high", HIGH, decimals=2, width=80),
            column("completeness", Words("Completeness", "完整率"), width=120, **SHARE_CELL),
            column("simulated", Words("Origin", "来源"), mappings=SIMULATED_CELL, width=90),
            column("reason", Words("Why there is none", "无数值的原因")),
        ),
        transformations=(
            sorted_by(area),
            in_order("Time", names.INDICATOR_TAG, "area_choice", "area_choice_zh", "value", "target", "low", "high"),
        ),
        only_last=NEWEST,
    )


def districts(catalog: Catalog) -> Panel:
    """How complete the data of each district is."""
    asked = [
        ql.select(
            f'min("completeness") AS "completeness", "{field}", "{names.INDICATOR_TAG}"',
            INDICATOR,
            [DAYS, ql.chosen(names.AREA_TAG, "district"), ql.SHOWN],
            ql.quoted(names.AREA_TAG),
        )
        for field in ("area_choice", "area_choice_zh")
    ]
    return table(
        Words("Completeness by district", "各区数据完整率"),
        (8, 8),
        [Query(Words(*asked), table=True)],
        about=Words(
            "The least complete figure of yesterday and today in each district, and which it is.",
            "各区昨日与今日最不完整的指标及其完整率。",
        ),
        overrides=(
            column("Time", hidden=True),
            column(names.AREA_TAG, hidden=True),
            Override(
                Words("area_choice", "area_choice_zh"),
                {"displayName": Words("District", "区"), "mappings": CHOICE_CELL, "custom.width": 110},
            ),
            column("completeness", Words("Completeness", "完整率"), width=110, **SHARE_CELL),
            column(names.INDICATOR_TAG, Words("Least complete", "最不完整"), mappings=_indicator_cell(catalog)),
        ),
        transformations=(
            sorted_by("completeness"),
            in_order("area_choice", "area_choice_zh", "completeness", names.INDICATOR_TAG),
        ),
        only_last=NEWEST,
    )


def days(name: str, indicator: Indicator) -> Panel:
    """An indicator in the chosen area, day by day, with what is sure of it and the target."""
    quiet = {
        "custom.lineWidth": 0,
        "custom.showPoints": "never",
        "custom.hideFrom": {"legend": True, "tooltip": False, "viz": False},
    }
    band = {"color": {"mode": "fixed", "fixedColor": BLUE}, **quiet}
    return lines(
        Words(f"{indicator.title.en}, by day", f"{indicator.title.zh}，逐日"),
        (8, 8),
        [Query(_figure(name, field), _LINE_OF[field]) for field in _LINE_OF],
        about=Words(
            f"{indicator.formula.en}. The band: what the meters' classes and what is missing leave open. {_YEARS.en}",
            f"{indicator.formula.zh}。色带：由计量器具准确度等级和缺失数据决定的区间。{_YEARS.zh}",
        ),
        defaults=_unit(indicator),
        overrides=(
            Override(VALUE, {"color": {"mode": "fixed", "fixedColor": BLUE}, "custom.showPoints": "always"}),
            Override(LOW, band),
            Override(HIGH, {**band, "custom.fillBelowTo": LOW, "custom.fillOpacity": 18}),
            Override(
                TARGET,
                {
                    "color": {"mode": "fixed", "fixedColor": ORANGE},
                    "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
                    "custom.showPoints": "never",
                },
            ),
        ),
    )
