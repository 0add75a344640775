"""The table of bins: which are to be collected today."""

from __future__ import annotations

from deploy.grafana import influxql as ql
from deploy.grafana.looks import GREEN, MERGED, ORANGE, RED, column, in_order, sorted_by, steps, table, without_time
from deploy.grafana.meters import DEVICE_TAGS, METER_COLUMNS, THEIRS, titles
from deploy.grafana.model import Panel, Query
from deploy.grafana.words import Words
from series_store import names
from web_console.bins import COLLECT_SHARE, EMPTYINGS, WEIGHT

BIN = "bin"
"""The kind of device of a bin."""


def bins() -> Panel:
    """Bins of the chosen districts, the fullest first."""
    weight = ql.select(f'last("{WEIGHT}") AS "{WEIGHT}"', f'"{BIN}"', [*THEIRS, ql.SHOWN], DEVICE_TAGS)
    emptied = ql.select(
        'sum("delta") AS "emptied"',
        f'"{names.ROLLUP_1D}"',
        [ql.is_(names.FIELD, EMPTYINGS), ql.has("delta"), *THEIRS, ql.SHOWN],
        DEVICE_TAGS,
    )
    share = {"mode": "binary", "binary": {"left": WEIGHT, "operator": "/", "right": "capacity_kg"}}
    return table(
        Words("Bins, the fullest first", "收集容器(最满者在前)"),
        (16, 8),
        [
            titles(ql.has("capacity_kg"), also=("material", "capacity_kg")),
            Query(weight, table=True),
            Query(emptied, table=True),
        ],
        about=Words(
            f"Red: to be collected today, {COLLECT_SHARE:.0%} full or more. Weights of the last seven days.",
            f"红色：满载率达{COLLECT_SHARE:.0%}，应于今日清运。最近七日内的重量。",
        ),
        overrides=(
            *METER_COLUMNS,
            column(names.GATEWAY, hidden=True),
            column("material", Words("Material", "物料"), width=90),
            column(WEIGHT, Words("Content", "内容物重量"), unit="suffix:kg", decimals=1, width=100),
            column("capacity_kg", Words("Holds", "容量"), unit="suffix:kg", decimals=0, width=90),
            column("emptied", Words("Emptied, 7 d", "七日清运"), decimals=0, width=110),
            column(
                "share",
                Words("Full", "满载率"),
                unit="percentunit",
                decimals=0,
                min=0,
                max=1,
                width=190,
                thresholds=steps((None, GREEN), (COLLECT_SHARE * 0.75, ORANGE), (COLLECT_SHARE, RED)),
                color={"mode": "thresholds"},
                custom__cellOptions={"type": "gauge", "mode": "basic", "valueDisplayMode": "color"},
            ),
        ),
        transformations=(
            without_time(),
            MERGED,
            {"id": "calculateField", "options": {**share, "alias": "share", "replaceFields": False}},
            sorted_by("share", descending=True),
            in_order("meter", "share", WEIGHT, "capacity_kg", "material", "emptied", names.GATEWAY, names.DEVICE),
        ),
        only_last="7d",
    )
