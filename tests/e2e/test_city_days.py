"""Days of three districts, read every minute: nothing is lost, every ledger adds up, every figure is the meters'.

One day runs with the slow tests; `CITY_DAYS=7 pytest -s tests/e2e/test_city_days.py` runs a week, in a quarter of an
hour. A machine that is too slow for all slots counts those that it left out, and is judged by the others alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.a_demo import Run, run_demo
from tests.e2e.compare import TOO_SLOW
from tests.e2e.servers import require

pytestmark = pytest.mark.slow

DAYS = int(os.environ.get("CITY_DAYS", "1"))
SPEED, EVERY_S = 720, 60
LIVE_S = DAYS * 86_400 // SPEED
DEVICES = 56
WORDS = ["--scenario", "tianjin-year", "--speed", str(SPEED), "--every", f"{EVERY_S}s", "--history", "1"]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Run:
    require("mosquitto")
    folder = tmp_path_factory.mktemp("city")
    run = run_demo(folder, "mosquitto", *WORDS, "--for", f"{LIVE_S}s", within_s=900 + 2 * LIVE_S)
    print("", f"seed {run.report['seed']}", run.said.stdout, sep="\n")
    return run


def _audit(run: Run) -> dict[str, Any]:
    """JSON of `loopgauge audit` at the end of the run, by the clock of the run.

    Its exit code tells of rollups as well, which have ended with the run and are an hour late by then.
    """
    origin_ms, real_origin_ms, speed = run.report["clock"].split(":")
    end_ms = run.live[1] + 3_600_000
    real_ms = int(real_origin_ms) + (end_ms - int(origin_ms)) / float(speed)
    said = subprocess.run(
        [sys.executable, "-m", "loopgauge.cli.main", "audit", "--json", "--store", f"sqlite:{run.folder / 'store'}"],
        env={**os.environ, "LOOPGAUGE_CLOCK": f"{end_ms}:{int(real_ms)}:0.001"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert said.stdout, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def _low(of: dict[str, Any]) -> float:
    return float(of["meter_low"]) * 0.999


def _high(of: dict[str, Any]) -> float:
    return float(of["meter_high"]) * 1.001


def test_every_indicator_is_within_a_tenth_of_a_percent_of_what_the_meters_showed(city: Run) -> None:
    begin_ms, end_ms = city.live
    assert end_ms - begin_ms >= DAYS * 86_400_000
    found = {(of["id"], of["area"]): of for of in city.report["indicators"]}
    assert {id for id, area in found if area == "tianjin"} == {
        "reclaimed_water_utilisation",
        "industrial_water_reuse",
        "waste_diversion",
        "desalination_recovery",
        "desalination_specific_energy",
        "brine_utilisation",
    }
    assert {area for _, area in found} >= {"tianjin", "nankai", "jizhou", "binhai"}
    # What a scale leaves open depends on the hour at which the day begins: while bins are in use, more.
    assert {key[0] for key, of in found.items() if of["meter_low"] != of["meter_high"]} <= {"waste_diversion"}
    assert all(of["meter_high"] - of["meter_low"] < 0.2 * of["meter_truth"] for of in found.values())
    off = {key: of for key, of in found.items() if not _low(of) <= of["value"] <= _high(of)}
    assert off == {}
    assert city.report["not_judged"] == []
    assert city.wrong() == []


@pytest.mark.parametrize("period", ["readings", "history"])
def test_what_was_expected_is_delivered_once_or_missing_for_a_reason(city: Run, period: str) -> None:
    counts = city.report[period]
    assert counts["expected"] == counts["delivered"] + sum(counts["missing"].values())
    assert counts["duplicates"] == 0
    assert counts["delivered"] == counts["sampled"] > 0
    assert set(counts["missing"]) <= TOO_SLOW
    slots = {"readings": DAYS * 86_400 // EVERY_S, "history": 86_400 // 600}[period]
    assert counts["expected"] > slots * DEVICES * 4, "some fields of each device, at the least"


def test_every_ledger_adds_up_and_nothing_is_unexplained(city: Run) -> None:
    said = _audit(city)
    assert said["adds_up"]
    assert len(said["gateways"]) == 4
    for gateway in said["gateways"]:
        fates = gateway["total"]["fates"]
        assert gateway["total"]["expected"] == sum(fates.values())
        assert set(fates) <= {"stored", "down", "silent", "invalid", *TOO_SLOW}, gateway["gateway"]
