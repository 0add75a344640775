"""Fetches what figures are made of: readings with all that decides about them, stretches from hours that are already
computed, and the sums of an indicator's meters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from data_contract.batch import SCHEDULE
from data_contract.counter_law import HOLD_MS, LOOKBACK_MS, REACH
from data_contract.reading import Quality, is_pseudonym
from data_contract.witness import EDGE_MS
from rollups.assets import Asset, Assets
from rollups.catalog import Indicator, Term
from rollups.digested import Digested
from rollups.doubts import BATCH_MS_MAX, NONE, Unsure, unsure
from rollups.doubts import REACH_MS as DOUBT_MS_MAX
from rollups.figures import MeterSum
from rollups.gauges import Course
from rollups.hours import Stretch, combine
from rollups.measure import stretch_of
from rollups.periods import HOUR_MS
from rollups.polls import Timeline, timeline
from rollups.rows import read_stretch, series_tags
from series_store import names
from series_store.port import FigureStore, Reader
from series_store.table import SeriesKey, Window

EVER_MS = 9_000_000_000_000
"""Later than any time in a store (the year 2255)."""

NEIGHBOURS_MAX = 8
"""So many readings are looked at beyond a window before those that count are taken as missing."""

_NOTHING = Window(np.empty(0, np.int64), np.empty(0), np.empty(0))

Index = Mapping[tuple[str, str, str], SeriesKey]
"""(gateway, device, field) -> the series."""


class Source(Protocol):
    """Where stretches come from: readings, or hours that are already computed."""

    async def stretch(self, key: SeriesKey, from_ms: int, to_ms: int) -> Stretch | None:
        """The series over [from_ms, to_ms), None if nothing is known of it there."""


UNREAD = ""
"""Stands for the measurement of a series of which no reading was ever stored: only digests tell of it."""


async def index_of(reader: Reader) -> dict[tuple[str, str, str], SeriesKey]:
    """Every series by gateway, device and field, but those that stand for persons: a mean of people says nothing.

    A gauge of which every reading was given up is one, too; of totals and states, witnesses are always there.
    """
    mean = f"_{names.SUMMARY_MEAN}"
    told = [key for key in await reader.series(names.SUMMARY) if key.field.endswith(mean)]
    found = [key._replace(measurement=UNREAD, field=key.field.removesuffix(mean)) for key in told]
    found += await reader.series()
    return {(key.gateway, key.device, key.field): key for key in found if not is_pseudonym(key.field)}


async def ends_of(reader: Reader, keys: Iterable[SeriesKey]) -> dict[SeriesKey, int]:
    """A stamp in the hour of the newest reading of each series, known by itself or by a digest."""
    read = {key if key.measurement else _of_summary(key, names.SUMMARY_TO): key for key in keys}
    newest = await reader.latest(list(read))
    # A summary lies within one hour of UTC: its first stamp will do.
    return {read[key]: t_ms for key, (t_ms, _) in newest.items()}


async def timelines_of(reader: Reader, gateways: Iterable[str]) -> dict[str, Timeline]:
    """The schedules of each gateway."""
    return {name: timeline(await reader.events(SCHEDULE, 0, EVER_MS, name)) for name in sorted(set(gateways))}


async def with_context(reader: Reader, keys: Sequence[SeriesKey], from_ms: int, to_ms: int) -> dict[SeriesKey, Window]:
    """Readings of [from_ms, to_ms) and all that can decide about them: those near, and at least REACH on either
    side."""
    read = [key for key in keys if key.measurement]
    near = await reader.window(read, max(from_ms - LOOKBACK_MS - EDGE_MS, 0), to_ms + HOLD_MS)
    newest = await reader.latest(read)
    widened = {}
    for key in keys:
        window = near.get(key, _NOTHING)
        if key in newest:
            window = await _reach_back(reader, key, window, from_ms)
            if newest[key][0] >= to_ms + HOLD_MS:
                window = await _reach_on(reader, key, window, to_ms)
        widened[key] = window
    return widened


async def _reach_back(reader: Reader, key: SeriesKey, window: Window, from_ms: int) -> Window:
    for _ in range(NEIGHBOURS_MAX):
        if _usable_count(window, None, from_ms) >= REACH:
            break
        edge = int(window.t[0]) if len(window.t) else max(from_ms - LOOKBACK_MS - EDGE_MS, 0)
        before, _after = await reader.neighbours(key, edge, edge)
        if before is None:
            break
        window = _join((await reader.window([key], before, before + 1))[key], window)
    return window


async def _reach_on(reader: Reader, key: SeriesKey, window: Window, to_ms: int) -> Window:
    for _ in range(NEIGHBOURS_MAX):
        if _usable_count(window, to_ms, None) >= REACH:
            break
        edge = max(int(window.t[-1]) + 1 if len(window.t) else 0, to_ms + HOLD_MS)
        _before, after = await reader.neighbours(key, edge, edge)
        if after is None:
            break
        window = _join(window, (await reader.window([key], after, after + 1))[key])
    return window


def _usable_count(window: Window, from_ms: int | None, to_ms: int | None) -> int:
    first = 0 if from_ms is None else int(np.searchsorted(window.t, from_ms))
    last = len(window.t) if to_ms is None else int(np.searchsorted(window.t, to_ms))
    return int((window.quality[first:last] <= Quality.UNCERTAIN).sum())


def _join(one: Window, other: Window) -> Window:
    return Window(
        np.concatenate([one.t, other.t]),
        np.concatenate([one.value, other.value]),
        np.concatenate([one.quality, other.quality]),
    )


async def digested(
    reader: Reader, keys: Sequence[SeriesKey], from_ms: int, to_ms: int
) -> dict[SeriesKey, tuple[Digested, ...]]:
    """What digests say of each series in [from_ms, to_ms) and near it."""
    begin = max(from_ms - LOOKBACK_MS - names.SUMMARY_MS_MAX, 0)
    ends = {key: _of_summary(key, names.SUMMARY_TO) for key in keys}
    columns = await reader.window(list(ends.values()), begin, to_ms + HOLD_MS)
    told = [key for key in keys if len(columns[ends[key]].t)]
    if not told:
        return {}
    parts = (names.SUMMARY_COUNT, *names.SUMMARY_COURSE)
    columns |= await reader.window([_of_summary(key, part) for key in told for part in parts], begin, to_ms + HOLD_MS)
    found = {}
    for key in told:
        count, least, greatest, mean = (_cells(columns[_of_summary(key, part)]) for part in parts)
        rows = []
        for t, end in _cells(columns[ends[key]]).items():
            whole = t in mean and t in least and t in greatest
            went = Course(mean[t], least[t], greatest[t]) if whole else None
            rows.append(Digested(t, round(end), round(count.get(t, 0.0)), went))
        found[key] = tuple(rows)
    return found


async def doubted(reader: Reader, gateway: str, device: str, from_ms: int, to_ms: int) -> Unsure:
    """The readings of a device that may have been taken in [from_ms, to_ms), their time being an estimate; and maybe
    others.
    """
    keys = [SeriesKey(names.UNSURE, gateway, device, name) for name in names.UNSURE_FIELDS]
    begin = max(from_ms - DOUBT_MS_MAX - BATCH_MS_MAX, 0)
    columns = await reader.window(keys, begin, to_ms + DOUBT_MS_MAX)
    to, early, late = (_cells(columns[key]) for key in keys)
    rows = [(t, round(to[t]), round(early[t]), round(late[t])) for t in to if t in early and t in late]
    return unsure(rows)


async def around(
    reader: Reader, keys: Sequence[SeriesKey], from_ms: int, to_ms: int
) -> tuple[dict[SeriesKey, Window], Unsure]:
    """As `with_context` of one device, and also all readings that may have been taken there, wherever their stamps
    are; and which these are.
    """
    if not keys:
        return {}, NONE
    doubts = await doubted(reader, keys[0].gateway, keys[0].device, from_ms, to_ms)
    near = doubts.near(from_ms, to_ms)
    first, last = near.span() if len(near) else (from_ms, to_ms)
    return await with_context(reader, keys, min(from_ms, first), max(to_ms, last + 1)), doubts


def _of_summary(key: SeriesKey, part: str) -> SeriesKey:
    return SeriesKey(names.SUMMARY, key.gateway, key.device, f"{key.field}_{part}")


def _cells(window: Window) -> dict[int, float]:
    return dict(zip(window.t.tolist(), window.value.tolist(), strict=True))


class Readings:
    """Stretches computed from raw readings."""

    def __init__(
        self, *, reader: Reader, assets: Assets, timelines: Mapping[str, Timeline], counters: frozenset[str]
    ) -> None:
        self._reader = reader
        self._assets = assets
        self._timelines = timelines
        self._counters = counters

    async def stretch(self, key: SeriesKey, from_ms: int, to_ms: int) -> Stretch | None:
        """As `Source`."""
        windows, doubts = await around(self._reader, [key], from_ms, to_ms)
        told = await digested(self._reader, [key], from_ms, to_ms)
        return self.measure(windows[key], key, from_ms, to_ms, told.get(key, ()), doubts)

    def measure(
        self,
        window: Window,
        key: SeriesKey,
        from_ms: int,
        to_ms: int,
        told: Sequence[Digested] = (),
        doubts: Unsure = NONE,
    ) -> Stretch | None:
        """The same of readings that are at hand, with their context, and of what digests tell."""
        return stretch_of(
            window,
            key,
            from_ms,
            to_ms,
            assets=self._assets,
            timelines=self._timelines,
            counters=self._counters,
            digested=told,
            doubted=doubts,
        )

    def expected(self, key: SeriesKey, from_ms: int, to_ms: int) -> int | None:
        """How many readings were called for."""
        return self._timelines.get(key.gateway, Timeline()).expected(key.device, key.field, from_ms, to_ms)


class Hours:
    """Stretches from the hours in the figure store; what is no whole hour comes from the readings.

    It remembers the hours that it has read: make a new one for each pass.
    """

    def __init__(self, *, figures: FigureStore, readings: Readings) -> None:
        self._figures = figures
        self._readings = readings
        self._days: dict[tuple[SeriesKey, int], list[Stretch]] = {}

    async def stretch(self, key: SeriesKey, from_ms: int, to_ms: int) -> Stretch | None:
        """As `Source`."""
        first, last = -(-from_ms // HOUR_MS) * HOUR_MS, to_ms // HOUR_MS * HOUR_MS
        if first >= last:
            return await self._readings.stretch(key, from_ms, to_ms)
        parts: list[Stretch | None] = []
        if from_ms < first:
            parts.append(await self._readings.stretch(key, from_ms, first))
        parts += await self.hours(key, first, last)
        if last < to_ms:
            parts.append(await self._readings.stretch(key, last, to_ms))
        known = [part for part in parts if part is not None]
        return combine(known, from_ms, to_ms, expected=self._readings.expected(key, from_ms, to_ms))

    async def hours(self, key: SeriesKey, from_ms: int, to_ms: int) -> list[Stretch]:
        """The hours in [from_ms, to_ms) that have a row."""
        found: list[Stretch] = []
        day_ms = 24 * HOUR_MS
        for day in range(from_ms // day_ms * day_ms, to_ms, day_ms):
            if (key, day) not in self._days:
                rows = await self._figures.figures(names.ROLLUP_1H, dict(series_tags(key)), day, day + day_ms)
                self._days[key, day] = [read_stretch(row, HOUR_MS) for row in rows]
            found += [hour for hour in self._days[key, day] if from_ms <= hour.from_ms < to_ms]
        return found


async def meter_sums(
    source: Source, index: Index, assets: Assets, indicator: Indicator, area: str, from_ms: int, to_ms: int
) -> dict[Term, list[MeterSum]]:
    """What each meter of each of the indicator's terms counted in [from_ms, to_ms)."""
    sums: dict[Term, list[MeterSum]] = {}
    for term in indicator.terms:
        meters = assets.with_role(area, term.role, from_ms, to_ms)
        sums[term] = [await _meter_sum(source, index, asset, term, from_ms, to_ms) for asset in meters]
    return sums


async def _meter_sum(source: Source, index: Index, asset: Asset, term: Term, from_ms: int, to_ms: int) -> MeterSum:
    since, until = asset.in_service
    begin, end = max(from_ms, since), min(to_ms, until)
    parts = []
    for place in sorted(asset.places, key=lambda place: place.from_ms):
        first, last = max(begin, place.from_ms), min(end, place.to_ms)
        key = index.get((place.gateway, place.device, asset.fields.get(term.delta, term.delta)))
        if first < last and key is not None:
            part = await source.stretch(key, first, last)
            if part is not None:
                parts.append(part)
    return MeterSum(asset, term, begin, end, combine(parts, begin, end))
