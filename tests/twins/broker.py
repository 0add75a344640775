"""A broker in memory, with the twins of both its clients: the gateway's link and the worker's consumer.

It promises no more than a real one: messages may be delayed, lost with the broker's memory, or come twice; a share of
`$share` goes to one worker in turn.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from data_contract.topics import READY, Channel, gateway_of, topic, verb_of
from edge_agent.errors import NotConnected
from edge_agent.ports import Heard
from ingest.ports import Delivery
from tests.twins.death import Life

QUEUED_MAX = 1000
"""Messages that are held up of one topic; further ones are dropped."""


class BrokerTwin:
    """Carries messages with a delay; can be down, forget, lose and repeat."""

    def __init__(self, *, rng: random.Random, delay_s: float = 0.02) -> None:
        self._rng = rng
        self.delay_s = delay_s
        self.down = False
        self.loss = 0.0
        self.twice = 0.0
        self.spread_s = 0.0
        """A message may be held up by so much more than the next one, which then overtakes it."""
        self.cut_off: set[str] = set()
        """Gateways whose way to the broker is cut: their connections hang first, and break then."""
        self.refuses: set[str] = set()
        """Gateways whose data its access rights refuse: answered with success, and dropped."""
        self.bytes_per_s = float("inf")
        """What each gateway's way to the broker carries."""
        self.stuck: dict[str, list[bytes]] = {}
        """By topic: what is held up, until whoever ordered it hands it on."""
        self.sessions: dict[str, SessionTwin] = {}
        self.consumers: list[ConsumerTwin] = []
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.retained: dict[str, bytes] = {}
        self.data_messages: list[bytes] = []
        self.on_carry: Callable[[str, bytes], None] = lambda name, payload: None
        """Called with whatever is handed to the broker, also with what it is going to lose."""

    def restart(self) -> None:
        """Forget everything that is under way, and drop every session."""
        self.forget()
        self.drop()

    def forget(self) -> None:
        """Lose everything that is under way, without a word."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        for held in self.stuck.values():
            held.clear()

    def drop(self) -> None:
        """Cut every gateway's connection."""
        for session in list(self.sessions.values()):
            session.cut()
        self.sessions.clear()

    def carry(self, name: str, payload: bytes) -> None:
        """Take a message; it arrives later, or not."""
        self.on_carry(name, payload)
        if name in self.stuck:
            if len(self.stuck[name]) < QUEUED_MAX:
                self.stuck[name].append(payload)
            return
        if self._rng.random() < self.loss:
            return
        for _ in range(1 + (self._rng.random() < self.twice)):
            task = asyncio.get_running_loop().create_task(self._arrive(name, payload), name="broker")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _arrive(self, name: str, payload: bytes) -> None:
        await asyncio.sleep(self.delay_s * (0.5 + self._rng.random()) + self._rng.random() * self.spread_s)
        if self.down:
            return
        if gateway_of(name, Channel.DATA) is not None:
            self.data_messages.append(payload)
            listening = [c for c in self.consumers if not c.life.dead and not c.stopped]
            if listening:
                self._turn += 1
                listening[self._turn % len(listening)].arrive(name, payload)
            return
        for gateway, session in list(self.sessions.items()):
            mine = name in (READY, topic(gateway, Channel.ACK)) or verb_of(name, gateway) is not None
            if mine and gateway not in self.cut_off:
                session.arrive(name, payload)


class SessionTwin:
    """A gateway's connection."""

    def __init__(self, *, gateway: str, broker: BrokerTwin, life: Life) -> None:
        self._gateway = gateway
        self._broker = broker
        self._life = life
        self._queue: asyncio.Queue[Heard | None] = asyncio.Queue()
        self._open = True

    def cut(self) -> None:
        self._open = False
        self._queue.put_nowait(None)

    def arrive(self, name: str, payload: bytes) -> None:
        self._queue.put_nowait(Heard(name, payload))

    async def publish(self, name: str, payload: bytes, *, retain: bool = False) -> None:
        await self._life.going()
        self._life.step("publish.before")
        await asyncio.sleep(self._broker.delay_s + len(payload) / self._broker.bytes_per_s)
        if not self._open or self._broker.down or self._gateway in self._broker.cut_off:
            raise NotConnected("the connection was lost")
        if retain:
            self._broker.retained[name] = payload
        if self._gateway not in self._broker.refuses:
            self._broker.carry(name, payload)
        self._life.step("publish.after")

    async def messages(self) -> AsyncIterator[Heard]:
        while (item := await self._queue.get()) is not None:
            await self._life.going()
            self._life.step("ack.received")
            yield item
        raise NotConnected("the connection was lost")


class LinkTwin:
    """The way of one gateway to the broker."""

    def __init__(self, *, gateway: str, broker: BrokerTwin, life: Life) -> None:
        self._gateway = gateway
        self._broker = broker
        self._life = life

    @property
    def longest_s(self) -> float:
        return 30.0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[SessionTwin]:
        await self._life.going()
        self._life.step("connect")
        await asyncio.sleep(self._broker.delay_s)
        if self._broker.down or self._gateway in self._broker.cut_off:
            raise NotConnected("connection refused")
        session = SessionTwin(gateway=self._gateway, broker=self._broker, life=self._life)
        old = self._broker.sessions.get(self._gateway)
        if old is not None:
            old.cut()
        self._broker.sessions[self._gateway] = session
        try:
            yield session
        finally:
            if self._broker.sessions.get(self._gateway) is session:
                del self._broker.sessions[self._gateway]


class ConsumerTwin:
    """A worker's connection."""

    def __init__(self, *, broker: BrokerTwin, life: Life) -> None:
        self._broker = broker
        self.life = life
        self.stopped = False
        self._waiting: list[Delivery] = []
        self._arrived = asyncio.Event()
        broker.consumers.append(self)

    def arrive(self, name: str, payload: bytes) -> None:
        self._waiting.append(Delivery(name, payload, None))
        self._arrived.set()

    async def take(self, wait_s: float) -> list[Delivery]:
        if not self._waiting:
            self._arrived.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        await self.life.going()
        taken, self._waiting = self._waiting, []
        self.life.step("taken")
        return taken

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        return None

    def publish(self, name: str, payload: bytes) -> None:
        self.life.step("ack.before")
        if not self._broker.down:
            self._broker.carry(name, payload)
        self.life.step("ack.after")
