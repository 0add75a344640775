"""The store against the record of a fleet: every value that was sent, at its very stamp, once and unchanged.

The record was written by the process that sent, before it sent; of what ingest wrote only the store is read.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contract.reading import GATEWAY_DEVICE
from series_store.port import Reader
from series_store.table import SeriesKey
from simulators.fleet.record import FleetRecord

ALWAYS_MS = 4_102_444_800_000
"""2100-01-01 UTC: later than any reading, and a time that every store can name."""
Points = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Stamps in ms UTC, rising, and the value of each."""


@dataclass(slots=True)
class FleetVerdict:
    """What became of the readings that a fleet sent, and what the store holds beside them."""

    delivered: int = 0
    """Sent values that the store holds, exactly, at their stamp."""
    missing: int = 0
    """Sent values that it does not hold."""
    foreign: int = 0
    """Stored values of the fleet that nobody sent: another stamp, another value, another device."""
    first_missing: str = ""
    """Where the first of them is."""

    @property
    def exact(self) -> bool:
        """Everything was delivered, and nothing else."""
        return self.delivered > 0 and not self.missing and not self.foreign


async def judge_fleet(record: FleetRecord, reader: Reader) -> FleetVerdict:
    """Hold the store against the record, gateway by gateway. Raises Unavailable, RecordError."""
    keys: defaultdict[str, list[SeriesKey]] = defaultdict(list)
    for key in await reader.series():
        if key.device != GATEWAY_DEVICE:
            keys[key.gateway].append(key)
    verdict = FleetVerdict()
    for number in range(record.plan.gateways):
        name = record.plan.gateway(number)
        sent = _sent(record, number)
        windows = await reader.window(keys[name], 0, ALWAYS_MS) if keys[name] else {}
        stored = {(key.device, key.field): (window.t, window.value) for key, window in windows.items()}
        for series in sorted(sent.keys() | stored.keys()):
            _compare(verdict, f"{name} {series[0]} {series[1]}", sent.get(series), stored.get(series))
    return verdict


def _sent(record: FleetRecord, number: int) -> dict[tuple[str, str], Points]:
    """All that a gateway sent, by (device, field)."""
    plan = record.plan
    parts: defaultdict[tuple[str, str], list[Points]] = defaultdict(list)
    for batch in record.sent(number):
        for meter in range(plan.meters):
            for index, field in enumerate(plan.field_names):
                there = ~np.isnan(batch.values[meter, index])
                points = batch.stamps[meter, there], batch.values[meter, index, there]
                parts[plan.meter(meter), field].append(points)
    return {
        series: (np.concatenate([t for t, _ in points]), np.concatenate([v for _, v in points]))
        for series, points in parts.items()
    }


def _compare(verdict: FleetVerdict, where: str, sent: Points | None, stored: Points | None) -> None:
    ours, theirs = _pairs(sent), _pairs(stored)
    both = len(ours & theirs)
    verdict.delivered += both
    verdict.missing += len(ours) - both
    verdict.foreign += (0 if stored is None else len(stored[0])) - both
    if len(ours) > both and not verdict.first_missing:
        verdict.first_missing = f"{where} {min(ours - theirs)}"


def _pairs(points: Points | None) -> set[tuple[int, float]]:
    return set() if points is None else set(zip(points[0].tolist(), points[1].tolist(), strict=True))
