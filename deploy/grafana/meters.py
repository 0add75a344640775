"""The table of meters that both dashboards show: where each stands, when it was last read, and how complete it is."""

from __future__ import annotations

from deploy.grafana import influxql as ql
from deploy.grafana.looks import (
    CHOICE_CELL,
    MERGED,
    SHARE_CELL,
    SIMULATED_CELL,
    column,
    in_order,
    sorted_by,
    table,
    without_time,
)
from deploy.grafana.model import Panel, Query, Variable
from deploy.grafana.words import NONE, Words
from series_store import names

DEVICE_TAGS = ql.quoted(names.GATEWAY, names.DEVICE)
THEIRS = [ql.chosen(names.GATEWAY, "gateways"), ql.chosen(names.DEVICE, "devices")]
"""Every meter that the hidden variables `gateways` and `devices` list."""

CITY = Variable(
    "city",
    Words("City", "城市"),
    Words(*(ql.select(f'DISTINCT("{field}")', f'"{names.ASSET}"') for field in ("city", "city_zh"))),
)


def districts(*, every: bool) -> Variable:
    """The districts of the city."""
    return Variable(
        "district", Words("District", "区"), _of_register("district", ql.within("city", "city")), every=every
    )


def sites() -> Variable:
    """The sites of the district."""
    return Variable("site", Words("Site", "站点"), _of_register("place", ql.within("district", "district")))


def listed(tag: str, name: str, *conditions: str) -> Variable:
    """A hidden list of what the register has under a tag, all of it chosen."""
    query = f'SHOW TAG VALUES FROM "{names.ASSET}" WITH KEY = "{tag}" WHERE {" AND ".join(conditions)}'
    return Variable(name, NONE, Words(query, query), regex="", every=True, hidden=True)


def _of_register(field: str, condition: str) -> Words:
    asked = [ql.select(f'DISTINCT("{name}")', f'"{names.ASSET}"', [condition]) for name in (field, f"{field}_zh")]
    return Words(*asked)


def titles(*conditions: str, also: tuple[str, ...] = ()) -> Query:
    """What each meter is called where it stands; one that has moved away is not listed."""
    asked = [
        ql.select(
            f'last("{field}") AS "meter", {ql.quoted("simulated", *also)}',
            f'"{names.ASSET}"',
            [ql.STILL_THERE, *THEIRS, *conditions],
            DEVICE_TAGS,
        )
        for field in ("meter", "meter_zh")
    ]
    return Query(Words(*asked), table=True)


METER_COLUMNS = (
    column("Time", hidden=True),
    column("meter", Words("Meter", "计量器具"), mappings=CHOICE_CELL, width=250),
    column(names.GATEWAY, Words("Gateway", "网关"), width=110),
    column(names.DEVICE, hidden=True),
    column("simulated", Words("Origin", "来源"), mappings=SIMULATED_CELL, custom__cellOptions={"type": "color-text"}),
)


def meters(size: tuple[int, int]) -> Panel:
    """All meters, the longest silent first."""
    last = ql.select(
        'max("last_ms") AS "last_ms"',
        f'"{names.ROLLUP_1D}"',
        [ql.has("last_ms"), *THEIRS, ql.SHOWN],
        DEVICE_TAGS,
    )
    share = ql.select(
        'sum("readings") AS "readings", sum("expected") AS "expected", sum("readings") / sum("expected") AS "share"',
        f'"{names.ROLLUP_1H}"',
        [ql.CALLED_FOR, *THEIRS, ql.LAST_DAY, ql.ENDED],
        DEVICE_TAGS,
    )
    return table(
        Words("Meters, the longest silent first", "计量器具(静默最久者在前)"),
        size,
        [titles(), Query(last, table=True), Query(share, table=True)],
        about=Words(
            "Last reading that is in the store; and readings stored against readings that the schedule called for, in "
            "the last 24 hours that have ended. A meter without any has been silent for all of the time shown.",
            "最近一次入库读数的时间；最近24个完整小时内已入库读数与计划读数之比。无数据者在整个所示时段内静默。",
        ),
        overrides=(
            *METER_COLUMNS,
            column("last_ms", Words("Last reading", "最近读数"), unit="dateTimeFromNow", width=160),
            column("readings", Words("Stored in 24 h", "24小时已入库"), unit="locale", decimals=0, width=140),
            column("expected", Words("Expected in 24 h", "24小时计划"), unit="locale", decimals=0, width=150),
            column("share", Words("Completeness", "完整率"), **SHARE_CELL),
        ),
        transformations=(
            without_time(),
            MERGED,
            sorted_by("last_ms"),
            in_order("meter", "last_ms", "share", "readings", "expected", "gateway", "device"),
        ),
    )
