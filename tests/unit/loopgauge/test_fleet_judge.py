"""The judge of a fleet finds one value among thousands, whatever is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from loopgauge.fleet_judge import FleetVerdict, judge_fleet
from series_store.port import Reader
from series_store.table import SeriesKey, Window
from simulators.fleet.batches import BatchMaker, Sealed
from simulators.fleet.plan import KIND, FleetPlan
from simulators.fleet.record import FleetRecord, FleetRecorder, RecordError

BEGIN_MS = 1_700_000_000_000
PLAN = FleetPlan(gateways=3, meters=2, fields=2, every_ms=1_000, begin_ms=BEGIN_MS, missing=0.05)

Stored = dict[SeriesKey, dict[int, float]]
FIRST = SeriesKey(KIND, PLAN.gateway(1), PLAN.meter(0), PLAN.field_names[1])


class Store:
    """As much of a store as the judge reads."""

    def __init__(self, rows: Stored) -> None:
        self._rows = rows

    async def series(self, own: str | None = None) -> list[SeriesKey]:
        return list(self._rows)

    async def window(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> dict[SeriesKey, Window]:
        found = {}
        for key in series:
            t = sorted(t for t in self._rows[key] if from_ms <= t < to_ms)
            values = np.array([self._rows[key][each] for each in t])
            found[key] = Window(np.array(t, dtype=np.int64), values, np.zeros(len(t)))
        return found


@pytest.fixture
def record(tmp_path: Path) -> FleetRecord:
    """Three batches of every gateway."""
    recorder = FleetRecorder(path=tmp_path / "record.db", plan=PLAN)
    recorder.open()
    sealed = [Sealed(n + 1, BEGIN_MS + n * 10_000, BEGIN_MS + (n + 1) * 10_000) for n in range(3)]
    wanted = [(number, each) for number in range(PLAN.gateways) for each in sealed]
    made = BatchMaker(plan=PLAN).make(wanted)
    for _ in range(2):  # a batch that leaves again is noted once
        recorder.note([(each, one) for (_, each), one in zip(wanted, made, strict=True)])
    recorder.close()
    return FleetRecord.open_readonly(tmp_path / "record.db")


def stored(record: FleetRecord) -> Stored:
    """What a store would hold."""
    rows: Stored = {}
    for number in range(PLAN.gateways):
        for batch in record.sent(number):
            for meter, stamps in enumerate(batch.stamps):
                for index, field in enumerate(PLAN.field_names):
                    key = SeriesKey(KIND, PLAN.gateway(number), PLAN.meter(meter), field)
                    pairs = zip(stamps.tolist(), batch.values[meter, index].tolist(), strict=True)
                    rows.setdefault(key, {}).update({t: value for t, value in pairs if value == value})
    return rows


def judged(record: FleetRecord, rows: Stored) -> FleetVerdict:
    return asyncio.run(judge_fleet(record, cast(Reader, Store(rows))))


def test_what_was_sent_and_nothing_else_is_exact(record: FleetRecord) -> None:
    verdict = judged(record, stored(record))
    assert verdict.exact and verdict.delivered == record.readings() > 300


def _lost(rows: dict[int, float]) -> None:
    rows.popitem()


def _changed(rows: dict[int, float]) -> None:
    t = next(iter(rows))
    rows[t] = float(np.nextafter(rows[t], np.inf))


def _moved(rows: dict[int, float]) -> None:
    t = next(iter(rows))
    rows[t - 1] = rows.pop(t)


def _added(rows: dict[int, float]) -> None:
    rows[BEGIN_MS + 5] = 1.0


@pytest.mark.parametrize("spoil, missing, foreign", [(_lost, 1, 0), (_changed, 1, 1), (_moved, 1, 1), (_added, 0, 1)])
def test_one_value_that_is_lost_changed_moved_or_too_much_is_found(
    record: FleetRecord, spoil: Callable[[dict[int, float]], Any], missing: int, foreign: int
) -> None:
    rows = stored(record)
    spoil(rows[FIRST])
    verdict = judged(record, rows)
    assert (verdict.missing, verdict.foreign) == (missing, foreign) and not verdict.exact
    assert bool(verdict.first_missing) == bool(missing)
    assert not missing or FIRST.device in verdict.first_missing


def test_a_gateway_that_is_missing_altogether_is_missed_and_an_empty_store_proves_nothing(record: FleetRecord) -> None:
    rows = {key: points for key, points in stored(record).items() if key.gateway != FIRST.gateway}
    assert judged(record, rows).missing == sum(batch.readings for batch in record.sent(1))
    assert not judged(record, {}).exact


def test_a_file_that_is_no_record_is_refused_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing of the kind, but long enough to be looked at" * 10)
    for name in ("x", "nowhere"):
        with pytest.raises(RecordError, match="--record") as raised:
            FleetRecord.open_readonly(tmp_path / name)
        assert "\n" not in str(raised.value)
