"""Days close by local clocks, whatever those do."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from rollups.periods import HOUR_MS, Unit, hour, is_zone, iso_local, iso_utc, period, periods


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    "instant, zone, begin, hours",
    [
        ("2026-01-01T03:00", "Asia/Shanghai", "2025-12-31T16:00", 24),
        ("2026-01-01T16:00", "Asia/Shanghai", "2026-01-01T16:00", 24),
        ("2026-03-29T12:00", "Europe/Berlin", "2026-03-28T23:00", 23),
        ("2026-10-25T12:00", "Europe/Berlin", "2026-10-24T22:00", 25),
        ("2026-10-25T23:00", "Europe/Berlin", "2026-10-25T23:00", 24),
        ("2026-01-01T00:00", "Asia/Kolkata", "2025-12-31T18:30", 24),
    ],
)
def test_a_day_begins_at_local_midnight_and_lasts_as_long_as_the_clocks_say(
    instant: str, zone: str, begin: str, hours: int
) -> None:
    day = period(Unit.DAY, ms(instant), zone)
    assert day.from_ms == ms(begin)
    assert day.to_ms - day.from_ms == hours * HOUR_MS


def test_days_of_a_year_touch_and_leave_nothing_out() -> None:
    for zone in ("Europe/Berlin", "Asia/Shanghai", "America/St_Johns", "Pacific/Apia", "Africa/Cairo"):
        days = periods(Unit.DAY, ms("2026-01-01"), ms("2027-01-01"), zone)
        assert all(one.to_ms == other.from_ms for one, other in pairwise(days))
        assert 365 <= len(days) <= 367


@pytest.mark.parametrize(
    "unit, begin, end",
    [
        (Unit.HOUR, "2026-02-10T07:00", "2026-02-10T08:00"),
        (Unit.MONTH, "2026-01-31T16:00", "2026-02-28T16:00"),
        (Unit.YEAR, "2025-12-31T16:00", "2026-12-31T16:00"),
    ],
)
def test_hours_are_of_utc_and_months_and_years_close_like_their_last_day(unit: Unit, begin: str, end: str) -> None:
    assert period(unit, ms("2026-02-10T07:30"), "Asia/Shanghai") == (ms(begin), ms(end))


def test_december_is_followed_by_january() -> None:
    assert period(Unit.MONTH, ms("2026-12-31T12:00"), "UTC") == (ms("2026-12-01"), ms("2027-01-01"))


def test_an_hour_holds_its_first_instant_and_not_its_last() -> None:
    assert hour(ms("2026-01-01T08:00")).from_ms == ms("2026-01-01T08:00")
    assert hour(ms("2026-01-01T08:00") - 1).to_ms == ms("2026-01-01T08:00")


def test_times_are_written_with_the_offset_that_clocks_showed() -> None:
    assert iso_utc(ms("2026-01-01T00:00")) == "2026-01-01T00:00:00Z"
    assert iso_local(ms("2026-07-01T00:00"), "Europe/Berlin") == "2026-07-01T02:00:00+02:00"
    assert iso_local(ms("2026-01-01T00:00") + 5, "Asia/Shanghai") == "2026-01-01T08:00:00.005+08:00"


def test_a_zone_that_does_not_exist_is_known_not_to() -> None:
    assert is_zone("Asia/Shanghai")
    assert not is_zone("Asia/Atlantis")
    assert not is_zone("../etc/passwd")
    assert not is_zone("")
