"""`loopgauge demo` as a newcomer runs it: it ends by itself, loses nothing, and shows what the meters showed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from device_profiles.library import Library
from loopgauge.demo import demo as program
from loopgauge.demo import sites, summary
from loopgauge.demo.chosen import choose
from loopgauge.demo.judgement import judge_indicators
from tests.e2e.a_demo import Run, run_demo
from tests.e2e.compare import TOO_SLOW
from tests.e2e.servers import free_port, require

INDICATORS = {
    "reclaimed_water_utilisation",
    "industrial_water_reuse",
    "waste_diversion",
    "desalination_recovery",
    "desalination_specific_energy",
    "brine_utilisation",
}
DAY_SPEED, DAY_S = 960, 90
"""A simulated day in a minute and a half of the live period: what a machine is late is so many times as much there."""
DAY_MS, NIGHT_MS = 86_400_000, 18 * 3_600_000
"""The demo's city lies eight hours east: at 18:00 UTC hardly anybody throws, and no bin is emptied."""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Twenty-four simulated hours of the city, after its history."""
    require("mosquitto")
    return run_demo(tmp_path_factory.mktemp("day"), "mosquitto", "--speed", str(DAY_SPEED), "--for", f"{DAY_S}s")


@pytest.mark.slow
def test_all_six_indicators_are_what_the_meters_showed_over_a_day(day: Run) -> None:
    begin, end = day.live
    assert end - begin >= 86_400_000 and begin % 3_600_000 == 0
    assert {indicator["id"] for indicator in day.report["indicators"]} == INDICATORS
    for indicator in day.report["indicators"]:
        low, high, shown = (indicator[f"meter_{of}"] for of in ("low", "high", "truth"))
        open_ = (high - low) / shown
        assert open_ == 0 or (indicator["id"] == "waste_diversion" and open_ < 0.3), indicator
        assert low * 0.999 <= indicator["value"] <= high * 1.001, indicator
        assert abs(indicator["world_error"]) <= indicator["class_percent"] / 100 + 0.001 + open_, indicator
    assert day.wrong() == []


@pytest.mark.slow
@pytest.mark.parametrize("period", ["readings", "history"])
def test_every_reading_of_three_gateways_is_in_the_store_or_accounted_for(day: Run, period: str) -> None:
    counts = day.report[period]
    assert counts["duplicates"] == 0
    assert set(counts["missing"]) <= TOO_SLOW
    assert counts["expected"] == counts["delivered"] + sum(counts["missing"].values())
    assert counts["delivered"] == counts["sampled"] > 0.9 * counts["expected"]
    assert counts["expected"] > {"readings": 30_000, "history": 200_000}[period]


@pytest.mark.slow
def test_a_person_reads_every_indicator_with_its_target(day: Run) -> None:
    for title in ("Reclaimed-water utilisation", "Waste diversion", "Specific energy"):
        assert title in day.said.stdout
    assert "50 %" in day.said.stdout


def test_with_the_broker_that_comes_along_nothing_is_missing_at_the_usual_speed(tmp_path: Path) -> None:
    run = run_demo(tmp_path, "amqtt", "--for", "10s", "--history", "3")
    for period, slow in (("readings", TOO_SLOW), ("history", set())):  # which is not read in real time
        counts = run.report[period]
        assert set(counts["missing"]) <= slow
        assert counts["duplicates"] == 0
        assert counts["expected"] == counts["delivered"] + sum(counts["missing"].values())
        assert counts["sampled"] == counts["delivered"] > 1000


def _swapped(register: dict[str, Any], one: str, other: str) -> dict[str, Any]:
    assets = register["assets"]
    assets[one]["role"], assets[other]["role"] = assets[other]["role"], assets[one]["role"]
    return register


def _asset_of(register: dict[str, Any], device: str) -> str:
    assets: dict[str, Any] = register["assets"]
    return next(name for name, asset in assets.items() if asset["places"][0]["device"] == device)


def _judged(folder: Path, assets: Path, period: tuple[int, int]) -> list[str]:
    """What is wrong with the indicators of a demo over a day or more (ms UTC), by this asset register."""
    store, record = f"sqlite:{folder / 'store'}", folder / "record.db"
    judged = asyncio.run(judge_indicators(store=store, record=record, assets=assets, live=period))
    long = {"live_seconds": summary.LIVE_S_MIN, "speed": (period[1] - period[0]) / 1000 / summary.LIVE_S_MIN}
    nothing: dict[str, Any] = {"missing": {}, "duplicates": 0, "delivered": 1}
    return summary.faults({"readings": nothing, "history": nothing, "indicators": judged, **long})


@pytest.mark.slow
@pytest.mark.parametrize(
    "devices, indicator",
    [
        (("feed-meter", "permeate-meter"), "desalination_recovery"),
        (("feed-meter", "permeate-meter"), "desalination_specific_energy"),
        (("brine-users-meter", "brine-outfall-meter"), "brine_utilisation"),
        (("treated-meter", "steel-meter"), "reclaimed_water_utilisation"),
        (("mill-reuse-meter", "mill-fresh-meter"), "industrial_water_reuse"),
        (("bin-glass", "bin-residual"), "waste_diversion"),
    ],
)
def test_two_swapped_roles_in_the_asset_register_are_found(
    day: Run, tmp_path: Path, devices: tuple[str, str], indicator: str
) -> None:
    register = yaml.safe_load((day.folder / "assets.yaml").read_text("utf-8"))
    assets = tmp_path / "assets.yaml"
    swapped = _swapped(register, *(_asset_of(register, device) for device in devices))
    assets.write_text(yaml.safe_dump(swapped, allow_unicode=True), "utf-8")
    assert any(indicator in fault for fault in _judged(day.folder, assets, day.live))


def _wrong_word_order(folder: Path) -> Path:
    """A folder with the agents' copy of the flow meter's profile, of which the words are swapped."""
    profile = yaml.safe_load((Library().folder("tuf-2000m") / "profile.yaml").read_text("utf-8"))
    order = profile["modbus"]["word_order"]
    profile["modbus"]["word_order"] = {"ABCD": "CDAB", "CDAB": "ABCD"}[order]
    (folder / "tuf-2000m").mkdir(parents=True)
    (folder / "tuf-2000m" / "profile.yaml").write_text(yaml.safe_dump(profile), "utf-8")
    return folder


def _wrong_span(site: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Site files in which the bin on an HX711 was calibrated with a mass 5 % too light."""

    def wrong(*args: Any, **about: Any) -> dict[str, Any]:
        said = site(*args, **about)
        for device in said["devices"].values():
            for calibration in device.get("bin", {}).get("calibrations", ()):
                calibration["counts_per_kg"] *= 1.05
        return said

    return wrong


@pytest.mark.slow
def test_a_wrong_word_order_and_a_wrong_span_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both in one run, as they show in different indicators."""
    require("mosquitto")
    monkeypatch.setattr(sites, "site", _wrong_span(sites.site))
    report = tmp_path / "report.json"
    options = program.Options(
        chosen=choose("demo", seed=1, assets=None),
        seconds=20,
        report=report,
        port=free_port(),
        speed=1440,
        history_days=3,
        broker="mosquitto",
        folder=tmp_path / "demo",
        profiles=_wrong_word_order(tmp_path / "profiles"),
    )
    assert asyncio.run(program.demo(options)) == 1
    run = json.loads(report.read_text("utf-8"))
    assert {of["id"] for of in run["indicators"]} == INDICATORS
    for of in run["indicators"]:
        # Against what the meters showed, where an honest run of this length is within 0.06 %. Where every total jumps,
        # there is no figure at all.
        if of["id"] != "waste_diversion":
            assert of["value"] is None or abs(of["meter_error"]) > 0.002, of["id"]
    # Single deposits decide some hours of waste, and whoever throws at their ends leaves them open: a day from a night
    # of the history to the next is judged.
    begin_ms = datetime.fromisoformat(run["indicators"][0]["from"]).timestamp() * 1000
    night_ms = int(begin_ms - NIGHT_MS) // DAY_MS * DAY_MS + NIGHT_MS
    judged = _judged(options.folder, options.folder / "assets.yaml", (night_ms - DAY_MS, night_ms))
    found = [fault for fault in judged if fault.startswith("waste_diversion (nankai): -")]
    assert any("from what the meters showed" in fault for fault in found), judged  # 0.8 to 1.2 %, as the day was


def test_a_folder_that_is_not_a_demos_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", "utf-8")
    said = subprocess.run(
        [sys.executable, "-m", "loopgauge.cli.main", "demo", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 1
    assert "not a demo's" in said.stderr
    assert (tmp_path / "precious.txt").read_text("utf-8") == "mine"
