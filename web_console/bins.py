"""Bins for the page: how full, when last emptied, and which to collect today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from series_store.port import Figure
from series_store.table import SeriesKey, Window
from web_console.labels import DeviceLabel, Labels

WEIGHT, EMPTYINGS = "weight_kg", "emptyings"
COLLECT_SHARE = 0.8
"""A bin that is this full is to be collected today."""

Json = dict[str, Any]


def bins(
    labels: Labels,
    newest: Mapping[SeriesKey, tuple[int, float]],
    emptied: Mapping[tuple[str, str], int | None],
    quiet: Mapping[tuple[str, str], str],
    now_ms: int,
) -> list[Json]:
    """Each bin that stands somewhere now, the fullest first; those of which nothing is known last.

    `emptied`: when each was last emptied; `quiet`: why a device is silent, by (gateway, device).
    """
    weights = {(key.gateway, key.device): found for key, found in newest.items() if key.field == WEIGHT}
    found = [
        _bin(label, weights.get(place), emptied.get(place), quiet.get(place), now_ms)
        for label in labels.current(now_ms)
        for place in ((label.gateway, label.device),)
        if label.capacity_kg is not None
    ]
    return sorted(found, key=lambda one: (one["share"] is None, -(one["share"] or 0.0), one["device"]))


def _bin(
    label: DeviceLabel, weight: tuple[int, float] | None, emptied_ms: int | None, silent: str | None, now_ms: int
) -> Json:
    share = weight[1] / label.capacity_kg if weight and label.capacity_kg else None
    return {
        "gateway": label.gateway,
        "device": label.device,
        "title": {"en": label.en, "zh": label.zh},
        "site": label.site,
        "areas": list(label.areas),
        "material": label.material,
        "capacity_kg": label.capacity_kg,
        "weight_kg": weight[1] if weight else None,
        "weighed_ms": weight[0] if weight else None,
        "age_ms": max(0, now_ms - weight[0]) if weight else None,
        "share": share,
        "collect": share is not None and share >= COLLECT_SHARE,
        "emptied_ms": emptied_ms,
        "simulated": label.simulated,
        "silent": silent,
    }


def last_rise_ms(window: Window) -> int | None:
    """The stamp of the last reading of a counter that lies above the one before it, None if there is none."""
    values = window.value.tolist()
    for at in range(len(values) - 1, 0, -1):
        if values[at] > values[at - 1]:
            return int(window.t[at])
    return None


def last_rising_hour_ms(rows: Iterable[Figure]) -> int | None:
    """The begin of the last hour in which a counter rose, from its hours in time order, None if it did in none.

    A counter that no indicator counts is kept as a gauge: least and greatest value tell the same.
    """
    found, top = None, None
    for t_ms, _, cells in rows:
        least, greatest, delta = (_number(cells.get(name)) for name in ("min", "max", "delta"))
        if cells.get("kind") == "counter":
            rose = delta > 0
        else:
            rose = greatest > least or (top is not None and least > top)
            top = greatest
        found = t_ms if rose else found
    return found


def _number(cell: float | str | None) -> float:
    return float(cell) if isinstance(cell, float | int) else 0.0
