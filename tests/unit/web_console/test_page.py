"""The page over a store: what it says, what it refuses, and what it does when the store is away."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from loopgauge.labels import labels_of
from rollups.library import load_catalog
from rollups.worker import Worker
from series_store import names
from series_store.names import FIGURE_FIELDS
from series_store.port import Unavailable
from series_store.table import Cell, Table
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.plant import ASSETS, DAY_MS, HOUR_MS, MIDNIGHT, NOON, assets, batches, deliver
from web_console import courses
from web_console.app import HEADERS, STATIC, create_app, listen, run
from web_console.fields import field_name
from web_console.figures import day_start_ms, number
from web_console.look import Look

NOW = NOON + 3 * HOUR_MS + 30_000
CATALOG = load_catalog()
EVIL = "<img src=x onerror=alert(1)>"


def filled(now_ms: int = NOW, text: str = ASSETS) -> StoreTwin:
    """Three hours of a plant whose energy meter died half an hour before NOW."""
    store = StoreTwin()

    def running(device: str, t_ms: int) -> bool:
        return device != "energy" or t_ms < NOW - HOUR_MS // 2

    async def main() -> None:
        for batch in batches(NOON, NOON + 3 * HOUR_MS, runs=running, seal_ms=60_000):
            await deliver(store, batch, batch.to_ms * 1000 + 700_000)
        one = Worker(reader=store, figures=store, assets=assets(text), catalog=CATALOG, now_ms=lambda: now_ms)
        while await one.cycle():
            pass

    run_virtual(main())
    return store


def look(store: StoreTwin, now_ms: int = NOW, text: str = ASSETS) -> Look:
    return Look(
        reader=store,
        figures=store,
        catalog=CATALOG,
        labels=labels_of(assets(text)),
        now_ms=lambda: now_ms,
        grace_ms=30_000,
    )


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(create_app(look=look(filled())), base_url="http://127.0.0.1:8080")


def overview(client: TestClient) -> dict[str, Any]:
    answer = client.get("/api/overview")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def indicator(page: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in page["indicators"] if one["id"] == name)
    shown: dict[str, Any] = found
    return shown


def test_an_indicator_is_shown_with_completeness_and_mark_from_the_city_down(client: TestClient) -> None:
    page = overview(client)
    recovery, energy = indicator(page, "desalination_recovery"), indicator(page, "desalination_specific_energy")
    assert [area["id"] for area in recovery["areas"]] == ["city", "harbour", "plant", "coast"]
    assert [area["depth"] for area in recovery["areas"]] == [0, 1, 2, 0]
    day = recovery["areas"][0]["day"]
    assert day["value"] == pytest.approx(42.0)
    assert (day["is_today"], day["simulated"]) == (True, True)
    assert (day["from_ms"], day["to_ms"]) == (MIDNIGHT, NOON + 3 * HOUR_MS - 60_000)
    # The plant's first reading came at noon.
    assert day["completeness"] == pytest.approx(3 / 15, abs=0.01)
    assert day["partial"] is True
    assert [round(value) for _, value, *_ in recovery["areas"][0]["hours"]] == [42, 42, 42]
    assert energy["areas"][0]["day"]["partial"] is True
    assert energy["areas"][0]["day"]["simulated"] is False
    assert indicator(page, "waste_diversion")["areas"] == []


def marked(hour_ms: int, **flags: float) -> TestClient:
    """The page over a store in which one hour of a meter and of an indicator is flagged."""
    store = filled()

    async def flag() -> None:
        for measurement, tags in (
            (names.ROLLUP_1H, {"gateway": "gw-1", "device": "feed", "field": "volume_m3"}),
            (names.INDICATOR, {"indicator": "desalination_recovery", "area": "plant", "period": "1h"}),
        ):
            cells: list[list[Cell]] = [[value] for value in flags.values()]
            await store.put([Table(measurement, tuple(tags.items()), tuple(flags), [hour_ms], cells)])

    run_virtual(flag())
    return TestClient(create_app(look=look(store)), base_url="http://127.0.0.1:8080")


@pytest.mark.parametrize("flag, place", [(names.SUMMARISED, 3), (names.TIME_UNSURE, 4)])
def test_the_page_knows_of_each_hour_whether_it_is_summarised_or_its_time_unsure(flag: str, place: int) -> None:
    client = marked(NOON + HOUR_MS, **{flag: 7.0})
    hours = indicator(overview(client), "desalination_recovery")["areas"][2]["hours"]
    assert [row[0] - NOON for row in hours] == [0, HOUR_MS, 2 * HOUR_MS]
    assert [row[place] for row in hours] == [False, True, False]
    assert [row[7 - place] for row in hours] == [False, False, False]
    asked = {"gateway": "gw-1", "device": "feed", "field": "volume_m3"}
    line = client.get("/api/history", params=asked).json()
    name, other = ("summarised", "unsure") if flag == names.SUMMARISED else ("unsure", "summarised")
    assert [(t - NOON, flag) for t, flag in zip(line["t"], line[name], strict=True) if flag] == [(HOUR_MS, True)]
    assert not any(line[other])


def test_each_kind_of_mark_on_a_chart_has_words_in_both_languages() -> None:
    kinds = set(re.findall(r'"(\w+)", \d\]', (STATIC / "indicators.js").read_text("utf-8")))
    assert kinds == {"summarised", "unsure"}
    for file in ("words.js", "chinese.js"):
        text = (STATIC / file).read_text("utf-8")
        assert all(f'"{kind}": "' in text and f'"{kind}-hint": "' in text for kind in kinds)
    css = (STATIC / "page.css").read_text("utf-8")
    assert all(f".stretch.{kind} " in css for kind in kinds)


def test_a_silent_device_is_named_with_since_when_and_why(client: TestClient) -> None:
    (silent,) = overview(client)["silent"]
    assert (silent["gateway"], silent["device"], silent["cause"]) == ("gw-1", "energy", "timeout")
    assert silent["title"]["en"] == "Plant energy"
    assert silent["since_ms"] == NOW - HOUR_MS // 2 - 90_000 + 60_000
    assert silent["missing"] == {"timeout": 2 * 15}


def test_devices_come_with_their_newest_values_and_the_silent_one_first(client: TestClient) -> None:
    devices = overview(client)["devices"]
    assert [one["device"] for one in devices] == ["energy", "feed", "permeate"]
    feed = devices[1]
    assert (feed["silent"], feed["simulated"], feed["age_ms"]) == (None, True, 90_000)
    assert [(value["en"], value["unit"]) for value in feed["values"]] == [("Flow", "m³/h"), ("Volume, total", "m³")]
    assert devices[0]["silent"] == "timeout"


def test_a_gateway_from_which_nothing_comes_silences_its_devices_with_itself_as_the_cause() -> None:
    now_ms = NOW + HOUR_MS
    page = run_virtual(look(filled(), now_ms).overview())
    (silent,) = page["silent"]
    assert (silent["device"], silent["cause"], silent["since_ms"]) == (None, "gateway_silent", NOON + 3 * HOUR_MS)
    assert {one["silent"] for one in page["devices"]} == {"gateway_silent"}
    assert page["gateways"][0]["silent"] is True


def test_before_anything_has_come_every_registered_gateway_is_said_to_have_never_been_heard() -> None:
    page = run_virtual(look(StoreTwin()).overview())
    assert [(one["gateway"], one["cause"], one["since_ms"]) for one in page["silent"]] == [
        ("gw-1", "never_heard", None)
    ]
    assert [one["device"] for one in page["devices"]] == ["energy", "feed", "permeate"]
    assert {len(one["areas"]) for one in page["indicators"]} == {0}
    assert [(one["gateway"], one["heard_ms"], one["silent"]) for one in page["gateways"]] == [("gw-1", None, True)]


def test_the_course_of_a_field_is_given_and_thinned_to_what_can_be_seen(client: TestClient) -> None:
    said = client.get("/api/series", params={"gateway": "gw-1", "device": "feed", "field": "volume_m3", "hours": "3"})
    assert len(said.json()["t"]) == len(said.json()["v"]) == 179
    assert said.json()["v"] == sorted(said.json()["v"])
    many = run_virtual(dense().line("gw-1", "feed", "volume_m3", HOUR_MS))
    assert many is not None
    assert 0 < len(many["t"]) <= courses.POINTS_MAX
    assert many["v"] == sorted(many["v"])


def dense() -> Look:
    store = StoreTwin()

    async def main() -> None:
        for batch in batches(NOON, NOON + HOUR_MS, every_ms=1000):
            await deliver(store, batch, batch.to_ms * 1000)

    run_virtual(main())
    return look(store, NOON + HOUR_MS)


@pytest.mark.parametrize(
    "query, status",
    [
        ("", 400),
        ("gateway=gw-1&device=feed", 400),
        ("gateway=gw-1&device=feed&field=volume_m3&hours=x", 400),
        ("gateway=gw-1&device=feed&field=volume_m3&hours=nan", 400),
        ("gateway=gw-1&device=feed&field=volume_m3&hours=inf", 400),
        ("gateway=gw-1&device=feed&field=volume_m3&hours=0", 400),
        ("gateway=gw-1&device=feed&field=volume_m3&hours=1e9", 400),
        ("gateway=gw-1&device=feed&field=nothing", 404),
        ("gateway=../..&device=%00&field='%3Bdrop", 404),
    ],
)
def test_a_question_that_makes_no_sense_gets_a_reason_and_not_a_traceback(
    client: TestClient, query: str, status: int
) -> None:
    for route in ("series", "history"):
        answer = client.get(f"/api/{route}?{query}")
        assert answer.status_code == status
        assert set(answer.json()) == {"error"}


def test_every_answer_forbids_what_the_page_does_not_need(client: TestClient) -> None:
    for path in ("/", "/healthz", "/api/overview", "/api/series", "/static/page.js", "/nothing"):
        headers = client.get(path).headers
        for name, value in HEADERS.items():
            assert headers[name] == value, (path, name)
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_a_foreign_host_name_is_refused_so_that_no_other_page_can_read_this_one() -> None:
    app = create_app(look=look(StoreTwin()))
    assert TestClient(app, base_url="http://evil.example").get("/api/overview").status_code == 400
    for host in ("127.0.0.1:8080", "localhost:9", "localhost"):
        assert TestClient(app, base_url=f"http://{host}").get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/app.py"])
def test_nothing_but_the_page_s_own_files_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_only_reading_is_possible(client: TestClient) -> None:
    for path in ("/", "/api/overview", "/healthz"):
        assert client.post(path).status_code == 405


def test_the_page_loads_nothing_from_elsewhere_and_builds_no_markup_from_text() -> None:
    files = [path for path in STATIC.rglob("*") if path.suffix in (".html", ".css", ".js", ".svg")]
    assert len(files) > 10
    for file in files:
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            file.name
        )
        if file.parent.name != "vendor":
            assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), file.name
            assert not re.search(r"<[^>]+\son[a-z]+=|<style|<script>|\sstyle=", text), file.name


def test_a_device_s_name_travels_as_text() -> None:
    text = ASSETS.replace("{en: Plant energy}", f"{{en: '{EVIL}'}}")
    client = TestClient(create_app(look=look(filled(text=text), text=text)), base_url="http://localhost")
    answer = client.get("/api/overview")
    assert answer.headers["content-type"] == "application/json"
    assert EVIL in {one["title"]["en"] for one in answer.json()["devices"]}
    assert EVIL not in client.get("/").text


def test_a_store_that_is_away_is_said_once_in_the_log_and_on_every_page(caplog: pytest.LogCaptureFixture) -> None:
    store = StoreTwin()
    client = TestClient(create_app(look=look(store)), base_url="http://localhost")
    store.fail_reads_next(3, "connection refused")
    for _ in range(3):
        answer = client.get("/api/overview")
        assert answer.status_code == 503
        assert answer.json() == {"error": "the store does not answer: connection refused"}
        assert client.get("/healthz").text == "ok\n"
    assert client.get("/api/overview").status_code == 200
    said = [record.message for record in caplog.records if record.name.startswith("web_console")]
    assert said == ["the store does not answer: connection refused", "the store is back"]


def test_many_open_pages_cost_the_store_no_more_than_one() -> None:
    store = filled()
    asked = 0
    plain = store._asked

    async def counting() -> None:
        nonlocal asked
        asked += 1
        await plain()

    store._asked = counting  # type: ignore[method-assign]
    with TestClient(create_app(look=look(store)), base_url="http://localhost") as client:
        client.get("/api/overview")
        once = asked
        for _ in range(5):
            client.get("/api/overview")
        assert asked == once > 0


def test_a_row_s_void_number_is_no_number() -> None:
    cells: dict[str, float | str] = {"value": 0.0, "low": 1.0, "void": "high,value", "high": 0.0}
    row = (0, {"indicator": "i"}, cells)
    assert [number(row, name) for name in ("value", "low", "high", "nothing")] == [None, 1.0, None, None]
    assert {"value", "low", "high", "completeness", "partial", "from_ms", "to_ms", "void"} <= set(FIGURE_FIELDS)


@pytest.mark.parametrize(
    "field, shown",
    [
        ("volume_m3", ("Volume, total", "累计流量", "m³")),
        ("flow_m3_h", ("Flow", "瞬时流量", "m³/h")),
        ("voltage_l1_v", ("Voltage L1", "电压 L1", "V")),
        ("energy_import_kwh", ("Energy drawn, total", "累计用电量", "kWh")),
        ("conductivity_us_cm", ("Conductivity", "电导率", "µS/cm")),
        ("mass_in_kg", ("Put in, total", "累计投入量", "kg")),
        ("glow_lumen", ("glow lumen", "glow lumen", "")),
        ("m3", ("m3", "m3", "")),
    ],
)
def test_a_field_is_shown_by_its_words_and_its_unit(field: str, shown: tuple[str, str, str]) -> None:
    assert field_name(field) == shown


def test_a_day_begins_when_clocks_of_its_zone_say_so() -> None:
    assert day_start_ms(NOW, "Asia/Shanghai") == MIDNIGHT
    berlin_autumn = 1_792_904_400_000  # 2026-10-25T05:00Z, after clocks went back
    assert day_start_ms(berlin_autumn, "Europe/Berlin") == berlin_autumn - 7 * HOUR_MS
    assert day_start_ms(MIDNIGHT - 1, "Asia/Shanghai") == MIDNIGHT - DAY_MS


def test_the_server_answers_in_its_owner_s_loop_and_ends_when_it_is_told_to() -> None:
    async def main() -> bytes:
        stop = asyncio.Event()
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
            async with asyncio.TaskGroup() as group:
                group.create_task(run(look=look(StoreTwin()), listener=listener, stop=stop))
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                answer = await reader.read()
                writer.close()
                stop.set()
        return answer

    assert asyncio.run(main()).startswith(b"HTTP/1.1 200 OK")


def test_a_port_that_is_taken_is_an_error_of_the_address_and_nothing_else() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_the_twin_speaks_of_a_store_that_is_away_as_the_port_says() -> None:
    store = StoreTwin()
    store.fail_reads_next(1)
    with pytest.raises(Unavailable):
        run_virtual(look(store).overview())
