"""The fleet's own MQTT: what it writes is what the standard says, and what it reads may come in any pieces."""

from __future__ import annotations

import pytest

from simulators.fleet import mqtt
from simulators.fleet.mqtt import BadPacket, Incoming, Packet


def test_packets_are_those_of_the_standard_byte_by_byte() -> None:
    # MQTT 3.1.1, 3.1: fixed header, "MQTT", level 4, flags (will retained at QoS 1, clean session), keep-alive, payload
    assert mqtt.connect("c", keepalive_s=60, will=("t", b"0")).hex(" ") == (
        "10 13 00 04 4d 51 54 54 04 2e 00 3c 00 01 63 00 01 74 00 01 30"
    )
    assert mqtt.connect("c", keepalive_s=1, will=None, user="u", password="p")[9] == 0xC2
    assert mqtt.publish("a/b", b"xy", 10).hex(" ") == "32 09 00 03 61 2f 62 00 0a 78 79"
    assert mqtt.publish("a/b", b"xy", 10, retain=True)[0] == 0x33
    assert mqtt.subscribe(10, [("a/b", 1), ("c/d", 2)]).hex(" ") == "82 0e 00 0a 00 03 61 2f 62 01 00 03 63 2f 64 02"
    assert mqtt.puback(258).hex(" ") == "40 02 01 02"


@pytest.mark.parametrize("length, head", [(127, "7f"), (128, "80 01"), (16_383, "ff 7f"), (16_384, "80 80 01")])
def test_lengths_are_written_and_read_at_their_edges(length: int, head: str) -> None:
    packet = mqtt.publish("t", b"x" * (length - 5), 7)
    assert packet[1 : 1 + len(bytes.fromhex(head))] == bytes.fromhex(head)
    (read,) = Incoming().feed(packet)
    assert mqtt.read_publish(read) == ("t", b"x" * (length - 5), 7)


STREAM = (
    b"\x20\x02\x00\x00" + mqtt.publish("lg/v1/ready", b"{}", 1) + b"\x40\x02\x00\x05" + b"\x90\x03\x00\x01\x01\xd0\x00"
)


def test_packets_cut_anywhere_are_the_same_packets() -> None:
    whole = list(Incoming().feed(STREAM))
    assert [packet.kind for packet in whole] == [
        mqtt.CONNACK,
        mqtt.PUBLISH,
        mqtt.PUBACK,
        mqtt.SUBACK,
        mqtt.PINGRESP,
    ]
    for cut in range(len(STREAM)):
        incoming = Incoming()
        assert [*incoming.feed(STREAM[:cut]), *incoming.feed(STREAM[cut:])] == whole
    incoming = Incoming()
    assert [packet for byte in STREAM for packet in incoming.feed(bytes((byte,)))] == whole


def test_what_is_no_mqtt_ends_the_connection_and_not_the_process() -> None:
    with pytest.raises(BadPacket, match="four bytes"):
        list(Incoming().feed(b"\x30\xff\xff\xff\xff\x01"))
    with pytest.raises(BadPacket, match="bytes"):
        list(Incoming().feed(b"\x30\xff\xff\xff\x7f"))
    for body in (b"", b"\x00", b"\x00\x05ab", b"\x00\x01a"):
        with pytest.raises(BadPacket):
            mqtt.read_publish(Packet(mqtt.PUBLISH, 0x02, body))
    with pytest.raises(BadPacket):
        mqtt.read_publish(Packet(mqtt.PUBLISH, 0x04, b"\x00\x01a\x00\x01"))
    with pytest.raises(BadPacket, match="UTF-8"):
        mqtt.read_publish(Packet(mqtt.PUBLISH, 0x00, b"\x00\x01\xff"))
    assert mqtt.refusal(Packet(mqtt.CONNACK, 0, b"\x00\x05")) == "not authorised"
    assert mqtt.refusal(Packet(mqtt.CONNACK, 0, b"\x00\x00")) is None
    with pytest.raises(BadPacket):
        mqtt.refusal(Packet(mqtt.CONNACK, 0, b""))
