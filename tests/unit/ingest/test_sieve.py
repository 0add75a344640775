"""Messages are taken out of the broker's stream whole, wherever it is cut; all other packets stay as they were."""

from __future__ import annotations

import random

import pytest

from ingest.sieve import Malformed, Sieve

LIMIT = 1000


def head(kind: int, size: int) -> bytes:
    """Fixed header; by the algorithm of section 2.2.3 of MQTT 3.1.1."""
    out = bytearray([kind])
    while True:
        size, low = divmod(size, 128)
        out.append(low | (128 if size else 0))
        if not size:
            return bytes(out)


def publish(topic: str, payload: bytes, *, mid: int = 0, version: int = 5, properties: bytes = b"") -> bytes:
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name
    body += mid.to_bytes(2, "big") if mid else b""
    body += head(0, len(properties))[1:] + properties if version == 5 else b""
    return head(0x32 if mid else 0x30, len(body + payload)) + body + payload


class Ear:
    """Hears messages; settles those that it is told to."""

    def __init__(self, version: int, settles: bool = True) -> None:
        self.heard: list[tuple[str, bytes, int, int]] = []
        self._settles = settles
        self.sieve = Sieve(heard=self._hear, version=version, payload_bytes_max=LIMIT)

    def _hear(self, topic: str, payload: bytes, mid: int, qos: int) -> bool:
        self.heard.append((topic, payload, mid, qos))
        return self._settles


CONNACK, PINGRESP, SUBACK = b"\x20\x03\x00\x00\x00", b"\xd0\x00", b"\x90\x04\x00\x01\x00\x01"


def stream(version: int) -> bytes:
    return b"".join(
        [
            CONNACK,
            publish("lg/v1/gw-1/data", b"one", mid=7, version=version),
            SUBACK,
            publish("lg/v1/gw-2/data", b"", version=version),
            publish("lg/v1/gw-3/data", bytes(range(256)) * 2, mid=0xFFFF, version=version, properties=b"\x01\x00"),
            PINGRESP,
        ]
    )


HEARD = [
    ("lg/v1/gw-1/data", b"one", 7, 1),
    ("lg/v1/gw-2/data", b"", 0, 0),
    ("lg/v1/gw-3/data", bytes(range(256)) * 2, 0xFFFF, 1),
]


@pytest.mark.parametrize("version", [4, 5])
def test_a_stream_that_is_cut_anywhere_brings_the_same_messages(version: int) -> None:
    whole = stream(version)
    cuts = [[cut] for cut in range(len(whole) + 1)] + [list(range(1, len(whole)))]
    for places in cuts:
        ear = Ear(version)
        for begin, end in zip([0, *places], [*places, len(whole)], strict=True):
            ear.sieve.feed(whole[begin:end])
        assert ear.heard == HEARD
        assert bytes(ear.sieve.rest) == CONNACK + SUBACK + PINGRESP
        assert bytes(ear.sieve.acks) == b"\x40\x02\x00\x07\x40\x02\xff\xff", "PUBACK of the two of quality 1"


def test_what_is_not_settled_yet_is_not_acknowledged() -> None:
    ear = Ear(5, settles=False)
    ear.sieve.feed(stream(5))
    assert (ear.heard, bytes(ear.sieve.acks)) == (HEARD, b"")


def test_a_message_of_a_hundred_megabytes_takes_no_memory_and_its_followers_arrive() -> None:
    ear = Ear(4)
    size = 100_000_000
    whole = publish("lg/v1/gw-1/data", b"x" * size, mid=3, version=4) + stream(4)
    most = 0
    for begin in range(0, len(whole), 262_144):
        ear.sieve.feed(whole[begin : begin + 262_144])
        most = max(most, len(ear.sieve._buffer))
    assert ear.heard == [("lg/v1/gw-1/data", b"x" * LIMIT, 3, 1), *HEARD]
    assert bytes(ear.sieve.acks[:4]) == b"\x40\x02\x00\x03"
    assert most < 500_000


def test_a_message_of_quality_2_is_left_to_the_client() -> None:
    ear = Ear(5)
    packet = b"\x34" + publish("a", b"b", mid=1)[1:]
    ear.sieve.feed(packet)
    assert (ear.heard, bytes(ear.sieve.rest)) == ([], packet)


@pytest.mark.parametrize(
    "bad", [b"\x30\xff\xff\xff\xff\xff", b"\x30\x01\x00", b"\x32\x03\x00\x01a", b"\x30\x04\x00\x01a\x7f", b"\x30\x00"]
)
def test_what_is_no_mqtt_is_said(bad: bytes) -> None:
    with pytest.raises(Malformed):
        Ear(5).sieve.feed(bad + bytes(10))


def test_noise_brings_an_error_or_waits_for_more_and_nothing_else() -> None:
    rng = random.Random(3)
    for _ in range(3000):
        ear = Ear(rng.choice((4, 5)))
        try:
            for _ in range(4):
                ear.sieve.feed(rng.randbytes(rng.randrange(60)))
        except Malformed:
            continue
