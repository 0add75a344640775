"""The fleet's way to a broker: by default one connection for each gateway, all in one event loop, none with a task.

Each says `online` and its birth, hears its acks and `ready`, and leaves `online` 0 as its last will. Several gateways
may share a connection where the broker allows it; there is no last will then, since a connection has only one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import resource
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Protocol

from data_contract.topics import READY, Channel, topic
from simulators.fleet import mqtt
from simulators.fleet.plan import FleetPlan
from simulators.fleet.waiting import until

log = logging.getLogger("loopgauge.fleet")

KEEPALIVE_S = 60
SILENCE_S = 1.5 * KEEPALIVE_S
"""A connection over which nothing comes for so long, though the broker was asked, is given up."""
HANDSHAKE_S = 10.0
BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 60.0
"""Pauses between attempts to connect: doubling, with full jitter."""
LOOK_S = 0.02
CONNECTING_MAX = 64
"""Connections that are on their way in at the same time; a broker's queue of callers holds about a hundred."""
UNACKED_MAX = 16
"""Messages of one connection that the broker has not taken yet."""
TOPICS_MAX = 100
"""Topics in one SUBSCRIBE: Mosquitto takes more, other brokers do not."""
WRITE_BYTES_MAX = 65_536
"""Bytes of one connection that wait in this process; one message more at most."""
SPARE_FILES = 64


class CannotConnect(Exception):
    """So many connections are impossible here; one line says why, and the mend."""


class Ears(Protocol):
    """Who hears what comes back."""

    def up(self, gateway: int) -> None:
        """A gateway may publish now."""

    def down(self, gateway: int) -> None:
        """It may no more."""

    def acknowledged(self, gateway: int, payload: bytes) -> None:
        """An ack came for it."""

    def ready(self) -> None:
        """Ingest can store again."""


class _State(Enum):
    AWAY = auto()
    HELLO = auto()
    SUBSCRIBING = auto()
    UP = auto()


class _Connection(asyncio.Protocol):
    """One connection and the gateways behind it."""

    def __init__(self, *, number: int, gateways: Sequence[int], broker: Broker) -> None:
        self.number = number
        self.gateways = gateways
        self.state = _State.AWAY
        self.unacked = 0
        self.blocked = False
        self.next_try_s = 0.0
        self.pause_s = BACKOFF_MIN_S
        self.barred_s = 0.0
        self.spoke_s = self.heard_s = self.since_s = 0.0
        self._broker = broker
        self._transport: asyncio.Transport | None = None
        self._incoming = mqtt.Incoming()
        self._packet_id = 0
        self._subacks = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=WRITE_BYTES_MAX)
        self._transport, self._incoming = transport, mqtt.Incoming()
        self.unacked, self.blocked, self.state = 0, False, _State.HELLO
        self.since_s = self.heard_s = self._broker.now_s()
        if self.since_s < self.barred_s:
            transport.abort()
            return
        self.write(self._broker.hello(self))

    def connection_lost(self, _error: Exception | None) -> None:
        was_up, self.state, self._transport = self.state is _State.UP, _State.AWAY, None
        self._broker.lost(self, was_up)

    def pause_writing(self) -> None:
        self.blocked = True

    def resume_writing(self) -> None:
        self.blocked = False

    def data_received(self, data: bytes) -> None:
        self.heard_s = self._broker.now_s()
        try:
            for packet in self._incoming.feed(data):
                self._handle(packet)
        except mqtt.BadPacket as error:
            self._broker.complain(str(error))
            self.abort()

    def _handle(self, packet: mqtt.Packet) -> None:
        if packet.kind == mqtt.PUBLISH:
            name, payload, packet_id = mqtt.read_publish(packet)
            if packet_id is not None:
                self.write(mqtt.puback(packet_id))
            self._broker.heard(self, name, payload)
        elif packet.kind == mqtt.PUBACK:
            self.unacked -= 1
        elif packet.kind == mqtt.CONNACK:
            if (why := mqtt.refusal(packet)) is not None:
                raise mqtt.BadPacket(f"the broker refuses us: {why}")
            self.state = _State.SUBSCRIBING
            topics = [(READY, 1), *((self._broker.ack_topics[g], 0) for g in self.gateways)]
            self._subacks = 0
            for at in range(0, len(topics), TOPICS_MAX):
                self._subacks += 1
                self.write(mqtt.subscribe(self.packet_id(), topics[at : at + TOPICS_MAX]))
        elif packet.kind == mqtt.SUBACK and self.state is _State.SUBSCRIBING:
            self._subacks -= 1
            if not self._subacks:
                self.state, self.pause_s = _State.UP, BACKOFF_MIN_S
                self._broker.entered(self)

    def packet_id(self) -> int:
        """The next one, from 1 to 65535."""
        self._packet_id = self._packet_id % 65_535 + 1
        return self._packet_id

    def write(self, data: bytes) -> None:
        """Send now; nothing happens where the connection is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            self.spoke_s = self._broker.now_s()

    def publish(self, name: str, payload: bytes, *, retain: bool = False) -> None:
        """One PUBLISH at QoS 1."""
        self.unacked += 1
        self.write(mqtt.publish(name, payload, self.packet_id(), retain=retain))

    def abort(self) -> None:
        """Vanish without a word, as with a cut cable; the broker then speaks the last will."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Say goodbye; what has been written still goes out."""
        if self._transport is not None:
            self.write(mqtt.DISCONNECT)
            self._transport.close()


class Broker:
    """Keeps all connections of a fleet to one broker."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        plan: FleetPlan,
        ears: Ears,
        now_s: Callable[[], float],
        connections: int | None = None,
        secret: str = "",
    ) -> None:
        self._host, self._port, self._secret = host, port, secret
        self._plan, self._ears = plan, ears
        self._rng = random.Random(plan.seed)
        self.now_s = now_s
        many = min(connections or plan.gateways, plan.gateways)
        self._shared = many < plan.gateways
        self._connections = [
            _Connection(number=n, gateways=range(n, plan.gateways, many), broker=self) for n in range(many)
        ]
        names = [plan.gateway(g) for g in range(plan.gateways)]
        self.ack_topics = [topic(name, Channel.ACK) for name in names]
        self._data_topics = [topic(name, Channel.DATA) for name in names]
        self._by_topic = {name: gateway for gateway, name in enumerate(self.ack_topics)}
        self._connecting = 0
        self._closing = False
        self._ready_s = float("-inf")
        self.lost_connections = 0
        self.complaints = 0
        self.complaint = ""
        """What went wrong last."""

    @property
    def up(self) -> int:
        """Connections over which one may publish."""
        return sum(each.state is _State.UP for each in self._connections)

    @property
    def settled(self) -> bool:
        """The broker has taken everything that was published."""
        return all(each.unacked <= 0 for each in self._connections if each.state is _State.UP)

    @property
    def connections(self) -> int:
        """All, up or not."""
        return len(self._connections)

    async def run(self) -> None:
        """Connect and stay connected, until cancelled. Raises CannotConnect."""
        _allow_files(len(self._connections))
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._look(tasks, self.now_s())
                await asyncio.sleep(LOOK_S)

    def _look(self, tasks: asyncio.TaskGroup, now_s: float) -> None:
        room = CONNECTING_MAX - self._connecting
        room -= sum(each.state is _State.HELLO for each in self._connections)
        for each in self._connections:
            if each.state is _State.AWAY:
                if each.next_try_s <= now_s and room > 0:
                    each.next_try_s = float("inf")
                    self._connecting += 1
                    room -= 1
                    tasks.create_task(self._connect(each), name=f"connect {each.number}")
            elif now_s - (each.heard_s + SILENCE_S if each.state is _State.UP else each.since_s + HANDSHAKE_S) > 0:
                self.complain("the broker does not answer")
                each.abort()
            elif now_s - each.spoke_s > KEEPALIVE_S / 2:
                each.write(mqtt.PINGREQ)

    async def _connect(self, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await loop.create_connection(lambda: connection, self._host, self._port)
        except OSError as error:  # TimeoutError is one, too
            self.complain(str(error) or "no answer")
            self._again_later(connection)
        finally:
            self._connecting -= 1

    def _again_later(self, connection: _Connection) -> None:
        now_s = self.now_s()
        pause_s = self._rng.random() * connection.pause_s
        connection.next_try_s = max(now_s + pause_s, connection.barred_s + self._rng.random())
        connection.pause_s = min(2 * connection.pause_s, BACKOFF_MAX_S)

    def hello(self, connection: _Connection) -> bytes:
        """The CONNECT of a connection."""
        if self._shared:
            return mqtt.connect(
                f"lg-{self._plan.prefix}-shared-{connection.number}", keepalive_s=KEEPALIVE_S, will=None
            )
        name = self._plan.gateway(connection.gateways[0])
        user = name if self._secret else ""
        will = (topic(name, Channel.ONLINE), b"0")
        return mqtt.connect(f"lg-{name}", keepalive_s=KEEPALIVE_S, will=will, user=user, password=self._secret)

    def entered(self, connection: _Connection) -> None:
        """A connection has subscribed: its gateways say who they are."""
        self.complaint = ""
        for gateway in connection.gateways:
            name = self._plan.gateway(gateway)
            connection.publish(topic(name, Channel.ONLINE), b"1", retain=True)
            connection.publish(topic(name, Channel.BIRTH), self._plan.birth(gateway), retain=True)
            self._ears.up(gateway)

    def lost(self, connection: _Connection, was_up: bool) -> None:
        """A connection is no more."""
        if was_up and not self._closing:
            self.lost_connections += 1
            for gateway in connection.gateways:
                self._ears.down(gateway)
        if not self._closing:
            self._again_later(connection)

    def heard(self, connection: _Connection, name: str, payload: bytes) -> None:
        """A message from the cloud. `ready` comes once over each connection and is passed on once."""
        if name == READY:
            if self.now_s() - self._ready_s > 1.0:
                self._ready_s = self.now_s()
                self._ears.ready()
        elif (gateway := self._by_topic.get(name)) is not None:
            self._ears.acknowledged(gateway, payload)

    def complain(self, why: str) -> None:
        """Note what is wrong; said once, until something works again."""
        self.complaints += 1
        if why != self.complaint:
            self.complaint = why
            log.warning("broker %s:%d: %s; trying again", self._host, self._port, why)

    def takes(self, gateway: int) -> bool:
        """Whether a gateway may publish another message now."""
        connection = self._connections[gateway % len(self._connections)]
        return connection.state is _State.UP and not connection.blocked and connection.unacked < UNACKED_MAX

    def publish(self, gateway: int, payload: bytes) -> None:
        """Send a gateway's data."""
        self._connections[gateway % len(self._connections)].publish(self._data_topics[gateway], payload)

    def cut(self, share: float, until_s: float) -> int:
        """Cut this share of the connections, as with a cable, and let none of them back before; how many they were."""
        chosen = self._rng.sample(self._connections, round(share * len(self._connections)))
        for connection in chosen:
            connection.barred_s, connection.pause_s = until_s, BACKOFF_MIN_S
            if connection.state is _State.AWAY and connection.next_try_s != float("inf"):
                self._again_later(connection)
            connection.abort()
        return len(chosen)

    async def goodbye(self, within_s: float) -> None:
        """Say `online` 0 for everyone, wait until the broker has it, and disconnect."""
        self._closing = True
        for connection in self._connections:
            if connection.state is _State.UP:
                for gateway in connection.gateways:
                    connection.publish(topic(self._plan.gateway(gateway), Channel.ONLINE), b"0", retain=True)
        await until(lambda: self.settled, within_s)
        for connection in self._connections:
            connection.close()
        await asyncio.sleep(0)


def _allow_files(connections: int) -> None:
    """Raise the limit on open files as far as it goes. Raises CannotConnect."""
    needed = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise CannotConnect(
                f"{connections} connections need {needed} open files, {hard} are allowed here:"
                f" raise the limit (ulimit -n {needed}), or let gateways share connections (--connections)"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
