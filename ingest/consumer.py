"""The broker's side of a worker through paho-mqtt in its own thread: a bounded hand-over that is fair by gateway.

A broker sends in order of arrival, so whoever waits there waits behind everybody. Hence messages are settled as they
arrive, into the lane of their gateway or into nothing where that is full: a flood meets its own lane's end, and never
makes the broker hold back others. Only when many lanes together hold more than CALM_BYTES_MAX is settling put off until
a message has been dealt with, and the broker's own limit, RECEIVE_MAX, slows everybody down.

Sessions are clean: after a reconnect packet ids begin anew, so a settlement of an earlier connection is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from data_contract.message import MESSAGE_BYTES_MAX
from data_contract.topics import Channel, every, gateway_of
from ingest.config import BrokerConfig
from ingest.errors import Fatal
from ingest.fair import Lanes
from ingest.ports import Delivery
from ingest.share import SHARE
from ingest.sieve import Sieve
from ingest.sifted_client import SiftedClient
from yaml_models import tls
from yaml_models.bad_file import BadFile

log = logging.getLogger("loopgauge.ingest.consumer")

RECEIVE_MAX = 1000
"""Messages that the broker may have under way to us."""
TAKE_MAX = 100
"""Messages in one hand-over."""
TAKE_BYTES_MAX = 4_000_000
LANE_BYTES_MAX = 2_000_000
"""Of one gateway: what it has in flight (256 kB, or one message of 512 kB) several times over, since it repeats."""
QUANTUM_BYTES = 64_000
"""Of one gateway, before the next one's turn."""
CALM_BYTES_MAX = 64_000_000
"""What waits is settled on arrival up to here."""
BYTES_MAX = 256_000_000
"""Of all."""
MESSAGE_COST_BYTES = 1_000
"""What a message takes here beside its payload, so that a lane of empty ones has an end, too."""
STRANGERS = ""
"""The lane of all gateways that have not been admitted yet. No gateway has this name."""
THREAD_S_MAX = 120.0
"""paho's thread is heard of each second; while it connects again, after a pause of 30 s and whatever name look-up,
connect and handshake take."""


def tls_context(config: BrokerConfig) -> ssl.SSLContext | None:
    """None on loopback. Raises Fatal where a file is unusable."""
    try:
        return None if config.tls is None else tls.tls_context(config.tls)
    except BadFile as error:
        raise Fatal(f"broker.tls: {error}") from None


class _Token(NamedTuple):
    """What settles a message, and the connection on which it came."""

    generation: int
    mid: int
    qos: int


class Queue(NamedTuple):
    """How full the hand-over is. `dropped`: (reason, gateway or STRANGERS) → messages since the start."""

    messages: int
    bytes: int
    lanes: int
    dropped: dict[tuple[str, str], int]


class MqttConsumer:
    """A connection that is made again whenever it is lost. `start` must run inside the event loop that takes."""

    def __init__(
        self,
        *,
        worker: str,
        config: BrokerConfig,
        password: str | None,
        connected: Callable[[], None],
        share: str = SHARE,
        knows: Callable[[str], bool] = lambda gateway: True,
        promise: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """`connected` is called in the event loop after each subscription.

        `knows`: whether a gateway has a lane of its own; `promise`: within how many s paho's thread is heard of again.
        Both are called in that thread.
        """
        self._config = config
        self._connected = connected
        self._knows = knows
        self._filter = f"$share/{share}/{every(Channel.DATA)}" if config.shared else every(Channel.DATA)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._promise = promise
        self.is_connected = False
        self.connections = 0
        """Since the start."""
        self._lock = threading.Lock()
        self._lanes: Lanes[Delivery] = Lanes(
            lane_bytes_max=LANE_BYTES_MAX, bytes_max=BYTES_MAX, quantum_bytes=QUANTUM_BYTES
        )
        self._arrived = asyncio.Event()
        self._generation = 0
        self._away = False
        self._version = MQTTProtocolVersion.MQTTv5 if config.shared else MQTTProtocolVersion.MQTTv311
        self._client = self._make_client(worker, password)

    def _make_client(self, worker: str, password: str | None) -> Client:
        v5 = self._version is MQTTProtocolVersion.MQTTv5
        client = SiftedClient(
            CallbackAPIVersion.VERSION2,
            sieve=self._new_sieve,
            looks=lambda: self._promise(THREAD_S_MAX),
            client_id=f"lg-ingest-{worker}",
            clean_session=None if v5 else True,
            protocol=self._version,
            manual_ack=True,
        )
        if self._config.username is not None:
            client.username_pw_set(self._config.username, password)
        context = tls_context(self._config)
        if context is not None:
            client.tls_set_context(context)
        client.reconnect_delay_set(min_delay=1, max_delay=30)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        return client

    def start(self) -> None:
        """Connect in the background."""
        self._promise(THREAD_S_MAX)
        self._loop = asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if self._version is MQTTProtocolVersion.MQTTv5:
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            limits.ReceiveMaximum = RECEIVE_MAX
            limits.MaximumPacketSize = MESSAGE_BYTES_MAX + 1024
            options = {"clean_start": True, "properties": limits}
        self._client.connect_async(self._config.host, self._config.port, keepalive=30, **options)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _props: Any) -> None:
        assert self._loop is not None
        if reason.is_failure:
            self._lost(f"refused by the broker: {reason}")
            return
        client.subscribe(self._filter, qos=1)
        self._loop.call_soon_threadsafe(self._back)

    def _back(self) -> None:
        self.is_connected = True
        self.connections += 1
        if self._away:
            log.info("broker: connected again")
            self._away = False
        self._connected()

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        self._lost("cannot connect")

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _props: Any
    ) -> None:
        if reason.is_failure:
            self._lost(str(reason))

    def _lost(self, why: str) -> None:
        assert self._loop is not None

        def say() -> None:
            self.is_connected = False
            if not self._away:
                log.warning(
                    "broker: %s:%d away (%s); gateways keep their readings", self._config.host, self._config.port, why
                )
            self._away = True

        self._loop.call_soon_threadsafe(say)

    def _new_sieve(self) -> Sieve:
        self._generation += 1
        # Longer payloads are refused by their length, and need not be kept whole for that.
        return Sieve(heard=self._heard, version=int(self._version), payload_bytes_max=MESSAGE_BYTES_MAX + 1)

    def _heard(self, name: str, payload: bytes, mid: int, qos: int) -> bool:
        """In paho's thread, for each message: what is dropped must cost next to nothing."""
        assert self._loop is not None
        gateway = gateway_of(name, Channel.DATA)
        lane = gateway if gateway is not None and self._knows(gateway) else STRANGERS
        with self._lock:
            calm = self._lanes.bytes <= CALM_BYTES_MAX
            delivery = Delivery(name, payload, None if calm else _Token(self._generation, mid, qos))
            first = not self._lanes
            dropped = self._lanes.put(lane, len(payload) + MESSAGE_COST_BYTES, delivery)
        if first:
            self._loop.call_soon_threadsafe(self._arrived.set)
        if dropped is delivery:
            return True
        if dropped is not None:
            self.settle([dropped])
        return calm

    async def take(self, wait_s: float) -> list[Delivery]:
        try:
            async with asyncio.timeout(wait_s):
                while not self._lanes:
                    self._arrived.clear()
                    if not self._lanes:  # a message that came before the clearing woke nobody
                        await self._arrived.wait()
        except TimeoutError:
            return []
        with self._lock:
            return self._lanes.take(TAKE_MAX, TAKE_BYTES_MAX)

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            token = delivery.token
            if isinstance(token, _Token) and token.generation == self._generation and token.qos:
                self._client.ack(token.mid, token.qos)

    def queue(self) -> Queue:
        """What waits to be taken, and what was not let in."""
        with self._lock:
            lanes = self._lanes
            return Queue(len(lanes), lanes.bytes, lanes.lanes, dict(lanes.dropped))

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1)
