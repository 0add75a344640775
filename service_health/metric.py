"""A figure that a program publishes of itself, before any library has given it a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric by its Prometheus name, in base units; a counter's name ends with `_total`."""

    name: str
    help: str
    kind: Literal["counter", "gauge"]
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, and what tells it from its siblings."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def gauge(name: str, help: str, value: float) -> Metric:
    """A gauge of one value."""
    return Metric(name, help, "gauge", (Sample(value),))


def counter(name: str, help: str, value: float) -> Metric:
    """A counter of one value since the program's start."""
    return Metric(name, help, "counter", (Sample(value),))


def by_label(
    name: str, help: str, kind: Literal["counter", "gauge"], label: str, values: Mapping[str, float]
) -> Metric:
    """A metric with one value per value of a label."""
    return Metric(name, help, kind, tuple(Sample(value, {label: key}) for key, value in sorted(values.items())))
