"""Publishes one message again and again, as fast as paho can: `python flooder.py PORT TOPIC FILE SECONDS`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

INFLIGHT_MAX = 1000


def main(port: int, topic: str, file: str, seconds: float) -> int:
    """How many messages went out."""
    payload, sent, taken = Path(file).read_bytes(), 0, 0
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(INFLIGHT_MAX)

    def published(*_: object) -> None:
        nonlocal taken
        taken += 1

    client.on_publish = published
    client.connect("127.0.0.1", port)
    client.loop_start()
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        if sent - taken < INFLIGHT_MAX:
            client.publish(topic, payload, qos=1)
            sent += 1
        else:
            time.sleep(0.0005)
    return sent


if __name__ == "__main__":
    print(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])), flush=True)
