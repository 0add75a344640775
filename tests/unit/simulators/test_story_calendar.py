"""Days of a story begin at local midnight, wherever the scenario is and whatever the machine's zone."""

from __future__ import annotations

import pytest

from simulators.checked_scenario import CheckedScenario
from simulators.story.calendar import DAY_MS, HOUR_MS, Calendar, instant_ms, iso, offset_ms_of
from tests.unit.simulators.city import city_scenario


def test_a_day_begins_at_local_midnight_and_ends_before_the_next() -> None:
    calendar = Calendar(instant_ms("2025-07-01", 8 * HOUR_MS), 60_000, 8 * HOUR_MS)
    assert calendar.local(calendar.from_ms) == "2025-07-01T00:00:00+08:00"
    times = calendar.times(3)
    assert times.size == 1440
    assert calendar.local(int(times[0])) == "2025-07-04T00:00:00+08:00"
    assert int(times[-1]) == calendar.begin_ms(4) - 60_000
    assert calendar.date(3) == "2025-07-04"


@pytest.mark.parametrize("text", ["2025-07-01T06:30", "2025-07-01T06:30+08:00", "2025-06-30T22:30Z"])
def test_a_time_without_an_offset_is_local(text: str) -> None:
    assert iso(instant_ms(text, 8 * HOUR_MS), 0) == "2025-06-30T22:30:00+00:00"


@pytest.mark.parametrize("text", ["", "yesterday", "2025-02-30", "1.7.2025"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write 2025-07-01"):
        instant_ms(text, 0)


@pytest.mark.parametrize("every_ms", [7000, 500, 0, -1000, 2 * DAY_MS, 60_001])
def test_a_step_that_does_not_fill_a_day_is_refused(every_ms: int) -> None:
    with pytest.raises(ValueError, match="does not divide a day"):
        Calendar(0, every_ms, 0)


def test_the_zone_is_what_most_parts_say() -> None:
    assert offset_ms_of(city_scenario()) == 8 * HOUR_MS
    west = {"feed_m3_h": 9, "day": {"utc_offset_h": -3.5}}
    plan = {"scenario": "s", "trains": {"a": west, "b": west, "c": {"feed_m3_h": 9}}, "meters": {"m": {"profile": "p"}}}
    offset_ms = offset_ms_of(CheckedScenario.model_validate(plan))
    assert offset_ms == round(-3.5 * HOUR_MS)
    assert iso(0, offset_ms) == "1969-12-31T20:30:00-03:30"
