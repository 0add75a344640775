"""Panels of gateways: when each was heard, and what it says of itself."""

from __future__ import annotations

from typing import Any

from data_contract.reading import GATEWAY_DEVICE
from deploy.grafana import influxql as ql
from deploy.grafana.looks import GREEN, MERGED, RED, column, in_order, lines, sorted_by, table, without_time
from deploy.grafana.model import Panel, Query
from deploy.grafana.words import Words, same
from series_store import names

_STATE = {"type": "color-text"}


def _yes(words: Words, otherwise: Words) -> list[dict[str, Any]]:
    """Mappings of a state that is 1 when all is well."""
    return [
        {
            "type": "value",
            "options": {
                "1": {"text": words, "color": GREEN, "index": 0},
                "0": {"text": otherwise, "color": RED, "index": 1},
            },
        }
    ]


_TRUSTED = _yes(Words("trusted", "可信"), Words("not trusted", "不可信"))
_CONNECTED = _yes(Words("connected", "已连接"), Words("cut off", "断开"))
_OWN = [ql.is_(names.DEVICE, GATEWAY_DEVICE), ql.chosen(names.GATEWAY, "gateways"), ql.SHOWN]


def gateways() -> Panel:
    """All gateways of the chosen districts, also those that were never heard."""
    own = (
        "connected",
        "clock_trusted",
        "spool_batches",
        "spool_oldest_s",
        "disk_free_bytes",
        "temperature_c",
        "uptime_s",
    )
    registered = ql.select(
        'count("to_ms") AS "meters"',
        f'"{names.ASSET}"',
        [ql.STILL_THERE, ql.chosen(names.GATEWAY, "gateways")],
        ql.quoted(names.GATEWAY),
    )
    heard = ql.select(
        f'max("{names.TO}") AS "heard"',
        f'"{names.RECEIPT}"',
        [ql.chosen(names.GATEWAY, "gateways"), ql.SHOWN],
        ql.quoted(names.GATEWAY),
    )
    health = ql.select(
        ", ".join(f'last("{field}") AS "{field}"' for field in own),
        f'"{GATEWAY_DEVICE}"',
        _OWN,
        ql.quoted(names.GATEWAY),
    )
    return table(
        Words("Gateways, the longest silent first", "网关(静默最久者在前)"),
        (24, 8),
        [Query(registered, table=True), Query(heard, table=True), Query(health, table=True)],
        about=Words(
            "Data until: the end of the newest batch that is in the store. Nothing there: not heard for a day. What a "
            "gateway says of itself is as old as its data.",
            "数据截至：最新入库批次的结束时间；空白表示一日内未收到。网关自述状态与其数据同样新旧。",
        ),
        overrides=(
            column("Time", hidden=True),
            column(names.GATEWAY, Words("Gateway", "网关"), width=160),
            column("meters", Words("Meters", "计量器具"), decimals=0, width=90),
            column("heard", Words("Data until", "数据截至"), unit="dateTimeFromNow", width=160),
            column("connected", Words("Link", "连接"), mappings=_CONNECTED, custom__cellOptions=_STATE),
            column("clock_trusted", Words("Clock", "时钟"), mappings=_TRUSTED, custom__cellOptions=_STATE),
            column("spool_batches", Words("Batches in the spool", "缓存批次"), decimals=0),
            column("spool_oldest_s", Words("Oldest unconfirmed", "最早未确认"), unit="s", decimals=1),
            column("disk_free_bytes", Words("Disk free", "可用磁盘"), unit="decbytes", decimals=1),
            column("temperature_c", Words("Board", "主板温度"), unit="celsius", decimals=0),
            column("uptime_s", Words("Up for", "运行时间"), unit="s", decimals=1),
        ),
        transformations=(without_time(), MERGED, sorted_by("heard"), in_order(names.GATEWAY, "heard", *own, "meters")),
        only_last="24h",
    )


def _own_course(function: str, field: str) -> Query:
    """A health field of each gateway, over intervals as wide as the panel needs."""
    group = f'time($__interval), "{names.GATEWAY}" fill(none)'
    return Query(ql.select(f'{function}("{field}")', f'"{GATEWAY_DEVICE}"', _OWN, group), same("$tag_gateway"))


def health() -> tuple[Panel, ...]:
    """Spool, disk and clock of each gateway over the last day."""
    clock = Panel(
        "state-timeline",
        Words("Clock", "时钟"),
        (8, 7),
        (_own_course("min", "clock_trusted"),),
        about=Words("Whether the gateway knows the time.", "网关是否掌握准确时间。"),
        defaults={"mappings": _TRUSTED, "custom": {"fillOpacity": 70, "lineWidth": 0}, "color": {"mode": "thresholds"}},
        options={
            "mergeValues": True,
            "showValue": "auto",
            "rowHeight": 0.8,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        },
        only_last="24h",
    )
    return (
        lines(
            Words("Batches in the spool", "缓存批次"),
            (8, 7),
            [_own_course("max", "spool_batches")],
            about=Words(
                "Sealed and not yet confirmed. It falls while a backlog drains.",
                "已封存而未确认的批次；积压消化时下降。",
            ),
            defaults={"decimals": 0, "min": 0},
            only_last="24h",
        ),
        lines(
            Words("Disk free", "可用磁盘"),
            (8, 7),
            [_own_course("min", "disk_free_bytes")],
            defaults={"unit": "decbytes", "min": 0},
            only_last="24h",
        ),
        clock,
    )
