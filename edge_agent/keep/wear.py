"""What the agent costs the card: bytes written to storage in a day, at the rate of the last hour. Pure."""

from __future__ import annotations

from collections import deque

WINDOW_S = 3600.0
LOOK_S = 60.0
"""Looks that follow each other sooner are not kept: 60 at most."""
LEAST_S = 60.0
"""Nothing is said of a shorter time: a start alone writes more than its share."""
DAY_S = 86_400


class Wear:
    """Follows a counter of written bytes."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, float]] = deque()

    def bytes_day(self, now_s: float, written_bytes: float | None) -> float | None:
        """Bytes per day; None before LEAST_S have passed, and where the counter cannot be read."""
        if written_bytes is None:
            return None
        while self._looks and self._looks[0][0] < now_s - WINDOW_S:
            self._looks.popleft()
        if not self._looks or now_s - self._looks[-1][0] >= LOOK_S:
            self._looks.append((now_s, written_bytes))
        first_s, first_bytes = self._looks[0]
        if now_s - first_s < LEAST_S:
            return None
        return (written_bytes - first_bytes) * DAY_S / (now_s - first_s)
