"""The same as in the end-to-end tests, for as long as it takes to hit what a dozen kills miss."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.aims import aimed_line
from tests.e2e.kills import STEPS, Killer, finish, seed_of_run
from tests.e2e.servers import InfluxServer, MosquittoServer

ROUNDS = 2
"""Each victim in each step so many times."""


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MosquittoServer]:
    """A running broker."""
    with MosquittoServer(folder=tmp_path / "mosquitto") as server:
        yield server


@pytest.mark.parametrize("home", ["sqlite", "influxdb"])
def test_any_process_killed_in_any_step_again_and_again_costs_no_sealed_reading(
    home: str, tmp_path: Path, mosquitto: MosquittoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    if home == "sqlite":
        _many(tmp_path, mosquitto, None, capsys)
    else:
        with InfluxServer(folder=tmp_path / "influxdb") as influx:
            _many(tmp_path, mosquitto, influx, capsys)


def _many(
    folder: Path, broker: MosquittoServer, influx: InfluxServer | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with aimed_line(folder, broker, influx) as (line, sightings):
        victims = {"agent": line.agent, "worker": line.workers[0], "broker": broker, "meters": line.meters}
        if influx is not None:
            victims["database"] = influx
        killer = Killer(line=line, victims=victims, sightings=sightings, seed=seed_of_run())
        killer.run([(step, victim) for step in STEPS for victim in victims for _ in range(ROUNDS)])
        finish(killer, capsys)
