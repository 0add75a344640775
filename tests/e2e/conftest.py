"""A fresh Mosquitto and a fresh InfluxDB for every test that names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.servers import InfluxServer, MosquittoServer


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MosquittoServer]:
    """A running broker with one open listener."""
    with MosquittoServer(folder=tmp_path / "mosquitto") as server:
        yield server


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[InfluxServer]:
    """A running, empty InfluxDB 1.x."""
    with InfluxServer(folder=tmp_path / "influxdb") as server:
        yield server
