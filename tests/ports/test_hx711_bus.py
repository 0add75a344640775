"""An HX711 behind the Bus port, on a model of the chip's timing: what passes as good is what the chip converted."""

from __future__ import annotations

import asyncio
import random
import struct
import threading
import time
from collections.abc import Callable

import pytest
from gpiozero import Device, OutputDevice

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk
from edge_agent.read.hx711_pins import REOPEN_S, Hx711Bus
from simulators.chips.sensed import Sensed
from tests.twins.hx711 import CLOCK, DOOR, DOUT, MS, US, Bench, Jitter, on_bench, read, signed, soldered
from tests.twins.loop import run_virtual


def cause(answer: Answer) -> Missing:
    assert isinstance(answer, NotSampled)
    assert answer.detail
    assert "\n" not in answer.detail
    return answer.cause


@pytest.mark.parametrize("rate_hz", [10, 80])
@pytest.mark.parametrize("seed", range(3))
def test_no_wrong_value_passes_as_good_under_a_jittery_scheduler(seed: int, rate_hz: int) -> None:
    """One conversion an answer, so that no neighbour outvotes a wrong one."""

    async def script(bench: Bench) -> None:
        jitter = bench.now.cost = Jitter(bench.rng)
        good = 0
        for _ in range(250):
            jitter.share = bench.rng.choice([0.0, 0.002, 0.01, 0.03, 0.2, 1.0])
            jitter.stall = bench.rng.choice([0.0, 0.0, 0.001, 0.01])
            already = len(bench.made)
            answer = await bench.read(timeout_s=20 / rate_hz)
            if isinstance(answer, NotSampled):
                assert answer.cause is Missing.TIMEOUT
                continue
            [count] = struct.unpack(">i", struct.pack(">2H", *answer))
            assert count in bench.made[already:], "the chip never made this conversion, or made it before the request"
            good += 1
        by_mishap = bench.chip.resets - bench.bus.discards - 1
        assert good > 60
        assert bench.bus.discards > 150
        assert by_mishap > 50, "hardly a frame was cut by a power-down"

    on_bench(script, rng=random.Random(seed), rate_hz=rate_hz, conversions=1)


PATTERNS = [0, -1, 0x555555, -0x555556, *(1 << n for n in range(23)), *(~(1 << n) for n in range(23))]


def test_every_bit_comes_out_where_it_went_in() -> None:
    async def script(bench: Bench) -> None:
        for pattern in PATTERNS:
            bench.sense = lambda _, count=pattern: Sensed(count)  # type: ignore[misc]
            answer = await bench.read()
            assert not isinstance(answer, NotSampled)
            assert struct.pack(">2H", *answer) == struct.pack(">i", pattern)

    on_bench(script, rate_hz=80)


@pytest.mark.parametrize("load, shown", [(0x900000, 0x7FFFFF), (-0x900000, -0x800000), (2**40, 0x7FFFFF)])
def test_a_load_beyond_the_range_is_shown_as_the_chip_shows_it(load: int, shown: int) -> None:
    async def script(bench: Bench) -> None:
        bench.sense = lambda _: Sensed(load)
        assert await bench.weigh() == shown

    on_bench(script)


STALE = 25
"""Pulses of the frame that a request finds waiting; it goes first."""


def held_up(bench: Bench, pulse: int, ns: int, *, high: bool) -> None:
    """Hold the program up once: while the clock is high at a pulse of the next good frame, or after that pulse."""
    clock, data = Device.pin_factory.pin(CLOCK), Device.pin_factory.pin(DOUT)
    change, level, pulses, done = clock._change_state, data._level, 0, False

    def edge(value: bool) -> bool:
        nonlocal pulses, done
        pulses += bool(value)
        if high and not value and pulses == STALE + pulse + 1 and not done:
            bench.now.spend(ns)
            done = True
        return bool(change(value))

    def look() -> bool:
        nonlocal done
        if not high and pulses == STALE + pulse + 1 and not done:
            bench.now.spend(ns)
            done = True
        return bool(level())

    clock._change_state, data._level = edge, look


@pytest.mark.parametrize("pulse", range(25))
@pytest.mark.parametrize("us", [55, 61, 200, 150_000])
def test_a_frame_whose_clock_was_high_too_long_at_any_pulse_is_read_again(pulse: int, us: int) -> None:
    """From 60 us on the chip switches off, and ones follow."""

    async def script(bench: Bench) -> None:
        # As many bits as there can be that a power-down would turn into ones.
        bench.sense = lambda _: Sensed(len(bench.made))
        await bench.weigh()
        await asyncio.sleep(1)
        frames = bench.bus.frames
        held_up(bench, pulse, us * US, high=True)
        already = len(bench.made)
        assert await bench.weigh() in bench.made[already:]
        assert bench.bus.discards == 1
        assert bench.bus.frames == frames + 1

    on_bench(script, conversions=1)


@pytest.mark.parametrize("pulse", range(25))
def test_a_frame_in_which_another_conversion_ends_is_read_again(pulse: int) -> None:
    """No pulse is too long, but the bits after one of them are those of the next conversion."""

    async def script(bench: Bench) -> None:
        bench.sense = lambda _: Sensed(0x555555 if len(bench.made) % 2 else -0x555556)
        await bench.weigh()
        await asyncio.sleep(1)
        held_up(bench, pulse, 99 * MS, high=False)
        assert await bench.weigh() in (0x555555, -0x555556)
        assert bench.bus.discards == 1

    on_bench(script, conversions=1)


@pytest.mark.parametrize("pulses", range(1, 40))
def test_a_chip_that_was_left_in_the_midst_of_a_frame_is_put_in_step_first(pulses: int) -> None:
    """A program that died there would leave the next one to read this frame's rest, or at another gain."""

    async def script(bench: Bench) -> None:
        bench.sense = lambda chosen: Sensed({25: 1000, 26: 2000, 27: 3000}[chosen])
        await asyncio.sleep(1)
        assert not bench.chip.line
        for _ in range(pulses):
            bench.chip.rise()
            bench.chip.fall()
        assert await bench.weigh() == 1000

    on_bench(script)


@pytest.mark.parametrize("pulses, count", [(25, 1000), (26, 2000), (27, 3000)])
def test_only_conversions_of_the_chosen_input_are_taken(pulses: int, count: int) -> None:
    async def script(bench: Bench) -> None:
        bench.sense = lambda chosen: Sensed({25: 1000, 26: 2000, 27: 3000}[chosen])
        for _ in range(3):
            assert await bench.weigh() == count
        bench.chip.plugged = False
        assert cause(await bench.read(timeout_s=1)) is Missing.TIMEOUT
        bench.chip.plugged = True
        assert await bench.weigh() == count

    on_bench(script, pulses=pulses, conversions=1)


def test_an_answer_is_the_middle_of_three_conversions_made_after_the_request() -> None:
    async def script(bench: Bench) -> None:
        for _ in range(20):
            await asyncio.sleep(bench.rng.random() * 3)
            already = len(bench.made)
            count = await bench.weigh()
            made = bench.made[already:]
            assert count == sorted(made[-3:])[1]
            assert len(made) <= 5

    on_bench(script)


@pytest.mark.parametrize("pulses", range(0, 76, 3))
def test_a_chip_that_is_unplugged_is_silent_and_comes_back(pulses: int) -> None:
    """A frame whose wire came off half-way looks good and ends in ones: it never is the middle one of three."""

    async def script(bench: Bench) -> None:
        await bench.weigh()
        clock = Device.pin_factory.pin(CLOCK)
        plain, seen = clock._change_state, 0

        def pulled(value: bool) -> bool:
            nonlocal seen
            seen += bool(value)
            bench.chip.plugged = seen <= pulses
            return bool(plain(value))

        clock._change_state = pulled
        answer = await bench.read(timeout_s=2.0)
        if not isinstance(answer, NotSampled):
            assert signed(list(answer)) in bench.made
        for _ in range(3):
            before_s = asyncio.get_running_loop().time()
            answer = await bench.read(timeout_s=2.0)
            assert cause(answer) is Missing.TIMEOUT
            assert asyncio.get_running_loop().time() - before_s < 2.1
        assert "wires" in str(answer)
        del clock._change_state
        bench.chip.plugged = True
        assert await bench.weigh() in bench.made

    on_bench(script)


def test_a_data_line_that_is_shorted_to_ground_is_no_weight_of_nothing() -> None:
    async def script(bench: Bench) -> None:
        Device.pin_factory.pin(DOUT)._level = lambda: False
        answer = await bench.read(timeout_s=2.0)
        assert cause(answer) is Missing.TIMEOUT
        assert "stayed low" in str(answer)

    on_bench(script)


def test_a_spike_on_the_data_line_is_no_conversion() -> None:
    """For one look the line is low while the chip converts: what would be clocked out then are ones."""

    async def script(bench: Bench) -> None:
        data, armed = Device.pin_factory.pin(DOUT), False
        level = data._level

        def noisy() -> bool:
            nonlocal armed
            high = bool(level())
            spike, armed = armed and high, armed and not high
            return high and not spike

        data._level = noisy
        await bench.weigh()
        for _ in range(20):
            armed, already = True, len(bench.made)
            assert await bench.weigh() in bench.made[already:]
        assert bench.bus.discards == 20

    on_bench(script, conversions=1)


def test_pins_that_are_taken_are_a_bus_that_is_down_until_they_are_free() -> None:
    async def script(bench: Bench) -> None:
        other = OutputDevice(CLOCK)
        for _ in range(3):
            assert cause(await bench.read()) is Missing.BUS_DOWN
        other.close()
        await asyncio.sleep(REOPEN_S * 1.1)
        assert await bench.weigh() in bench.made

    on_bench(script)


def test_a_board_that_fails_in_the_midst_is_a_bus_that_is_down_and_comes_back() -> None:
    class BoardError(Exception):
        pass

    async def script(bench: Bench) -> None:
        await bench.weigh()

        def fails() -> bool:
            raise BoardError("the handle\nis gone")

        data = Device.pin_factory.pin(DOUT)
        level, data._level = data._level, fails
        answer = await bench.read()
        assert cause(answer) is Missing.BUS_DOWN
        assert "the handle is gone" in str(answer)
        data._level = level
        await asyncio.sleep(REOPEN_S * 1.1)
        assert await bench.weigh() in bench.made

    on_bench(script)


def test_on_a_machine_without_pins_the_bus_is_down_and_nothing_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    monkeypatch.setattr(Device, "pin_factory", None)

    async def main() -> None:
        bus = Hx711Bus(dout_pin=DOUT, clock_pin=CLOCK)
        answer = await read(bus, Ask(1, "holding", 0, 2, 20.0))
        assert cause(answer) is Missing.BUS_DOWN
        assert f"GPIO {DOUT} and {CLOCK}" in str(answer)
        await bus.close()

    asyncio.run(main())


def test_the_door_is_read_beside_the_count() -> None:
    async def script(bench: Bench) -> None:
        for door in (False, True, False):
            bench.sense = lambda _, is_open=door: Sensed(-5, is_open)  # type: ignore[misc]
            assert await bench.read(3) == [0xFFFF, 0xFFFB, int(door)]
            assert await bench.read(1, address=2) == [int(door)]

    on_bench(script)


@pytest.mark.parametrize(
    "ask",
    [
        Ask(1, "input", 0, 2, 1.0),
        Ask(1, "holding", 3, 1, 1.0),
        Ask(1, "holding", 0, 4, 1.0),
        Ask(1, "holding", 0, 125, 1.0),
    ],
)
def test_registers_that_the_chip_does_not_have_are_refused(ask: Ask) -> None:
    async def script(bench: Bench) -> None:
        assert cause(await read(bench.bus, ask)) is Missing.EXCEPTION
        assert await bench.weigh() in bench.made

    on_bench(script)


def test_a_door_that_is_not_there_is_not_said_to_be_closed() -> None:
    async def script(bench: Bench) -> None:
        assert cause(await bench.read(3)) is Missing.EXCEPTION
        assert await bench.weigh() in bench.made

    on_bench(script, door_pin=None)


def test_a_talk_may_end_at_once_fail_or_be_broken_off_and_the_next_one_hears_its_own_answer() -> None:
    closed = []

    def nothing() -> Talk:
        yield from ()

    def fails() -> Talk:
        yield Ask(1, "holding", 0, 2, 5.0)
        raise ZeroDivisionError

    def endless() -> Talk:
        try:
            while True:
                yield Ask(1, "holding", 0, 2, 30.0)
        finally:
            closed.append(True)

    async def script(bench: Bench) -> None:
        await bench.bus.carry(nothing())
        with pytest.raises(ZeroDivisionError):
            await bench.bus.carry(fails())
        for n in range(60):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05 + n * 0.0137):
                    await bench.bus.carry(endless())
            already = len(bench.made)
            assert await bench.weigh() in bench.made[already:]
        assert len(closed) == 60

    on_bench(script)


@pytest.mark.parametrize("pulses, count", [(26, 2000), (27, 3000)])
def test_a_request_that_is_broken_off_after_a_reset_does_not_leave_the_next_one_another_input(
    pulses: int, count: int
) -> None:
    async def script(bench: Bench) -> None:
        bench.sense = lambda chosen: Sensed({25: 1000, 26: 2000, 27: 3000}[chosen])
        for n in range(40):
            bench.bus._in_step = False
            assert isinstance(await bench.read(timeout_s=0.01 + 0.025 * n), NotSampled | list)
            assert await bench.weigh() == count

    on_bench(script, pulses=pulses, conversions=1)


def hanging(gate: threading.Event) -> Callable[[int], Sensed | None]:
    def sense(_: int) -> Sensed | None:
        assert gate.wait(90), "the event loop waited for the chip"
        return Sensed(77)

    return sense


def test_the_event_loop_goes_on_while_a_frame_takes_its_time() -> None:
    """The chip hangs in the midst of a look until the event loop lets it go: on one thread that is for ever."""
    gate = threading.Event()

    async def main() -> None:
        with soldered(now_ns=time.monotonic_ns) as bench:
            bench.sense = hanging(gate)
            asyncio.get_running_loop().call_later(0.6, gate.set)
            answer = await bench.read(timeout_s=60.0)
            assert answer == [0, 77]
            await bench.bus.close()

    asyncio.run(main())


def test_a_frame_that_outlives_its_request_is_not_believed_to_have_ended_well() -> None:
    """The thread hangs with the clock high until the request has timed out: the chip is off, and back at its input."""
    gate = threading.Event()

    async def main() -> None:
        with soldered(rate_hz=80, now_ns=time.monotonic_ns, pulses=26, conversions=1) as bench:
            bench.sense = lambda chosen: Sensed({25: 1000, 26: 2000}[chosen])
            assert await bench.weigh() == 2000
            clock = Device.pin_factory.pin(CLOCK)
            plain, pulses = clock._change_state, 0

            def hangs(value: bool) -> bool:
                nonlocal pulses
                pulses += bool(value)
                if not value and pulses == 10:
                    gate.wait(90)
                return bool(plain(value))

            clock._change_state = hangs
            assert cause(await bench.read(timeout_s=0.5)) is Missing.TIMEOUT
            gate.set()
            assert await bench.weigh() == 2000
            await bench.bus.close()

    asyncio.run(main())


def test_on_a_real_clock_and_thread_the_bus_reads_what_the_chip_converts() -> None:
    async def main() -> None:
        with soldered(rate_hz=80, now_ns=time.monotonic_ns) as bench:
            good = 0
            for _ in range(10):
                answer = await bench.read(timeout_s=3.0)
                if not isinstance(answer, NotSampled):
                    [count] = struct.unpack(">i", struct.pack(">2H", *answer))
                    assert count in bench.made
                    good += 1
            assert good > 0
            await bench.bus.close()

    asyncio.run(main())


def test_a_bus_that_was_never_used_is_closed_without_touching_a_pin() -> None:
    async def main() -> None:
        await Hx711Bus(dout_pin=DOUT, clock_pin=CLOCK, door_pin=DOOR).close()

    run_virtual(main())
