"""What the demo says in the end: the report as JSON for scripts, and as lines for a person. Pure."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from data_contract.cause import Missing

ERROR_MAX = 0.001
"""Largest relative error of an indicator against what the meters showed, over at least LIVE_S_MIN."""
LIVE_S_MIN = 60.0
"""Meter and agent date an answer some real ms apart. In a shorter live period that is more of the whole."""
CLASSES_MAX = math.sqrt(2)
"""Largest error against the truth over the combined class: two meters may both err by their whole class."""
EVENTFUL = {"waste_diversion": 86_400.0}
"""Indicator → from how many simulated s on it is judged: what single deposits make is vague in less."""

PERIODS = {"readings": "live", "history": "history"}
"""Key of the report → what a person calls it."""

HEAD = ("indicator", "area", "value", "target", "the meters showed", "truly")


def relative_error(value: float | None, truth: float | None) -> float | None:
    """(value - truth) / truth, or None where either is missing."""
    if value is None or truth is None or truth == 0:
        return None
    return (value - truth) / truth


def faults(report: Mapping[str, Any]) -> list[str]:
    """What is wrong with a run, one line each; empty: nothing."""
    may_miss = report.get("may_miss", ())
    found = [fault for key, name in PERIODS.items() for fault in _faults_of(name, report[key], may_miss)]
    if not report["indicators"]:
        found.append("there is no indicator")
    for indicator in report["indicators"]:
        found += _faults_of_indicator(indicator, report["live_seconds"], report["live_seconds"] * report["speed"])
    return found


def _faults_of_indicator(indicator: Mapping[str, Any], live_s: float, simulated_s: float) -> Iterator[str]:
    name = f"{indicator['id']} ({indicator['area']})"
    value, of_world = indicator["value"], indicator["world_error"]
    low, high = indicator["meter_low"], indicator["meter_high"]
    error_max = ERROR_MAX * max(1.0, LIVE_S_MIN / max(1.0, live_s))
    if simulated_s < EVENTFUL.get(indicator["id"], 0.0):
        return
    if value is None or low is None or high is None or indicator["meter_error"] is None or of_world is None:
        yield f"{name}: there is no value"
        return
    if not low * (1 - error_max) <= value <= high * (1 + error_max):
        yield f"{name}: {indicator['meter_error']:+.3%} from what the meters showed{_from_to(indicator)}"
    open_ = max(high - indicator["meter_truth"], indicator["meter_truth"] - low) / indicator["meter_truth"]
    if abs(of_world) > CLASSES_MAX * indicator["class_percent"] / 100 + error_max + open_:
        combined = indicator["class_percent"]
        yield f"{name}: {of_world:+.2%} from the truth; the combined class of its meters is {combined:.3g} %"


def _faults_of(name: str, readings: Mapping[str, Any], may_miss: Collection[str]) -> Iterator[str]:
    missing = {cause: number for cause, number in readings["missing"].items() if cause not in may_miss}
    if missing:
        causes = ", ".join(f"{number} {cause}" for cause, number in missing.items())
        busy = "; is this machine busy? give a lower --speed" if Missing.TIMEOUT in missing else ""
        yield f"{name}: readings are missing: {causes}{busy}"
    if readings["duplicates"]:
        yield f"{name}: {readings['duplicates']} stored readings were never served"
    if not readings["delivered"]:
        yield f"{name}: no reading was delivered"


def lines(report: Mapping[str, Any]) -> Sequence[str]:
    """The report for a person."""
    said = []
    for key, name in PERIODS.items():
        readings = report[key]
        said.append(
            f"{name}: {readings['expected']} readings called for, {readings['sampled']} sampled,"
            f" {readings['delivered']} in the store as served, {readings['duplicates']} foreign,"
            f" {readings['redelivered']} sent more than once"
        )
        said += [f"  missing: {number} by {cause}" for cause, number in readings["missing"].items()]
    said += table([HEAD, *map(_row, report["indicators"])])
    simulated_s = report["live_seconds"] * report["speed"]
    brief = {each["title"] for each in report["indicators"] if simulated_s < EVENTFUL.get(each["id"], 0.0)}
    for title in sorted(brief):
        said.append(f"not judged: {title}: single deposits decide it in the {simulated_s / 3600:.3g} h of this run")
    for figure in report.get("not_judged", ()):
        said.append(f"not judged: {figure['id']} ({figure['area']}): no meter shows {', '.join(figure['no_meter'])}")
    return said


def _row(indicator: Mapping[str, Any]) -> tuple[str, ...]:
    unit, target = indicator["unit"] or "", indicator["target"]
    return (
        indicator["title"],
        indicator["area_title"],
        "none" if indicator["value"] is None else f"{indicator['value']:.5g} {unit}",
        "-" if target is None else f"{target:g} {unit}",
        _beside(indicator["meter_truth"], indicator["meter_error"], 3) + _from_to(indicator),
        _beside(indicator["world_truth"], indicator["world_error"], 2),
    )


def _beside(truth: float | None, error: float | None, digits: int) -> str:
    """A truth, and how far the value is from it."""
    if truth is None:
        return "none"
    return f"{truth:.5g}" if error is None else f"{truth:.5g} ({error:+.{digits}%})"


def _from_to(indicator: Mapping[str, Any]) -> str:
    """Between which figures a scale leaves it, as its bin was in use at the ends of the period."""
    low, high = indicator["meter_low"], indicator["meter_high"]
    return "" if low is None or high is None or low == high else f", {low:.4g} to {high:.4g}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows under each other in columns; wide characters take two places."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
