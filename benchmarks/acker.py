"""A cloud that stores nothing: it checks the header and the CRC of each message and acknowledges all of its batches.

    python -m benchmarks.acker PORT SUBSCRIBED

The file SUBSCRIBED is made once messages are heard. So a bench sees the gateways' side alone, acks included.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from data_contract.control import Ack, write
from data_contract.message import read_header
from data_contract.topics import Channel, every, topic


def main(port: int, subscribed: Path) -> None:
    """Acknowledge until killed."""
    client = Client(CallbackAPIVersion.VERSION2)

    def heard(_client: Client, _data: Any, message: MQTTMessage) -> None:
        header, _ = read_header(bytes(message.payload))
        ack = Ack(run=header.run, stored=((header.first, header.last),))
        client.publish(topic(header.gateway, Channel.ACK), write(ack))

    client.on_message = heard
    client.on_connect = lambda *_: client.subscribe(every(Channel.DATA), 1) and None
    client.on_subscribe = lambda *_: subscribed.touch()
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
