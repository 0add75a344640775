"""What the demo says in the end: the report as JSON for scripts, and as lines for a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ERROR_MAX = 0.001
"""Largest relative error of an indicator against what the meters showed."""


def relative_error(value: float | None, truth: float | None) -> float | None:
    """(value - truth) / truth, or None where either is missing."""
    if value is None or truth is None or truth == 0:
        return None
    return (value - truth) / truth


def faults(report: Mapping[str, Any]) -> list[str]:
    """What is wrong with a run, one line each; empty: nothing."""
    readings = report["readings"]
    found = []
    if readings["missing"]:
        found.append("readings are missing: " + ", ".join(f"{n} {cause}" for cause, n in readings["missing"].items()))
    if readings["duplicates"]:
        found.append(f"{readings['duplicates']} stored readings were never served")
    if not readings["delivered"]:
        found.append("no reading was delivered")
    for indicator in report["indicators"]:
        error = indicator["meter_error"]
        if error is None:
            found.append(f"{indicator['id']}: there is no value")
        elif abs(error) > ERROR_MAX:
            found.append(f"{indicator['id']}: {error:+.3%} from what the meters showed")
    return found


def lines(report: Mapping[str, Any]) -> Sequence[str]:
    """The report for a person."""
    readings = report["readings"]
    said = [
        f"readings: {readings['expected']} called for, {readings['sampled']} sampled,"
        f" {readings['delivered']} in the store as served, {readings['duplicates']} foreign,"
        f" {readings['redelivered']} sent more than once"
    ]
    said += [f"  missing: {n} by {cause}" for cause, n in readings["missing"].items()]
    for indicator in report["indicators"]:
        value, truth = indicator["value"], indicator["world_truth"]
        if value is None:
            said.append(f"{indicator['id']} ({indicator['area']}): no value")
            continue
        said.append(
            f"{indicator['id']} ({indicator['area']}): {value:.4g} {indicator['unit']};"
            f" meters showed {indicator['meter_truth']:.4g} ({indicator['meter_error']:+.4%});"
            f" truly {truth:.4g} ({indicator['world_error']:+.2%}, the meters' own class)"
        )
    return said
