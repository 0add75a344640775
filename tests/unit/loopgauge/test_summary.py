"""The demo ends with 1 whenever something is missing, foreign or wrong, and says what."""

from __future__ import annotations

from typing import Any

import pytest

from loopgauge.cli.demo import _seconds
from loopgauge.demo import summary


def _report(**changes: Any) -> dict[str, Any]:
    readings = {"expected": 9, "sampled": 9, "delivered": 9, "duplicates": 0, "redelivered": 0, "missing": {}}
    indicator = {
        "id": "recovery",
        "area": "here",
        "value": 42.0,
        "unit": "%",
        "meter_truth": 42.0,
        "meter_error": 0.0,
        "world_truth": 42.1,
        "world_error": -0.002,
    }
    return {
        "readings": readings | changes.get("readings", {}),
        "indicators": [indicator | changes.get("indicator", {})],
    }


def test_a_good_run_has_no_faults() -> None:
    report = _report()
    assert summary.faults(report) == []
    assert any("42" in line for line in summary.lines(report))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"readings": {"missing": {"timeout": 3}}}, "3 timeout"),
        ({"readings": {"missing": {"unexplained": -1}}}, "-1 unexplained"),
        ({"readings": {"duplicates": 2}}, "2 stored readings were never served"),
        ({"readings": {"delivered": 0}}, "no reading was delivered"),
        ({"indicator": {"meter_error": 0.0011}}, "+0.110%"),
        ({"indicator": {"meter_error": -0.0011}}, "-0.110%"),
        ({"indicator": {"value": None, "meter_error": None}}, "there is no value"),
    ],
)
def test_each_fault_of_a_run_is_said(changes: dict[str, Any], said: str) -> None:
    report = _report(**changes)
    assert any(said in line for line in summary.faults(report)), summary.faults(report)
    summary.lines(report)


def test_an_error_is_relative_and_needs_a_truth() -> None:
    assert summary.relative_error(101, 100) == pytest.approx(0.01)
    assert summary.relative_error(None, 100) is None
    assert summary.relative_error(1, 0) is None


@pytest.mark.parametrize("text, seconds", [("60s", 60), ("5m", 300), ("1h", 3600), ("90", 90)])
def test_a_time_may_be_given_in_seconds_minutes_or_hours(text: str, seconds: float) -> None:
    assert _seconds(text) == seconds
