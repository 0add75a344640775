"""Dashboards as values, and as the classic JSON (schema version 41 and before) that every Grafana since 9 reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.grafana.words import NONE, Words

DATASOURCE: Mapping[str, str] = {"type": "influxdb", "uid": "loopgauge"}
SCHEMA_VERSION = 39
"""Of Grafana 10 and 11; later ones migrate it when they load it."""
COLUMNS = 24

CHOICE = r"/^(?:[^ ]*\/)?(?<value>[^\/ ]+) (?<text>.*)$/"
"""Splits a choice of the register (`series_store.names.CHOICE_MARK`) into what is compared and what is read."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One statement of a panel. As `table` it gives rows with the tags as columns, else a line per series."""

    text: str | Words
    """Words where a name is asked for, which is another field in each language."""
    alias: Words = NONE
    table: bool = False

    def json(self, ref: str, language: str) -> Json:
        """As a target of a panel."""
        return {
            "refId": ref,
            "datasource": dict(DATASOURCE),
            "query": told(self.text, language),
            "rawQuery": True,
            "resultFormat": "table" if self.table else "time_series",
            **({"alias": self.alias.in_(language)} if self.alias.en else {}),
        }


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard, filled by a query. `every`: several, and at first all, may be chosen."""

    name: str
    title: Words
    query: Words
    regex: str = CHOICE
    every: bool = False
    hidden: bool = False
    in_time: bool = False
    """Asked again when the time that is shown changes."""
    first: str = ""
    """Chosen at first, where it is among the choices."""

    def json(self, language: str) -> Json:
        """As an entry of `templating.list`."""
        query = self.query.in_(language)
        current: Json = {"selected": True, "text": ["All"], "value": ["$__all"]} if self.every else {}
        if self.first:
            current = {"selected": True, "text": self.first, "value": self.first}
        return {
            "name": self.name,
            "label": self.title.in_(language),
            "type": "query",
            "datasource": dict(DATASOURCE),
            "query": query,
            "regex": self.regex,
            "refresh": 2 if self.in_time else 1,
            "sort": 0,
            "hide": 2 if self.hidden else 0,
            "includeAll": self.every,
            "multi": self.every,
            **({"current": current} if current else {}),
            "options": [],
            "skipUrlSync": self.hidden,
        }


@dataclass(frozen=True, slots=True)
class Override:
    """What holds for some of a panel's fields: `by` is byName or byRegexp; `name` may differ by language."""

    name: Words
    properties: Mapping[str, Any]
    by: str = "byName"

    def json(self, language: str) -> Json:
        """As an entry of `fieldConfig.overrides`."""
        properties = [{"id": key, "value": told(value, language)} for key, value in self.properties.items()]
        return {"matcher": {"id": self.by, "options": self.name.in_(language)}, "properties": properties}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `kind` is Grafana's name of it. Words in the mappings are told in the dashboard's language."""

    kind: str
    title: Words
    size: tuple[int, int]
    """Width (of 24 columns) and height (of 30 pixels)."""
    queries: tuple[Query, ...] = ()
    about: Words = NONE
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    transformations: tuple[Mapping[str, Any], ...] = ()
    only_last: str = ""
    """Shows this much before the end of the dashboard's time, such as 24h; else all of it."""

    def json(self, number: int, place: tuple[int, int], language: str) -> Json:
        """As an entry of `panels`, at (x, y)."""
        made: Json = {
            "id": number,
            "type": self.kind,
            "title": self.title.in_(language),
            "gridPos": {"h": self.size[1], "w": self.size[0], "x": place[0], "y": place[1]},
        }
        if self.kind == "row":
            return {**made, "collapsed": False, "panels": []}
        made |= {
            "datasource": dict(DATASOURCE),
            "targets": [query.json(chr(ord("A") + at), language) for at, query in enumerate(self.queries)],
            "fieldConfig": {
                "defaults": told(self.defaults, language),
                "overrides": [override.json(language) for override in self.overrides],
            },
            "options": told(self.options, language),
        }
        if self.about.en:
            made["description"] = self.about.in_(language)
        if self.transformations:
            made["transformations"] = told(self.transformations, language)
        if self.only_last:
            made |= {"timeFrom": self.only_last, "hideTimeOverride": self.kind == "stat"}
        return made


def row(title: Words) -> Panel:
    """A heading over the panels that follow."""
    return Panel("row", title, (COLUMNS, 1))


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Panels in reading order; each stands beside the one before it where there is room, else below."""

    name: str
    title: Words
    about: Words
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    time_from: str

    def uid(self, language: str) -> str:
        """Never changes: links and alerts name it."""
        return f"loopgauge-{self.name}-{language}"

    def number(self, title: str) -> int:
        """The id of the panel with this English title."""
        return [panel.title.en for panel in self.panels].index(title) + 1

    def json(self, language: str) -> Json:
        """The dashboard as Grafana provisions it from a file."""
        others = Words("All dashboards of Loopgauge", "Loopgauge 的全部仪表板").in_(language)
        return {
            "uid": self.uid(language),
            "title": self.title.in_(language),
            "description": self.about.in_(language),
            "tags": ["loopgauge", language],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "browser",
            "time": {"from": self.time_from, "to": "now"},
            "refresh": "1m",
            "links": [
                {
                    "type": "dashboards",
                    "title": others,
                    "tooltip": "",
                    "icon": "external link",
                    "tags": ["loopgauge", language],
                    "asDropdown": True,
                    "includeVars": True,
                    "keepTime": False,
                    "targetBlank": False,
                }
            ],
            "annotations": {"list": []},
            "templating": {"list": [variable.json(language) for variable in self.variables]},
            "panels": [
                panel.json(number, place, language)
                for number, (panel, place) in enumerate(zip(self.panels, _places(self.panels), strict=True), 1)
            ],
        }


def _places(panels: Sequence[Panel]) -> list[tuple[int, int]]:
    places, x, y, height = [], 0, 0, 0
    for panel in panels:
        width, high = panel.size
        if x + width > COLUMNS:
            x, y, height = 0, y + height, 0
        places.append((x, y))
        x, height = x + width, max(height, high)
    return places


def told(value: Any, language: str) -> Any:
    """The value with all Words in it told in one language."""
    if isinstance(value, Words):
        return value.in_(language)
    if isinstance(value, Mapping):
        return {told(key, language): told(one, language) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [told(one, language) for one in value]
    return value
