"""What Grafana does with a dashboard's queries before it sends them, and with the answers for variables.

Macros and variables as its InfluxQL data source documents them: `$timeFilter`, `$__interval`, `${name}`,
`${name:regex}`, `${__to}`; a variable with All stands for all of its options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.servers import InfluxServer

DATABASE = "loopgauge"
HOUR_MS = 3_600_000
_SPANS_MS = {"h": HOUR_MS, "d": 24 * HOUR_MS}
_UNKNOWN = re.compile(r"\$\{|\$[a-zA-Z_]|\[\[[a-z]")

Json = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """The time that is shown, [from_ms, to_ms], and the values of variables."""

    from_ms: int
    to_ms: int
    values: Mapping[str, str | Sequence[str]]
    interval: str = "5m"

    def last(self, span: str) -> Shown:
        """The same with a panel's own time, such as 24h; "" for the dashboard's."""
        if not span:
            return self
        begin = self.to_ms - int(span[:-1]) * _SPANS_MS[span[-1]]
        return Shown(begin, self.to_ms, self.values, self.interval)

    def expand(self, text: str) -> str:
        """The statement as Grafana sends it. AssertionError where something would be sent unexpanded."""
        found = text.replace("$timeFilter", f"time >= {self.from_ms}ms and time <= {self.to_ms}ms")
        found = found.replace("${__to}", str(self.to_ms)).replace("$__interval", self.interval)
        for name, value in self.values.items():
            found = found.replace(f"${{{name}:regex}}", _as_regex(value))
            if isinstance(value, str):
                found = found.replace(f"${{{name}}}", value)
        assert not _UNKNOWN.search(found), found
        return found


def _as_regex(value: str | Sequence[str]) -> str:
    """Grafana's format `regex`: characters that mean something are escaped, several values become alternatives."""
    if isinstance(value, str):
        return re.sub(r"[\\^$.*+?()\[\]{}|/]", r"\\\g<0>", value)
    return _as_regex(value[0]) if len(value) == 1 else f"({'|'.join(map(_as_regex, value))})"


def rows(influx: InfluxServer, statement: str) -> list[Row]:
    """The answer as rows with the tags in them; an error in it is raised. Times are ms UTC."""
    found = []
    for series in influx.query(statement, database=DATABASE):
        columns, tags = series["columns"], series.get("tags", {})
        assert isinstance(columns, list) and isinstance(tags, dict)
        values = series["values"]
        assert isinstance(values, list)
        found += [{"measurement": series["name"], **tags, **dict(zip(columns, value, strict=True))} for value in values]
    return found


def options(influx: InfluxServer, variable: Json, shown: Shown) -> list[tuple[str, str]]:
    """(value, text) of the choices of a variable: a key's value or a text per row, split and chosen by its regex."""
    found: dict[str, str] = {}
    for series in influx.query(shown.expand(variable["query"]), database=DATABASE):
        values = series["values"]
        assert isinstance(values, list)
        for row in values:
            text = str(row[1] if len(row) > 1 else row[0])
            if not variable["regex"]:
                found.setdefault(text, text)
                continue
            match = re.search(_python(variable["regex"]), text)
            if match:
                groups = match.groupdict()
                value = groups.get("value") or match[0]
                found.setdefault(value, groups.get("text") or value)
    return list(found.items())


def _python(regex: str) -> str:
    """A regular expression of JavaScript, between slashes, as Python writes it."""
    return regex[1:-1].replace("(?<value>", "(?P<value>").replace("(?<text>", "(?P<text>")


def choose(
    influx: InfluxServer, dashboard: Json, shown: Shown, wanted: Mapping[str, str]
) -> tuple[Shown, dict[str, list[tuple[str, str]]]]:
    """The dashboard as a person sees it who picks `wanted` and leaves the rest: variables in order, each from those
    before it. Also all options of each."""
    values: dict[str, str | Sequence[str]] = {}
    offered: dict[str, list[tuple[str, str]]] = {}
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        now = Shown(shown.from_ms, shown.to_ms, values, shown.interval)
        offered[name] = options(influx, variable, now)
        ids = [value for value, _ in offered[name]]
        if name in wanted:
            assert wanted[name] in ids, f"{name}: {wanted[name]} is not among {ids}"
            values[name] = wanted[name]
        elif variable["includeAll"]:
            values[name] = ids
        else:
            first = variable.get("current", {}).get("value")
            values[name] = first if first in ids else ids[0]
    return Shown(shown.from_ms, shown.to_ms, values, shown.interval), offered


def targets(dashboard: Json) -> Iterator[tuple[Json, Json]]:
    """(panel, query) of every query of a dashboard."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel, target
