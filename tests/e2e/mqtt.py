"""An MQTT client for tests: it keeps what it hears, and says when it is connected or subscribed."""

from __future__ import annotations

import queue
from types import TracebackType
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from tests.e2e.servers import PATIENCE_S


class Client:
    """One connection on MQTT 3.1.1, as gateways use it."""

    def __init__(self, *, port: int, user: str | None = None, password: str | None = None) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.answers: queue.Queue[str] = queue.Queue()
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._mqtt.username_pw_set(user, password)
        self._mqtt.on_connect = lambda _c, _u, _f, reason, _p: self.answers.put(str(reason))
        self._mqtt.on_subscribe = lambda _c, _u, _m, _r, _p: self.answers.put("subscribed")
        self._mqtt.on_message = lambda _c, _u, message: self.heard.put((message.topic, bytes(message.payload)))
        self._mqtt.connect("127.0.0.1", port)
        self._mqtt.loop_start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def answer(self) -> str:
        """The next answer of the broker."""
        return self.answers.get(timeout=PATIENCE_S)

    def connected(self) -> Self:
        """Itself, once the broker has let it in."""
        assert self.answer() == "Success"
        return self

    def subscribe(self, topic: str) -> None:
        """Subscribe, and wait until the broker has granted it, or says so."""
        self._mqtt.subscribe(topic, qos=1)
        assert self.answer() == "subscribed"

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish, and wait until the broker has taken it, or says so."""
        sent = self._mqtt.publish(topic, payload, qos=1)
        assert sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        sent.wait_for_publish(PATIENCE_S)
        assert sent.is_published(), f"no answer to a publish on {topic}"

    def hear(self, within_s: float = PATIENCE_S) -> tuple[str, bytes]:
        """The next message. Raises queue.Empty."""
        return self.heard.get(timeout=within_s)

    def close(self) -> None:
        """Say goodbye."""
        self._mqtt.disconnect()
        self._mqtt.loop_stop()
