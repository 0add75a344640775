"""A busy world must not look like a clock pulse that lasted too long: the chip waits for it, the pins do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from simulators.chips.ahead import Ahead
from simulators.chips.hx711 import Hx711Chip
from simulators.chips.sensed import Pending, Sensed

PERIOD_NS = 1_000_000_000 // 80


class SlowWorld:
    """It answers when it is let; `asked` are the inputs that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.count = 7
        self._may = threading.Semaphore(0)

    def sense(self, chosen: int) -> Sensed | None:
        self.asked.append(chosen)
        assert self._may.acquire(timeout=10)
        return Sensed(self.count)

    def answer(self) -> None:
        self._may.release()


@pytest.fixture
def world() -> SlowWorld:
    return SlowWorld()


@pytest.fixture
def ahead(world: SlowWorld) -> Iterator[Ahead]:
    made = Ahead(world.sense)
    yield made
    for _ in range(10):
        world.answer()
    made.close()


def given(ahead: Ahead, chosen: int = 25) -> Sensed | None:
    """What it gives once it is there."""
    deadline_s = time.monotonic() + 10
    while isinstance(sensed := ahead.sense(chosen), Pending):
        assert time.monotonic() < deadline_s
    return sensed


def test_a_conversion_is_asked_for_once_and_given_once(ahead: Ahead, world: SlowWorld) -> None:
    assert [ahead.sense(25) for _ in range(5)] == [Pending.UNDER_WAY] * 5
    world.answer()
    assert given(ahead) == Sensed(7)
    assert world.asked == [25]
    assert ahead.sense(25) is Pending.UNDER_WAY, "the next one is another"


def test_a_conversion_of_another_input_is_not_given(ahead: Ahead, world: SlowWorld) -> None:
    ahead.sense(25)
    world.answer()
    world.answer()
    assert given(ahead, 26) == Sensed(7)
    assert world.asked == [25, 26]


def test_while_the_world_is_slow_the_data_line_is_high_and_no_pulse_waits(ahead: Ahead, world: SlowWorld) -> None:
    now_ns = 0
    chip = Hx711Chip(sense=ahead.sense, rate_hz=80, now_ns=lambda: now_ns)
    now_ns = 5 * PERIOD_NS
    began_s = time.monotonic()
    assert all(chip.line for _ in range(100)), "it still converts"
    chip.rise()
    chip.fall()
    assert time.monotonic() - began_s < 5 and chip.resets == 0
    world.answer()
    deadline_s = time.monotonic() + 10
    while chip.line:
        assert time.monotonic() < deadline_s
    bits = 0
    for _ in range(24):
        chip.rise()
        bits = bits << 1 | chip.line
        chip.fall()
    assert bits == 7
