"""Whatever is killed at whatever moment, every sealed reading is in the store once, and what is not stored is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.aims import aimed_line
from tests.e2e.kills import ACK, DELAY_S_MAX, EXTRA_MAX, PUBLISH, SPOOL, STORE, Killer, finish, seed_of_run
from tests.e2e.servers import InfluxServer, MosquittoServer


def test_kills_in_every_step_leave_sqlite_equal_to_what_was_served(
    tmp_path: Path, mosquitto: MosquittoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with aimed_line(tmp_path, mosquitto) as (line, sightings):
        victims = {"agent": line.agent, "worker": line.workers[0], "broker": mosquitto, "meters": line.meters}
        killer = Killer(line=line, victims=victims, sightings=sightings, seed=seed_of_run())
        killer.run(
            [
                *((SPOOL, victim) for victim in ("agent", "agent", "meters")),
                *((PUBLISH, victim) for victim in ("agent", "broker", "worker")),
                *((STORE, victim) for victim in ("agent", "worker", "worker")),
                *((ACK, victim) for victim in ("agent", "broker", "worker")),
            ]
        )
        finish(killer, capsys)


@pytest.mark.slow
def test_kills_in_every_step_leave_influxdb_equal_to_what_was_served(
    tmp_path: Path, mosquitto: MosquittoServer, influx: InfluxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with aimed_line(tmp_path, mosquitto, influx) as (line, sightings):
        victims = {
            "agent": line.agent,
            "worker": line.workers[0],
            "broker": mosquitto,
            "database": influx,
            "meters": line.meters,
        }
        killer = Killer(line=line, victims=victims, sightings=sightings, seed=seed_of_run())
        killer.run(
            [
                *((SPOOL, victim) for victim in ("agent", "database", "meters")),
                *((PUBLISH, victim) for victim in ("agent", "broker", "database")),
                *((STORE, victim) for victim in ("worker", "database", "database")),
                *((ACK, victim) for victim in ("agent", "broker", "worker")),
            ]
        )
        finish(killer, capsys)


@pytest.mark.slow
def test_two_workers_on_one_subscription_one_killed_and_one_halted_in_turn_lose_nothing(
    tmp_path: Path, mosquitto: MosquittoServer, influx: InfluxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with aimed_line(tmp_path, mosquitto, influx, workers=2) as (line, sightings):
        victims = dict(zip(("w1", "w2"), line.workers, strict=True))
        killer = Killer(line=line, victims=victims, sightings=sightings, seed=seed_of_run())
        for killed, halted in (("w1", "w2"), ("w2", "w1")):
            killer.strike(PUBLISH, killed)
            killer.halt(STORE, halted, by=halted)
            killer.strike(STORE, killed, by=killed)
            killer.strike(ACK, killed, by=killed)
        for _ in range(EXTRA_MAX):
            if killer.landed()[STORE]:
                break
            killer.strike(STORE, "w1", by="w1", delay_s_max=DELAY_S_MAX / 10)
        # A worker has nothing to do with the spool, and a store is quick: what was aimed at it may hit the ack.
        finish(killer, capsys, least={STORE: 1, ACK: 1})
