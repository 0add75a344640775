"""Dashboards and alert rules as Grafana reads them: what would leave a panel empty, ugly, costly or in one language."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml

from data_contract.reading import GATEWAY_DEVICE, PSEUDONYM_SUFFIX
from deploy.grafana import build, influxql
from deploy.grafana.alerting import alerts
from deploy.grafana.fields import unit_overrides
from deploy.grafana.gateways import CAUSES, FOREVER_S
from deploy.grafana.looks import GREEN
from deploy.grafana.model import CHOICE, COLUMNS, DATASOURCE
from deploy.grafana.words import LANGUAGES
from device_profiles.library import Library
from edge_agent import own_device
from edge_agent.send import forecast
from edge_agent.send.suspicion import Cause
from rollups.library import load_catalog
from series_store import names
from tests.rules.test_places import places

Json = dict[str, Any]
CATALOG = load_catalog()
FILES = build.files(CATALOG)
DASHBOARDS: dict[str, Json] = {name: json.loads(text) for name, text in FILES.items() if name.endswith(".json")}
KINDS = {"row", "stat", "table", "timeseries", "state-timeline"}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def every(dashboard: Json) -> Iterator[tuple[Json, Json]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel, target


@pytest.fixture(params=list(DASHBOARDS))
def dashboard(request: pytest.FixtureRequest) -> Json:
    return DASHBOARDS[request.param]


def test_each_dashboard_is_there_in_each_language_under_an_address_of_its_own() -> None:
    assert len(DASHBOARDS) == 2 * len(LANGUAGES)
    uids = [one["uid"] for one in DASHBOARDS.values()]
    assert sorted(uids) == ["loopgauge-city-en", "loopgauge-city-zh", "loopgauge-site-en", "loopgauge-site-zh"]


def test_panels_lie_beside_each_other_and_within_the_page(dashboard: Json) -> None:
    places_of = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(one["x"] >= 0 and one["x"] + one["w"] <= COLUMNS for one in places_of)
    for one, other in itertools.combinations(places_of, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart or above, (one, other)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_panel_asks_the_provisioned_source_and_is_of_a_kind_that_comes_with_grafana(dashboard: Json) -> None:
    assert {panel["type"] for panel in dashboard["panels"]} <= KINDS
    source = yaml.safe_load(FILES["provisioning/datasources/loopgauge.yaml"])["datasources"][0]
    assert (source["uid"], source["type"]) == (DATASOURCE["uid"], DATASOURCE["type"])
    assert source["jsonData"]["httpMode"] == "POST"
    for panel, target in every(dashboard):
        assert panel["datasource"] == target["datasource"] == dict(DATASOURCE)
    assert all(variable["datasource"] == dict(DATASOURCE) for variable in dashboard["templating"]["list"])


def test_every_variable_that_a_query_names_is_one_of_the_dashboard_and_stands_before_it(dashboard: Json) -> None:
    known: set[str] = {"__to"}
    for variable in dashboard["templating"]["list"]:
        assert set(re.findall(r"\$\{(\w+)", variable["query"])) <= known
        known.add(variable["name"])
    text = json.dumps(dashboard["panels"])
    assert set(re.findall(r"\$\{(\w+)", text)) <= known


def test_no_query_reads_without_an_end_in_time(dashboard: Json) -> None:
    queries = [target["query"] for _, target in every(dashboard)]
    queries += [variable["query"] for variable in dashboard["templating"]["list"]]
    for query in queries:
        if query.startswith("SHOW ") or f'FROM "{names.ASSET}"' in query:
            continue  # the index, and the register: a row per place
        assert influxql.SHOWN in query or influxql.ENDED in query, query


def test_no_query_reads_readings_but_of_named_devices(dashboard: Json) -> None:
    own = "|".join((names.ASSET, names.INDICATOR, names.RECEIPT, names.ROLLUP_1D, names.ROLLUP_1H))
    for _, target in every(dashboard):
        if not re.search(rf'FROM "({own})"', target["query"]):
            assert f'"{names.DEVICE}" ' in target["query"], target["query"]


def test_no_variable_stands_in_quotes_where_all_of_several_would_break_it(dashboard: Json) -> None:
    for _, target in every(dashboard):
        assert not re.search(r"= *'\$", target["query"])


def test_whatever_reads_a_number_of_a_rollup_leaves_out_rows_in_which_there_is_none(dashboard: Json) -> None:
    may_be_void = {"value", "low", "high", "target", "delta", "mean", "min", "max", "last_ms", "capacity_kg"}
    for _, target in every(dashboard):
        for what, rest in re.findall(r"SELECT ([^()]*?|(?:max|sum|last)\(\"\w+\"\)[^()]*?) FROM (.*)", target["query"]):
            if rest.startswith('"') and f'"{names.VOID}"' not in rest:
                assert not may_be_void & set(re.findall(r'(?<!AS )"(\w+)"', what)), target["query"]


def _texts(one: Any, key: str = "") -> Iterator[str]:
    if isinstance(one, dict):
        for name, value in one.items():
            yield from _texts(value, name)
    elif isinstance(one, list):
        for value in one:
            yield from _texts(value, key)
    elif key in ("title", "description", "label", "text", "displayName", "noValue"):
        yield str(one)


def test_what_people_read_in_chinese_is_chinese() -> None:
    for name, dashboard in DASHBOARDS.items():
        for text in _texts(dashboard):
            bare = re.sub(r"\$\{[^}]*\}|\(.*\)|Loopgauge", "", text)
            words = re.search(r"[A-Za-z]{3,}", bare)
            if "/en/" in name:
                assert not CHINESE.search(text), (name, text)
            elif words and text not in ("All", "volume_m3"):
                assert CHINESE.search(text) or text in _untranslated(), (name, text)


def _untranslated() -> set[str]:
    """Fields of devices that the page, too, has no words for; they are shown as they are called."""
    from web_console.fields import field_name

    fields = {field for name in Library().ids() for field in Library().load(name).fields}
    named = [field_name(field) for field in fields]
    return {f"{name.zh} ({name.unit})" if name.unit else name.zh for name in named if name.zh == name.en}


def test_a_choice_of_the_register_is_split_into_id_and_title() -> None:
    pattern = CHOICE[1:-1].replace("(?<", "(?P<")
    for choice, value, text in (
        ("city City", "city", "City"),
        ("city/east/mill-1 Mill / old | 1", "mill-1", "Mill / old | 1"),
    ):
        match = re.fullmatch(pattern, choice)
        assert match is not None and (match["value"], match["text"]) == (value, text)


@pytest.mark.parametrize(
    "field, unit",
    [
        ("flow_m3_h", "suffix:m³/h"),
        ("volume_m3", "suffix:m³"),
        ("velocity_m_s", "suffix:m/s"),
        ("working_time_s", "s"),
        ("power_kw", "suffix:kW"),
        ("temperature_c", "celsius"),
        ("disk_free_bytes", "decbytes"),
        ("error_bits", ""),
        ("signal_quality", ""),
    ],
)
def test_a_line_has_the_unit_of_its_field(field: str, unit: str) -> None:
    found = ""
    for override in unit_overrides():
        if re.search(override.name.en[1:-1], f"{field} mean"):
            found = override.properties["unit"]
    assert found == unit


def test_no_dashboard_or_rule_names_a_place() -> None:
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?![a-z0-9_])" for name in places()), re.I)
    for name, text in FILES.items():
        assert not pattern.search(text), (name, pattern.search(text))


def test_fields_that_stand_for_persons_can_not_be_chosen() -> None:
    for name in ("dashboards/en/site.json", "dashboards/zh/site.json"):
        variables = {one["name"]: one for one in DASHBOARDS[name]["templating"]["list"]}
        for field in ("field", "fields"):
            regex = variables[field]["regex"][1:-1]
            assert re.search(regex, "volume_m3") and not re.search(regex, f"user{PSEUDONYM_SUFFIX}")


def test_another_catalog_makes_other_panels_and_no_other_code() -> None:
    few = {"indicators": {"waste_diversion": CATALOG.indicators["waste_diversion"].model_dump()}}
    made = json.loads(build.files(type(CATALOG).model_validate(few))["dashboards/en/city.json"])
    stats = [panel["title"] for panel in made["panels"] if panel["type"] == "stat"]
    assert stats == ["Waste diversion"]


def rules() -> list[Json]:
    text = FILES["alerts/loopgauge.yaml"]
    assert not re.search(r"(?<!\$)\$(?:\$\$)*(?!\$)", text), "Grafana would look for a variable of its environment"
    (group,) = yaml.safe_load(text.replace("$$", "$"))["groups"]
    found: list[Json] = group["rules"]
    return found


def test_a_rule_says_who_it_is_about_and_what_to_do_in_both_languages() -> None:
    assert len(rules()) == len(alerts())
    for rule in rules():
        said = rule["annotations"]
        labels = set(re.findall(r"\$labels\.(\w+)", said["summary"]))
        assert labels and labels == set(re.findall(r"\$labels\.(\w+)", said["summary_zh"]))
        (tags,) = {tuple(re.findall(r'"(\w+)"', _grouped(part))) for part in rule["data"] if "query" in part["model"]}
        assert labels == set(tags), "a label that the query does not group by would be empty"
        assert CHINESE.search(said["summary_zh"]) and CHINESE.search(said["description_zh"])
        assert not CHINESE.search(said["summary"] + said["description"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert re.fullmatch(r"\d+[mh]", rule["for"])


def _grouped(part: Json) -> str:
    query: str = part["model"]["query"]
    return query.rsplit("GROUP BY", 1)[1]


def test_a_rule_reads_each_query_through_its_newest_value_and_links_to_a_panel_that_exists() -> None:
    panels = {panel["id"]: panel for panel in DASHBOARDS["dashboards/en/city.json"]["panels"]}
    for rule in rules():
        refs = [part["refId"] for part in rule["data"]]
        assert rule["condition"] in refs and len(set(refs)) == len(refs)
        (math,) = [part["model"]["expression"] for part in rule["data"] if part["model"].get("type") == "math"]
        assert set(re.findall(r"\$(\w+)", math)) == {ref for ref in refs if ref.startswith("NEWEST_")}
        assert rule["dashboardUid"] == "loopgauge-city-en" and panels[rule["panelId"]]["type"] != "row"


def test_silence_of_everything_is_an_alarm_and_a_silent_gateway_stays_one() -> None:
    (silent,) = [rule for rule in rules() if rule["uid"] == "loopgauge-silent-gateway"]
    assert silent["noDataState"] == "Alerting" and silent["missing_series_evals_to_resolve"] > 1000


def test_the_providers_look_where_the_role_puts_the_dashboards() -> None:
    providers = yaml.safe_load(FILES["provisioning/dashboards/loopgauge.yaml"])["providers"]
    assert {one["folder"]: one["options"]["path"] for one in providers} == {
        "Loopgauge": f"{build.INSTALLED}/en",
        "Loopgauge 中文": f"{build.INSTALLED}/zh",
    }


def asked_of_gateways(texts: Iterable[str]) -> set[str]:
    asked: set[str] = set()
    for text in texts:
        if f'FROM "{GATEWAY_DEVICE}"' in text:
            asked |= set(re.findall(r'\("(\w+)"\)', text))
    return asked


def shown_of_gateways(dashboard: Json) -> set[str]:
    return asked_of_gateways(target["query"] for _, target in every(dashboard))


def test_what_a_gateway_is_asked_about_itself_is_what_it_tells() -> None:
    asked = shown_of_gateways(DASHBOARDS["dashboards/en/city.json"])
    asked |= asked_of_gateways(
        part["model"]["query"] for rule in rules() for part in rule["data"] if "query" in part["model"]
    )
    assert len(asked) > 5
    assert asked <= own_device.FIELDS.keys()


NOT_SHOWN: dict[str, str] = {}
"""Fields that a gateway tells of itself and no panel shows, each with the reason."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_that_a_gateway_tells_of_itself_is_on_a_panel(language: str) -> None:
    dark = own_device.FIELDS.keys() - shown_of_gateways(DASHBOARDS[f"dashboards/{language}/city.json"])
    assert dark == NOT_SHOWN.keys(), "give it a panel in deploy/grafana/gateways.py, or a reason here"


def test_every_column_of_a_table_of_gateways_has_a_title_and_its_quantity_a_unit(dashboard: Json) -> None:
    units = {"s": "s", "By": "decbytes", "Cel": "celsius", "By/d": "decbytes", "1": None}
    for panel in dashboard["panels"]:
        fields = asked_of_gateways(target["query"] for target in panel.get("targets", ()) if panel["type"] == "table")
        said = {
            override["matcher"]["options"]: {one["id"]: one["value"] for one in override["properties"]}
            for override in panel.get("fieldConfig", {}).get("overrides", ())
        }
        for field in fields:
            assert said[field]["displayName"]
            assert said[field].get("unit") == units[own_device.FIELDS[field].unit], field


def test_a_cause_that_a_gateway_suspects_is_shown_in_words_and_never_as_a_number() -> None:
    assert CAUSES.keys() == {int(cause) for cause in Cause}
    assert {name for name, (_, color) in CAUSES.items() if color == GREEN} == {Cause.NONE}
    for name in ("dashboards/en/city.json", "dashboards/zh/city.json"):
        panels = [panel for panel in DASHBOARDS[name]["panels"] if "unconfirmed_cause" in json.dumps(panel)]
        assert {panel["type"] for panel in panels} == {"table", "state-timeline"}
        for panel in panels:
            told = re.findall(r'"(\d)": \{"text": "([^"]+)"', json.dumps(panel, ensure_ascii=False))
            language = name.split("/")[1]
            assert set(told) >= {(str(number), text.in_(language)) for number, (text, _) in CAUSES.items()}


def test_no_end_to_be_seen_is_shown_as_such() -> None:
    assert FOREVER_S == forecast.FOREVER_S


def test_what_a_gateway_suspects_is_said_in_words_by_its_rule() -> None:
    (rule,) = [rule for rule in rules() if rule["uid"] == "loopgauge-unconfirmed"]
    for language, key in (("en", "summary"), ("zh", "summary_zh")):
        said = rule["annotations"][key]
        for number, (text, _) in CAUSES.items():
            assert f'if eq (printf "%.0f" $values.NEWEST_A.Value) "{number}" }}}}{text.in_(language)}{{{{ else' in said
        assert said.count("{{ if") == said.count("{{ end }}") == 1 and said.endswith("{{ else }}?{{ end }}")
    assert "NEWEST_A" in {part["refId"] for part in rule["data"]}
