"""What a gateway would have lived through before the demo began: the shipped agent, in virtual time, without a link.

It asks the simulated units themselves. The spool that it leaves behind is that of a gateway which was cut off for days:
the live agent goes on with it, and the line carries it into the store as it carries everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from data_contract.cause import Missing
from edge_agent.config import EdgeConfig
from edge_agent.errors import NotConnected, NotSampled
from edge_agent.ports import Answer, Ask, Civil, Session, Talk, unheeded
from edge_agent.read.conversation import answer_each
from simulators.devices.unit import Unit
from simulators.truth.rows import Shown

EVERY_S = 600
"""How often each poll group is read, in simulated s."""
SEAL_EVERY_S = 3600
HOUR_MS = 3_600_000

LOOP_SPEED = 3600.0
"""Civil seconds per second of the virtual loop: what the agent does every few real seconds then costs little."""

_FUNCTIONS = {"holding": 3, "input": 4}


class Notes(Protocol):
    """The record of what devices answered."""

    def note(self, t_ms: int, gateway: str, device: str, fields: list[Shown]) -> None:
        """Note what `device` is about to answer at `t_ms` (ms UTC)."""

    def note_refused(self, t_ms: int, device: str, request: str, reason: str) -> None:
        """Note a request that gets no values."""


class PastClock:
    """The clocks of a gateway that booted at `begin_ms` (ms UTC) and whose time is the loop's."""

    def __init__(self, *, begin_ms: int) -> None:
        self._begin_ms = begin_ms

    @property
    def boot(self) -> str:
        return "before-the-demo"

    def mono_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000 * LOOP_SPEED)

    def utc_ms(self) -> int:
        """Civil time, ms UTC."""
        return self._begin_ms + self.mono_ms()

    def civil(self) -> Civil:
        return Civil(self.utc_ms(), trusted=True)

    def real_s(self, span_ms: float) -> float:
        return span_ms / 1000 / LOOP_SPEED


class NoLink:
    """A gateway that nobody has connected yet."""

    longest_s = 0.0

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Session]:
        raise NotConnected("there was no uplink before the demo began")
        yield  # what makes it a context


class UnitBus:
    """A bus that asks simulated units directly; what they answer is noted before it is given."""

    def __init__(self, *, units: Mapping[int, Unit], notes: Notes, now_ms: Callable[[], int]) -> None:
        """`units` by unit id; `now_ms` is civil time, ms UTC."""
        self._units = units
        self._notes = notes
        self._now_ms = now_ms

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        await answer_each(talk, self._answer, asked)

    def longest_s(self, timeout_s: float) -> float:
        return timeout_s

    async def _answer(self, ask: Ask) -> Answer:
        unit = self._units.get(ask.unit)
        if unit is None:
            return NotSampled(Missing.EXCEPTION, f"there is no unit {ask.unit}")
        t_ms, function = self._now_ms(), _FUNCTIONS[ask.table]
        refusal = unit.refuse(function, ask.address, ask.count, t_ms)
        if refusal is not None:
            asked = f"function {function} address {ask.address} count {ask.count}"
            self._notes.note_refused(t_ms, unit.device, asked, refusal.reason)
            if refusal.code is None:
                return NotSampled(Missing.TIMEOUT, refusal.reason)
            return NotSampled(Missing.EXCEPTION, refusal.reason)
        words, fields = unit.answer(function, ask.address, ask.count, t_ms)
        self._notes.note(t_ms, unit.gateway, unit.device, fields)
        return words

    async def close(self) -> None:
        return None


class Runs(Protocol):
    """An agent."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; then end cleanly."""


def of_the_past(config: EdgeConfig, groups: Mapping[str, list[str]]) -> EdgeConfig:
    """A gateway's configuration with the intervals of history; `groups` are the poll groups of each device.

    It does not report on itself: the board that it would look at is the present one.
    """
    devices = {
        name: device.model_copy(update={"every_s": dict.fromkeys(groups[name], float(EVERY_S))})
        for name, device in config.devices.items()
    }
    return config.model_copy(update={"seal_every_s": float(SEAL_EVERY_S), "health_every_s": 0, "devices": devices})


async def live_through(agent: Runs, clock: PastClock, end_ms: int, on_hour: Callable[[int], None]) -> None:
    """Let an agent run until just before `end_ms` (ms UTC). `on_hour` is called after each hour with the time."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run(stop), name="agent of the past")
        # What is due at the very end belongs to whoever goes on from there.
        while (left_ms := end_ms - 1 - clock.utc_ms()) > 0:
            await asyncio.sleep(clock.real_s(min(left_ms, HOUR_MS)))
            on_hour(clock.utc_ms())
        stop.set()
