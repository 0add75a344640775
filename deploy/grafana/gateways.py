"""Panels of gateways: when each was heard, and what it says of itself."""

from __future__ import annotations

from typing import Any

from data_contract.reading import GATEWAY_DEVICE
from deploy.grafana import influxql as ql
from deploy.grafana.looks import (
    GREEN,
    MERGED,
    ORANGE,
    RED,
    column,
    in_order,
    lines,
    sorted_by,
    steps,
    table,
    without_time,
)
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


FOREVER_S = 31_536_000
"""What a gateway says where there is no end to be seen."""
DAY_S = 86_400
WRITTEN_BYTES_DAY, WRITTEN_BYTES_DAY_MAX = 500_000_000, 2_000_000_000
"""What twenty meters of ten fields write to a card in a day, and what wears out a small one in a few years."""

CAUSES: dict[int, tuple[Words, str]] = {
    0: (Words("nothing", "无"), GREEN),
    1: (Words("no broker", "无消息代理连接"), ORANGE),
    2: (Words("ingest or store away", "入库服务或存储不可用"), ORANGE),
    3: (Words("never heard: ingest or rights", "从未应答：入库服务或权限"), RED),
    4: (Words("rights, or board parked", "权限不足或主板停用"), RED),
    5: (Words("a second gateway of this name", "存在同名网关"), RED),
}
"""What a gateway suspects when nobody confirms, by the number that it stores."""
_SUSPECTED: list[dict[str, Any]] = [
    {
        "type": "value",
        "options": {str(n): {"text": text, "color": color, "index": n} for n, (text, color) in CAUSES.items()},
    }
]
_NEVER: list[dict[str, Any]] = [
    {
        "type": "range",
        "options": {"from": FOREVER_S, "to": None, "result": {"text": Words("no end", "无尽头"), "index": 0}},
    }
]
_IN_S: dict[str, Any] = {"unit": "s", "decimals": 1, "mappings": _NEVER}

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


def _timeline(title: Words, size: tuple[int, int], query: Query, about: Words, mappings: Any) -> Panel:
    """A state over the last day, a bar per gateway."""
    return Panel(
        "state-timeline",
        title,
        size,
        (query,),
        about=about,
        defaults={"mappings": mappings, "custom": {"fillOpacity": 70, "lineWidth": 0}, "color": {"mode": "thresholds"}},
        options={
            "mergeValues": True,
            "showValue": "auto",
            "rowHeight": 0.8,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        },
        only_last="24h",
    )


def prospects() -> Panel:
    """How long each gateway would hold out, what it suspects, and what its card bears."""
    own = (
        "spool_full_s",
        "drain_s",
        "unconfirmed_cause",
        "unconfirmed_s",
        "clock_waiting",
        "clock_backsteps",
        "spool_bytes",
        "written_bytes_day",
        "memory_available_bytes",
        "load_1min",
    )
    said = ql.select(
        ", ".join(f'last("{field}") AS "{field}"' for field in own),
        f'"{GATEWAY_DEVICE}"',
        _OWN,
        ql.quoted(names.GATEWAY),
    )
    room = steps((None, RED), (DAY_S, ORANGE), (3 * DAY_S, GREEN))
    drain = steps((None, GREEN), (3600, ORANGE), (DAY_S, RED))
    worn = steps((None, GREEN), (WRITTEN_BYTES_DAY, ORANGE), (WRITTEN_BYTES_DAY_MAX, RED))
    some = steps((None, GREEN), (1, ORANGE))
    return table(
        Words("Gateways: what they hold and suspect, the fullest first", "网关：缓存与可疑原因（最满者在前）"),
        (24, 8),
        [Query(said, table=True)],
        about=Words(
            "Spool lasts: until readings would give up detail, if nothing were confirmed from now on. Suspected: why "
            "nothing is confirmed, as far as the gateway can tell.",
            "缓存可维持：若此后均未确认，至读数开始压缩的时间。可疑原因：网关所能判断的未确认原因。",
        ),
        overrides=(
            column("Time", hidden=True),
            column(names.GATEWAY, Words("Gateway", "网关"), width=160),
            column("spool_full_s", Words("Spool lasts", "缓存可维持"), **_IN_S, **_by(room)),
            column("drain_s", Words("Drains in", "积压消化需"), **_IN_S, **_by(drain)),
            column("unconfirmed_cause", Words("Suspected", "可疑"), mappings=_SUSPECTED, custom__cellOptions=_STATE),
            column("unconfirmed_s", Words("Unconfirmed for", "未确认时长"), unit="s", decimals=1),
            column("clock_waiting", Words("Wait for the clock", "等待时钟批次"), decimals=0, **_by(some)),
            column("clock_backsteps", Words("Clock put back", "时钟回拨次数"), decimals=0),
            column("spool_bytes", Words("In the spool", "缓存数据量"), unit="decbytes", decimals=1),
            column("written_bytes_day", Words("Written a day", "每日写入量"), unit="decbytes", decimals=0, **_by(worn)),
            column("memory_available_bytes", Words("Memory free", "可用内存"), unit="decbytes", decimals=0),
            column("load_1min", Words("Load", "负载"), decimals=2),
        ),
        transformations=(without_time(), sorted_by("spool_full_s"), in_order(names.GATEWAY, *own)),
        only_last="24h",
    )


def _by(thresholds: dict[str, Any]) -> dict[str, Any]:
    """A cell whose text has the colour of its threshold."""
    return {"thresholds": thresholds, "color": {"mode": "thresholds"}, "custom__cellOptions": _STATE}


def health() -> tuple[Panel, ...]:
    """Spool, disk and clock of each gateway over the last day."""
    clock = _timeline(
        Words("Clock", "时钟"),
        (8, 7),
        _own_course("min", "clock_trusted"),
        Words("Whether the gateway knows the time.", "网关是否掌握准确时间。"),
        _TRUSTED,
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
        _timeline(
            Words("Why nothing is confirmed", "未确认原因"),
            (8, 7),
            _own_course("max", "unconfirmed_cause"),
            Words(
                "What the gateway suspects. Where nobody can hear it, it is told afterwards.",
                "网关的判断；无法送达时事后补报。",
            ),
            _SUSPECTED,
        ),
        lines(
            Words("Spool lasts", "缓存可维持"),
            (8, 7),
            [_own_course("min", "spool_full_s")],
            about=Words(
                "If nothing were confirmed from now on: until readings give up detail. A year is no end.",
                "若此后均未确认，至读数开始压缩的时间；一年表示无尽头。",
            ),
            custom={"thresholdsStyle": {"mode": "line"}, "scaleDistribution": {"type": "log", "log": 10}},
            defaults={"unit": "s", "thresholds": steps((None, RED), (DAY_S, ORANGE), (3 * DAY_S, GREEN))},
            only_last="24h",
        ),
        lines(
            Words("Written to the card in a day", "存储卡每日写入量"),
            (8, 7),
            [_own_course("max", "written_bytes_day")],
            about=Words(
                "At the rate of the hour before. Cards wear out by what is written.",
                "按此前一小时速率折算；存储卡因写入而磨损。",
            ),
            custom={"thresholdsStyle": {"mode": "line"}},
            defaults={
                "unit": "decbytes",
                "min": 0,
                "thresholds": steps((None, GREEN), (WRITTEN_BYTES_DAY, ORANGE), (WRITTEN_BYTES_DAY_MAX, RED)),
            },
            only_last="24h",
        ),
    )
