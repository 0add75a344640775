"""Our acknowledgements never stand within a packet of paho's, whatever the operating system takes at once."""

from __future__ import annotations

import random
import ssl

import pytest

from ingest.sieve import Sieve
from ingest.sifted_client import SiftedSocket
from tests.unit.ingest.test_sieve import CONNACK, PINGRESP, publish


class Wire:
    """A socket that takes as many bytes as it is told, and gives what lies ready; by TLS it complains in its way."""

    def __init__(self, takes: list[int], *, tls: bool = False) -> None:
        self.takes = takes
        self.ready: list[bytes] = []
        self.sent = b""
        self._tls = tls

    def send(self, data: bytes) -> int:
        room = self.takes.pop(0) if self.takes else len(data)
        if not room:
            raise ssl.SSLWantWriteError if self._tls else BlockingIOError
        self.sent += bytes(data[:room])
        return min(room, len(data))

    def recv(self, bytes_max: int) -> bytes:
        if not self.ready:
            raise BlockingIOError
        return self.ready.pop(0)[:bytes_max]


def sifted(wire: Wire) -> SiftedSocket:
    sieve = Sieve(heard=lambda *_: True, version=4, payload_bytes_max=1000)
    return SiftedSocket(sock=wire, sieve=sieve, looks=lambda: None)


def ack(mid: int) -> bytes:
    return b"\x40\x02" + mid.to_bytes(2, "big")


@pytest.mark.parametrize("tls", [False, True])
def test_an_acknowledgement_waits_until_the_packet_before_it_is_whole(tls: bool) -> None:
    wire = Wire([3, 0] if tls else [3], tls=tls)
    ours = sifted(wire)
    assert ours.send(b"PACKET") == 3
    wire.ready.append(publish("a", b"", mid=7, version=4))
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    assert wire.sent == b"PAC", "an acknowledgement within the packet"
    if tls:
        with pytest.raises(ssl.SSLWantWriteError):
            ours.send(b"KET")
    assert ours.send(b"KET") == 3
    assert ours.send(b"NEXT") == 4
    assert wire.sent == b"PACKET" + ack(7) + b"NEXT"


def test_messages_that_tls_hands_over_one_by_one_are_taken_together() -> None:
    wire = Wire([])
    ours = sifted(wire)
    wire.ready += [publish("a", b"", mid=mid, version=4) for mid in (1, 2, 3)]
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    assert wire.ready == []
    assert wire.sent == ack(1) + ack(2) + ack(3)


def test_a_packet_of_tls_that_could_not_go_out_goes_before_anything_else() -> None:
    wire = Wire([0], tls=True)
    ours = sifted(wire)
    with pytest.raises(ssl.SSLWantWriteError):
        ours.send(b"PACKET")
    wire.ready.append(publish("a", b"", mid=7, version=4))
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    assert wire.sent == b""
    assert ours.send(b"PACKET") == 6


def test_whatever_the_wire_takes_the_stream_is_packets_and_acknowledgements_whole() -> None:
    rng = random.Random(11)
    for _ in range(300):
        wire = Wire([rng.choice((0, 1, 2, 5, 100)) for _ in range(60)])
        ours, want, mids = sifted(wire), b"PACKET" * 10, list(range(1, 9))
        rest, left = want, list(mids)
        for _ in range(200):
            if left and rng.random() < 0.3:
                wire.ready.append(publish("a", b"x", mid=left.pop(0), version=4) + PINGRESP)
            try:
                while ours.recv(1):
                    pass
            except BlockingIOError:
                pass
            try:
                if rest:
                    packet = rest[: (len(rest) - 1) % 6 + 1]
                    rest = rest[ours.send(packet) :]
            except BlockingIOError:
                pass
        wire.takes.clear()
        ours.pending()  # paho looks once a second
        with_acks = wire.sent
        for mid in mids:
            assert with_acks.count(ack(mid)) == 1
            with_acks = with_acks.replace(ack(mid), b"|")
        assert all(part.replace(b"PACKET", b"") == b"" for part in with_acks.split(b"|"))
        assert with_acks.replace(b"|", b"") == want


def test_packets_that_are_no_messages_reach_paho_byte_by_byte_and_the_end_is_the_end() -> None:
    wire = Wire([])
    ours = sifted(wire)
    wire.ready.append(CONNACK[:2])
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    wire.ready += [CONNACK[2:] + publish("a", b"b", version=4), b""]
    found = b"".join(ours.recv(1) for _ in CONNACK)
    assert (found, ours.pending(), ours.recv(1)) == (CONNACK, 0, b"")


def test_what_is_no_mqtt_ends_the_connection_as_any_error_of_a_socket() -> None:
    wire = Wire([])
    wire.ready.append(b"\x30\xff\xff\xff\xff\xff")
    with pytest.raises(OSError, match="no MQTT"):
        sifted(wire).recv(1)


def test_a_broken_connection_is_not_said_where_paho_does_not_listen() -> None:
    class Broken(Wire):
        def send(self, data: bytes) -> int:
            raise BrokenPipeError

    wire = Broken([])
    ours = sifted(wire)
    wire.ready.append(publish("a", b"", mid=7, version=4))
    with pytest.raises(BrokenPipeError):
        ours.recv(1)
    assert ours.pending() == 0
