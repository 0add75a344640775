"""One task per bus: wait for the next slot, ask, hand every slot's outcome to the interval. Acts only through ports.

All that is due is one conversation with the bus: a generator that yields requests and is sent the answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from data_contract.cause import Missing
from data_contract.reading import Quality
from data_contract.schedule import Poll
from edge_agent.errors import NotSampled
from edge_agent.keep.interval import Decode, Interval, Layout, Sample
from edge_agent.ports import Answer, Ask, Bus, Civil, Clock, Talk
from edge_agent.read.again import Again
from edge_agent.read.breaker import Breaker
from edge_agent.read.pace import Pace
from edge_agent.read.planner import Request
from edge_agent.weigh.bin import FIELDS, BinMeter

log = logging.getLogger("loopgauge.edge.poller")

LOOK_S = 1.0
"""Longest sleep, in real s: a clock that steps may bring the next slot forward."""

SLOTS_MAX = 100
"""In one conversation. A slot that asks for nothing takes no time of the bus, but some of everyone else's."""


@dataclass(frozen=True, slots=True)
class FieldReader:
    """Where one field lies and how its registers become a value."""

    address: int
    registers: int
    decode: Decode


@dataclass(frozen=True, slots=True)
class Weighing:
    """Which field of a poll group is a bin's load, which one tells of its door, and what keeps its totals."""

    weight: str
    door: str | None
    meter: BinMeter


@dataclass(frozen=True, slots=True)
class PollPlan:
    """How one poll group of one device is read."""

    poll: Poll
    unit: int
    timeout_s: float
    requests: tuple[Request, ...]
    readers: Mapping[str, FieldReader]
    bin: Weighing | None = None


class _Asking:
    """One request of a plan, ready to be made again and again.

    The request that brings a bin's weight brings what the edge makes of it, too: it is sampled and missed with it.
    """

    def __init__(self, plan: PollPlan, request: Request) -> None:
        self.request = request
        weighs = plan.bin is not None and plan.bin.weight in request.fields
        self.bin = plan.bin if weighs else None
        self.readings = len(request.fields) + (len(FIELDS) if weighs else 0)
        self.ask = Ask(plan.unit, request.table, request.address, request.count, plan.timeout_s)
        parts = []
        for name in request.fields:
            reader = plan.readers[name]
            start = reader.address - request.address
            parts.append((name, slice(start, start + reader.registers), reader.decode))
        self._decode = {name: (part, decode) for name, part, decode in parts}
        if weighs:
            parts += [(name, slice(request.count + n, request.count + n + 1), _made) for n, name in enumerate(FIELDS)]
        self.layout: Layout = Layout(tuple(parts))

    def words(self, answer: Sequence[int], civil: Callable[[], Civil]) -> Sequence[float | None]:
        """What a sample keeps: the registers, and behind them what the edge made of them."""
        if self.bin is None:
            return answer
        raw = self._value(self.bin.weight, answer)
        door = None if self.bin.door is None else self._value(self.bin.door, answer)
        return [*answer, *self.bin.meter.weigh(raw, door_open=bool(door), civil=civil())]

    def values(self, answer: Sequence[int]) -> dict[str, tuple[float | None, Quality]]:
        """The device's own fields; a bin's meter, which lives on samples at their times, is told nothing."""
        return {name: decode(answer[part]) for name, (part, decode) in self._decode.items()}

    def _value(self, name: str, answer: Sequence[int]) -> float | None:
        part, decode = self._decode[name]
        return decode(answer[part])[0]


def _made(words: Sequence[float | None]) -> tuple[float | None, Quality]:
    """A value that was made at the edge is kept as it is."""
    (value,) = words
    return value, Quality.INVALID if value is None else Quality.GOOD


def _miss(missing: dict[Missing, int], cause: Missing, readings: int) -> None:
    missing[cause] = missing.get(cause, 0) + readings


class Poller:
    """Reads the devices of one bus, one request at a time."""

    def __init__(
        self,
        *,
        bus: Bus,
        plans: Sequence[PollPlan],
        pace: Pace,
        interval: Interval,
        clock: Clock,
        promise: Callable[[float], None],
    ) -> None:
        """`promise`: told before each wait how long it may take at most, in real s."""
        self._bus = bus
        self._plans = plans
        self._pace = pace
        self._interval = interval
        self._clock = clock
        self._askings = [[_Asking(plan, request) for request in plan.requests] for plan in plans]
        self._breakers = {plan.unit: Breaker() for plan in plans}
        self._patience_s = bus.longest_s(max(plan.timeout_s for plan in plans))
        self._promise = promise
        self._away: set[str] = set()
        self._refusing: set[tuple[str, Request]] = set()
        self._again: deque[tuple[Again, asyncio.Future[None]]] = deque()
        self._slot_asks: tuple[int, int] | None = None
        """(due, index of the poll) of the slot whose request is under way; one out of schedule has none."""
        self._stamp: int | None = None
        """Of that request, once it has left."""
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End `run` after the slot at hand: a slot that was begun gets its outcome."""
        self._stop.set()

    def again(self, again: Again) -> asyncio.Future[None]:
        """Ask its devices between two slots, out of schedule; done when all that was asked for has been heard.

        Whoever waits no longer cancels it.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._again.append((again, done))
        return done

    def serves(self, again: Again) -> bool:
        """Whether any of its devices is asked for."""
        return any(again.wants(plan.poll.device) for plan in self._plans)

    @property
    def silent(self) -> int:
        """How many of its devices do not answer."""
        return len(self._away)

    async def run(self) -> None:
        """Poll until `stop`."""
        while not self._stop.is_set():
            self._promise(LOOK_S)
            if self._again:
                await self._bus.carry(self._ask_again(*self._again.popleft()), self._asked)
            due, _ = self._pace.head()
            wait_ms = due - self._clock.mono_ms()
            if wait_ms > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(LOOK_S, self._clock.real_s(wait_ms))):
                        await self._stop.wait()
                continue
            await self._bus.carry(self._due_now(), self._asked)
            await asyncio.sleep(0)

    def give_up(self, before: int) -> None:
        """Count every open slot before an instant as overrun: a seal cannot wait for this bus any longer."""
        for due, index in self._pace.give_up(before):
            poll = self._plans[index].poll
            self._interval.add(poll, due, [], {Missing.OVERRUN: len(poll.fields)})

    def _due_now(self) -> Talk:
        """Give the slots that are due their outcome, until there are none, or until told to stop."""
        for _ in range(SLOTS_MAX):
            due, index = self._pace.head()
            if self._stop.is_set() or due > self._clock.mono_ms():
                return
            yield from self._slot(due, index)

    def _slot(self, due: int, index: int) -> Talk:
        plan = self._plans[index]
        samples: list[Sample] = []
        missing: dict[Missing, int] = {}
        if self._pace.too_late(due, index, self._clock.mono_ms()):
            missing[Missing.OVERRUN] = len(plan.poll.fields)
        else:
            for asking in self._askings[index]:
                if not self._breakers[plan.unit].may_ask(asyncio.get_running_loop().time()):
                    _miss(missing, Missing.ASLEEP, asking.readings)
                    continue
                self._slot_asks, self._stamp = (due, index), None
                self._promise(self._patience_s)
                answer = yield asking.ask
                self._slot_asks = None
                self._learn(plan, asking.request, answer)
                if isinstance(answer, NotSampled):
                    _miss(missing, answer.cause, asking.readings)
                    continue
                assert self._stamp is not None, "what was answered has been asked"
                samples.append(Sample(self._stamp, asking.layout, asking.words(answer, self._clock.civil)))
        if self._pace.resolved(due, index):
            self._interval.add(plan.poll, due, samples, missing)

    def _asked(self) -> None:
        """A request leaves. If it is a slot's, that is the instant of all that it brings; of two attempts, the last."""
        if self._slot_asks is not None:
            self._stamp = self._pace.stamp(self._clock.mono_ms(), *self._slot_asks)

    def _ask_again(self, again: Again, done: asyncio.Future[None]) -> Talk:
        """Ask out of schedule, as if nothing were known of the devices. What is due meanwhile goes before each request.

        A unit that stays silent is asked once: it costs its neighbours one time-out.
        """
        if done.cancelled():
            return
        chosen = [index for index, plan in enumerate(self._plans) if again.wants(plan.poll.device)]
        self._breakers |= {self._plans[index].unit: Breaker() for index in chosen}
        silent: dict[int, NotSampled] = {}
        for plan, asking in [(self._plans[index], asking) for index in chosen for asking in self._askings[index]]:
            yield from self._due_now()
            if done.cancelled() or self._stop.is_set():
                return
            answer: Answer | None = silent.get(plan.unit)
            if answer is None:
                self._promise(self._patience_s)
                answer = yield asking.ask
                self._learn(plan, asking.request, answer)
            if not isinstance(answer, NotSampled):
                again.heard(plan.poll.device, asking.values(answer))
                continue
            if answer.cause is not Missing.EXCEPTION:
                silent[plan.unit] = answer
            again.missed(plan.poll.device, asking.request.fields, answer)
        if not done.cancelled():
            done.set_result(None)

    def _learn(self, plan: PollPlan, request: Request, answer: Answer) -> None:
        """What an answer says of the unit. It is said once when it goes, and once when it is back."""
        breaker, device = self._breakers[plan.unit], plan.poll.device
        if not isinstance(answer, NotSampled):
            breaker.answered()
            self._back(device)
            self._granted(device, request)
        elif answer.cause is Missing.EXCEPTION:
            breaker.answered()
            self._back(device)
            self._refused(device, request, answer)
        else:
            if answer.cause is Missing.TIMEOUT:
                breaker.silent(asyncio.get_running_loop().time())
            self._gone(device, answer)

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
