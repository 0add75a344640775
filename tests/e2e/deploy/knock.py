"""Who is let in by a broker, told from its first answer alone; and a client for those who are."""

from __future__ import annotations

import queue
import socket
import ssl
from types import TracebackType
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from tests.e2e.servers import PATIENCE_S, wait_until

_CONNECT = bytes.fromhex("100d00044d5154540402003c000178")
"""MQTT 3.1.1 (OASIS, 2014), section 3.1: protocol name and level 4, clean session, keep-alive 60 s, client id `x`."""
_ACCEPTED = bytes.fromhex("20020000")
"""Section 3.2: CONNACK, return code 0."""


def is_let_in(port: int, context: ssl.SSLContext | None) -> bool:
    """Whether a broker accepts a connection with these certificates (None: without TLS).

    A server that asks for a certificate refuses after the client's part of TLS 1.3 is over, so only the answer to a
    CONNECT tells. Raises ssl.SSLCertVerificationError where the *client* refuses.
    """
    with socket.create_connection(("localhost", port), timeout=PATIENCE_S) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") if context else plain as connection:
                connection.sendall(_CONNECT)
                return connection.recv(4) == _ACCEPTED
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionError):
            return False


class TlsClient:
    """One connection with a certificate, by default on MQTT 3.1.1; it keeps what it hears."""

    def __init__(
        self,
        *,
        port: int,
        context: ssl.SSLContext,
        client_id: str = "",
        version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    ) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.ends: queue.Queue[str] = queue.Queue()
        """Why it was disconnected, each time."""
        self._answers: queue.Queue[str] = queue.Queue()
        self._mqtt = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=False
        )
        self._mqtt.tls_set_context(context)
        self._mqtt.on_connect = lambda _c, _u, _f, reason, _p: self._answers.put(str(reason))
        self._mqtt.on_disconnect = lambda _c, _u, _f, reason, _p: self.ends.put(str(reason))
        self._mqtt.on_subscribe = lambda _c, _u, _m, _r, _p: self._answers.put("subscribed")
        self._mqtt.on_message = lambda _c, _u, message: self.heard.put((message.topic, bytes(message.payload)))
        self._mqtt.connect("localhost", port)
        self._mqtt.loop_start()
        assert self._answers.get(timeout=PATIENCE_S) == "Success"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Say goodbye; harmless when it has been said."""
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    @property
    def is_connected(self) -> bool:
        """Whether the broker has not ended it."""
        return self._mqtt.is_connected()

    def subscribe(self, topic: str) -> None:
        """Subscribe, and wait until the broker has granted it, or says so."""
        self._mqtt.subscribe(topic, qos=1)
        assert self._answers.get(timeout=PATIENCE_S) == "subscribed"

    def send(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1, and do not wait."""
        self._mqtt.publish(topic, payload, qos=1)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1, and wait until the broker has taken it, or says so."""
        sent = self._mqtt.publish(topic, payload, qos=1, retain=retain)
        assert sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS, f"{sent.rc.name} on {topic}"
        wait_until(lambda: sent.is_published() or not self.is_connected)
        assert sent.is_published(), f"no answer to a publish on {topic}"

    def hear(self) -> tuple[str, bytes]:
        """The next message. Raises queue.Empty."""
        return self.heard.get(timeout=PATIENCE_S)

    def hears_nothing(self, within_s: float = 0.5) -> bool:
        """Whether no message comes: on loopback one that was sent before has been heard after half a second."""
        try:
            self.heard.get(timeout=within_s)
        except queue.Empty:
            return True
        return False
