"""A model of the HX711 on gpiozero's mock pins, written from its data sheet (Avia Semiconductor) alone.

It has no thread: each edge of the clock and each look at its data line brings it up to the time of a monotonic clock,
which a test may move as it likes. Where the data sheet says nothing it does the worst: a conversion that ends in the
midst of a frame replaces the bits that are still to come.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin

from simulators.chips.sensed import Pending, Sensed, SenseSoon

POWER_DOWN_NS = 60_000
"""A clock that is high for longer switches the chip off; the falling edge after it is a reset."""

SETTLE_PERIODS = 4
"""From a reset or another input to the next conversion: 400 ms at 10 a second, 50 ms at 80."""

_BITS = 24
_MIN, _MAX = -0x800000, 0x7FFFFF
_PULSES_MIN, _PULSES_MAX = 25, 27


class Hx711Chip:
    """One chip. Times are ns of `now_ns`, rates conversions per second."""

    def __init__(self, *, sense: SenseSoon, now_ns: Callable[[], int] = time.monotonic_ns, rate_hz: int = 10) -> None:
        self._sense = sense
        self._now_ns = now_ns
        self._period_ns = 1_000_000_000 // rate_hz
        self.plugged = True
        """A chip that is not floats: nobody drives its data line."""
        self.resets = 0
        """How often it was switched off and on again by its clock."""
        self.door_open = False
        self._high_ns: int | None = None
        self._begin(now_ns(), settle=True)

    def _begin(self, now_ns: int, *, settle: bool) -> None:
        """As after a reset: input A at 128, nothing converted yet."""
        self._input = self._next_input = _PULSES_MIN
        self._pulses = 0
        self._register: int | None = None
        self._line = True
        self._due_ns = now_ns + self._period_ns * (SETTLE_PERIODS if settle else 1)
        self._chosen_ns = now_ns

    def rise(self) -> None:
        """The clock goes high."""
        now_ns = self._advance()
        if self._high_ns is not None:
            return
        self._high_ns = now_ns
        if self._register is None:
            return
        self._pulses += 1
        if self._pulses <= _BITS:
            self._line = bool(self._register >> (_BITS - self._pulses) & 1)
        elif self._pulses <= _PULSES_MAX:
            self._line = True
            self._next_input, self._chosen_ns = self._pulses, now_ns

    def fall(self) -> None:
        """The clock goes low."""
        now_ns = self._now_ns()
        if self._high_ns is None:
            return
        if now_ns - self._high_ns > POWER_DOWN_NS:
            self.resets += 1
            self._begin(now_ns, settle=True)
        self._high_ns = None

    @property
    def line(self) -> bool:
        """Level of the data line; an unplugged one is pulled up by whoever reads it."""
        if not self.plugged:
            return True
        now_ns = self._advance()
        off = self._high_ns is not None and now_ns - self._high_ns > POWER_DOWN_NS
        return True if off else self._line

    def look_at_door(self) -> bool:
        """Level of the door's line: high while the contact is open."""
        self._advance()
        return self.door_open

    def _advance(self) -> int:
        """Bring the chip up to now: at most one conversion, the last that has ended."""
        now_ns = self._now_ns()
        if self._high_ns is not None and now_ns - self._high_ns > POWER_DOWN_NS:
            return now_ns
        due_ns = self._due_ns
        if self._next_input != self._input:
            due_ns = self._chosen_ns + SETTLE_PERIODS * self._period_ns
        if now_ns >= due_ns:
            sensed = self._sense(self._next_input) if self.plugged else None
            if not isinstance(sensed, Pending):
                self._due_ns = now_ns + self._period_ns - (now_ns - due_ns) % self._period_ns
                self._convert(sensed)
        return now_ns

    def _convert(self, sensed: Sensed | None) -> None:
        self._input = self._next_input
        if sensed is not None and not sensed.powered:
            self._begin(self._now_ns(), settle=True)
            return
        if sensed is None:
            self._register, self._line, self._pulses = None, True, 0
            return
        self.door_open = sensed.door_open
        self._register = min(max(sensed.count, _MIN), _MAX) & ((1 << _BITS) - 1)
        if not 0 < self._pulses < _PULSES_MIN:
            self._pulses, self._line = 0, False


class _ClockPin(MockPin):  # type: ignore[misc]
    """The chip's clock input."""

    def __init__(self, factory: Any, info: Any, chip: Hx711Chip) -> None:
        self.chip = chip
        self._state = False
        super().__init__(factory, info)

    def _change_state(self, value: bool) -> bool:
        # Not the states that MockPin would remember: there are millions in a day.
        if self._state == value:
            return False
        self._state = value
        (self.chip.rise if value else self.chip.fall)()
        return True


class _DataPin(MockPin):  # type: ignore[misc]
    """A line that the chip drives: what it is follows from the time at which it is looked at."""

    def __init__(self, factory: Any, info: Any, level: Callable[[], bool]) -> None:
        self._level = level
        super().__init__(factory, info)

    def _get_state(self) -> bool:
        return self._level()


class MockBoard:
    """Mock pins in this process. Nothing chooses them but whoever makes one of these, before a device takes a pin."""

    def __init__(self) -> None:
        self._factory = MockFactory()
        self._before = Device.pin_factory
        Device.pin_factory = self._factory

    def connect(self, chip: Hx711Chip, *, dout_pin: int, clock_pin: int, door_pin: int | None = None) -> None:
        """Solder a chip to the pins. ValueError if one of them is taken."""
        numbers = [pin for pin in (dout_pin, clock_pin, door_pin) if pin is not None]
        taken = {info.name for info in self._factory.pins}
        if clash := [pin for pin in numbers if f"GPIO{pin}" in taken]:
            raise ValueError(f"GPIO {clash[0]} has something on it already; give each chip pins of its own")
        self._factory.pin(clock_pin, pin_class=_ClockPin, chip=chip)
        self._factory.pin(dout_pin, pin_class=_DataPin, level=lambda: chip.line)
        if door_pin is not None:
            self._factory.pin(door_pin, pin_class=_DataPin, level=chip.look_at_door)

    def remove(self) -> None:
        """Put back what there was before."""
        self._factory.reset()
        Device.pin_factory = self._before
