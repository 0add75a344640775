"""One task per bus: wait for the next slot, ask, hand every slot's outcome to the interval. Acts only through ports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from data_contract.cause import Missing
from data_contract.reading import Quality
from data_contract.schedule import Poll
from edge_agent.errors import NotSampled
from edge_agent.keep.interval import Interval, Sample
from edge_agent.ports import Bus, Clock
from edge_agent.read.breaker import Breaker
from edge_agent.read.pace import Pace
from edge_agent.read.planner import Request

log = logging.getLogger("loopgauge.edge.poller")

LOOK_S = 1.0
"""Longest sleep, in real s: a clock that steps may bring the next slot forward."""

Decode = Callable[[Sequence[int]], tuple[float | None, Quality]]
"""Registers of one field to its value and quality."""


@dataclass(frozen=True, slots=True)
class FieldReader:
    """Where one field lies and how its registers become a value."""

    address: int
    registers: int
    decode: Decode


@dataclass(frozen=True, slots=True)
class PollPlan:
    """How one poll group of one device is read."""

    poll: Poll
    unit: int
    timeout_s: float
    requests: tuple[Request, ...]
    readers: Mapping[str, FieldReader]


class Poller:
    """Reads the devices of one bus, one request at a time."""

    def __init__(self, *, bus: Bus, plans: Sequence[PollPlan], pace: Pace, interval: Interval, clock: Clock) -> None:
        self._bus = bus
        self._plans = plans
        self._pace = pace
        self._interval = interval
        self._clock = clock
        self._breakers = {plan.unit: Breaker() for plan in plans}
        self._away: set[str] = set()
        self._refusing: set[tuple[str, Request]] = set()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End `run` after the slot at hand: a slot that was begun gets its outcome."""
        self._stop.set()

    async def run(self) -> None:
        """Poll until `stop`."""
        while not self._stop.is_set():
            due, index = self._pace.head()
            wait_ms = due - self._clock.mono_ms()
            if wait_ms > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(LOOK_S, self._clock.real_s(wait_ms))):
                        await self._stop.wait()
                continue
            await self.slot(due, index)
            await asyncio.sleep(0)

    def give_up(self, before: int) -> None:
        """Count every open slot before an instant as overrun: a seal cannot wait for this bus any longer."""
        for due, index in self._pace.give_up(before):
            poll = self._plans[index].poll
            self._interval.add(poll, due, [], Counter({Missing.OVERRUN: len(poll.fields)}))

    async def slot(self, due: int, index: int) -> None:
        """Give one slot its outcome."""
        plan = self._plans[index]
        samples: list[Sample] = []
        missing: Counter[Missing] = Counter()
        if self._pace.too_late(due, index, self._clock.mono_ms()):
            missing[Missing.OVERRUN] = len(plan.poll.fields)
        else:
            for request in plan.requests:
                await self._ask(index, due, request, samples, missing)
        if self._pace.resolved(due, index):
            self._interval.add(plan.poll, due, samples, missing)

    async def _ask(
        self, index: int, due: int, request: Request, samples: list[Sample], missing: Counter[Missing]
    ) -> None:
        plan = self._plans[index]
        breaker = self._breakers[plan.unit]
        now_s = asyncio.get_running_loop().time()
        if not breaker.may_ask(now_s):
            missing[Missing.ASLEEP] += len(request.fields)
            return
        stamp = self._pace.stamp(self._clock.mono_ms(), due, index)
        try:
            words = await self._bus.read(plan.unit, request.table, request.address, request.count, plan.timeout_s)
        except NotSampled as error:
            missing[error.cause] += len(request.fields)
            if error.cause is Missing.TIMEOUT:
                breaker.silent(asyncio.get_running_loop().time())
            if error.cause is Missing.EXCEPTION:
                breaker.answered()
                self._back(plan.poll.device)
                self._refused(plan.poll.device, request, error)
            else:
                self._gone(plan.poll.device, error)
            return
        breaker.answered()
        self._back(plan.poll.device)
        self._granted(plan.poll.device, request)
        sample = self._sample(plan, request, words, stamp)
        samples.append(sample)
        missing[Missing.INVALID] += sum(value is None for value, _ in sample.values.values())

    def _sample(self, plan: PollPlan, request: Request, words: Sequence[int], stamp: int) -> Sample:
        values = {}
        for name in request.fields:
            reader = plan.readers[name]
            start = reader.address - request.address
            values[name] = reader.decode(words[start : start + reader.registers])
        return Sample(stamp, values)

    def _gone(self, device: str, error: NotSampled) -> None:
        if device not in self._away:
            self._away.add(device)
            log.warning("%s: no reading: %s (%s)", device, error.detail, error.cause.value)

    def _back(self, device: str) -> None:
        if device in self._away:
            self._away.discard(device)
            log.info("%s: answers again", device)

    def _refused(self, device: str, request: Request, error: NotSampled) -> None:
        """It answers, but not this. Told apart from silence, or the two would take turns in the log for ever."""
        if (device, request) not in self._refusing:
            self._refusing.add((device, request))
            log.warning("%s: refuses to answer: %s (%s)", device, error.detail, error.cause.value)

    def _granted(self, device: str, request: Request) -> None:
        if (device, request) in self._refusing:
            self._refusing.discard((device, request))
            log.info("%s: answers %s %d again", device, request.table, request.address)
