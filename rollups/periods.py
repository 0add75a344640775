"""Hours, days, months and years. Hours are of UTC; the others close in the local time of a site, whatever its clocks
do.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

HOUR_MS = 3_600_000


class Unit(StrEnum):
    """A length of time that figures are kept for."""

    HOUR = "1h"
    DAY = "1d"
    MONTH = "1mo"
    YEAR = "1y"


class Period(NamedTuple):
    """[from_ms, to_ms), ms UTC."""

    from_ms: int
    to_ms: int


def is_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone that is known here."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def hour(t_ms: int) -> Period:
    """The hour of UTC that `t_ms` lies in."""
    begin = t_ms // HOUR_MS * HOUR_MS
    return Period(begin, begin + HOUR_MS)


def period(unit: Unit, t_ms: int, zone: str) -> Period:
    """The period of that length that `t_ms` lies in, by the clocks of `zone`. A day has 23 or 25 h where clocks
    change.
    """
    if unit is Unit.HOUR:
        return hour(t_ms)
    day = local(t_ms, zone).date()
    if unit is Unit.DAY:
        return Period(midnight_ms(day, zone), midnight_ms(day + timedelta(days=1), zone))
    if unit is Unit.MONTH:
        first = day.replace(day=1)
        return Period(midnight_ms(first, zone), midnight_ms((first + timedelta(days=31)).replace(day=1), zone))
    first = day.replace(month=1, day=1)
    return Period(midnight_ms(first, zone), midnight_ms(first.replace(year=first.year + 1), zone))


def periods(unit: Unit, from_ms: int, to_ms: int, zone: str) -> list[Period]:
    """All periods of that length that touch [from_ms, to_ms), in order."""
    found = []
    at = from_ms
    while at < to_ms:
        found.append(period(unit, at, zone))
        at = found[-1].to_ms
    return found


def midnight_ms(day: date, zone: str) -> int:
    """When the day began in `zone`, ms UTC; where midnight was skipped, when the clocks went on from it."""
    return round(datetime.combine(day, time(), ZoneInfo(zone)).timestamp() * 1000)


def local(t_ms: int, zone: str) -> datetime:
    """The instant as clocks in `zone` show it."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=t_ms)).astimezone(ZoneInfo(zone))


def iso_utc(t_ms: int) -> str:
    """ISO 8601 in UTC, to the ms where it has any."""
    return iso_local(t_ms, "UTC").replace("+00:00", "Z")


def iso_local(t_ms: int, zone: str) -> str:
    """ISO 8601 with the offset that clocks in `zone` had."""
    return local(t_ms, zone).isoformat(timespec="milliseconds" if t_ms % 1000 else "seconds")
