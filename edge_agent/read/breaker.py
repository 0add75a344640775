"""When to ask a silent unit again, so that it costs its neighbours nothing but its own probe slots. Real time."""

from __future__ import annotations

FAILURES_MAX = 3
"""Silent requests in a row after which a unit counts as asleep."""
PROBE_MIN_S, PROBE_MAX_S = 5.0, 300.0
"""First and longest pause between probes of a unit that is asleep."""


class Breaker:
    """One unit on one bus. Closed: ask it. Open: asleep until the next probe is due."""

    def __init__(self) -> None:
        self._failures = 0
        self._probe_at_s = 0.0
        self._pause_s = PROBE_MIN_S

    @property
    def open(self) -> bool:
        """The unit is taken to be away."""
        return self._failures >= FAILURES_MAX

    def may_ask(self, now_s: float) -> bool:
        """Whether a request may be spent on it now."""
        return not self.open or now_s >= self._probe_at_s

    def answered(self) -> bool:
        """It answered. True if it had been away."""
        was_open = self.open
        self._failures, self._pause_s = 0, PROBE_MIN_S
        return was_open

    def silent(self, now_s: float) -> bool:
        """It did not answer. True if it counts as away from now on."""
        was_open = self.open
        self._failures += 1
        if self.open:
            self._probe_at_s = now_s + self._pause_s
            self._pause_s = min(self._pause_s * 2, PROBE_MAX_S)
        return self.open and not was_open
