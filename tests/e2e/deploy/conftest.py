"""The rendered fleet, once a session, and servers started from its files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deploy.rendered import Fleet, RenderedBroker, RenderedInflux
from tests.e2e.deploy.siege import Siege


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """All files of one cloud host and two gateways.

    Whoever works on one test names a folder in LOOPGAUGE_RENDERED, where they are rendered once and for all.
    """
    kept = os.environ.get("LOOPGAUGE_RENDERED")
    if kept is not None:
        return Fleet(Path(kept)) if Path(kept).exists() else Fleet.render(Path(kept))
    return Fleet.render(tmp_path_factory.mktemp("fleet") / "rendered")


@pytest.fixture
def broker(fleet: Fleet, tmp_path: Path) -> Iterator[RenderedBroker]:
    """A running broker."""
    with RenderedBroker(fleet=fleet, folder=tmp_path / "broker") as server:
        yield server


@pytest.fixture
def influx(fleet: Fleet, tmp_path: Path) -> Iterator[RenderedInflux]:
    """A running database without users, as it is before the role makes them."""
    with RenderedInflux(fleet=fleet, folder=tmp_path / "influx") as server:
        yield server


@pytest.fixture(scope="session")
def siege(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    """A gateway whose readings are stored and confirmed meanwhile, with all that takes."""
    folder = tmp_path_factory.mktemp("siege")
    with (
        RenderedBroker(fleet=fleet, folder=folder / "broker") as broker,
        RenderedInflux(fleet=fleet, folder=folder / "influx") as influx,
    ):
        influx.provision()
        with Siege(fleet=fleet, broker=broker, influx=influx, folder=folder) as siege:
            yield siege
