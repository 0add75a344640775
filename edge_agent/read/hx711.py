"""What the 24 bits of an HX711 say, and when they may be believed. Pure.

Source: Avia Semiconductor, HX711 data sheet, "Output Data Rate and Format", "Serial Interface" and "Reset and
Power-Down". DOUT is high while the chip converts and low when a conversion waits. Each clock pulse shifts one bit out,
most significant first; the 25th pulse pulls DOUT high again, and 25, 26 or 27 pulses choose input and gain of the next
conversion. A clock that stays high for more than 60 us switches the chip off, in the midst of a frame too: DOUT is high
from then on, and would be read as ones. Linux promises no pulse length, so each is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

BITS = 24
COUNT_MAX, COUNT_MIN = 0x7FFFFF, -0x800000
"""What the chip shows for a voltage beyond its range."""

PULSES = {25: "channel A, gain 128", 26: "channel B, gain 32", 27: "channel A, gain 64"}
PULSES_AFTER_RESET = 25
"""What the chip converts after a reset, as if it had been given so many pulses."""

HIGH_MAX_NS = 50_000
"""A clock pulse has to end within 50 us; the chip switches off at 60."""

POWER_DOWN_S = 0.001
"""How long the clock is held high to switch the chip off: many times the 60 us that it takes."""

AGE_MAX_PERIODS = 0.8
"""A frame has to end before the next conversion may: what the chip shifts out when that ends in the midst of a frame is
nowhere said. The chip's own oscillator may run fast."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was clocked out. Times are in ns of a monotonic clock, and never shorter than they truly were."""

    bits: int
    """The 24 bits, the first one on top."""
    waiting: bool
    """DOUT was low before the first pulse: a conversion waited."""
    taken: bool
    """DOUT was high after the last pulse: the conversion is read, the next one is under way."""
    longest_high_ns: int
    """Longest of all clock pulses."""
    age_ns: int
    """From when DOUT was last seen high before the frame, to the frame's end: so old is its conversion at most."""

    @property
    def count(self) -> int:
        """The bits as a signed number, in two's complement."""
        return self.bits - (1 << BITS) if self.bits >> (BITS - 1) else self.bits


def flaw(frame: Frame) -> str | None:
    """Why chip and reader may be out of step after this frame, so that neither it nor the next can be believed."""
    if not frame.waiting:
        return "the data line rose before the first clock pulse"
    if frame.longest_high_ns >= HIGH_MAX_NS:
        return f"a clock pulse lasted {frame.longest_high_ns / 1000:.0f} us"
    if not frame.taken:
        return "the data line stayed low after the last clock pulse"
    return None


def too_old(frame: Frame, rate_hz: int) -> bool:
    """Whether another conversion may have ended before the frame did."""
    return frame.age_ns >= AGE_MAX_PERIODS * 1e9 / rate_hz


def settled(counts: Sequence[int]) -> int:
    """The middle one of several conversions: it was truly made, and lies between others even if one was disturbed."""
    return median_low(counts)


def saturated(count: int) -> bool:
    """Whether the voltage was beyond what the chip can show."""
    return count in (COUNT_MIN, COUNT_MAX)


def words(count: int) -> tuple[int, int]:
    """The count as a signed 32-bit number in two registers, high word first."""
    return count >> 16 & 0xFFFF, count & 0xFFFF
