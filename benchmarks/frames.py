"""Every byte between a gateway and its broker, as the frames that carry them: seen on loopback, or by a proxy.

On loopback a packet may be 64 kB, on a real link it is 1500 bytes. So a large packet is counted as the packets that an
Ethernet link would need, each with its header and its own acknowledgement, which is the most that TCP sends.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

IP_BYTES, TCP_BYTES = 20, 32
"""Headers without options of IPv4 (RFC 791), and of TCP with time stamps, as Linux sends them (RFC 7323)."""
SEGMENT_BYTES_MAX = 1500 - IP_BYTES - TCP_BYTES

_ALL_IPV4 = 0x0800
_OUTGOING = 4
"""Loopback shows each packet twice; this is the copy on its way out (packet(7))."""
_ATTACH_FILTER = 26
_PACKETS_BYTES_MAX = 8_000_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One IP packet: when it was seen (Unix time in s), whether to the broker, its length, and its TCP payload."""

    at_s: float
    up: bool
    length: int
    payload: int

    @property
    def wire_bytes(self) -> int:
        """Its bytes on a link of 1500-byte packets, from the IP header on."""
        more = max(0, -(-self.payload // SEGMENT_BYTES_MAX) - 1)
        return self.length + more * 2 * (IP_BYTES + TCP_BYTES)


def read_frame(packet: bytes, *, port: int, at_s: float) -> Frame | None:
    """The frame of an IPv4 packet that goes to or comes from a TCP port; None for any other."""
    if len(packet) < IP_BYTES or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
        return None
    header = 4 * (packet[0] & 15)
    if len(packet) < header + 13:
        return None
    length, source, target = *struct.unpack_from(">H", packet, 2), *struct.unpack_from(">HH", packet, header)
    if port not in (source, target):
        return None
    return Frame(at_s, target == port, length, length - header - 4 * (packet[header + 12] >> 4))


class Tap:
    """Frames of one TCP port, gathered in a thread. `how` says in which way."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.frames: list[Frame] = []
        self.stopping = threading.Event()


@contextmanager
def sniff(port: int) -> Iterator[Tap]:
    """All packets of a port of this machine. PermissionError where we may not look (it takes root, or CAP_NET_RAW)."""
    tap = Tap("IP packets seen on loopback")
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_IPV4)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PACKETS_BYTES_MAX)
        _only(raw, port)
        raw.bind(("lo", _ALL_IPV4))
        raw.settimeout(0.2)
        thread = threading.Thread(target=_listen, args=(raw, port, tap), name="sniff")
        thread.start()
        try:
            yield tap
        finally:
            tap.stopping.set()
            thread.join()


def _listen(raw: socket.socket, port: int, tap: Tap) -> None:
    while not tap.stopping.is_set():
        try:
            packet, address = raw.recvfrom(128)
        except TimeoutError:
            continue
        frame = read_frame(packet, port=port, at_s=time.time())
        if frame is not None and address[2] != _OUTGOING:
            tap.frames.append(frame)


def _only(raw: socket.socket, port: int) -> None:
    """Let the kernel drop what is not of this port: classic BPF (bpf(4)) over an IPv4 header without options."""
    load_half, equal, give = 0x28, 0x15, 0x06
    steps = [
        (load_half, 0, 0, 20),
        (equal, 2, 0, port),
        (load_half, 0, 0, 22),
        (equal, 0, 1, port),
        (give, 0, 0, 0xFFFF),
        (give, 0, 0, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    raw.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))


@contextmanager
def proxy(port: int) -> Iterator[tuple[Tap, int]]:
    """A port that leads to `port`, and counts what passes: each piece as one segment and its acknowledgement.

    For whoever may not look at packets. The headers are an estimate, and rather too high.
    """
    tap = Tap("a proxy: payload counted, headers estimated")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        thread = threading.Thread(target=_accept, args=(server, port, tap), name="proxy")
        thread.start()
        try:
            yield tap, server.getsockname()[1]
        finally:
            tap.stopping.set()
            thread.join()


def _accept(server: socket.socket, port: int, tap: Tap) -> None:
    while not tap.stopping.is_set():
        with contextlib.suppress(TimeoutError):
            client, _ = server.accept()
            broker = socket.create_connection(("127.0.0.1", port))
            for source, target, up in ((client, broker, True), (broker, client, False)):
                threading.Thread(target=_relay, args=(source, target, up, tap), daemon=True).start()


def _relay(source: socket.socket, target: socket.socket, up: bool, tap: Tap) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            tap.frames.append(Frame(time.time(), up, len(data) + IP_BYTES + TCP_BYTES, len(data)))
            tap.frames.append(Frame(time.time(), not up, IP_BYTES + TCP_BYTES, 0))
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
