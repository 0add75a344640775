"""Every home of the store behind one fixture: the twin, SQLite, a real InfluxDB 1.6, and 2.x where one is named."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from series_store.open import open_figures, open_reader, open_writer, provision
from series_store.port import OwnedFigures, OwnedReader, OwnedWriter
from tests.e2e.servers import InfluxServer
from tests.twins.store import StoreTwin

T = TypeVar("T")


@dataclass
class Home:
    """A writer, a reader and a figure store on the same empty data; call it with a coroutine to run that."""

    runner: asyncio.Runner
    writer: OwnedWriter
    reader: OwnedReader
    figures: OwnedFigures

    def __call__(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)


@asynccontextmanager
async def opened(url: str, secret: str | None = None) -> AsyncIterator[tuple[OwnedWriter, OwnedReader, OwnedFigures]]:
    """All three at an address, which is provisioned first."""
    await provision(url, secret)
    writer, reader, figures = open_writer(url, secret), open_reader(url, secret), open_figures(url, secret)
    try:
        yield writer, reader, figures
    finally:
        for store in (writer, reader, figures):
            await store.close()


def _at(url: str, secret: str | None = None) -> Iterator[Home]:
    with asyncio.Runner() as runner:
        stores = opened(url, secret)
        writer, reader, figures = runner.run(stores.__aenter__())
        try:
            yield Home(runner, writer, reader, figures)
        finally:
            runner.run(stores.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def influx1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Addresses of databases that do not exist yet, on one server for the whole run."""
    with InfluxServer(folder=tmp_path_factory.mktemp("influxdb")) as server:
        yield lambda: f"influx1://127.0.0.1:{server.port}/test_{uuid.uuid4().hex}"


def _influx2_url() -> tuple[str, str]:
    """A bucket that does not exist yet, on the server that the environment names."""
    url, token = os.environ["LOOPGAUGE_INFLUX2_URL"], os.environ["LOOPGAUGE_INFLUX2_TOKEN"]
    scheme, _, host = url.rstrip("/").partition("://")
    tls = "+https" if scheme == "https" else ""
    org = os.environ.get("LOOPGAUGE_INFLUX2_ORG", "loopgauge")
    bucket = os.environ.get("LOOPGAUGE_INFLUX2_BUCKET", "loopgauge-test")
    return f"influx2{tls}://{org}@{host}/{bucket}-{uuid.uuid4().hex}", token


def _delete_bucket(url: str, token: str) -> None:
    """Leave the server as it was found."""
    from influxdb_client.client.influxdb_client import InfluxDBClient

    from series_store.address import parse_influx2

    address = parse_influx2(url, token)
    client: Any = InfluxDBClient(url=address.base, token=token, org=address.user)
    with client:
        buckets = client.buckets_api()
        buckets.delete_bucket(buckets.find_bucket_by_name(address.name))


HOMES = ["twin", "sqlite", pytest.param("influx1", marks=pytest.mark.e2e)]
if "LOOPGAUGE_INFLUX2_URL" in os.environ and "LOOPGAUGE_INFLUX2_TOKEN" in os.environ:
    HOMES.append("influx2")


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """One home after the other, empty."""
    match request.param:
        case "twin":
            twin = StoreTwin()
            with asyncio.Runner() as runner:
                yield Home(runner, twin, twin, twin)
        case "sqlite":
            yield from _at(f"sqlite:{tmp_path}/store")
        case "influx1":
            yield from _at(request.getfixturevalue("influx1")())
        case "influx2":
            url, token = _influx2_url()
            yield from _at(url, token)
            _delete_bucket(url, token)
