"""An HX711 on two GPIO pins, and a door contact on a third, behind the Bus port.

Holding registers 0 and 1 are the signed count, high word first; register 2 is 1 while the door is open.

Everything that touches a pin runs in one thread of its own, so that neither the event loop waits for a frame nor a
frame for the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk, unheeded
from edge_agent.read.conversation import answer_each
from edge_agent.read.hx711 import (
    BITS,
    POWER_DOWN_S,
    PULSES,
    PULSES_AFTER_RESET,
    Frame,
    flaw,
    settled,
    too_old,
    words,
)

CONVERSIONS = 3
"""Good conversions for one answer: of three, a disturbed one is never the middle one alone."""

LOOKS = 20
"""How often DOUT is looked at in the time of one conversion."""

REOPEN_S = 5.0
"""Pause between attempts to open the pins; requests in between fail at once."""

REGISTERS = 3

T = TypeVar("T")

log = logging.getLogger("loopgauge.edge.hx711")


class Hx711Pins:
    """The pins, to be used from one thread alone."""

    def __init__(
        self, *, dout_pin: int, clock_pin: int, door_pin: int | None, pulses: int, now_ns: Callable[[], int]
    ) -> None:
        self._numbers = (dout_pin, clock_pin, door_pin)
        self._pulses = pulses
        self._now_ns = now_ns
        self._devices: list[Any] = []
        self._dout: Any = None
        self._clock: Any = None
        self._door: Any = None
        self._busy_ns = 0
        """When DOUT was last seen high."""

    def open(self) -> None:
        """Take the pins. Raises whatever the library for this board raises."""
        # 20 MB that only a gateway with such a chip has to spend.
        from gpiozero import InputDevice, OutputDevice

        self.close()
        dout, clock, door = self._numbers
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # one for each library that it tries; the last failure says it all
                self._devices.append(OutputDevice(clock, initial_value=False))
                # A wire that has come off reads high: a conversion that is never ready.
                self._devices.append(InputDevice(dout, pull_up=True))
                if door is not None:
                    self._devices.append(InputDevice(door, pull_up=True))
        except Exception:
            self.close()
            raise
        self._clock, self._dout, *rest = [device.pin for device in self._devices]
        self._door = rest[0] if rest else None

    def close(self) -> None:
        """Let the pins go; closing twice does no harm."""
        while self._devices:
            self._devices.pop().close()

    def waits(self) -> bool:
        """Whether a conversion waits to be read."""
        at_ns = self._now_ns()
        busy = bool(self._dout.state)
        if busy:
            self._busy_ns = at_ns
        return not busy

    def frame(self) -> Frame:
        """Clock one conversion out."""
        now, clock, dout = self._now_ns, self._clock, self._dout
        waiting, bits, longest_ns = not dout.state, 0, 0
        for pulse in range(self._pulses):
            # Both readings of the time lie outside the pulse: it was never longer than they say.
            begin_ns = now()
            clock.state = True
            clock.state = False
            longest_ns = max(longest_ns, now() - begin_ns)
            if pulse < BITS:
                bits = bits << 1 | bool(dout.state)
        taken = bool(dout.state)
        return Frame(bits, waiting, taken, longest_ns, now() - self._busy_ns)

    def clock(self, high: bool) -> None:
        """Hold the clock."""
        self._clock.state = high

    def door_open(self) -> bool:
        """Whether the contact to ground is open; so is one whose wire has come off."""
        return bool(self._door.state)


class Hx711Bus:
    """One chip as a bus with one device; the unit of a request says nothing here.

    An answer is the middle one of `conversions` good ones, none of which was older than a period when it was asked for.
    """

    def __init__(
        self,
        *,
        dout_pin: int,
        clock_pin: int,
        door_pin: int | None = None,
        rate_hz: int = 10,
        pulses: int = 25,
        conversions: int = CONVERSIONS,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        assert pulses in PULSES
        self._pins = Hx711Pins(dout_pin=dout_pin, clock_pin=clock_pin, door_pin=door_pin, pulses=pulses, now_ns=now_ns)
        self._where = f"GPIO {dout_pin} and {clock_pin}" + (f", door {door_pin}" if door_pin is not None else "")
        self._has_door = door_pin is not None
        self._rate_hz = rate_hz
        self._chosen = pulses != PULSES_AFTER_RESET
        """The input is not the one that the chip takes by itself after a reset."""
        self._other_input = False
        """What the chip converts now is not what was chosen: no frame has told it yet."""
        self._conversions = conversions
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hx711")
        self._open = False
        self._reopen_s = 0.0
        self._in_step = False
        """The chip is known to be at the end of a frame."""
        self.frames = 0
        """Frames that were good."""
        self.discards = 0
        """Frames that were not believed; an old conversion that a request finds waiting is no discard."""
        self._last_flaw = ""
        self._gone = f"no access to {self._where}"

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        """See `Bus`."""
        await answer_each(talk, self._answer, asked)

    def longest_s(self, timeout_s: float) -> float:
        """See `Bus`: whatever the pins do, a request is broken off after its time-out."""
        return timeout_s

    async def close(self) -> None:
        """Let pins and thread go."""
        if self._open:
            self._open = False
            with contextlib.suppress(NotSampled):
                await self._do(self._pins.close)
        if self.discards:
            log.info("%s: %d frames discarded, %d good", self._where, self.discards, self.frames)
        self._thread.shutdown(wait=False)

    async def _answer(self, ask: Ask) -> Answer:
        if ask.table != "holding" or not 0 <= ask.address < ask.address + ask.count <= REGISTERS:
            await asyncio.sleep(0)
            return NotSampled(Missing.EXCEPTION, f"an HX711 has holding registers 0 to {REGISTERS - 1} only")
        if ask.address + ask.count == REGISTERS and not self._has_door:
            await asyncio.sleep(0)
            return NotSampled(Missing.EXCEPTION, "no door contact: give the bus a door_pin, or the device its fields")
        before = self.discards
        try:
            async with asyncio.timeout(ask.timeout_s):
                await self._opened()
                return await self._registers(ask.address, ask.count)
        except TimeoutError:
            return NotSampled(Missing.TIMEOUT, self._silence(ask.timeout_s, self.discards - before))
        except NotSampled as why:
            return why

    def _silence(self, timeout_s: float, discards: int) -> str:
        if not discards:
            return f"no conversion was ready within {timeout_s:g} s at {self._where}: look at power and wires"
        return (
            f"not enough good frames within {timeout_s:g} s: {discards} discarded, the last because {self._last_flaw}"
        )

    async def _registers(self, address: int, count: int) -> list[int]:
        high = low = door = 0
        if address < 2:
            high, low = words(await self._weigh())
        if address + count == REGISTERS:
            door = int(await self._do(self._pins.door_open))
        return [high, low, door][address : address + count]

    async def _weigh(self) -> int:
        """The middle of several conversions. It goes on until they are there: whoever asks sets the time-out."""
        counts: list[int] = []
        found_waiting = True
        while len(counts) < self._conversions:
            if not self._in_step:
                await self._reset()
            await self._ready()
            # A request that is broken off in the midst of a frame leaves the next one to begin with a reset.
            self._in_step = False
            frame = await self._do(self._pins.frame)
            if (why := flaw(frame)) is not None:
                self._discard(why)
                continue
            self._in_step = True
            if self._other_input:
                self._other_input = False
            elif not too_old(frame, self._rate_hz):
                self.frames += 1
                counts.append(frame.count)
            elif not found_waiting:
                self._discard("it took longer than a conversion")
            found_waiting = False
        return settled(counts)

    async def _ready(self) -> None:
        """A look now and then, not an edge event: those that came in the midst of a frame would be data bits."""
        while True:
            if await self._do(self._pins.waits):
                return
            await asyncio.sleep(1 / self._rate_hz / LOOKS)

    def _discard(self, why: str) -> None:
        self.discards += 1
        self._last_flaw = why
        log.debug("%s: frame discarded: %s", self._where, why)

    async def _reset(self) -> None:
        """Switch the chip off and on: whatever it was in the midst of, it begins anew."""
        await self._do(self._pins.clock, True)
        await asyncio.sleep(POWER_DOWN_S)
        await self._do(self._pins.clock, False)
        self._in_step, self._other_input = True, self._chosen

    async def _opened(self) -> None:
        if self._open:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._reopen_s:
            await asyncio.sleep(0)
            raise NotSampled(Missing.BUS_DOWN, self._gone)
        self._reopen_s = loop.time() + REOPEN_S
        await self._do(self._pins.open)
        self._open, self._in_step = True, False

    async def _do(self, work: Callable[..., T], *args: object) -> T:
        """Run in the thread of the pins. What a board's library raises means that the pins are gone."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
        except Exception as error:
            if self._open:
                self._open = False
                with contextlib.suppress(Exception):
                    await asyncio.get_running_loop().run_in_executor(self._thread, self._pins.close)
            self._gone = f"no access to {self._where}: {' '.join(str(error).split()) or type(error).__name__}"
            raise NotSampled(Missing.BUS_DOWN, self._gone) from error
