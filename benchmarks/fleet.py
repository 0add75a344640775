"""Gateways that drain a backlog, all in one process that costs little: each sends its next message when the one before
has been acknowledged by ingest, as an agent whose flight is full does.

    python -m benchmarks.fleet PORT MESSAGES.json RESULT.json SECONDS

MESSAGES holds `[[gateway, first seq, last seq, path], …]`. The first message leaves when a worker says `ready`; after
SECONDS no new one does. RESULT gets `{"messages", "batches", "seconds"}` from the first publish to the last ack.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from data_contract.control import read_ack
from data_contract.topics import READY, Channel, every, gateway_of, topic

INFLIGHT_MAX = 1_000
SUBSCRIBED = "subscribed"
"""Name of the file beside RESULT that says that a worker may be started."""
BEGAN = "began"
"""And of the one that says that the first message leaves now."""


class Message(NamedTuple):
    """One message of a gateway: its batches, and its bytes."""

    gateway: str
    first: int
    last: int
    payload: bytes


class Fleet:
    """What each gateway has still to send, and what of its message has not been acknowledged."""

    def __init__(
        self,
        messages: Sequence[Message],
        client: Client,
        *,
        seconds: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting: dict[str, deque[Message]] = defaultdict(deque)
        for message in messages:
            self._waiting[message.gateway].append(message)
        self._open: dict[str, set[int]] = {}
        self._client = client
        self._seconds = seconds
        self._now_s = now_s
        self._began_s: float | None = None
        self.messages = 0
        self.batches = 0

    def ready(self) -> None:
        """Every gateway sends its first message."""
        if self._began_s is None:
            self._began_s = self._now_s()
            for gateway in list(self._waiting):
                self._send(gateway)

    def acknowledged(self, gateway: str, payload: bytes) -> float | None:
        """Count what an ack confirms, and send what comes next; how long it all took, after the very last ack."""
        ack = read_ack(payload)
        if ack is None or ack.rejected:
            sys.exit(f"{gateway}: {payload[:300]!r}")
        open_ = self._open.get(gateway, set())
        for first, last in ack.stored:
            done = open_ & set(range(first, last + 1))
            self.batches += len(done)
            open_ -= done
        if not open_ and gateway in self._open:
            del self._open[gateway]
            self.messages += 1
            self._send(gateway)
        assert self._began_s is not None
        return None if self._open else self._now_s() - self._began_s

    def _send(self, gateway: str) -> None:
        assert self._began_s is not None
        if self._waiting[gateway] and self._now_s() - self._began_s < self._seconds:
            message = self._waiting[gateway].popleft()
            self._open[gateway] = set(range(message.first, message.last + 1))
            self._client.publish(topic(gateway, Channel.DATA), message.payload, qos=1)


def main(port: int, index: str, result: str, seconds: float) -> None:
    """Send everything, and say how long it took."""
    messages = [Message(g, a, b, Path(path).read_bytes()) for g, a, b, path in json.loads(Path(index).read_text())]
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(INFLIGHT_MAX)
    fleet = Fleet(messages, client, seconds=seconds)

    def heard(_client: Client, _data: Any, message: MQTTMessage) -> None:
        if message.topic == READY:
            Path(result).with_name(BEGAN).touch()
            fleet.ready()
            return
        gateway = gateway_of(message.topic, Channel.ACK)
        took_s = fleet.acknowledged(gateway, bytes(message.payload)) if gateway else None
        if took_s is not None:
            said = {"messages": fleet.messages, "batches": fleet.batches, "seconds": took_s}
            Path(result).write_text(json.dumps(said))
            client.disconnect()

    client.on_message = heard
    client.on_connect = lambda *_: client.subscribe([(every(Channel.ACK), 1), (READY, 1)]) and None
    client.on_subscribe = lambda *_: Path(result).with_name(SUBSCRIBED).touch()
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))
