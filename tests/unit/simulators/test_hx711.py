"""The model of the HX711 keeps the data sheet's times, by hand-made edges: it is what the reader is judged by."""

from __future__ import annotations

import pytest

from simulators.chips.hx711 import Hx711Chip
from simulators.chips.sensed import Sensed

US, MS = 1_000, 1_000_000


class Hands:
    """A chip, and somebody who moves its clock line at times of their own choice."""

    def __init__(self, *, rate_hz: int = 10) -> None:
        self.ns = 0
        self.count = 0
        self.inputs: list[int] = []
        self.chip = Hx711Chip(sense=self._sense, now_ns=lambda: self.ns, rate_hz=rate_hz)

    def _sense(self, chosen: int) -> Sensed:
        self.inputs.append(chosen)
        return Sensed(self.count)

    def pulses(self, number: int, *, high_ns: int = 1 * US) -> list[int]:
        """The level of the data line after each of several pulses."""
        levels = []
        for _ in range(number):
            self.ns += 1 * US
            self.chip.rise()
            self.ns += high_ns
            self.chip.fall()
            levels.append(int(self.chip.line))
        return levels

    def ready_after_ms(self) -> float:
        """How long the data line stays high from now, to 0.1 ms."""
        begin_ns = self.ns
        while self.chip.line:
            self.ns += MS // 10
            assert self.ns - begin_ns < 2000 * MS
        return (self.ns - begin_ns) / MS


@pytest.mark.parametrize("rate_hz, settle_ms, period_ms", [(10, 400, 100), (80, 50, 12.5)])
def test_it_settles_then_converts_at_its_rate(rate_hz: int, settle_ms: float, period_ms: float) -> None:
    hands = Hands(rate_hz=rate_hz)
    assert hands.ready_after_ms() == pytest.approx(settle_ms, abs=0.2)
    for _ in range(5):
        hands.pulses(25)
        assert hands.ready_after_ms() == pytest.approx(period_ms, abs=0.3)


@pytest.mark.parametrize("count, bits", [(0x5A5A5A, 0x5A5A5A), (-1, 0xFFFFFF), (-2, 0xFFFFFE), (-0x800000, 0x800000)])
def test_the_most_significant_bit_comes_first_and_the_25th_pulse_ends_the_frame(count: int, bits: int) -> None:
    hands = Hands()
    hands.count = count
    hands.ready_after_ms()
    assert hands.pulses(25) == [*(int(digit) for digit in f"{bits:024b}"), 1]


@pytest.mark.parametrize("load, bits", [(0x800000, 0x7FFFFF), (10**9, 0x7FFFFF), (-0x800001, 0x800000)])
def test_a_load_beyond_its_range_shows_the_end_of_it(load: int, bits: int) -> None:
    hands = Hands()
    hands.count = load
    hands.ready_after_ms()
    assert int("".join(map(str, hands.pulses(24))), 2) == bits


@pytest.mark.parametrize("pulse", range(24))
def test_from_60_us_on_a_high_clock_switches_it_off_and_the_next_edge_resets_it(pulse: int) -> None:
    for high_us, off in ((59, False), (60, False), (61, True), (5000, True)):
        hands = Hands()
        hands.ready_after_ms()
        hands.pulses(pulse)
        [level] = hands.pulses(1, high_ns=high_us * US)
        assert hands.chip.resets == int(off)
        assert level == int(off), "a chip that is off lets its data line be high"
        if off:
            assert hands.ready_after_ms() == pytest.approx(400, abs=0.3)
        else:
            assert hands.pulses(24 - pulse)[-1] == 1


def test_a_chip_that_is_off_converts_nothing() -> None:
    hands = Hands()
    hands.chip.rise()
    hands.ns += 5000 * MS
    assert hands.chip.line
    assert hands.inputs == []
    hands.chip.fall()
    assert hands.ready_after_ms() == pytest.approx(400, abs=0.3)


@pytest.mark.parametrize("pulses, chosen, wait_ms", [(25, 25, 100), (26, 26, 400), (27, 27, 400), (30, 27, 400)])
def test_the_number_of_pulses_chooses_the_next_input_which_has_to_settle(
    pulses: int, chosen: int, wait_ms: float
) -> None:
    hands = Hands()
    hands.ready_after_ms()
    hands.pulses(pulses)
    assert hands.ready_after_ms() == pytest.approx(wait_ms, abs=0.3)
    assert hands.inputs == [25, chosen]
    hands.pulses(pulses)
    assert hands.ready_after_ms() == pytest.approx(100, abs=0.3)
    hands.pulses(1, high_ns=61 * US)
    hands.ready_after_ms()
    assert hands.inputs[-1] == 25, "a reset goes back to input A at 128"


def test_a_conversion_that_nobody_read_is_replaced_by_the_next() -> None:
    hands = Hands()
    hands.count = 1
    hands.ready_after_ms()
    hands.count = 2
    hands.ns += 150 * MS
    assert not hands.chip.line
    assert int("".join(map(str, hands.pulses(24))), 2) == 2


def test_a_chip_that_is_unplugged_lets_its_line_be_high_and_hears_no_clock() -> None:
    hands = Hands()
    hands.ready_after_ms()
    hands.chip.plugged = False
    assert hands.pulses(25) == [1] * 25
