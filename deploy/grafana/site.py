"""The dashboard of a site: one device after the other, what it says now and what was made of what it said."""

from __future__ import annotations

from collections.abc import Iterable

from data_contract.reading import PSEUDONYM_SUFFIX, QUALITY_PREFIX
from deploy.grafana import influxql as ql
from deploy.grafana.fields import in_words, unit_overrides
from deploy.grafana.looks import BLUE, COMPLETENESS, NOTHING, ORANGE, column, lines, sorted_by, table
from deploy.grafana.meters import CITY, districts, listed, meters, sites
from deploy.grafana.model import Dashboard, Override, Panel, Query, Variable, row
from deploy.grafana.words import NONE, Words
from series_store import names

THIS = [ql.chosen(names.GATEWAY, "gateway"), ql.chosen(names.DEVICE, "device")]
_AT_SITE = ql.chosen(names.SITE_TAG, "site")
_NOT_A_KIND = "|".join(sorted(names.RESERVED))
_MEASUREMENT = "/^${kind:regex}$/"

MEAN = Words("${field} mean", "${field} 平均")
LEAST, GREATEST = Words("${field} least", "${field} 最小"), Words("${field} greatest", "${field} 最大")
COUNTED = Words("${field} counted", "${field} 计得")
SUMMARISED = Words("Readings summarised / expected", "汇总读数／计划读数")


def site(fields: Iterable[str]) -> Dashboard:
    """The dashboard; `fields` are those that devices of the catalog have, to be shown in words."""
    return Dashboard(
        name="site",
        title=Words("Loopgauge: site", "Loopgauge：站点"),
        about=Words(
            "From city to district to site to device: newest values, hours and days, odd steps of totals, quality.",
            "由城市、区、站点到设备：最新数值、小时与日汇总、累计量异常步进、数据质量。",
        ),
        variables=_variables(),
        panels=(
            row(Words("${site:text}", "${site:text}")),
            meters((24, 8)),
            row(Words("${device:text}", "${device:text}")),
            _newest(fields),
            _course(),
            _stretches(names.ROLLUP_1H, Words("Hours of ${field}", "${field} 逐时"), "7d"),
            _stretches(names.ROLLUP_1D, Words("Days of ${field}", "${field} 逐日"), ""),
            _completeness(),
            _quality(),
            _odd(),
        ),
        time_from="now-30d",
    )


def _variables() -> tuple[Variable, ...]:
    asked = [ql.select(f'DISTINCT("{field}")', f'"{names.ASSET}"', [_AT_SITE]) for field in ("meter", "meter_zh")]
    of_device = f"WHERE {ql.chosen(names.DEVICE, 'device')}"
    gateway = f'SHOW TAG VALUES FROM "{names.ASSET}" WITH KEY = "{names.GATEWAY}" {of_device} AND {_AT_SITE}'
    kind = f"SHOW MEASUREMENTS WHERE {' AND '.join(THIS)}"
    field = f'SHOW TAG VALUES FROM "{names.ROLLUP_1H}" WITH KEY = "{names.FIELD}" WHERE {" AND ".join(THIS)}'
    shown = f"/^(?!.*{PSEUDONYM_SUFFIX}$).+$/"
    return (
        CITY,
        districts(every=False),
        sites(),
        Variable("device", Words("Device", "设备"), Words(*asked)),
        Variable("gateway", NONE, Words(gateway, gateway), regex="", hidden=True),
        Variable("kind", NONE, Words(kind, kind), regex=f"/^(?!(?:{_NOT_A_KIND})$).+$/", hidden=True),
        Variable("field", Words("Field", "字段"), Words(field, field), regex=shown, first="volume_m3"),
        Variable("fields", NONE, Words(field, field), regex=shown, every=True, hidden=True),
        listed(names.GATEWAY, "gateways", _AT_SITE),
        listed(names.DEVICE, "devices", _AT_SITE),
    )


def _newest(fields: Iterable[str]) -> Panel:
    asked = ql.select("last(/^${fields:regex}$/)", _MEASUREMENT, [*THIS, ql.SHOWN])
    return table(
        Words("Newest values", "最新数值"),
        (8, 10),
        [Query(asked, Words("$col", "$col"))],
        about=Words("Of the last hour; what is missing was not read in it.", "最近一小时内；未列出者在此期间未读取。"),
        overrides=(
            column("Field", Words("Field", "字段"), mappings=in_words(fields, "last_")),
            column("Last *", Words("Value", "数值"), width=130),
        ),
        transformations=({"id": "reduce", "options": {"mode": "seriesToRows", "reducers": ["lastNotNull"]}},),
        only_last="1h",
    )


def _band() -> tuple[Override, ...]:
    quiet = {
        "color": {"mode": "fixed", "fixedColor": BLUE},
        "custom.lineWidth": 0,
        "custom.showPoints": "never",
        "custom.hideFrom": {"legend": True, "tooltip": False, "viz": False},
    }
    return (
        Override(MEAN, {"color": {"mode": "fixed", "fixedColor": BLUE}}),
        Override(LEAST, quiet),
        Override(GREATEST, {**quiet, "custom.fillBelowTo": LEAST, "custom.fillOpacity": 18}),
    )


def _course() -> Panel:
    found = {"mean": MEAN, "min": LEAST, "max": GREATEST}
    group = "time($__interval) fill(none)"
    return lines(
        Words("Readings of ${field}", "${field} 读数"),
        (16, 10),
        [
            Query(ql.select(f'{function}("${{field}}")', _MEASUREMENT, [*THIS, ql.SHOWN], group), alias)
            for function, alias in found.items()
        ],
        about=Words(
            "Mean, least and greatest reading of each interval, of the last 24 hours.",
            "最近24小时各时间间隔内读数的平均、最小与最大值。",
        ),
        overrides=(*unit_overrides(), *_band()),
        only_last="24h",
    )


def _of_field(measurement: str, what: str, *needed: str) -> str:
    """What was made of the field, from rows that hold what is needed for it."""
    conditions = [ql.chosen(names.FIELD, "field"), *THIS, ql.SHOWN, *needed]
    return ql.select(what, f'"{measurement}"', conditions)


def _stretches(measurement: str, title: Words, only_last: str) -> Panel:
    found = {"delta": COUNTED, "mean": MEAN, "min": LEAST, "max": GREATEST}
    return lines(
        title,
        (12, 9),
        [Query(_of_field(measurement, f'"{column}"', ql.has(column)), alias) for column, alias in found.items()],
        about=Words(
            "Of a total, what it counted in each; else the mean over time with the least and the greatest value.",
            "累计量显示各时段计得量；其他显示时间平均值及最小、最大值。",
        ),
        overrides=(
            *unit_overrides(),
            *_band(),
            Override(
                COUNTED,
                {
                    "color": {"mode": "fixed", "fixedColor": BLUE},
                    "custom.drawStyle": "bars",
                    "custom.fillOpacity": 60,
                    "custom.lineWidth": 1,
                    "custom.axisSoftMin": 0,
                },
            ),
        ),
        only_last=only_last,
    )


def _completeness() -> Panel:
    share = _of_field(names.ROLLUP_1H, '"readings" / "expected"', ql.CALLED_FOR, ql.ENDED)
    told = _of_field(names.ROLLUP_1H, f'"{names.SUMMARISED}" / "expected"', ql.CALLED_FOR, ql.ENDED)
    return lines(
        Words("Completeness of each hour", "每小时完整率"),
        (12, 7),
        [Query(share, Words("Readings stored / expected", "已入库读数／计划读数")), Query(told, SUMMARISED)],
        about=Words(
            "Summarised: a gateway that was cut off for long gave up these readings; totals are exact without them.",
            "汇总：网关离线过久而舍弃的读数；累计量不受影响。",
        ),
        custom={
            "drawStyle": "bars",
            "fillOpacity": 60,
            "lineWidth": 0,
            "stacking": {"mode": "normal", "group": "A"},
            "thresholdsStyle": {"mode": "dashed"},
        },
        overrides=(Override(SUMMARISED, {"color": {"mode": "fixed", "fixedColor": ORANGE}}),),
        defaults={
            "unit": "percentunit",
            "decimals": 1,
            "min": 0,
            "max": 1,
            "thresholds": COMPLETENESS,
            "color": {"mode": "fixed", "fixedColor": BLUE},
        },
        only_last="7d",
    )


def _quality() -> Panel:
    marked = ql.select(f'count("{QUALITY_PREFIX}${{field}}")', _MEASUREMENT, [*THIS, ql.SHOWN], "time(1h) fill(none)")
    return lines(
        Words("Readings that are not plainly good, each hour", "每小时存疑读数"),
        (12, 7),
        [Query(marked, Words("Readings with a mark of quality", "带质量标记的读数"))],
        about=Words(
            "Uncertain, out of range, saturated, or the device's mark for no value.",
            "不确定、超量程、饱和，或设备表示无数值。",
        ),
        custom={"drawStyle": "bars", "fillOpacity": 60, "lineWidth": 0},
        defaults={
            "decimals": 0,
            "min": 0,
            "color": {"mode": "fixed", "fixedColor": ORANGE},
            "noValue": Words("none", "无"),
        },
        only_last="7d",
    )


def _odd() -> Panel:
    asked = ql.select(
        '"odd", "delta"',
        f'"{names.ROLLUP_1H}"',
        ["\"odd\" != '[]'", ql.has("delta"), *THIS, ql.SHOWN],
        ql.quoted(names.FIELD),
    )
    one = r'^\[\[\d+,\d+,"(\w+)",([-+.e\d]+),(?:true|false)\]\]$'
    return table(
        Words("Steps of totals that are not ordinary", "累计量异常步进"),
        (24, 8),
        [Query(asked, table=True)],
        about=Words(
            "Rollover, reset, dip and impossible rise, with what the step counts for. Several in an hour: from, to "
            "(ms UTC), kind, amount, whether it is believed.",
            "翻转、清零、回落与不可能的上升及其计入量。一小时内有多次时：起、止(毫秒，UTC)、类型、数量、是否采信。",
        ),
        defaults={"noValue": NOTHING},
        overrides=(
            column("Time", Words("Hour", "小时"), width=180),
            column(names.FIELD, Words("Field", "字段"), width=220),
            column("delta", Words("Counted in that hour", "该小时计得"), width=180),
            column(
                "odd",
                Words("Step", "步进"),
                mappings=[{"type": "regex", "options": {"pattern": one, "result": {"text": "$1: $2", "index": 0}}}],
            ),
        ),
        transformations=(sorted_by("Time", descending=True),),
    )
