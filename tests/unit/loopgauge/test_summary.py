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
        "title": "Recovery",
        "area_title": "Here",
        "target": None,
        "class_percent": 1.0,
        "value": 42.0,
        "unit": "%",
        "meter_truth": 42.0,
        "meter_error": 0.0,
        "meter_low": 42.0,
        "meter_high": 42.0,
        "world_truth": 42.1,
        "world_error": -0.002,
    }
    return {
        "readings": readings | changes.get("readings", {}),
        "history": readings | changes.get("history", {}),
        "indicators": [indicator | changes.get("indicator", {})],
        "live_seconds": changes.get("live_seconds", 60),
        "speed": 60.0,
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
        ({"indicator": {"value": 42.0462, "meter_error": 0.0011}}, "+0.110%"),
        ({"indicator": {"value": 41.9538, "meter_error": -0.0011}}, "-0.110%"),
        ({"indicator": {"value": None, "meter_error": None}}, "there is no value"),
        ({"indicator": {"world_error": None}}, "there is no value"),
        ({"indicator": {"meter_low": None}}, "there is no value"),
        (
            {"indicator": {"value": 42.4, "meter_error": 0.0095, "meter_low": 41.0, "meter_high": 42.2}},
            "+0.950% from what the meters showed, 41 to 42.2",
        ),
        (
            {"indicator": {"value": 41.6, "meter_error": -0.0095, "meter_low": 41.8, "meter_high": 43.0}},
            "-0.950% from what the meters showed, 41.8 to 43",
        ),
        ({"indicator": {"world_error": -0.026, "meter_low": 41.58, "meter_high": 42.1}}, "-2.60% from the truth"),
        ({"indicator": {"world_error": 0.016}}, "+1.60% from the truth; the combined class of its meters is 1 %"),
        ({"indicator": {"world_error": -0.016}}, "-1.60% from the truth"),
        ({"history": {"missing": {"overrun": 7}}}, "history: readings are missing: 7 overrun"),
        ({"history": {"duplicates": 1}}, "history: 1 stored readings"),
    ],
)
def test_each_fault_of_a_run_is_said(changes: dict[str, Any], said: str) -> None:
    report = _report(**changes)
    assert any(said in line for line in summary.faults(report)), summary.faults(report)
    summary.lines(report)


def test_a_run_that_judged_no_indicator_is_not_a_good_one() -> None:
    assert summary.faults({**_report(), "indicators": []}) == ["there is no indicator"]


def test_what_a_scale_leaves_open_at_the_ends_of_a_period_is_no_fault_and_is_said() -> None:
    of_scale = {"value": 42.4, "meter_error": 0.0095, "world_error": -0.024, "meter_low": 41.9, "meter_high": 42.42}
    report = _report(indicator=of_scale)
    assert summary.faults(report) == []
    assert any("(+0.950%), 41.9 to 42.42" in line for line in summary.lines(report))


@pytest.mark.parametrize("live_seconds, faults", [(60, 1), (3600, 1), (20, 0)])
def test_a_short_run_may_err_more_and_a_long_one_not_less(live_seconds: float, faults: int) -> None:
    report = _report(indicator={"value": 42.105, "meter_error": 0.0025}, live_seconds=live_seconds)
    assert len(summary.faults(report)) == faults


@pytest.mark.parametrize("live_seconds, faults", [(60, 0), (1439, 0), (1440, 1)])
def test_what_single_deposits_make_is_judged_over_a_day(live_seconds: float, faults: int) -> None:
    report = _report(
        indicator={"id": "waste_diversion", "value": 43.26, "meter_error": 0.03}, live_seconds=live_seconds
    )
    assert len(summary.faults(report)) == faults
    told = [line for line in summary.lines(report) if "not judged" in line]
    assert len(told) == 1 - faults, "an error of 3 % that is no failure needs a reason beside it"


def test_columns_stay_in_line_beside_wide_letters() -> None:
    assert summary.table([("再生水", "a"), ("x", "b")]) == ["再生水  a", "x       b"]


def test_an_error_is_relative_and_needs_a_truth() -> None:
    assert summary.relative_error(101, 100) == pytest.approx(0.01)
    assert summary.relative_error(None, 100) is None
    assert summary.relative_error(1, 0) is None


@pytest.mark.parametrize("text, seconds", [("60s", 60), ("5m", 300), ("1h", 3600), ("90", 90)])
def test_a_time_may_be_given_in_seconds_minutes_or_hours(text: str, seconds: float) -> None:
    assert _seconds(text) == seconds


def test_what_a_person_asked_to_go_without_is_told_but_no_failure() -> None:
    missing = {"readings": {"missing": {"overrun": 7, "timeout": 3}}}
    assert summary.faults(_report(**missing) | {"may_miss": ["overrun"]}) == [
        "live: readings are missing: 3 timeout; is this machine busy? give a lower --speed"
    ]
    assert summary.faults(_report(**missing) | {"may_miss": ["overrun", "timeout"]}) == []
    assert any("7 by overrun" in line for line in summary.lines(_report(**missing) | {"may_miss": ["overrun"]}))


def test_an_indicator_without_a_meter_is_named_with_the_total_that_nobody_shows() -> None:
    unseen = [{"id": "recovery", "area": "there", "no_meter": ["t.feed.volume_m3"]}]
    lines = summary.lines(_report() | {"not_judged": unseen})
    assert lines[-1] == "not judged: recovery (there): no meter shows t.feed.volume_m3"
