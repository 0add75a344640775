"""How panels of each kind look, so that a dashboard says only what is particular to a panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.grafana.model import Override, Panel, Query
from deploy.grafana.words import NONE, Words, same

GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "#8e8e8e"
NOTHING = Words("nothing stored for this time", "此时段内无数据")
COMPLETE_SHARE, POOR_SHARE = 0.99, 0.95
"""Shares of readings: what counts as complete, and below what somebody should look."""


def steps(*limits: tuple[float | None, str]) -> dict[str, Any]:
    """Thresholds: from each limit on its colour; None is the lowest."""
    return {"mode": "absolute", "steps": [{"color": color, "value": limit} for limit, color in limits]}


PLAIN = steps((None, BLUE))
COMPLETENESS = steps((None, RED), (POOR_SHARE, ORANGE), (COMPLETE_SHARE, GREEN))


def stat(title: Words, size: tuple[int, int], queries: Sequence[Query], **more: Any) -> Panel:
    """Newest values in large figures, with their names."""
    defaults = {"noValue": "–", "color": {"mode": "thresholds"}, "thresholds": PLAIN, **more.pop("defaults", {})}
    options = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "vertical",
        "textMode": "value_and_name",
        "wideLayout": True,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return Panel("stat", title, size, tuple(queries), defaults=defaults, options=options, **more)


def lines(title: Words, size: tuple[int, int], queries: Sequence[Query], *, custom: Any = None, **more: Any) -> Panel:
    """A course in time."""
    drawn = {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 0,
        "showPoints": "auto",
        "pointSize": 5,
        "spanNulls": False,
        "axisSoftMin": None,
        **(custom or {}),
    }
    defaults = {
        "noValue": NOTHING,
        "color": {"mode": "palette-classic"},
        "custom": {key: value for key, value in drawn.items() if value is not None},
        **more.pop("defaults", {}),
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    return Panel("timeseries", title, size, tuple(queries), defaults=defaults, options=options, **more)


def table(title: Words, size: tuple[int, int], queries: Sequence[Query], **more: Any) -> Panel:
    """Rows. Columns are hidden by `column(..., hidden=True)`."""
    defaults = {
        "noValue": "",
        "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True},
        **more.pop("defaults", {}),
    }
    options = {"cellHeight": "sm", "showHeader": True, "footer": {"show": False}, **more.pop("options", {})}
    return Panel("table", title, size, tuple(queries), defaults=defaults, options=options, **more)


def column(name: str, title: Words = NONE, *, width: int = 0, hidden: bool = False, **more: Any) -> Override:
    """How a column of a table is shown; `more` are properties with `__` for a dot in their name."""
    properties: dict[str, Any] = {key.replace("__", "."): value for key, value in more.items()}
    if title.en:
        properties["displayName"] = title
    if width:
        properties["custom.width"] = width
    if hidden:
        # Grafana 13 and later ask for the second.
        properties |= {"custom.hidden": True, "custom.hideFrom": {"legend": False, "tooltip": False, "viz": True}}
    return Override(same(name), properties)


SHARE_CELL: Mapping[str, Any] = {
    "unit": "percentunit",
    "decimals": 1,
    "min": 0,
    "max": 1,
    "thresholds": COMPLETENESS,
    "color": {"mode": "thresholds"},
    "custom__cellOptions": {"type": "color-text"},
}

CHOICE_CELL = [
    {"type": "regex", "options": {"pattern": r"^[^ ]* (.*)$", "result": {"text": "$1", "index": 0}}},
]
"""Shows of a choice what a person reads."""

SIMULATED_CELL = [
    {
        "type": "value",
        "options": {
            "0": {"text": "", "index": 0},
            "1": {"text": Words("simulated", "模拟"), "color": ORANGE, "index": 1},
        },
    }
]


def without_time() -> dict[str, Any]:
    """Drops the column Time of every query, so that what they say of one thing can become one row."""
    return {"id": "filterFieldsByName", "options": {"exclude": {"names": ["Time"]}}}


MERGED: Mapping[str, Any] = {"id": "merge", "options": {}}
"""Rows of several queries that agree in all columns that they share become one."""


def sorted_by(field: str | Words, *, descending: bool = False) -> dict[str, Any]:
    """Rows in the order of a column."""
    return {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": field, "desc": descending}]}}


def in_order(*columns: str) -> dict[str, Any]:
    """Columns from left to right; others follow."""
    order = {name: at for at, name in enumerate(columns)}
    return {"id": "organize", "options": {"excludeByName": {}, "indexByName": order, "renameByName": {}}}
