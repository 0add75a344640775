"""The page's own figures are for this machine; whoever comes through a proxy, or by another name, gets none."""

from __future__ import annotations

import asyncio

import pytest
from starlette.testclient import TestClient

from tests.e2e.servers import wait_until
from tests.twins.service import NotifierTwin
from tests.twins.store import StoreTwin
from tests.unit.web_console.test_page import look
from web_console.app import create_app, listen, run

HERE = ("127.0.0.1", 50000)


def client(address: tuple[str, int] = HERE, base: str = "http://127.0.0.1:8080") -> TestClient:
    return TestClient(create_app(look=look(StoreTwin()), hosts=("*",)), base_url=base, client=address)


def test_figures_of_the_page_count_its_answers() -> None:
    page = client()
    assert page.get("/healthz").status_code == 200
    assert page.get("/api/series").status_code == 400
    assert page.get("/api/overview").status_code == 200
    answer = page.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'loopgauge_console_responses_total{status="200"} 2.0' in answer.text
    assert 'loopgauge_console_responses_total{status="400"} 1.0' in answer.text
    assert "loopgauge_console_overviews_total 1.0" in answer.text
    assert "loopgauge_console_store_away 0.0" in answer.text


@pytest.mark.parametrize(
    "asking",
    [
        client(("192.0.2.7", 50000)),
        client(("testclient", 50000)),
        client(base="http://console.example:8080"),
        client(),
    ],
    ids=["another machine", "no address", "another name", "through a proxy"],
)
def test_nobody_else_gets_them(asking: TestClient) -> None:
    headers = {"X-Forwarded-For": "192.0.2.7"} if asking.base_url.host == "127.0.0.1" else {}
    assert asking.get("/metrics", headers=headers).status_code == 403


def test_the_service_manager_hears_when_the_page_can_be_had_that_it_lives_and_that_it_ends() -> None:
    async def main() -> NotifierTwin:
        stop, service = asyncio.Event(), NotifierTwin(watchdog_s=0.3)
        with listen("127.0.0.1", 0) as listener:
            serving = asyncio.create_task(run(look=look(StoreTwin()), listener=listener, stop=stop, notifier=service))
            assert await asyncio.to_thread(wait_until, lambda: len(service.times("WATCHDOG=1")) >= 5)
            assert await asyncio.to_thread(wait_until, lambda: service.times("READY=1") != [])
            stop.set()
            await serving
        return service

    service = asyncio.run(main())
    assert [said for _, said in service.heard if not said.startswith("STATUS=")][-1] in ("STOPPING=1", "WATCHDOG=1")
    assert service.times("STOPPING=1")
