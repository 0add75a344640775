"""The page over a small city: what it shows of bins, gateways and targets, and what it costs the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from loopgauge.labels import labels_of
from rollups.library import load_catalog
from rollups.worker import Worker
from series_store import names
from series_store.table import SeriesKey, Table, Window
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.web_console.city import DAY_MS, HOUR_MS, NOW, SILENT, SILENT_FROM, assets, fill
from web_console.app import STATIC, create_app
from web_console.bins import COLLECT_SHARE
from web_console.look import Look


class CountingStore(StoreTwin):
    """Notes what readings it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[tuple[str, int]] = []

    async def window(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> dict[SeriesKey, Window]:
        self.windows += [(key.field, to_ms - from_ms) for key in series]
        return await super().window(series, from_ms, to_ms)


@pytest.fixture(scope="module")
def store() -> CountingStore:
    """Two days of the city."""
    store = CountingStore()

    async def main() -> None:
        await fill(store, days=2, every_ms=1_800_000)
        one = Worker(reader=store, figures=store, assets=assets(), catalog=load_catalog(), now_ms=lambda: NOW)
        while await one.cycle():
            pass

    run_virtual(main())
    store.windows.clear()
    return store


@pytest.fixture
def look(store: CountingStore) -> Look:
    return Look(
        reader=store, figures=store, catalog=load_catalog(), labels=labels_of(assets()), now_ms=lambda: NOW + 30_000
    )


@pytest.fixture
def page(look: Look) -> dict[str, Any]:
    return run_virtual(look.overview())


def find(rows: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    (found,) = (row for row in rows if wanted.items() <= row.items())
    return found


def test_a_day_beside_the_target_of_a_year_says_that_it_is_one(page: dict[str, Any]) -> None:
    use = find(page["indicators"], id="reclaimed_water_utilisation")
    area = find(use["areas"], id="jizhou")
    assert (area["target"]["value"], area["target"]["year"]) == (50, 2025)
    assert area["day"]["target_met"] is True
    assert area["day"]["against"]["kind"] != "year"
    assert "target for 2025" in area["day"]["against"]["en"]
    assert "2025年目标" in area["day"]["against"]["zh"]
    assert area["day_before"]["value"] is not None
    assert find(find(page["indicators"], id="brine_utilisation")["areas"], id="binhai")["target"] is None


def test_every_name_comes_in_both_languages(page: dict[str, Any]) -> None:
    titles = [row["title"] for rows in ("indicators", "areas", "devices", "bins") for row in page[rows]]
    assert len(titles) > 30
    assert all(title["en"] and title["zh"] for title in titles)
    assert all(value["en"] and value["zh"] for device in page["devices"] for value in device["values"])


def test_areas_go_from_the_city_to_the_site_and_each_device_names_all_of_its_own(page: dict[str, Any]) -> None:
    assert [(area["id"], area["depth"]) for area in page["areas"][:3]] == [
        ("tianjin", 0),
        ("nankai", 1),
        ("nankai-collection", 2),
    ]
    assert set(find(page["devices"], device="bin-paper")["areas"]) == {"tianjin", "nankai", "nankai-collection"}
    assert set(find(page["gateways"], gateway="binhai-1")["areas"]) == {"tianjin", "binhai", "desalination"}
    assert "jizhou" in find(page["silent"], device=SILENT)["areas"]


def test_bins_come_fullest_first_with_the_last_emptying(store: CountingStore, page: dict[str, Any]) -> None:
    shares = [one["share"] for one in page["bins"]]
    assert shares == sorted(shares, reverse=True)
    assert [one["collect"] for one in page["bins"]] == [share >= COLLECT_SHARE for share in shares]
    emptied = [one["emptied_ms"] for one in page["bins"]]
    assert len([t_ms for t_ms in emptied if t_ms is not None]) >= 3
    for one in page["bins"]:
        key = SeriesKey("bin", "nankai-1", one["device"], "emptyings")
        values = run_virtual(StoreTwin.window(store, [key], 0, NOW + DAY_MS))[key]
        rises = [int(t) for t, a, b in zip(values.t[1:], values.value[:-1], values.value[1:], strict=True) if b > a]
        assert one["emptied_ms"] == (rises[-1] if rises else None)


def test_the_front_page_reads_no_reading_but_an_hour_of_emptyings_and_that_once(
    store: CountingStore, look: Look
) -> None:
    store.windows.clear()
    run_virtual(look.overview())
    assert {field for field, _ in store.windows} == {"emptyings"}
    assert max(length for _, length in store.windows) <= 2 * HOUR_MS + 1
    assert len(store.windows) <= 2 * 4
    store.windows.clear()
    run_virtual(look.overview())
    assert store.windows == []


def test_a_fortnight_of_a_field_comes_from_its_hours_and_not_from_readings(store: CountingStore, look: Look) -> None:
    store.windows.clear()
    flow = run_virtual(look.history("jizhou-1", "treated-meter", "flow_m3_h", 14 * DAY_MS))
    volume = run_virtual(look.history("jizhou-1", "treated-meter", "volume_m3", 14 * DAY_MS))
    assert store.windows == []
    assert flow is not None
    assert volume is not None
    assert (flow["counter"], volume["counter"]) == (False, True)
    assert len(flow["t"]) == len(flow["v"]) == len(flow["low"]) == 48
    assert all(low < high for low, high in zip(flow["low"], flow["high"], strict=True))
    assert all(
        low < mean * 1.1 and mean * 0.9 < high
        for low, mean, high in zip(flow["low"], flow["v"], flow["high"], strict=True)
    )
    # What passed in the hour, not the reading of the meter.
    assert volume["v"][24] == pytest.approx(flow["v"][24], rel=0.02)
    assert run_virtual(look.history("jizhou-1", "treated-meter", "nothing", DAY_MS)) is None


def test_a_gateway_says_its_version_and_one_whose_clock_is_off_is_told_from_the_others(page: dict[str, Any]) -> None:
    assert {one["gateway"]: one["clock_unsure_ms"] for one in page["gateways"]} == {
        "binhai-1": 900_000,
        "jizhou-1": None,
        "nankai-1": None,
    }
    assert {one["version"] for one in page["gateways"]} == {"0.4.0"}
    assert all(one["simulated"] and not one["silent"] for one in page["gateways"])
    assert {one["clock_ahead_ms"] for one in page["gateways"]} == {None}


def test_a_gateway_whose_data_comes_from_the_future_has_a_clock_that_is_fast() -> None:
    store = StoreTwin()

    async def main() -> dict[str, Any]:
        await fill(store, days=0.1, until_ms=NOW)
        for key, receipt in list(store._receipts.items()):
            object.__setattr__(receipt, "at_us", receipt.at_us - 10 * 60_000_000)
            assert key
        ahead = Look(
            reader=store, figures=store, catalog=load_catalog(), labels=labels_of(assets()), now_ms=lambda: NOW
        )
        return await ahead.overview()

    assert {one["clock_ahead_ms"] for one in run_virtual(main())["gateways"]} == {598_000}


def test_the_meter_that_fell_silent_is_named_with_the_time_of_its_last_value(page: dict[str, Any]) -> None:
    silent = find(page["silent"], device=SILENT)
    assert (silent["cause"], silent["simulated"]) == ("timeout", True)
    assert SILENT_FROM - 1_800_000 <= silent["since_ms"] < SILENT_FROM
    assert find(page["devices"], device=SILENT)["silent"] == "timeout"


def test_who_came_to_a_bin_is_shown_nowhere() -> None:
    store = StoreTwin()
    look = Look(
        reader=store, figures=store, catalog=load_catalog(), labels=labels_of(assets()), now_ms=lambda: NOW + 30_000
    )

    async def main() -> None:
        await fill(store, days=1, every_ms=1_800_000)
        tags = ((names.GATEWAY, "nankai-1"), (names.DEVICE, "bin-paper"))
        fields, at_ms = ("weight_kg", "card_pseudonym"), NOW - HOUR_MS
        await store.write([Table("bin", tags, fields, [at_ms], [[1.0], [123_456_789_012_345.0]])])
        rolls = Worker(reader=store, figures=store, assets=assets(), catalog=load_catalog(), now_ms=lambda: NOW)
        while await rolls.cycle():
            pass
        assert SeriesKey("bin", "nankai-1", "bin-paper", "card_pseudonym") in await store.series()
        assert await look.line("nankai-1", "bin-paper", "weight_kg", DAY_MS) is not None
        assert await look.line("nankai-1", "bin-paper", "card_pseudonym", DAY_MS) is None
        assert await look.history("nankai-1", "bin-paper", "card_pseudonym", DAY_MS) is None
        assert "pseudonym" not in json.dumps(await look.overview())
        rolled = await store.figures(names.ROLLUP_1H, {}, 0, NOW + DAY_MS)
        assert rolled
        assert "pseudonym" not in str(rolled)

    run_virtual(main())


def test_answers_travel_compressed_and_files_are_asked_about_again(look: Look) -> None:
    client = TestClient(create_app(look=look), base_url="http://localhost")
    for path in ("/api/overview", "/static/page.js", "/static/vendor/uPlot.iife.min.js"):
        answer = client.get(path, headers={"accept-encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip", path
        assert answer.headers["cache-control"] in ("no-store", "no-cache")
    assert client.get("/healthz").headers.get("content-encoding") is None
    tag = client.get("/static/page.js", headers={"accept-encoding": "identity"}).headers["etag"]
    assert client.get("/static/page.js", headers={"if-none-match": tag}).status_code == 304


def test_the_whole_page_is_small_enough_for_a_slow_link(look: Look) -> None:
    client = TestClient(create_app(look=look), base_url="http://localhost")
    files = [path for path in STATIC.rglob("*") if path.suffix in (".js", ".css", ".svg")]
    paths = ["/", "/api/overview", *(f"/static/{path.relative_to(STATIC)}" for path in files)]
    total = 0
    for path in paths:
        with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
            assert answer.status_code == 200, path
            total += sum(len(part) for part in answer.iter_raw())
    assert 30_000 < total < 80_000
