"""Which figures an hour of a device belongs to, and which must be settled because their period has ended."""

from __future__ import annotations

from typing import NamedTuple

from rollups.assets import Assets
from rollups.catalog import Catalog, Indicator
from rollups.cursor import DeviceHour
from rollups.periods import HOUR_MS, Unit, period, periods

KEPT = (Unit.HOUR, Unit.DAY)
"""The lengths for which figures are kept in the store; longer ones are asked for when they are wanted."""


class Job(NamedTuple):
    """A figure that is to be computed."""

    indicator: str
    area: str
    unit: Unit
    from_ms: int
    to_ms: int


def jobs_of(assets: Assets, catalog: Catalog, hour: DeviceHour) -> set[Job]:
    """The figures that an hour of a device is part of."""
    jobs = set()
    for stay in assets.stays(hour.gateway, hour.device, hour.from_ms, hour.from_ms + HOUR_MS):
        if stay.asset is None:
            continue
        for indicator_id, indicator in catalog.indicators.items():
            if stay.asset.role not in {term.role for term in indicator.terms}:
                continue
            for area in assets.areas_of(stay.asset.id):
                for unit in KEPT:
                    zone = assets.areas[area].zone
                    for begin, end in periods(unit, hour.from_ms, hour.from_ms + HOUR_MS, zone):
                        if is_defined(assets, indicator, area, begin, end):
                            jobs.add(Job(indicator_id, area, unit, begin, end))
    return jobs


def closing_jobs(assets: Assets, catalog: Catalog, closed_ms: int, now_ms: int) -> set[Job]:
    """The figures of all periods that were running at `closed_ms` and have ended by `now_ms`."""
    jobs = set()
    for area in assets.areas.values():
        for unit in KEPT:
            begin, end = period(unit, closed_ms, area.zone)
            if end > now_ms:
                continue
            for indicator_id, indicator in catalog.indicators.items():
                if is_defined(assets, indicator, area.id, begin, end):
                    jobs.add(Job(indicator_id, area.id, unit, begin, end))
    return jobs


def is_defined(assets: Assets, indicator: Indicator, area: str, from_ms: int, to_ms: int) -> bool:
    """Whether the area has a meter for each term of the indicator at some time in the period."""
    return all(assets.with_role(area, term.role, from_ms, to_ms) for term in indicator.terms)
