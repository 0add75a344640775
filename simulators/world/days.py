"""Which kind of day a local day is, by the calendar of the city."""

from __future__ import annotations

from simulators.parts.calendar import Calendar, DayKind, day_number, weekday_of


class Days:
    """The days of a calendar, counted from 1970-01-01."""

    def __init__(self, calendar: Calendar) -> None:
        self._weekend = frozenset(calendar.weekend)
        self._holidays = frozenset(day for holiday in calendar.holidays for day in holiday.days)
        self._worked = frozenset(day_number(day) for day in calendar.working_days)

    def kind(self, day: int) -> DayKind:
        """What local day `day` is."""
        if day in self._holidays:
            return "holiday"
        if day in self._worked or weekday_of(day) not in self._weekend:
            return "workday"
        return "weekend"

    def is_off(self, day: int) -> bool:
        """Whether nobody has to work."""
        return self.kind(day) != "workday"
