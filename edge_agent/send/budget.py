"""Bytes per second that the uplink may take: a bucket of tokens. Pure.

Who pays for bytes pays for all of them, so a message is counted with its topic, MQTT and TCP/IP, and with what answers
it. Only what is large can wait, so birth and `online` are counted and go at once, and a keep-alive is not even counted:
it is sent where nothing else is.
"""

from __future__ import annotations

import math

BURST_S = 10.0
"""What has not been used may be made up for, up to so many s of the budget."""
MESSAGE_S = 5.0
"""One message takes no more than so many s of the budget, unless it is a single batch."""

HEADERS_BYTES = 52
"""IPv4 without options (RFC 791), TCP with time stamps (RFC 7323)."""
SEGMENT_BYTES_MAX = 1500 - HEADERS_BYTES
PUBLISH_BYTES = 9
"""Of a PUBLISH beside topic and payload: type, length (4 at most), length of the topic, packet id."""
RECORD_BYTES, RECORD_BYTES_MAX = 22, 16_384
"""TLS 1.3 adds so much to each record of up to so many bytes (RFC 8446, 5.2)."""
ANSWER_BYTES = 2 * (2 * HEADERS_BYTES + RECORD_BYTES) + 4 + 160
"""PUBACK (4 bytes) and ack (some 160 with its topic), each a segment that is acknowledged."""


def wire_bytes(topic: str, payload: bytes) -> int:
    """Bytes both ways on a link of 1500-byte packets, from the IP header on, that publishing this costs with TLS."""
    packet = PUBLISH_BYTES + len(topic) + len(payload)
    packet += RECORD_BYTES * -(-packet // RECORD_BYTES_MAX)
    return packet + 2 * HEADERS_BYTES * -(-packet // SEGMENT_BYTES_MAX) + ANSWER_BYTES


class Budget:
    """Lets messages go as long as something is left. One message may overdraw it; the next then waits for longer."""

    def __init__(self, *, bytes_per_s: float | None) -> None:
        """None: no limit."""
        self.bytes_per_s = bytes_per_s
        self._left = BURST_S * (bytes_per_s or 0.0)
        self._at_s: float | None = None

    @property
    def message_bytes_max(self) -> float:
        """Bytes, as sent, that a message should have at most, so that the next need not wait for long."""
        return math.inf if self.bytes_per_s is None else MESSAGE_S * self.bytes_per_s

    def _fill(self, now_s: float) -> None:
        assert self.bytes_per_s is not None
        passed_s = 0.0 if self._at_s is None else now_s - self._at_s
        self._left = min(self._left + passed_s * self.bytes_per_s, BURST_S * self.bytes_per_s)
        self._at_s = now_s

    def spend(self, size: int, now_s: float) -> None:
        """So many bytes have gone, whether there was room for them or not."""
        if self.bytes_per_s is not None:
            self._fill(now_s)
            self._left -= size

    def wait_s(self, now_s: float) -> float:
        """How long until a message may go; 0: now."""
        if self.bytes_per_s is None:
            return 0.0
        self._fill(now_s)
        return 0.0 if self._left > 0 else (1.0 - self._left) / self.bytes_per_s
