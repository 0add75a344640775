"""Civil time that may run faster than real time, in the same way for all processes of a demo."""

from __future__ import annotations

from dataclasses import dataclass

CLOCK_VARIABLE = "LOOPGAUGE_CLOCK"
"""Environment variable `origin:real_origin:speed` (ms UTC, ms UTC, factor); unset means real time."""


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """civil = origin + (real - real_origin) x speed, all in ms since 1970 UTC."""

    origin_ms: int = 0
    real_origin_ms: int = 0
    speed: float = 1.0

    @classmethod
    def parse(cls, text: str | None) -> ScaledClock:
        """Read the text of LOOPGAUGE_CLOCK; None or "" is real time. ValueError says what is wrong with it."""
        if not text:
            return cls()
        parts = text.split(":")
        if len(parts) != 3:
            raise ValueError(f"{CLOCK_VARIABLE}: expected origin_ms:real_origin_ms:speed, got {text!r}")
        try:
            clock = cls(origin_ms=int(parts[0]), real_origin_ms=int(parts[1]), speed=float(parts[2]))
        except ValueError:
            raise ValueError(f"{CLOCK_VARIABLE}: expected three numbers, got {text!r}") from None
        if not 0.001 <= clock.speed <= 100_000:
            raise ValueError(f"{CLOCK_VARIABLE}: speed must lie between 0.001 and 100000, got {clock.speed}")
        return clock

    def text(self) -> str:
        """The text that `parse` reads."""
        return f"{self.origin_ms}:{self.real_origin_ms}:{self.speed!r}"

    def now_ms(self, real_ms: float) -> int:
        """Civil time in ms UTC at the real time `real_ms`."""
        return self.origin_ms + int((real_ms - self.real_origin_ms) * self.speed)

    def real_s(self, civil_ms: float) -> float:
        """How many real seconds a civil span of `civil_ms` lasts."""
        return civil_ms / 1000 / self.speed
