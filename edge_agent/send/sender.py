"""Take, pack, publish; ack, forget. One session after the other, until the agent ends. Acts only through ports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

from data_contract.batch import Span
from data_contract.control import read_ack
from data_contract.message import pack
from data_contract.topics import READY, Channel, topic
from edge_agent.errors import DiskFull, NotConnected
from edge_agent.keep.index import Spans
from edge_agent.keep.spool import Spool
from edge_agent.ports import Link, Session
from edge_agent.send.flight import Flight, Message
from edge_agent.send.lanes import Lanes

log = logging.getLogger("loopgauge.edge.sender")

BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 60.0
"""Pauses between attempts to connect: doubling, with full jitter."""
IDLE_S = 5.0
"""The sender looks at its flight at least this often, in real s."""
DISK_S_MAX = 60.0
"""Longest wait for rows of the spool: what the disk thread is busy with comes first."""
FLUSH_LOOK_S = 0.05
UNANSWERED = "unanswered"
"""Why batches are set aside that the cloud never answers."""
UNCONFIRMED_S = 300.0
"""Connected, published, and nothing confirmed for this long is worth a warning."""


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
        birth: Callable[[], bytes],
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
        self._birth = birth
        self._send_every_s = send_every_s
        self._rng = rng
        self._wake = asyncio.Event()
        self._done = Spans()
        """What the cloud has confirmed; it stays in the spool until the next seal."""
        self._away = False
        self._warned = False
        self._launched_s = float("-inf")
        self._published_s: float | None = None
        """When the first message was published that no ack has followed in this session."""
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

    def look(self) -> None:
        """Something may have become worth sending."""
        self._wake.set()

    def confirmed(self) -> list[Span]:
        """What has been confirmed and is still in the spool; the next seal deletes it."""
        self._done = Spans(self._spool.held.spans(within=self._done))
        return list(self._done)

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

    def waiting(self) -> tuple[int, int]:
        """(batches, bytes) that are held and not confirmed."""
        held = self._spool.held
        batches, size = held.weigh(self._done)
        return len(held) - batches, held.bytes - size

    def unconfirmed_s(self, now_s: float) -> float:
        """For how long we have been publishing in this session without any ack; 0 where nothing is awaited."""
        return 0.0 if self._published_s is None or not self._flight.batches else now_s - self._published_s

    async def run(self) -> None:
        """Connect again and again, until cancelled."""
        pause_s = BACKOFF_MIN_S
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
        self._promise(self._step_s)
        await session.publish(topic(self._gateway, Channel.ONLINE), b"1", retain=True)
        self._promise(self._step_s)
        await session.publish(topic(self._gateway, Channel.BIRTH), self._birth(), retain=True)
        if self._away:
            log.info("uplink: connected again")
            self._away = False
        self._published_s = None
        self.connected = True
        self.connects += 1
        self._flight.connected()
        self._lanes.reconnected(self._spool.held.last(self._spool.run))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(session), name="receive")
                tasks.create_task(self._send(session), name="send")
        except* NotConnected as group:
            error = group.exceptions[0]
            raise NotConnected(str(error)) from error
        finally:
            self.connected, self._published_s = False, None

    async def _receive(self, session: Session) -> None:
        """Hear what the cloud says. That it says nothing is no hang but `unconfirmed_s`, so nothing is promised."""
        async for name, payload in session.messages():
            now_s = asyncio.get_running_loop().time()
            if name == READY:
                self._flight.ready(now_s)
            elif (ack := read_ack(payload)) is None:
                self._flight.foreign_acks += 1
            else:
                for run, first, last in self._flight.confirmed(ack, now_s):
                    self._done.add((run, first, last))
                    self.acknowledged += last - first + 1
                    self._published_s = None
            self._wake.set()
        raise NotConnected("the broker closed the connection")

    async def _send(self, session: Session) -> None:
        while True:
            self._promise(self._step_s + IDLE_S)
            self._wake.clear()
            now_s = asyncio.get_running_loop().time()
            for given_up in self._flight.unanswered():
                await self._set_aside(given_up.span)
                self._promise(self._step_s + IDLE_S)
            message = self._flight.due(now_s) or self._launch(now_s)
            if message is not None:
                await self._publish(session, message)
                continue
            self._suspect(now_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(now_s)):
                    await self._wake.wait()

    async def _set_aside(self, span: Span) -> None:
        try:
            await self._spool.set_aside(span, UNANSWERED)
        except DiskFull:
            return  # out of the flight, but still held: it will be offered anew
        log.error("uplink: batches %d-%d of run %s are never answered; set aside", span[1], span[2], span[0])

    def _pause_s(self, now_s: float) -> float:
        wake_s = self._flight.wake_s()
        pause_s = IDLE_S if wake_s is None else max(0.0, min(IDLE_S, wake_s - now_s))
        collecting_s = self._launched_s + self._send_every_s - now_s
        return min(pause_s, collecting_s) if collecting_s > 0 else pause_s

    def _launch(self, now_s: float) -> Message | None:
        """The next message from the spool, if there is room for it and it is time."""
        collecting = now_s - self._launched_s < self._send_every_s and not self.stopping
        bytes_max, batches_max = self._flight.room()
        if collecting or bytes_max <= 0 or batches_max <= 0:
            return None
        taken = [*self._done, *self._flight.spans]
        chosen = self._lanes.next(self._spool.held, taken, bytes_max=bytes_max, batches_max=batches_max)
        if chosen is None:
            self._launched_s = now_s if self._send_every_s else self._launched_s
            return None
        span, size = chosen
        if size > bytes_max and self._flight.batches:
            return None
        self._lanes.launched(span)
        return self._flight.launch(span, size)

    async def _publish(self, session: Session, message: Message) -> None:
        rows = await self._spool.take(message.span)
        payload = pack(self._gateway, self._board, message.run, rows)
        self.redelivered += message.tries > 0
        self._flight.sent(message, asyncio.get_running_loop().time())
        if self._published_s is None:
            self._published_s = asyncio.get_running_loop().time()
        await session.publish(topic(self._gateway, Channel.DATA), payload)
        self.sent += 1

    def _suspect(self, now_s: float) -> None:
        """Say once when the broker takes our messages and nobody confirms them: MQTT 3.1.1 hides a refusal."""
        unconfirmed_s = self.unconfirmed_s(now_s)
        if not unconfirmed_s and self._warned:
            log.info("uplink: batches are confirmed again")
            self._warned = False
        elif unconfirmed_s > UNCONFIRMED_S and not self._warned:
            log.warning(
                "uplink: published, but unconfirmed for %d s; check that ingest runs and the broker's ACL admits us",
                UNCONFIRMED_S,
            )
            self._warned = True
