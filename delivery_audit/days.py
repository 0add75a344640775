"""Civil days of one time zone, as the ledger books by them. Instants are ms UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo


class Days:
    """Which day an instant belongs to. Remembers the last day asked for, since receipts come in order of time."""

    def __init__(self, *, zone: tzinfo) -> None:
        self.zone = zone
        self._day = date(1970, 1, 1)
        self._from_ms = self._to_ms = 0

    def of(self, t_ms: int) -> str:
        """The ISO date of an instant."""
        if not self._from_ms <= t_ms < self._to_ms:
            self._day = datetime.fromtimestamp(t_ms / 1000, UTC).astimezone(self.zone).date()
            self._from_ms, self._to_ms = self._midnight(self._day), self._midnight(self._day + timedelta(days=1))
        return self._day.isoformat()

    def begin(self, t_ms: int) -> int:
        """The midnight with which the day of an instant began."""
        self.of(t_ms)
        return self._from_ms

    def pieces(self, from_ms: int, to_ms: int) -> Iterator[tuple[str, int, int]]:
        """[from, to) cut at midnights: (day, from, to)."""
        while from_ms < to_ms:
            day = self.of(from_ms)
            end_ms = min(self._to_ms, to_ms)
            yield day, from_ms, end_ms
            from_ms = end_ms

    def _midnight(self, day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp() * 1000)
