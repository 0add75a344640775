"""The rollup worker: new receipts, the hours that they touch, hours from readings, days and indicators from hours,
and only then the cursor. Killed anywhere, it does the same again and writes the same rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from data_contract.batch import SCHEDULE
from data_contract.counter_law import REACH
from rollups.assets import Assets
from rollups.catalog import Catalog
from rollups.cursor import DeviceHour, Due, Run, Touch, hours_between, touches
from rollups.doubts import REACH_MS as DOUBT_MS_MAX
from rollups.doubts import Unsure
from rollups.figures import Figure, MeterSum, evaluate
from rollups.gather import Hours, Readings, around, digested, doubted, ends_of, index_of, meter_sums, timelines_of
from rollups.hours import Stretch
from rollups.jobs import Job, closing_jobs, jobs_of
from rollups.measure import counter_fields
from rollups.periods import HOUR_MS, Unit, periods
from rollups.polls import Timeline
from rollups.rows import asset_tables, figure_tables, stretch_table
from series_store import names
from series_store.port import FigureStore, Reader, Unavailable
from series_store.table import Receipt, SeriesKey, Table, Window

CURSOR, CLOSED = names.CURSOR_RECEIPTS, names.CURSOR_CLOSED

RECEIPTS_PER_PAGE = 1000
HOURS_DUE_MAX = 20_000
"""When so many hours of devices are due, no more receipts are read before some are done."""
HOURS_PER_PASS = 500
"""So many are computed before the cursor moves."""

_STAMPS_MOVE_MS = 1000
# Equal stamps of one kind of record move by 1 ms each.

log = logging.getLogger(__name__)


class Worker:
    """Reads a store and writes figures. `cycle` does what is due now and returns; it may raise Unavailable at any
    point.

    `reread_ms` of civil time before the cursor are read again, because a receipt may become visible that late;
    an hour that can still grow is computed at most every `refresh_ms`.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        figures: FigureStore,
        assets: Assets,
        catalog: Catalog,
        now_ms: Callable[[], int],
        reread_ms: int = 120_000,
        refresh_ms: int = 60_000,
    ) -> None:
        self._reader = reader
        self._figures = figures
        self._assets = assets
        self._catalog = catalog
        self._now_ms = now_ms
        self._reread_us = reread_ms * 1000
        self._counters = counter_fields(catalog, assets)
        self._due = Due(refresh_ms=refresh_ms)
        self._seen: dict[tuple[int, str, str], None] = {}
        self._index: dict[tuple[str, str, str], SeriesKey] = {}
        self._by_device: dict[tuple[str, str], list[SeriesKey]] = {}
        self._timelines: dict[str, Timeline] = {}
        self._read_to_us: int | None = None
        self._cursor_us = 0
        self._closed_ms = 0

    async def cycle(self) -> bool:
        """Do what is due, at most one pass of it. True: there is more to do at once."""
        if self._read_to_us is None:
            await self._begin()
        more = await self._collect()
        now_ms = self._now_ms()
        runs = self._due.runs(now_ms, HOURS_PER_PASS)
        await self._compute(runs, now_ms)
        await self._close(now_ms)
        await self._advance()
        return more or bool(self._due.runs(now_ms, 1))

    async def _begin(self) -> None:
        await self._put(asset_tables(self._assets))
        self._cursor_us = await self._figures.cursor(CURSOR)
        self._closed_ms = await self._figures.cursor(CLOSED)
        self._read_to_us = self._cursor_us

    async def _collect(self) -> bool:
        """Read receipts and note what they touch. True: not all have been read."""
        assert self._read_to_us is not None
        after_us = max(self._read_to_us - self._reread_us, 0)
        while len(self._due) < HOURS_DUE_MAX:
            page = await self._reader.receipts(after_us, RECEIPTS_PER_PAGE)
            new = [receipt for receipt in page if _id(receipt) not in self._seen]
            await self._note(new)
            if page:
                self._read_to_us = max(self._read_to_us, page[-1].at_us)
            if len(page) < RECEIPTS_PER_PAGE:
                self._forget(self._read_to_us - 2 * self._reread_us)
                return False
            after_us = page[-1].at_us
        return True

    async def _note(self, receipts: Sequence[Receipt]) -> None:
        if not receipts:
            return
        for gateway in sorted({receipt.gateway for receipt in receipts}):
            await self._note_schedules(gateway, [receipt for receipt in receipts if receipt.gateway == gateway])
        for receipt in receipts:
            for touch in _touches(receipt):
                self._due.touch(touch)
            self._seen[_id(receipt)] = None

    async def _note_schedules(self, gateway: str, receipts: Sequence[Receipt]) -> None:
        """A schedule that came with these batches changes how complete all hours are for which it held."""
        # What was rejected whole has no time.
        dated = [receipt for receipt in receipts if receipt.from_ms > 0]
        first = min((receipt.from_ms for receipt in dated), default=0)
        last = max((receipt.to_ms + _STAMPS_MOVE_MS for receipt in dated), default=0)
        came = await self._reader.events(SCHEDULE, first, last, gateway) if dated else []
        if gateway not in self._timelines or came:
            self._timelines |= await timelines_of(self._reader, [gateway])
        if not came:
            return
        await self._look_around()
        newest = await ends_of(self._reader, (key for key in self._index.values() if key.gateway == gateway))
        at_us = min(receipt.at_us for receipt in dated)
        for event in came:
            until = self._timelines[gateway].until_ms(event.t_ms)
            for key, t_ms in newest.items():
                end = t_ms if until is None else min(t_ms, until)
                if event.t_ms <= end:
                    self._due.add(gateway, key.device, hours_between(event.t_ms, end), at_us)

    def _forget(self, before_us: int) -> None:
        while self._seen and (oldest := next(iter(self._seen)))[0] < before_us:
            del self._seen[oldest]

    async def _compute(self, runs: Sequence[Run], now_ms: int) -> None:
        if not runs:
            return
        await self._look_around()
        changed: set[DeviceHour] = set()
        readings = self._readings()
        for run in runs:
            changed |= await self._compute_hours(run, readings)
        hours = Hours(figures=self._figures, readings=readings)
        await self._write_days(changed, hours)
        jobs = {job for hour in changed for job in jobs_of(self._assets, self._catalog, hour)}
        await self._write_figures(jobs, hours, now_ms)
        for run in runs:
            self._due.done(run, now_ms)

    async def _compute_hours(self, run: Run, readings: Readings) -> set[DeviceHour]:
        """Write the hours of a run; the hours that have a row now."""
        keys = self._by_device.get((run.gateway, run.device), [])
        first, last = run.hours[0], run.hours[-1] + HOUR_MS
        windows, doubts = await around(self._reader, keys, first, last)
        told = await digested(self._reader, keys, first, last)
        await self._extend(run, windows, doubts)
        tables, changed = [], set()
        for key, window in windows.items():
            of_key = told.get(key, ())
            measured = [readings.measure(window, key, hour, hour + HOUR_MS, of_key, doubts) for hour in run.hours]
            stretches = [stretch for stretch in measured if stretch is not None]
            if stretches:
                tables.append(stretch_table(names.ROLLUP_1H, key, stretches, key.field in self._counters))
            changed |= {DeviceHour(run.gateway, run.device, stretch.from_ms) for stretch in stretches}
        await self._put(tables)
        return changed

    async def _extend(self, run: Run, windows: dict[SeriesKey, Window], doubts: Unsure) -> None:
        """Where readings are sparse, or their time is an estimate, new ones reach further than the run: those hours are
        due, too.
        """
        reach = _neighbourhood(run, windows.values())
        if reach is None:
            return
        low, high = reach
        if low < run.hours[0] - DOUBT_MS_MAX or high > run.hours[-1] + DOUBT_MS_MAX:
            doubts = await doubted(self._reader, run.gateway, run.device, low, high)
        own = range(run.hours[0], run.hours[-1] + 1, HOUR_MS)
        beyond = [hour for hour in hours_between(low, high) if hour not in own]
        self._due.add(run.gateway, run.device, beyond, run.at_us)
        beside = doubts.meeting(low, high)
        if len(beside):
            far = [hour for hour in hours_between(*beside.reach()) if hour not in own]
            self._due.add_far(run.gateway, run.device, far, run.at_us)

    async def _look_around(self) -> None:
        """Learn which series there are."""
        self._index = await index_of(self._reader)
        self._by_device = {}
        for key in self._index.values():
            self._by_device.setdefault((key.gateway, key.device), []).append(key)

    def _readings(self) -> Readings:
        return Readings(reader=self._reader, assets=self._assets, timelines=self._timelines, counters=self._counters)

    async def _write_days(self, changed: Iterable[DeviceHour], hours: Hours) -> None:
        days = {
            (hour.gateway, hour.device, day)
            for hour in changed
            for zone in (self._assets.zone_of(hour.gateway, hour.device, hour.from_ms),)
            for day in periods(Unit.DAY, hour.from_ms, hour.from_ms + HOUR_MS, zone)
        }
        by_key: dict[SeriesKey, list[Stretch]] = {}
        for gateway, device, day in sorted(days):
            for key in self._by_device.get((gateway, device), []):
                stretch = await hours.stretch(key, day.from_ms, day.to_ms)
                if stretch is not None:
                    by_key.setdefault(key, []).append(stretch)
        await self._put([stretch_table(names.ROLLUP_1D, k, s, k.field in self._counters) for k, s in by_key.items()])

    async def _write_figures(self, jobs: Iterable[Job], hours: Hours, now_ms: int) -> None:
        written: dict[Job, Figure] = {}
        for job in sorted(jobs):
            figure = await self._figure(job, hours, now_ms)
            if figure is not None:
                written[job] = figure
        found = ((job.unit, job.from_ms, figure) for job, figure in written.items())
        await self._put(figure_tables(found, self._assets, self._catalog))

    async def _figure(self, job: Job, hours: Hours, now_ms: int) -> Figure | None:
        """The figure of a period; of one that has not ended, up to the last reading. None: there are no readings."""
        indicator = self._catalog.indicators[job.indicator]
        sums = await meter_sums(hours, self._index, self._assets, indicator, job.area, job.from_ms, job.to_ms)
        stretches = [meter.stretch for meters in sums.values() for meter in meters if meter.stretch is not None]
        last = max((stretch.last_ms for stretch in stretches if stretch.last_ms is not None), default=None)
        if not stretches:
            return None
        to_ms = job.to_ms
        if job.to_ms > now_ms:
            if last is None or last <= job.from_ms:
                return None
            to_ms = last
        clipped = {term: [_until(meter, to_ms) for meter in meters] for term, meters in sums.items()}
        return evaluate(job.indicator, indicator, job.area, job.from_ms, to_ms, clipped)

    async def _close(self, now_ms: int) -> None:
        """Settle the periods that have ended since: what was a figure so far is now one of the whole period."""
        if self._closed_ms == 0:
            self._closed_ms = now_ms
            await self._figures.set_cursor(CLOSED, now_ms)
        jobs = closing_jobs(self._assets, self._catalog, self._closed_ms, now_ms)
        if not jobs:
            return
        await self._look_around()
        missing = {gateway for gateway, _ in self._assets.devices()} - self._timelines.keys()
        self._timelines |= await timelines_of(self._reader, missing)
        await self._write_figures(jobs, Hours(figures=self._figures, readings=self._readings()), now_ms)
        await self._figures.set_cursor(CLOSED, now_ms)
        self._closed_ms = now_ms

    async def _advance(self) -> None:
        assert self._read_to_us is not None
        cursor_us = self._due.cursor(self._read_to_us)
        if cursor_us > self._cursor_us:
            await self._figures.set_cursor(CURSOR, cursor_us)
            self._cursor_us = cursor_us

    async def _put(self, tables: Sequence[Table]) -> None:
        if not tables:
            return
        outcome = await self._figures.put(tables)
        if not outcome.stored:
            raise Unavailable(outcome.reason)
        for refusal in outcome.refused:
            table = tables[refusal.table]
            log.error("a row of %s %s was refused: %s", table.measurement, dict(table.tags), refusal.reason)


def _id(receipt: Receipt) -> tuple[int, str, str]:
    return receipt.at_us, receipt.gateway, receipt.worker


def _touches(receipt: Receipt) -> list[Touch]:
    try:
        return touches(receipt)
    except ValueError as error:
        log.error("receipt %s-%d of %s cannot be read: %s", receipt.run, receipt.seq, receipt.gateway, error)
        return []


def _neighbourhood(run: Run, windows: Iterable[Window]) -> tuple[int, int] | None:
    """From the readings that new ones follow to those that follow them; None: there are none, or nothing new."""
    if run.first_ms is None or run.last_ms is None:
        return None
    ends = []
    for window in windows:
        if len(window.t):
            before = int(np.searchsorted(window.t, run.first_ms)) - REACH
            after = int(np.searchsorted(window.t, run.last_ms, side="right")) + REACH - 1
            ends.append((int(window.t[max(before, 0)]), int(window.t[min(after, len(window.t) - 1)])))
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def _until(meter: MeterSum, to_ms: int) -> MeterSum:
    return replace(meter, to_ms=max(meter.from_ms, min(meter.to_ms, to_ms)))
