"""One field of one device over any stretch of time, with all that the registers know of it: who it was when, what its
total can do, how often it was to be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rollups.assets import UNKNOWN_LAW, Assets
from rollups.catalog import Catalog
from rollups.digested import Digested, clipped
from rollups.doubts import NONE, Unsure
from rollups.hours import Stretch, between, combine, counted, usable, went
from rollups.polls import Timeline
from series_store.table import SeriesKey, Window


def counter_fields(catalog: Catalog, assets: Assets) -> frozenset[str]:
    """The fields whose differences mean something, by the names that devices give them.

    The store does not say what kind a field is. Any other field is treated as a gauge, which is never wrong: a mean, a
    least and a greatest value of a total are merely of little use.
    """
    asked = catalog.counters()
    own = {asset.fields[field] for asset in assets.assets.values() for field in asset.fields if field in asked}
    return frozenset(asked | own)


def stretch_of(
    window: Window,
    key: SeriesKey,
    from_ms: int,
    to_ms: int,
    *,
    assets: Assets,
    timelines: Mapping[str, Timeline],
    counters: frozenset[str],
    digested: Sequence[Digested] = (),
    doubted: Unsure = NONE,
) -> Stretch | None:
    """The series over [from_ms, to_ms). `window` holds its readings there and near it, of any quality; `digested`, what
    digests say of readings that were given up; `doubted`, of which the time is an estimate.

    Where a device became another asset, two meters are measured and added: nothing is counted from one to the other.
    """
    readings = usable(window)
    stamps = [*readings.t[:1].tolist(), *readings.t[-1:].tolist(), *(each.from_ms for each in digested)]
    if not stamps:
        return None
    timeline = timelines.get(key.gateway, Timeline())
    first, last = min(from_ms, *stamps), max(to_ms, *(stamp + 1 for stamp in stamps))
    parts = []
    for stay in assets.stays(key.gateway, key.device, first, last):
        begin, end = max(stay.from_ms, from_ms), min(stay.to_ms, to_ms)
        if begin >= end:
            continue
        own = between(readings, stay.from_ms, stay.to_ms)
        told = clipped(digested, stay.from_ms, stay.to_ms)
        expected = timeline.expected(key.device, key.field, begin, end)
        gap_ms = timeline.gap_max_ms(key.device, key.field, begin, end)
        measured: Callable[..., Stretch | None] = went
        if key.field in counters:
            measured = partial(counted, law=stay.asset.law if stay.asset else UNKNOWN_LAW)
        part = measured(
            own,
            from_ms=begin,
            to_ms=end,
            expected=expected,
            scheduled_gap_ms=gap_ms,
            digested=told,
            doubted=doubted,
        )
        if part is not None:
            parts.append(part)
    return combine(parts, from_ms, to_ms, expected=timeline.expected(key.device, key.field, from_ms, to_ms))
