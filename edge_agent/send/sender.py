"""Take, pack, publish; ack, forget. One session after the other, until the agent ends. Acts only through ports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence

from data_contract.batch import Span
from data_contract.control import Ack, read_ack, write
from data_contract.message import pack
from data_contract.topics import READY, Channel, topic, verb_of
from edge_agent.errors import DiskFull, NotConnected
from edge_agent.keep.index import SEQ_MAX, Spans
from edge_agent.keep.spool import Spool
from edge_agent.ports import SLOWEST_BYTES_PER_S, Heard, Link, Session
from edge_agent.send.budget import Budget, wire_bytes
from edge_agent.send.commands import Commands
from edge_agent.send.flight import Flight, Message
from edge_agent.send.forecast import FOREVER_S, Forecast
from edge_agent.send.lanes import Chosen, Lanes
from edge_agent.send.second_try import SecondTry
from edge_agent.send.suspicion import RENEW_S, UNCONFIRMED_S, Cause, Suspicion

log = logging.getLogger("loopgauge.edge.sender")

BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 60.0
"""Pauses between attempts to connect: doubling, with full jitter."""
IDLE_S = 5.0
"""The sender looks at its flight at least this often, in real s."""
DISK_S_MAX = 60.0
"""Longest wait for rows of the spool: what the disk thread is busy with comes first."""
FLUSH_LOOK_S, HURRY_LOOK_S = 0.05, 0.5
SAYINGS_MAX = 16
"""Answers that wait for the broker; the oldest gives way."""
UNANSWERED = "unanswered"
"""Why batches are set aside that the cloud never answers."""
RENEW_SPREAD = 0.25
"""A session without answers is renewed up to this much later, so that a fleet does not come at once."""


class Sender:
    """Keeps the flight full, and passes on what the cloud confirms."""

    def __init__(
        self,
        *,
        gateway: str,
        board: str,
        link: Link,
        spool: Spool,
        flight: Flight,
        lanes: Lanes,
        budget: Budget,
        birth: Callable[[], bytes],
        commands: Commands,
        send_every_s: float,
        rng: random.Random,
        promise: Callable[[float], None],
    ) -> None:
        """`promise`: told before each step how long it may take at most, in real s."""
        self._gateway = gateway
        self._board = board
        self._link = link
        self._spool = spool
        self._flight = flight
        self._lanes = lanes
        self._budget = budget
        self._suspicion = Suspicion()
        self._forecast: Forecast | None = None
        self._told_seq = 0
        """Last batch of this run of which the forecast knows."""
        self._runs = {spool.run}
        """Runs of which something was sent from here."""
        self._birth = birth
        self._commands = commands
        self._sayings: deque[tuple[Channel, bytes, bool]] = deque(maxlen=SAYINGS_MAX)
        self.commanded = asyncio.Event()
        """A command waits to be obeyed."""
        self._send_every_s = send_every_s
        self._rng = rng
        self._second_try = SecondTry(reason=UNANSWERED)
        self._wake = asyncio.Event()
        self._done = Spans()
        """What the cloud has confirmed; it stays in the spool until the next seal."""
        self._away = False
        self._warned = Cause.NONE
        self._launched_s = float("-inf")
        self._promise = promise
        self._step_s = DISK_S_MAX + link.longest_s
        self.connected = False
        self.connects = 0
        """Sessions so far."""
        self.sent = 0
        """Messages that the broker has taken, repeats among them."""
        self.acknowledged = 0
        """Batches that the cloud has confirmed."""
        self.redelivered = 0
        """Messages that were sent more than once."""
        self.stopping = False
        """Set when the agent stops: what is sealed goes at once."""
        self.hurrying = False
        """Set while all that is sealed is to go at once, by command."""

    def look(self) -> None:
        """Something may have become worth sending."""
        self._wake.set()
        if self._forecast is None:
            return
        held, run = self._spool.held, self._spool.run
        _, size = held.weigh([(run, self._told_seq + 1, SEQ_MAX)])
        self._forecast.sealed(size, asyncio.get_running_loop().time())
        self._told_seq = max(self._told_seq, held.last(run))

    def confirmed(self) -> list[Span]:
        """What has been confirmed and is still in the spool; the next seal deletes it."""
        self._done = Spans(self._spool.held.spans(within=self._done))
        return list(self._done)

    def busy(self) -> Spans:
        """What has been sent and is still in the spool, confirmed or not: nothing may take its place."""
        return Spans([*self._done, *self._flight.spans])

    @property
    def settled(self) -> bool:
        """Everything that is held and dated has been confirmed."""
        return self.waiting()[0] <= self._spool.held.undated

    async def flush(self, wait_s: float) -> None:
        """The agent stops: send all that is dated, and give it so many s at most to be confirmed."""
        self.stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while not self.settled:
                    self.look()
                    await asyncio.sleep(FLUSH_LOOK_S)

    async def hurry(self, wait_s: float) -> int:
        """Send what is held now without collecting first; how much of it is not confirmed when so many s are over."""
        asked = list(self._spool.held.spans(without=self._done))
        self.hurrying = True
        try:
            async with asyncio.timeout(wait_s):
                while self._left(asked):
                    self.look()
                    await asyncio.sleep(HURRY_LOOK_S)
        except TimeoutError:
            pass
        finally:
            self.hurrying = False
        return self._left(asked)

    def _left(self, asked: Sequence[Span]) -> int:
        return sum(last - first + 1 for _, first, last in self._spool.held.spans(within=asked, without=self._done))

    def say(self, channel: Channel, payload: bytes, *, retain: bool = False) -> None:
        """Publish this before any more data, as soon as there is a connection."""
        self._sayings.append((channel, payload, retain))
        self._wake.set()

    def say_birth(self) -> None:
        """Publish the birth again."""
        self.say(Channel.BIRTH, self._birth(), retain=True)

    @property
    def has_said(self) -> bool:
        """Nothing waits to be said."""
        return not self._sayings

    def waiting(self) -> tuple[int, int]:
        """(batches, bytes) that are held and not confirmed."""
        held = self._spool.held
        batches, size = held.weigh(self._done)
        return len(held) - batches, held.bytes - size

    def unconfirmed_s(self, now_s: float) -> float:
        """For how long we have been publishing in this session without any ack; 0 where nothing is awaited."""
        return self._suspicion.unconfirmed_s(now_s) if self._flight.batches else 0.0

    def cause(self, now_s: float) -> Cause:
        """Why nothing is confirmed, as far as can be told from here."""
        return self._suspicion.cause(now_s) if self._flight.batches or not self.connected else Cause.NONE

    def drain_s(self, waiting: int, now_s: float) -> float:
        """Estimated real s until so many bytes of backlog are in the store; see `Forecast`."""
        if self._forecast is None:
            return 0.0
        return self._forecast.drain_s(waiting, now_s, collecting_s=self._send_every_s)

    def full_s(self, waiting: int, bytes_max: int, free: float | None, now_s: float) -> float:
        """Estimated real s until the spool has no room if nothing were confirmed any more; see `Forecast`."""
        return FOREVER_S if self._forecast is None else self._forecast.full_s(waiting, bytes_max, free, now_s)

    async def run(self) -> None:
        """Connect again and again, until cancelled."""
        pause_s = BACKOFF_MIN_S
        self._forecast = Forecast(now_s=asyncio.get_running_loop().time())
        while True:
            self._promise(self._step_s)
            try:
                async with self._link.connect() as session:
                    pause_s = BACKOFF_MIN_S
                    await self._session(session)
            except NotConnected as error:
                if not self._away:
                    log.warning("uplink: not connected: %s; readings stay on disk", error)
                self._away = True
            self._promise(pause_s)
            await asyncio.sleep(self._rng.random() * pause_s)
            pause_s = min(pause_s * 2, BACKOFF_MAX_S)

    async def _session(self, session: Session) -> None:
        """One connection, from birth to its loss. Raises NotConnected."""
        await self._hand_over(session, Channel.ONLINE, b"1", retain=True)
        await self._hand_over(session, Channel.BIRTH, self._birth(), retain=True)
        if self._away:
            log.info("uplink: connected again")
            self._away = False
        self.connected = True
        self.connects += 1
        self._flight.connected()
        self._suspicion.connected()
        if self._forecast is not None:
            self._forecast.connected(asyncio.get_running_loop().time())
        self._lanes.reconnected(self._spool.held.last(self._spool.run))
        lost: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(session), name="receive")
                tasks.create_task(self._send(session), name="send")
        except* NotConnected as group:
            lost = group.exceptions[0]  # raised behind: Python 3.11.2 makes a group of what is raised in here
        finally:
            self.connected = False
            self._suspicion.lost()
            if self._forecast is not None:
                self._forecast.lost()
        if lost is not None:
            raise NotConnected(str(lost)) from lost

    async def _hand_over(self, session: Session, channel: Channel, payload: bytes, *, retain: bool = False) -> None:
        """Publish, at the cost of the budget. Raises NotConnected."""
        name = topic(self._gateway, channel)
        cost = wire_bytes(name, payload)
        self._budget.spend(cost, asyncio.get_running_loop().time())
        self._lanes.spent(cost)
        self._promise(self._step_s + len(payload) / SLOWEST_BYTES_PER_S)
        await session.publish(name, payload, retain=retain)

    async def _receive(self, session: Session) -> None:
        """Hear what the cloud says. That it says nothing is no hang, so nothing is promised: see RENEW_S."""
        async for heard in session.messages():
            now_s = asyncio.get_running_loop().time()
            if heard.topic == READY:
                self._flight.ready(now_s)
                self._suspicion.ready(now_s)
                self._second_try.ready(now_s)
            elif (verb := verb_of(heard.topic, self._gateway)) is not None:
                self._hear(verb, heard, now_s)
            elif (ack := read_ack(heard.payload)) is None:
                self._flight.foreign_acks += 1
            else:
                self._acknowledged(ack, now_s)
            self._wake.set()
        raise NotConnected("the broker closed the connection")

    def _acknowledged(self, ack: Ack, now_s: float) -> None:
        if ack.run not in self._runs:
            self._suspicion.foreign(now_s)
        for span in self._flight.confirmed(ack, now_s):
            if self._forecast is not None:
                self._forecast.confirmed(self._spool.held.weigh([span])[1], now_s)
            self._done.add(span)
            self.acknowledged += span[2] - span[1] + 1
            self._suspicion.confirmed()

    def _hear(self, verb: str, heard: Heard, now_s: float) -> None:
        """Somebody commands; what is refused is answered at once."""
        refused = self._commands.hear(verb, heard.payload, retained=heard.retained, now_s=now_s)
        if refused is None:
            self.commanded.set()
            return
        log.warning("command %r refused as %s: %s", refused.verb, refused.refused, refused.text)
        self.say(Channel.REPLY, write(refused))

    async def _send(self, session: Session) -> None:
        renew_s = RENEW_S * (1 + RENEW_SPREAD * self._rng.random())
        while True:
            self._promise(self._step_s + IDLE_S)
            self._wake.clear()
            now_s = asyncio.get_running_loop().time()
            for given_up in self._flight.unanswered():
                await self._set_aside(given_up.span)
                self._promise(self._step_s + IDLE_S)
            if self._sayings:
                channel, payload, retain = self._sayings[0]
                await self._hand_over(session, channel, payload, retain=retain)
                # While it was under way the oldest may have given way to a newer one.
                if self._sayings and self._sayings[0][1] is payload:
                    self._sayings.popleft()
                continue
            await self._try_again(now_s)
            message = self._message(now_s)
            if message is not None:
                await self._publish(session, message)
                continue
            self._suspect(now_s)
            if self.unconfirmed_s(now_s) > renew_s:
                raise NotConnected(f"nothing was confirmed for {renew_s:.0f} s, so the session is made anew")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(now_s)):
                    await self._wake.wait()

    async def _set_aside(self, span: Span) -> None:
        try:
            await self._spool.set_aside(span, UNANSWERED)
        except DiskFull:
            return  # out of the flight, but still held: it will be offered anew
        log.error("uplink: batches %d-%d of run %s are never answered; set aside", span[1], span[2], span[0])

    async def _try_again(self, now_s: float) -> None:
        """Offer something once more that was never answered, when it is time."""
        held = self._spool.held
        span = self._second_try.due(now_s, self._spool.aside, lambda s: any(held.spans(within=[s])))
        if span is not None:
            with contextlib.suppress(DiskFull):
                await self._spool.offer(span)
                log.info("uplink: batches %d-%d of run %s are offered once more", span[1], span[2], span[0])
            self._promise(self._step_s + IDLE_S)

    def _pause_s(self, now_s: float) -> float:
        if wait_s := self._budget.wait_s(now_s):
            return min(IDLE_S, wait_s)
        wake_s = self._flight.wake_s()
        pause_s = IDLE_S if wake_s is None else max(0.0, min(IDLE_S, wake_s - now_s))
        collecting_s = self._launched_s + self._send_every_s - now_s
        return min(pause_s, collecting_s) if collecting_s > 0 else pause_s

    def _message(self, now_s: float) -> Message | None:
        """What to send now. What is in flight already goes before backlog, and after live data."""
        chosen = self._choose(now_s)
        if self._budget.wait_s(now_s) and not (chosen and chosen.alarm):
            return None
        if chosen is None or chosen.backlog:
            again = self._flight.due(now_s)
            if again is not None or chosen is None:
                return again
        self._lanes.launched(chosen)
        self._runs.add(chosen.span[0])
        return self._flight.launch(chosen.span, chosen.size, backlog=chosen.backlog)

    def _choose(self, now_s: float) -> Chosen | None:
        """The next message from the spool, if there is room for it and it is time."""
        held, taken = self._spool.held, self._taken()
        collecting = now_s - self._launched_s < self._send_every_s and not (self.stopping or self.hurrying)
        if collecting and not self._lanes.urgent(held, taken):
            return None
        room, most = self._flight.room, self._budget.message_bytes_max
        live, backlog = room(message_bytes_max=most), room(backlog=True, message_bytes_max=most)
        chosen = self._lanes.next(held, taken, live=live, backlog=backlog)
        if chosen is None and self._send_every_s and not collecting and not any(held.spans(without=taken, dated=True)):
            self._launched_s = now_s
        return chosen

    def _taken(self) -> list[Span]:
        """What is not to be offered: in flight, or confirmed."""
        return [*self._done, *self._flight.spans, *self._spool.leaving]

    async def _publish(self, session: Session, message: Message) -> None:
        rows = await self._spool.take(message.span)
        if len(rows) <= message.last - message.first:
            self._flight.forget(message)  # confirmed while the disk was busy; what is left of it is offered anew
            return
        payload = pack(self._gateway, self._board, message.run, rows)
        self.redelivered += message.tries > 0
        loop = asyncio.get_running_loop()
        self._flight.sent(message, loop.time(), len(payload))
        self._suspicion.published(loop.time())
        await self._hand_over(session, Channel.DATA, payload)
        self._flight.taken(message, loop.time())
        self.sent += 1

    def _suspect(self, now_s: float) -> None:
        """Say once when the broker takes our messages and nobody confirms them, and what to check."""
        cause = self.cause(now_s)
        if cause is not Cause.NONE and cause is not self._warned:
            log.warning("uplink: published, but unconfirmed for %d s; %s", UNCONFIRMED_S, cause.advice)
            self._warned = cause
        elif self._warned is not Cause.NONE and not self._suspicion.waiting:
            log.info("uplink: batches are confirmed again")
            self._warned = Cause.NONE
