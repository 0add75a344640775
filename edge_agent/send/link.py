"""The link to the broker through aiomqtt: connect, subscribe, publish. MQTT 3.1.1, clean session, QoS 1."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt

from data_contract.topics import READY, Channel, commands_filter, topic
from edge_agent.config import UplinkConfig
from edge_agent.errors import Fatal, NotConnected
from edge_agent.ports import SLOWEST_BYTES_PER_S, Heard
from yaml_models import tls
from yaml_models.bad_file import BadFile

INCOMING_MAX = 1000
"""Messages from the cloud that wait to be handled; more are dropped, and answered again after a repeat."""

GOODBYE_S = 2.0
"""Longest wait for the broker when the agent stops."""

RESOLVE_S_MAX = 120.0
"""Longest search for the broker's address, on a gateway without network: resolv.conf(5) has three name servers asked
twice for 5 s each, 30 s, for the name as it stands and again below each domain of the search list."""

CONNECT_S_MAX = 40.0
"""Longest way to a connection then: paho gives each of the broker's addresses 5 s, and a handshake as long."""

# aiomqtt sets this level itself when it is imported; what it has to say, the sender says once.
logging.getLogger("mqtt").setLevel(logging.CRITICAL)


def tls_context(config: UplinkConfig) -> ssl.SSLContext | None:
    """None on loopback. Raises Fatal where a file is unusable."""
    try:
        return None if config.tls is None else tls.tls_context(config.tls)
    except BadFile as error:
        raise Fatal(f"uplink.tls: {error}") from None


def _keepalive_s(config: UplinkConfig) -> int:
    """As configured, but long enough that a metered link is not charged for a ping between two messages."""
    return max(config.keepalive_s, math.ceil(1.5 * config.send_every_s))


class MqttSession:
    """A connected session."""

    def __init__(self, client: aiomqtt.Client, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        # A slow link is no silent broker: it would be left and joined again without end, each time for the same bytes.
        timeout_s = self._timeout_s + len(payload) / SLOWEST_BYTES_PER_S
        try:
            await self._client.publish(topic, payload, qos=1, retain=retain, timeout=timeout_s)
        except (aiomqtt.MqttError, ValueError) as error:
            raise NotConnected(str(error)) from error

    async def messages(self) -> AsyncIterator[Heard]:
        try:
            async for message in self._client.messages:
                if isinstance(message.payload, bytes):
                    yield Heard(message.topic.value, message.payload, message.retain)
        except aiomqtt.MqttError as error:
            raise NotConnected(str(error)) from error


class MqttLink:
    """Connects as the gateway, with `online` as its last will."""

    def __init__(self, *, gateway: str, config: UplinkConfig, password: str | None) -> None:
        self._gateway = gateway
        self._config = config
        self._password = password

    @property
    def longest_s(self) -> float:
        """See `Link`: behind the connection come its confirmation and two subscriptions, each with its time-out."""
        return RESOLVE_S_MAX + CONNECT_S_MAX + 3 * self._config.timeout_s

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[MqttSession]:
        config = self._config
        online = topic(self._gateway, Channel.ONLINE)
        client = aiomqtt.Client(
            config.host,
            config.port,
            identifier=f"lg-{self._gateway}",
            username=config.username or (self._gateway if self._password else None),
            password=self._password,
            tls_context=tls_context(config),
            clean_session=True,
            keepalive=_keepalive_s(config),
            timeout=config.timeout_s,
            max_queued_incoming_messages=INCOMING_MAX,
            will=aiomqtt.Will(online, b"0", qos=1, retain=True),
        )
        try:
            async with client:
                # An ack that is lost on the way is asked for again by a repeat; QoS 1 would cost two packets for each.
                ack, commands = topic(self._gateway, Channel.ACK), commands_filter(self._gateway)
                await client.subscribe([(ack, 0), (READY, 1), (commands, 1)])
                try:
                    yield MqttSession(client, timeout_s=config.timeout_s)
                except asyncio.CancelledError:
                    # The agent stops: a clean disconnect takes the last will back, so it is said here.
                    with contextlib.suppress(aiomqtt.MqttError):
                        await client.publish(online, b"0", qos=1, retain=True, timeout=GOODBYE_S)
                    raise
        except (aiomqtt.MqttError, OSError) as error:
            raise NotConnected(str(error)) from error
