"""Lines for charts: readings, or hours that were computed from them, as columns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from data_contract.reading import is_pseudonym
from series_store import names
from series_store.port import Figure
from series_store.table import SeriesKey, Window
from web_console.figures import number

POINTS_MAX = 500
"""Points of a line; more cannot be seen."""

Json = dict[str, Any]


def line(window: Window) -> Json:
    """A series as points, thinned by means over equal counts of readings where there are too many to be seen."""
    times, values = window.t.tolist(), window.value.tolist()
    step = -(-len(times) // POINTS_MAX) if times else 1
    if step > 1:
        parts = range(0, len(times), step)
        times = [round(sum(times[at : at + step]) / len(times[at : at + step])) for at in parts]
        values = [math.fsum(values[at : at + step]) / len(values[at : at + step]) for at in parts]
    return {"t": times, "v": values}


def hours(rows: Iterable[Figure]) -> Json:
    """Hours of a field, in time order: what a counter counted in each, or how a gauge went (mean, least, greatest).

    And whether digests tell of the hour, or readings that may belong to a neighbour.
    """
    counter = False
    found: Json = {"t": [], "v": [], "low": [], "high": [], "summarised": [], "unsure": []}
    for row in rows:
        counter = row[2].get("kind") == "counter"
        found["t"].append(row[0])
        found["v"].append(number(row, "delta" if counter else "mean"))
        found["low"].append(None if counter else number(row, "min"))
        found["high"].append(None if counter else number(row, "max"))
        found["summarised"].append(bool(number(row, names.SUMMARISED)))
        found["unsure"].append(bool(number(row, names.TIME_UNSURE)))
    return {"counter": counter, **found}


def asks_for(series: Iterable[SeriesKey], gateway: str, device: str, field: str) -> SeriesKey | None:
    """The series that a request names, None if it is not stored, or not for anybody's eyes."""
    if is_pseudonym(field):
        return None
    for key in series:
        if (key.gateway, key.device, key.field) == (gateway, device, field) and key.measurement not in names.RESERVED:
            return key
    return None
