"""From packets to bytes per reading."""

from __future__ import annotations

import socket
import struct

import pytest

from benchmarks.bench_wire import MESSAGE_BYTES_MIN, bytes_between, message_starts, readings_between
from benchmarks.frames import IP_BYTES, SEGMENT_BYTES_MAX, TCP_BYTES, Frame, read_frame
from series_store.table import Receipt

BROKER, AGENT = 1883, 40000


def packet(
    payload: int, *, source: int = AGENT, target: int = BROKER, protocol: int = socket.IPPROTO_TCP, options: int = 0
) -> bytes:
    """An IPv4 packet with TCP time stamps, as Linux sends it."""
    header = IP_BYTES + options
    length = header + TCP_BYTES + payload
    ip = struct.pack(
        ">BBHHHBBH4s4s", 0x40 | header // 4, 0, length, 0, 0, 64, protocol, 0, b"\x7f\0\0\1", b"\x7f\0\0\1"
    )
    tcp = struct.pack(">HHIIBBHHH", source, target, 1, 1, TCP_BYTES // 4 << 4, 0x18, 512, 0, 0) + bytes(12)
    return ip + bytes(options) + tcp + b"x" * payload


@pytest.mark.parametrize("options", [0, 8])
def test_every_byte_of_a_packet_is_charged(options: int) -> None:
    frame = read_frame(packet(100, options=options), port=BROKER, at_s=5.0)
    assert frame == Frame(5.0, True, IP_BYTES + options + TCP_BYTES + 100, 100)
    assert frame.wire_bytes == 152 + options


def test_the_way_back_is_charged_too() -> None:
    frame = read_frame(packet(4, source=BROKER, target=AGENT), port=BROKER, at_s=0)
    assert frame is not None
    assert (frame.up, frame.length) == (False, 56)


def test_what_others_send_on_this_machine_is_not_charged() -> None:
    assert read_frame(packet(10, target=BROKER + 1), port=BROKER, at_s=0) is None
    assert read_frame(packet(10, protocol=socket.IPPROTO_UDP), port=BROKER, at_s=0) is None
    assert read_frame(b"\x60" + bytes(60), port=BROKER, at_s=0) is None


def test_a_packet_cut_short_by_the_capture_is_measured_by_what_it_says_of_itself() -> None:
    whole = packet(5000)
    assert read_frame(whole[:128], port=BROKER, at_s=0) == read_frame(whole, port=BROKER, at_s=0)
    for end in range(IP_BYTES + 13):
        assert read_frame(whole[:end], port=BROKER, at_s=0) is None


@pytest.mark.parametrize(
    "payload, more", [(SEGMENT_BYTES_MAX, 0), (SEGMENT_BYTES_MAX + 1, 1), (5 * SEGMENT_BYTES_MAX, 4)]
)
def test_a_packet_that_only_loopback_can_carry_costs_what_a_real_link_would(payload: int, more: int) -> None:
    frame = Frame(0, True, IP_BYTES + TCP_BYTES + payload, payload)
    assert frame.wire_bytes == frame.length + more * 2 * (IP_BYTES + TCP_BYTES)


def test_a_message_in_several_packets_is_one_message_and_an_ack_is_none() -> None:
    large, small = MESSAGE_BYTES_MIN, MESSAGE_BYTES_MIN - 1
    frames = [Frame(at, up, 52 + size, size) for at, up, size in [
        (10.0, True, large),
        (10.1, True, large),
        (10.2, False, large),
        (15.0, True, small),
        (20.0, True, large),
    ]]  # fmt: skip
    assert message_starts(frames, apart_s=5.0) == [10.0, 20.0]
    assert bytes_between(frames, 10.0, 20.0) == 4 * 52 + 3 * large + small


def test_only_readings_confirmed_in_the_counted_time_are_credited() -> None:
    def receipt(gateway: str, at_ms: int) -> Receipt:
        return Receipt(at_ms * 1000, gateway, "w", "r", 1, 0, 1, readings=200, bad=0, counts="{}")

    receipts = [receipt("a", at) for at in (999, 1000, 1999, 2000)] + [receipt("b", 1500)]
    assert readings_between(receipts, "a", 1000, 2000) == 400
