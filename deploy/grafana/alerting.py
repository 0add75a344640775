"""Alert rules for Grafana's unified alerting, as the YAML that it provisions from a file.

Each query is reduced to its newest value per set of labels, and a condition over those decides. `$` is written `$$` in
the file, because Grafana replaces variables of its environment there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data_contract.reading import GATEWAY_DEVICE
from deploy.grafana import influxql as ql
from deploy.grafana.gateways import CAUSES, DAY_S
from deploy.grafana.model import DATASOURCE, Dashboard
from deploy.grafana.words import Words
from series_store import names

FOLDER = "Loopgauge"
EXPRESSION = "__expr__"

SILENT_MINUTES = 10
SILENT_SEEN_DAYS = 2
"""A gateway that was silent for longer has no series any more, and a rule that reads more days costs more."""
INTERVAL = "5m"
KEPT_EVALUATIONS = 2016
"""So many, a week of them, a rule that fires goes on to fire for labels that are not seen any more, where it is to."""
STALLED_S = 900
HEALTH_S = 7200
"""What a gateway says of itself counts for so long; by default it speaks every 5 min, on metered links once an hour."""
COMPLETE_SHARE_MIN = 0.95
METER_SHARE_MIN = 0.9


@dataclass(frozen=True, slots=True)
class Watched:
    """A query that a rule looks at, over [now - from_s, now - to_s]."""

    text: str
    from_s: int
    to_s: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule. `condition` is an expression of Grafana over the newest values $A, $B, …; it fires where that is not 0.

    `no_data`: what it means when no query returns anything at all.
    """

    uid: str
    title: Words
    watched: tuple[Watched, ...]
    condition: str
    lasts: str
    severity: str
    summary: Words
    advice: Words
    no_data: str
    panel: str
    """English title of the panel of the city dashboard that shows more."""
    outlives: bool = False
    """Whether it goes on to fire when what it fires for is not seen any more. Grafana knows this since 12.2."""

    def json(self, city: Dashboard) -> dict[str, Any]:
        """As an entry of `rules`; texts in the form in which Grafana reads them, `$` once."""
        letters = [chr(ord("A") + at) for at in range(len(self.watched))]
        condition = self.condition
        for letter in letters:
            condition = condition.replace(f"${letter}", f"$NEWEST_{letter}")
        return {
            "uid": self.uid,
            "title": f"{self.title.en} · {self.title.zh}",
            "condition": "FIRES",
            "data": [
                *(_query(letter, one) for letter, one in zip(letters, self.watched, strict=True)),
                *(_newest(letter) for letter in letters),
                _math(condition),
            ],
            "for": self.lasts,
            "noDataState": self.no_data,
            "execErrState": "Error",
            "dashboardUid": city.uid("en"),
            "panelId": city.number(self.panel),
            "annotations": {
                "summary": self.summary.en,
                "summary_zh": self.summary.zh,
                "description": self.advice.en,
                "description_zh": self.advice.zh,
            },
            "labels": {"severity": self.severity, "program": "loopgauge"},
            "isPaused": False,
            **({"missing_series_evals_to_resolve": KEPT_EVALUATIONS} if self.outlives else {}),
        }


def _query(ref: str, one: Watched) -> dict[str, Any]:
    model = {
        "refId": ref,
        "datasource": dict(DATASOURCE),
        "query": one.text,
        "rawQuery": True,
        "resultFormat": "time_series",
        "intervalMs": 60_000,
        "maxDataPoints": 43_200,
    }
    window = {"from": one.from_s, "to": one.to_s}
    return {"refId": ref, "relativeTimeRange": window, "datasourceUid": DATASOURCE["uid"], "model": model}


def _expression(ref: str, model: dict[str, Any]) -> dict[str, Any]:
    told = {"refId": ref, "datasource": {"type": EXPRESSION, "uid": EXPRESSION}, **model}
    return {"refId": ref, "relativeTimeRange": {"from": 0, "to": 0}, "datasourceUid": EXPRESSION, "model": told}


def _newest(ref: str) -> dict[str, Any]:
    settings = {"mode": "dropNN"}
    return _expression(f"NEWEST_{ref}", {"type": "reduce", "reducer": "last", "expression": ref, "settings": settings})


def _math(condition: str) -> dict[str, Any]:
    return _expression("FIRES", {"type": "math", "expression": condition})


_BY_GATEWAY = ql.quoted(names.GATEWAY)
_OWN = [ql.is_(names.DEVICE, GATEWAY_DEVICE), ql.SHOWN]


def alerts() -> tuple[Alert, ...]:
    """All rules."""
    return (_silent(), _stalled(), _filling(), _unconfirmed(), _clock(), _incomplete_figure(), _incomplete_meter())


def _silent() -> Alert:
    receipts = ql.select(
        f'count("{names.READINGS}")',
        f'"{names.RECEIPT}"',
        [ql.SHOWN],
        f"time({SILENT_MINUTES}m), {_BY_GATEWAY} fill(0)",
    )
    return Alert(
        uid="loopgauge-silent-gateway",
        title=Words("Gateway silent", "网关失联"),
        watched=(Watched(receipts, SILENT_SEEN_DAYS * 86_400),),
        # The newest interval is often empty for a moment after it began: only `for` makes it a silence.
        condition="$A < 1",
        lasts=f"{SILENT_MINUTES}m",
        severity="critical",
        summary=Words(
            f"Gateway {{{{ $labels.gateway }}}}: no batch stored for {SILENT_MINUTES} min or more",
            f"网关 {{{{ $labels.gateway }}}}：已有{SILENT_MINUTES}分钟以上无批次入库",
        ),
        advice=Words(
            "Nothing is lost yet: it keeps what it reads until it is confirmed. Look at its power, its link and its "
            "certificate, then at broker and ingest. Where all gateways are silent at once, begin with ingest.",
            "数据尚未丢失：网关保留读数直至确认。请检查其供电、通信与证书，再检查消息代理和入库服务。若全部网关同时失联，先查入库服务。",
        ),
        # No receipt of any gateway for days: ingest or the database is dead, and nobody else would say so.
        no_data="Alerting",
        panel="Gateways, the longest silent first",
        outlives=True,
    )


def _stalled() -> Alert:
    measurement = f'"{GATEWAY_DEVICE}"'
    grown = ql.select('last("spool_batches") - first("spool_batches")', measurement, _OWN, _BY_GATEWAY)
    oldest = ql.select('min("spool_oldest_s")', measurement, _OWN, _BY_GATEWAY)
    return Alert(
        uid="loopgauge-stalled-backlog",
        title=Words("Backlog stalled", "积压未消化"),
        watched=(Watched(grown, STALLED_S), Watched(oldest, STALLED_S)),
        # A backlog that drains is old, too, but it shrinks.
        condition=f"$A >= 0 && $B > {STALLED_S}",
        lasts="10m",
        severity="warning",
        summary=Words(
            f"Gateway {{{{ $labels.gateway }}}}: batches older than {STALLED_S // 60} min, and no fewer of them",
            f"网关 {{{{ $labels.gateway }}}}：存在早于{STALLED_S // 60}分钟的未确认批次，且数量未减少",
        ),
        advice=Words(
            "New data arrives and old data does not. Look at ingest's dead letters and parked boards, then at the byte "
            "budget of the uplink. A gateway that is cut off cannot say this of itself: see Gateway silent.",
            "新数据可达而旧数据滞留。请检查入库服务的死信与停用主板，再检查上行流量预算。断网的网关无法自报，见“网关失联”。",
        ),
        # The gateway rule speaks where nothing comes at all; health readings may be switched off.
        no_data="OK",
        panel="Batches in the spool",
    )


def _filling() -> Alert:
    measurement = f'"{GATEWAY_DEVICE}"'
    lasts = ql.select('last("spool_full_s")', measurement, _OWN, _BY_GATEWAY)
    oldest = ql.select('min("spool_oldest_s")', measurement, _OWN, _BY_GATEWAY)
    return Alert(
        uid="loopgauge-filling-spool",
        title=Words("Spool fills within a day", "缓存一日内将满"),
        # A spool that holds less than a day is no alarm while all of it is confirmed.
        watched=(Watched(lasts, HEALTH_S), Watched(oldest, HEALTH_S)),
        condition=f"$A < {DAY_S} && $B > {STALLED_S}",
        lasts="10m",
        severity="critical",
        summary=Words(
            "Gateway {{ $labels.gateway }}: a backlog, and room for less than a day",
            "网关 {{ $labels.gateway }}：存在积压，且剩余空间不足一日",
        ),
        advice=Words(
            "When it is full, the oldest hours give up their detail: totals stay exact, gauges keep mean and extremes. "
            "Make the backlog drain: see what the gateway suspects, the byte budget of its uplink, its disk. Or raise "
            "spool.bytes_max where the disk has room.",
            "写满后最旧的小时将被压缩：累计量保持精确，瞬时量仅留均值与极值。请设法消化积压：查看可疑原因、上行流量预算与"
            "磁盘；磁盘有余量时可提高 spool.bytes_max。",
        ),
        no_data="OK",
        panel="Gateways: what they hold and suspect, the fullest first",
    )


def _unconfirmed() -> Alert:
    cause = ql.select('last("unconfirmed_cause")', f'"{GATEWAY_DEVICE}"', _OWN, _BY_GATEWAY)
    return Alert(
        uid="loopgauge-unconfirmed",
        title=Words("Nothing confirmed", "无确认"),
        watched=(Watched(cause, HEALTH_S),),
        # No broker is what Gateway silent is about, and its own word of that comes when it is over.
        condition="$A > 1",
        lasts="10m",
        severity="critical",
        summary=Words(
            f"Gateway {{{{ $labels.gateway }}}}: connected, and nothing is confirmed; suspected: {_suspected('en')}",
            f"网关 {{{{ $labels.gateway }}}}：已连接但无确认；可疑原因：{_suspected('zh')}",
        ),
        advice=Words(
            "Its data is stored, or this would not be known, but its acks do not reach it. Look at the broker's access "
            "list for lg/v1/<gateway>/ack, at `loopgauge ingest gateway list` for a parked board, and whether a card "
            "was copied.",
            "其数据已入库，但确认未送达。请检查消息代理对 lg/v1/<gateway>/ack 的权限，"
            "用 `loopgauge ingest gateway list` 查看停用主板，并查看是否复制了存储卡。",
        ),
        no_data="OK",
        panel="Why nothing is confirmed",
    )


def _suspected(language: str) -> str:
    """A template that says a cause in words."""
    cases = (
        f'if eq (printf "%.0f" $values.NEWEST_A.Value) "{number}" }}}}{words.in_(language)}'
        for number, (words, _) in CAUSES.items()
    )
    return f"{{{{ {'{{ else '.join(cases)}{{{{ else }}}}?{{{{ end }}}}"


def _clock() -> Alert:
    trusted = ql.select('max("clock_trusted")', f'"{GATEWAY_DEVICE}"', _OWN, _BY_GATEWAY)
    return Alert(
        uid="loopgauge-clock",
        title=Words("Clock not trusted", "时钟不可信"),
        watched=(Watched(trusted, HEALTH_S),),
        condition="$A < 1",
        lasts="30m",
        severity="warning",
        summary=Words(
            "Gateway {{ $labels.gateway }}: does not know the time; batches wait for it, or go with an estimate",
            "网关 {{ $labels.gateway }}：时间未知；批次等待校时，或按估计时间发送",
        ),
        advice=Words(
            "Look whether it reaches a time server (gateway_time_servers, `timedatectl timesync-status`). An estimate "
            "is final: what was sent is never dated again. A board with a clock chip may say clock.trust: always.",
            "请检查其能否访问时间服务器（gateway_time_servers、`timedatectl timesync-status`）。"
            "估计时间一经发送不再更改。带时钟芯片的主板可设 clock.trust: always。",
        ),
        no_data="OK",
        panel="Clock",
    )


def _incomplete_figure() -> Alert:
    tags = ql.quoted(names.INDICATOR_TAG, names.AREA_TAG)
    found = ql.select('last("completeness")', f'"{names.INDICATOR}"', [ql.is_(names.PERIOD_TAG, "1d"), ql.SHOWN], tags)
    return Alert(
        uid="loopgauge-incomplete-figure",
        title=Words("Figure incomplete", "指标不完整"),
        watched=(Watched(found, 36 * 3600),),
        condition=f"$A < {COMPLETE_SHARE_MIN}",
        # The first minutes of a day are few readings.
        lasts="1h",
        severity="warning",
        summary=Words(
            f"{{{{ $labels.indicator }}}} in {{{{ $labels.area }}}}: less than {COMPLETE_SHARE_MIN:.0%} of the "
            "newest day is covered by readings",
            f"{{{{ $labels.area }}}} 的 {{{{ $labels.indicator }}}}：最新一日读数覆盖率低于{COMPLETE_SHARE_MIN:.0%}",
        ),
        advice=Words(
            "A meter that the figure is made of does not answer, or its data is still on its gateway. The figure's "
            "interval says what is open; it is mended by itself when the data comes.",
            "构成该指标的某一计量器具未应答，或数据仍在网关。区间表示不确定程度；数据到达后自动修正。",
        ),
        # No figure for a day and a half: the rollups do not run.
        no_data="Alerting",
        panel="Completeness by district",
    )


def _incomplete_meter() -> Alert:
    found = ql.select(
        'sum("readings") / sum("expected")',
        f'"{names.ROLLUP_1H}"',
        [ql.CALLED_FOR, ql.SHOWN],
        ql.quoted(names.GATEWAY, names.DEVICE),
    )
    return Alert(
        uid="loopgauge-incomplete-meter",
        title=Words("Meter incomplete", "计量器具数据不完整"),
        # Hours that have ended; the newest one may not be computed to its end yet.
        watched=(Watched(found, 4 * 3600, 3600),),
        condition=f"$A < {METER_SHARE_MIN}",
        lasts="15m",
        severity="info",
        summary=Words(
            f"{{{{ $labels.device }}}} of {{{{ $labels.gateway }}}}: less than {METER_SHARE_MIN:.0%} of its "
            "readings in the last hours",
            f"{{{{ $labels.gateway }}}} 的 {{{{ $labels.device }}}}：近几小时读数少于应有的{METER_SHARE_MIN:.0%}",
        ),
        advice=Words(
            "The bus loses answers, or the device is slow: the audit names the cause (timeout, exception, bus down). A "
            "device that is silent altogether shows in Figure incomplete and on the dashboard.",
            "总线丢失应答或设备过慢；审计给出原因(超时、异常、总线中断)。完全静默的设备见“指标不完整”及仪表板。",
        ),
        no_data="OK",
        panel="Meters, the longest silent first",
    )


def groups(rules: Sequence[Alert], city: Dashboard) -> dict[str, Any]:
    """The content of the provisioning file, `$` once; the rules are looked at every INTERVAL."""
    group = {
        "orgId": 1,
        "name": "loopgauge",
        "folder": FOLDER,
        "interval": INTERVAL,
        "rules": [rule.json(city) for rule in rules],
    }
    return {"apiVersion": 1, "groups": [group]}
