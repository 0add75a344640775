"""The broker's side of a worker through paho-mqtt in its own thread: bounded hand-over, manual acknowledgement.

Flow control is the broker's: it sends at most RECEIVE_MAX messages that we have not settled, so nothing here overflows.
Sessions are clean: after a reconnect packet ids begin anew, so a settlement of an earlier connection is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from data_contract.message import MESSAGE_BYTES_MAX
from data_contract.topics import Channel, every
from ingest.config import BrokerConfig
from ingest.errors import Fatal
from ingest.ports import Delivery
from yaml_models import tls
from yaml_models.bad_file import BadFile

log = logging.getLogger("loopgauge.ingest.consumer")

RECEIVE_MAX = 200
"""Messages that the broker may have under way to us. With MESSAGE_BYTES_MAX this bounds the memory."""
TAKE_MAX = 100
"""Messages in one hand-over."""
TAKE_BYTES_MAX = 4_000_000
WAITING_MAX = 1000
"""Messages that wait here. Only a broker without MQTT 5 sends so many: more are dropped, and their gateways repeat."""
SHARE = "ingest"


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


class MqttConsumer:
    """A connection that is made again whenever it is lost. `start` must run inside the event loop that takes."""

    def __init__(
        self, *, worker: str, config: BrokerConfig, password: str | None, connected: Callable[[], None]
    ) -> None:
        """`connected` is called in the event loop after each subscription."""
        self._config = config
        self._connected = connected
        self._filter = f"$share/{SHARE}/{every(Channel.DATA)}" if config.shared else every(Channel.DATA)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Delivery] = []
        self._arrived = asyncio.Event()
        self._generation = 0
        self._away = False
        self._version = MQTTProtocolVersion.MQTTv5 if config.shared else MQTTProtocolVersion.MQTTv311
        self._client = self._make_client(worker, password)

    def _make_client(self, worker: str, password: str | None) -> Client:
        v5 = self._version is MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
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
        client.on_message = self._on_message
        return client

    def start(self) -> None:
        """Connect in the background."""
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
        self._generation += 1
        client.subscribe(self._filter, qos=1)
        self._loop.call_soon_threadsafe(self._back)

    def _back(self) -> None:
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
            if not self._away:
                log.warning(
                    "broker: %s:%d away (%s); gateways keep their readings", self._config.host, self._config.port, why
                )
            self._away = True

        self._loop.call_soon_threadsafe(say)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        assert self._loop is not None
        delivery = Delivery(message.topic, bytes(message.payload), _Token(self._generation, message.mid, message.qos))
        self._loop.call_soon_threadsafe(self._arrive, delivery)

    def _arrive(self, delivery: Delivery) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self.settle([delivery])
            return
        self._waiting.append(delivery)
        self._arrived.set()

    async def take(self, wait_s: float) -> list[Delivery]:
        if not self._waiting:
            self._arrived.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        count, size = 0, 0
        while count < min(len(self._waiting), TAKE_MAX) and size < TAKE_BYTES_MAX:
            size += len(self._waiting[count].payload)
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            token = delivery.token
            assert isinstance(token, _Token)
            if token.generation == self._generation and token.qos:
                self._client.ack(token.mid, token.qos)

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1)
