"""Every query of every panel, variable and alert rule, as Grafana would send it, against a real InfluxDB: none fails,
each finds what is there, and every figure is the one that rollups stored."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import yaml

from deploy.grafana.build import HOME
from deploy.grafana.words import LANGUAGES
from series_store import names
from series_store.port import OwnedFigures, OwnedReader
from series_store.table import SeriesKey
from tests.e2e import grafana, grafana_city
from tests.e2e.grafana import DATABASE, Json, Row, Shown
from tests.e2e.grafana_city import BIN, DEAD, LOSSY, MINUTE_MS, NOW, RESET, SILENT_SINCE, TARGET
from tests.e2e.servers import InfluxServer
from tests.unit.rollups.city import END
from tests.unit.rollups.plant import HOUR_MS

DAY_MS = 24 * HOUR_MS
EVER = 9_000_000_000_000
T = TypeVar("T")

SITE_OF = {RESET: ("lower", "salt-yard", "south", "volume_m3"), BIN[1]: ("lower", "market", "south", "weight_kg")}
"""Device -> district, site, gateway, field: a total and a gauge."""


@dataclass(frozen=True)
class City:
    """The filled store; `ask` runs what the store's own port offers."""

    influx: InfluxServer
    reader: OwnedReader
    figures: OwnedFigures
    runner: asyncio.Runner

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def stored(self, measurement: str, **tags: str) -> list[tuple[int, dict[str, str], dict[str, Any]]]:
        return list(self.ask(self.figures.figures(measurement, tags, 0, EVER)))

    def number(self, cells: dict[str, Any], name: str) -> float | None:
        return None if name in str(cells[names.VOID]).split(",") else float(cells[name])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with InfluxServer(folder=tmp_path_factory.mktemp("grafana")) as influx, asyncio.Runner() as runner:
        reader, figures = runner.run(grafana_city.fill(f"influx1://127.0.0.1:{influx.port}/{DATABASE}"))
        yield City(influx, reader, figures, runner)
        runner.run(reader.close())
        runner.run(figures.close())


def dashboard(name: str, language: str = "en") -> Json:
    found: Json = json.loads((HOME / f"dashboards/{language}/{name}.json").read_text("utf-8"))
    return found


def open_city(city: City, language: str = "en", area: str = "lumen") -> tuple[Json, Shown]:
    found = dashboard("city", language)
    return found, grafana.choose(city.influx, found, Shown(NOW - 30 * DAY_MS, NOW, {}), {"area": area})[0]


def open_site(city: City, device: str, language: str = "en", now_ms: int = NOW) -> tuple[Json, Shown]:
    found = dashboard("site", language)
    district, site, _, field = SITE_OF[device]
    wanted = {"city": "lumen", "district": district, "site": site, "device": device, "field": field}
    return found, grafana.choose(city.influx, found, Shown(now_ms - 30 * DAY_MS, now_ms, {}), wanted)[0]


def answers(city: City, opened: tuple[Json, Shown], title: str) -> dict[str, list[Row]]:
    """Letter of the query -> rows, of the panel with this title."""
    found, shown = opened
    (panel,) = [panel for panel in found["panels"] if panel["title"] == title and panel["type"] != "row"]
    seen = shown.last(panel.get("timeFrom", ""))
    return {one["refId"]: grafana.rows(city.influx, seen.expand(one["query"])) for one in panel["targets"]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_query_of_a_dashboard_fails_and_each_finds_what_is_there(city: City, language: str) -> None:
    opened = [open_city(city, language), *(open_site(city, device, language) for device in SITE_OF)]
    found: dict[tuple[str, str, str], int] = {}
    for made, shown in opened:
        for panel, target in grafana.targets(made):
            seen = shown.last(panel.get("timeFrom", ""))
            key = made["uid"], panel["title"], target["refId"]
            found[key] = found.get(key, 0) + len(grafana.rows(city.influx, seen.expand(target["query"])))
    assert len(found) > 50
    untargeted = {
        (f"loopgauge-city-{language}", panel["title"], panel["targets"][-1]["refId"])
        for panel in opened[0][0]["panels"]
        if panel["type"] in ("stat", "timeseries") and '"target"' in panel["targets"][-1]["query"]
        if "reclaimed_water" not in panel["targets"][-1]["query"]
    }
    assert {key for key, rows in found.items() if not rows} == untargeted
    assert len(untargeted) == 10


def test_a_person_goes_from_city_to_district_to_site_to_device(city: City) -> None:
    made, _ = open_site(city, RESET)
    shown, offered = grafana.choose(
        city.influx, made, Shown(NOW - DAY_MS, NOW, {}), {"district": "lower", "site": "salt-yard", "device": RESET}
    )
    assert offered["city"] == [("lumen", "Lumen")]
    assert offered["district"] == [("lower", "Lower Lumen"), ("upper", "Upper Lumen")]
    assert offered["site"] == [("pier", "Pier"), ("market", "Market"), ("salt-yard", "Salt yard")]
    assert {value for value, _ in offered["device"]} == {"f1", "p1", "p2", "e1", "b2"}
    assert dict(offered["device"])["f1"] == "Meter f1 · f1"
    assert (shown.values["gateway"], shown.values["kind"]) == ("south", "water_meter")
    assert set(shown.values["devices"]) == {"f1", "p1", "p2", "e1", "b2"}


def test_areas_are_offered_in_the_order_of_the_tree_with_the_city_first(city: City) -> None:
    _, offered = grafana.choose(city.influx, dashboard("city"), Shown(NOW - 30 * DAY_MS, NOW, {}), {})
    ids = [value for value, _ in offered["area"]]
    assert ids[0] == "lumen" and "waterfront" in ids
    assert ids.index("lower") < ids.index("docks") < ids.index("pier") < ids.index("upper") < ids.index("hill")


def test_no_variable_offers_a_field_that_stands_for_a_person(city: City) -> None:
    made, shown = open_site(city, BIN[1])
    assert city.influx.query('SELECT "user_pseudonym" FROM "bin" LIMIT 1', database=DATABASE)
    assert "user_pseudonym" not in shown.values["fields"]
    newest = answers(city, (made, shown), "Newest values")["A"]
    assert {column for row in newest for column in row if column.startswith("last_")} == {
        "last_emptyings",
        "last_mass_in_kg",
        "last_weight_kg",
    }


@pytest.mark.parametrize("area", ["lumen", "pier", "hill"])
def test_every_day_of_every_indicator_is_the_stored_one_and_what_does_not_exist_is_not_drawn(
    city: City, area: str
) -> None:
    opened = open_city(city, area=area)
    voids = 0
    for name, indicator in grafana_city.catalog().indicators.items():
        drawn = answers(city, opened, f"{indicator.title.en}, by day")
        rows = city.stored(names.INDICATOR, indicator=name, area=area, period="1d")
        for letter, field in zip("ABCD", ("value", "low", "high", "target"), strict=True):
            numbers = [(t, city.number(cells, field)) for t, _, cells in rows]
            voids += sum(number is None for _, number in numbers)
            assert [(row["time"], row[field]) for row in drawn[letter]] == [
                (t, number) for t, number in numbers if number is not None
            ]
    assert voids
    if area == "lumen":
        drawn = answers(city, opened, "Reclaimed-water utilisation, by day")
        assert {row["target"] for row in drawn["D"]} == {TARGET["value"]}
        assert len(drawn["A"]) == 5


def test_a_query_that_forgets_the_void_would_show_a_nought_that_nobody_measured(city: City) -> None:
    made, shown = open_city(city, area="hill")
    (text,) = [
        target["query"]
        for panel, target in grafana.targets(made)
        if panel["title"] == "Reclaimed-water utilisation, by day" and target["refId"] == "A"
    ]
    drawn = [row["value"] for row in grafana.rows(city.influx, shown.expand(text))]
    careless = re.sub(r' AND "void" !~ /[^/]*/', "", text)
    assert careless != text
    assert [row["value"] for row in grafana.rows(city.influx, shown.expand(careless))] == [*drawn, 0, 0]
    assert len(drawn) == 3 and all(drawn)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_of_all_areas_is_the_newest_row_of_each_with_nothing_where_there_is_none(
    city: City, language: str
) -> None:
    choice = "area_choice_zh" if language == "zh" else "area_choice"
    title = {"en": "Indicators of all areas", "zh": "所有区域的指标"}[language]
    told = answers(city, open_city(city, language), title)["A"]
    newest: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
    for t, tags, cells in city.stored(names.INDICATOR, period="1d"):
        newest[tags["indicator"], tags["area"]] = (t, cells)
    assert len(told) == len(newest) > 20
    for row in told:
        t, cells = newest[row["indicator"], row["area"]]
        numbers = {field: city.number(cells, field) for field in ("value", "low", "high", "target")}
        sure = {field: cells[field] for field in ("completeness", choice, "reason", "simulated")}
        assert {key: row[key] for key in ("time", *numbers, *sure)} == {"time": t, **numbers, **sure}
    assert any(row["value"] is None and row["reason"] for row in told)


def test_newest_value_and_target_stand_in_the_large_figures(city: City) -> None:
    said = answers(city, open_city(city), "Reclaimed-water utilisation")
    rows = city.stored(names.INDICATOR, indicator="reclaimed_water_utilisation", area="lumen", period="1d")
    assert said["A"][-1]["value"] == rows[-1][2]["value"] and said["B"][-1]["target"] == TARGET["value"]


@pytest.mark.parametrize("device", list(SITE_OF))
@pytest.mark.parametrize(
    "title, measurement", [("Hours of ${field}", names.ROLLUP_1H), ("Days of ${field}", names.ROLLUP_1D)]
)
def test_hours_and_days_of_a_field_are_the_stored_ones(city: City, device: str, title: str, measurement: str) -> None:
    field = SITE_OF[device][3]
    drawn = answers(city, open_site(city, device), title)
    rows = city.stored(measurement, device=device, field=field)
    shown = 0
    for letter, column in zip("ABCD", ("delta", "mean", "min", "max"), strict=True):
        numbers = [(t, city.number(cells, column)) for t, _, cells in rows]
        wanted = [(t, number) for t, number in numbers if number is not None]
        assert [(row["time"], row[column]) for row in drawn[letter]] == wanted
        shown += bool(wanted)
    assert shown == (1 if device == RESET else 3)


def test_completeness_is_of_hours_that_have_ended(city: City) -> None:
    now_ms = END - 30 * MINUTE_MS
    drawn = answers(city, open_site(city, RESET, now_ms=now_ms), "Completeness of each hour")["A"]
    rows = city.stored(names.ROLLUP_1H, device=RESET, field="volume_m3")
    wanted = [
        (t, cells["readings"] / cells["expected"]) for t, _, cells in rows if t < now_ms - HOUR_MS and cells["expected"]
    ]
    assert [(row["time"], row["readings_expected"]) for row in drawn] == wanted
    assert now_ms - HOUR_MS < rows[-1][0] < now_ms


def test_a_reset_is_listed_and_an_ordinary_hour_is_not(city: City) -> None:
    told = answers(city, open_site(city, RESET), "Steps of totals that are not ordinary")["A"]
    rows = [(t, cells) for t, _, cells in city.stored(names.ROLLUP_1H, device=RESET) if cells["odd"] != "[]"]
    assert [(row["time"], row["odd"], row["delta"]) for row in told] == [
        (t, cells["odd"], cells["delta"]) for t, cells in rows
    ]
    assert any("reset" in row["odd"] for row in told)


def test_newest_values_and_the_course_of_a_field_are_the_readings(city: City) -> None:
    key = SeriesKey("bin", *BIN, "weight_kg")
    opened = open_site(city, BIN[1])
    newest = city.ask(city.reader.latest([key]))[key][1]
    assert answers(city, opened, "Newest values")["A"][0]["last_weight_kg"] == newest
    course = answers(city, opened, "Readings of ${field}")
    window = city.ask(city.reader.window([key], NOW - DAY_MS, NOW + 1))[key]
    by_slot: dict[int, list[float]] = {}
    for t, value in zip(window.t.tolist(), window.value.tolist(), strict=True):
        by_slot.setdefault(t // (5 * MINUTE_MS) * 5 * MINUTE_MS, []).append(value)
    for letter, name, function in (("A", "mean", lambda v: sum(v) / len(v)), ("B", "min", min), ("C", "max", max)):
        assert {row["time"]: row[name] for row in course[letter]} == {t: function(v) for t, v in by_slot.items()}
    marked = answers(city, opened, "Readings that are not plainly good, each hour")["A"]
    assert sum(row["count"] for row in marked) == 16


def test_bins_are_listed_with_what_is_in_them_and_what_they_hold(city: City) -> None:
    said = answers(city, open_city(city), "Bins, the fullest first")
    held = {row["device"]: row["capacity_kg"] for row in said["A"]}
    assert held == {"tin": 60, "cloth": 60, "rest": 60, "rest2": 60}  # and not the one that has moved away
    key = SeriesKey("bin", *BIN, "weight_kg")
    weights = {row["device"]: row["weight_kg"] for row in said["B"] if row["weight_kg"] is not None}
    assert weights == {BIN[1]: city.ask(city.reader.latest([key]))[key][1]}
    days = city.stored(names.ROLLUP_1D, device=BIN[1], field="emptyings")
    emptied = math.fsum(city.number(cells, "delta") or 0.0 for _, _, cells in days)
    assert [(row["device"], row["emptied"]) for row in said["C"]] == [(BIN[1], pytest.approx(emptied))]
    assert emptied == pytest.approx(2.0)


def test_meters_are_listed_with_their_last_reading_and_how_complete_the_last_day_is(city: City) -> None:
    said = answers(city, open_city(city), "Meters, the longest silent first")
    last, share = ({row["device"]: row for row in said[letter]} for letter in "BC")
    assert {row["device"] for row in said["A"]} >= last.keys() - {"gateway"}
    assert share.keys() == last.keys() - {DEAD, "gateway"}
    for device in ("s1", "f1", "rest2", BIN[1]):
        rows = city.stored(names.ROLLUP_1H, device=device)
        day = [c for t, _, c in rows if NOW - 25 * HOUR_MS <= t < NOW - HOUR_MS and c["expected"]]
        assert last[device]["last_ms"] == max(cells["last_ms"] for _, _, cells in rows)
        counted = [math.fsum(cells[name] for cells in day) for name in ("readings", "expected")]
        assert [share[device]["readings"], share[device]["expected"]] == counted
        assert share[device]["share"] == pytest.approx(counted[0] / counted[1])


def test_districts_show_their_least_complete_figure(city: City) -> None:
    said = {row["area"]: row for row in answers(city, open_city(city), "Completeness by district")["A"]}
    assert said.keys() == {"upper", "lower"}
    rows = [row for row in city.stored(names.INDICATOR, period="1d") if row[0] >= NOW - 36 * HOUR_MS]
    for area, row in said.items():
        assert row["completeness"] == min(cells["completeness"] for _, tags, cells in rows if tags["area"] == area)


def test_gateways_are_listed_with_what_they_say_of_themselves_and_when_they_were_heard(city: City) -> None:
    said = answers(city, open_city(city), "Gateways, the longest silent first")
    heard = {row["gateway"]: row["heard"] for row in said["B"]}
    assert heard == {one.gateway: one.to_ms for one in city.ask(city.reader.last_receipts())}
    meters = {row["gateway"]: row["meters"] for row in said["A"]}
    assert sum(meters.values()) == len(grafana_city.told())
    for row in said["C"]:
        keys = [SeriesKey("gateway", row["gateway"], "gateway", name) for name in row if name.endswith(("_s", "_c"))]
        assert keys
        newest = city.ask(city.reader.latest(keys))
        assert all(row[key.field] == newest[key][1] for key in keys)
    spool = answers(city, open_city(city), "Batches in the spool")["A"]
    assert {row["gateway"] for row in spool} == {"north", "south"}


def rules() -> list[Json]:
    """As Grafana reads them: it takes $$ for a $."""
    text = (HOME / "alerts/loopgauge.yaml").read_text("utf-8")
    assert not re.search(r"(?<!\$)\$(?!\$)", text)
    (group,) = yaml.safe_load(text.replace("$$", "$"))["groups"]
    found: list[Json] = group["rules"]
    return found


def firing(city: City, uid: str, now_ms: int) -> set[tuple[str, ...]]:
    """The sets of labels for which a rule's condition holds: newest value per query and labels, then the expression."""
    (rule,) = [rule for rule in rules() if rule["uid"] == uid]
    newest: dict[str, dict[tuple[str, ...], float]] = {}
    expression = ""
    for part in rule["data"]:
        model, window = part["model"], part["relativeTimeRange"]
        if "query" in model:
            shown = Shown(now_ms - window["from"] * 1000, now_ms - window["to"] * 1000, {})
            newest[part["refId"]] = _newest(grafana.rows(city.influx, shown.expand(model["query"])))
        elif model["type"] == "reduce":
            assert model["reducer"] == "last" and part["refId"] == f"NEWEST_{model['expression']}"
        else:
            assert (model["type"], part["refId"]) == ("math", rule["condition"])
            expression = model["expression"].replace("&&", " and ")
    common = set.intersection(*(set(found) for found in newest.values()))
    assert common, f"{uid} looks at nothing"
    return {labels for labels in common if _holds(expression, {ref: found[labels] for ref, found in newest.items()})}


def _newest(rows: Iterable[Row]) -> dict[tuple[str, ...], float]:
    tags = ("gateway", "device", "indicator", "area")
    found = {}
    for row in rows:
        (value,) = [cell for name, cell in row.items() if name not in (*tags, "time", "measurement")]
        if value is not None:
            found[tuple(row[tag] for tag in tags if tag in row)] = float(value)
    return found


def _holds(expression: str, values: dict[str, float]) -> bool:
    text = expression
    for ref, value in values.items():
        text = text.replace(f"$NEWEST_{ref}", repr(value))
    assert re.fullmatch(r"[-+e\d. <>=and]+", text), text
    return bool(eval(text))  # noqa: S307  (numbers and comparisons only)


def test_a_gateway_without_batches_for_ten_minutes_is_called_silent_and_nobody_else(city: City) -> None:
    uid = "loopgauge-silent-gateway"
    assert firing(city, uid, SILENT_SINCE - 90_000) == set()
    assert firing(city, uid, END - 90_000) == {("north",)}
    assert firing(city, uid, END + HOUR_MS) == {("north",), ("south",)}
    assert firing(city, uid, END + DAY_MS) == {("north",), ("south",)}


def test_a_backlog_that_grows_is_stalled_and_one_that_drains_is_not(city: City) -> None:
    assert firing(city, "loopgauge-stalled-backlog", END) == {("north",)}


def test_a_spool_that_fills_within_a_day_is_an_alarm_only_with_a_backlog_and_little_room(city: City) -> None:
    assert firing(city, "loopgauge-filling-spool", END) == {("north",)}
    (rule,) = [rule for rule in rules() if rule["uid"] == "loopgauge-filling-spool"]
    assert rule["labels"]["severity"] == "critical"


def test_what_is_connected_and_not_confirmed_is_an_alarm(city: City) -> None:
    assert firing(city, "loopgauge-unconfirmed", END) == {("north",)}


def test_a_gateway_that_does_not_know_the_time_is_named_until_it_does(city: City) -> None:
    assert firing(city, "loopgauge-clock", END - 6 * HOUR_MS + 5 * 60_000) == {("north",), ("south",)}
    assert firing(city, "loopgauge-clock", END) == set()


def test_what_gateways_hold_and_suspect_is_their_newest_word(city: City) -> None:
    told = answers(city, open_city(city), "Gateways: what they hold and suspect, the fullest first")["A"]
    said = {row["gateway"]: row for row in told}
    assert said.keys() == {"north", "south"}
    assert (said["north"]["unconfirmed_cause"], said["south"]["unconfirmed_cause"]) == (4, 0)
    assert (said["north"]["spool_full_s"], said["north"]["drain_s"]) == (50_000, 31_536_000)
    assert said["south"]["written_bytes_day"] == 350_000_000
    causes = answers(city, open_city(city), "Why nothing is confirmed")["A"]
    assert {row["max"] for row in causes if row["gateway"] == "north"} == {0, 4}


def test_an_incomplete_figure_and_an_incomplete_meter_are_called_so_by_what_rollups_stored(city: City) -> None:
    newest = {
        (tags["area"], tags["indicator"]): cells["completeness"]
        for t, tags, cells in city.stored(names.INDICATOR, period="1d")
        if t <= NOW
    }
    low = {(indicator, area) for (area, indicator), share in newest.items() if share < 0.95}
    fires = firing(city, "loopgauge-incomplete-figure", NOW)
    assert fires == low and low and len(low) < len(newest)
    incomplete = firing(city, "loopgauge-incomplete-meter", NOW)
    assert incomplete == _incomplete(city) and ("south", LOSSY) in incomplete and len(incomplete) < 5


def _incomplete(city: City) -> set[tuple[str, str]]:
    counted: dict[tuple[str, str], list[float]] = {}
    for t, tags, cells in city.stored(names.ROLLUP_1H):
        if NOW - 4 * HOUR_MS <= t <= NOW - HOUR_MS and cells["expected"]:
            own = counted.setdefault((tags["gateway"], tags["device"]), [0.0, 0.0])
            own[0], own[1] = own[0] + cells["readings"], own[1] + cells["expected"]
    return {place for place, (readings, expected) in counted.items() if readings / expected < 0.9}
