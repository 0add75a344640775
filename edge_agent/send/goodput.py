"""How fast the way to the cloud is, by what comes back confirmed, and how much may therefore be under way. Pure.

A slow link shows itself late: a modem or the kernel takes in hundreds of kilobytes at once, and whatever is handed over
next waits behind them. So no more is handed over than the way carries in a few seconds:

    rate of a sample = bytes confirmed between two instants / the time between them

The instants are chosen as in draft-cheng-iccrg-delivery-rate-estimation (Linux, tcp_rate.c): from the confirmation that
was the last when this message left, or between the sendings if that is longer. Otherwise an ack that comes late would
credit a message with bytes that had left long before it.

A sample that is higher counts at once, but for no more than GROWTH times what was really confirmed in it (so a link
whose first kilobytes are fast, as any shaper's are, is not believed for more); a lower one moves the rate half way.
A gateway that sends little finds its rate low, and lets it grow again within a few round trips when there is a backlog.
"""

from __future__ import annotations

from dataclasses import dataclass

QUEUE_S = 2.0
"""What may wait anywhere between here and the store, in s of the way's rate, beside what the round trip holds."""
GROWTH = 4
"""In one round trip the window grows at most so many times beyond what was confirmed."""
BEGIN_BYTES = 16_384
"""Window before anything has been measured: two seconds of 64 kbit/s."""
LEAST_BYTES = 4_096
"""The window never becomes smaller: four seconds of 8 kbit/s, and enough to find out that the way has become faster."""
LEAST_MEMORY = 16
"""The shortest round trip is forgotten over about so many longer ones: the way may have changed."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What had been confirmed when a message left."""

    sent_s: float
    delivered: int
    delivered_s: float
    first_sent_s: float


class Goodput:
    """Confirmed bytes per second. Times are s of a clock that never steps."""

    def __init__(self) -> None:
        self._delivered = 0
        self._delivered_s = 0.0
        self._first_sent_s = 0.0
        self.bytes_per_s: float | None = None
        """None where nothing has been measured in this session."""
        self._least_s: float | None = None

    def forget(self) -> None:
        """A new session may take another way."""
        self.bytes_per_s = self._least_s = None

    def sent(self, now_s: float, *, alone: bool) -> Mark:
        """A message leaves; `alone`: nothing else that has been sent is unconfirmed."""
        if alone:
            self._first_sent_s = self._delivered_s = now_s
        return Mark(now_s, self._delivered, self._delivered_s, self._first_sent_s)

    def delivered(self, size: int, now_s: float) -> None:
        """So many bytes, as sent, are confirmed. Told before `sample`, and also of what was sent more than once."""
        self._delivered += size
        self._delivered_s = now_s

    def sample(self, mark: Mark, now_s: float) -> None:
        """A message that was sent once has been confirmed."""
        bytes_ = self._delivered - mark.delivered
        seconds = max(now_s - mark.delivered_s, mark.sent_s - mark.first_sent_s)
        self._first_sent_s = mark.sent_s
        round_trip_s = now_s - mark.sent_s
        if seconds <= 0:
            return
        if self._least_s is None or round_trip_s < self._least_s:
            self._least_s = round_trip_s
        else:
            self._least_s += (round_trip_s - self._least_s) / LEAST_MEMORY
        rate, old = bytes_ / seconds, self.bytes_per_s
        if old is None or rate >= old:
            self.bytes_per_s = max(old or 0.0, min(rate, GROWTH * bytes_ / QUEUE_S))
        else:
            self.bytes_per_s = (old + rate) / 2

    def window(self) -> float:
        """Bytes, as sent, that may be unconfirmed: what the round trip holds and QUEUE_S of waiting."""
        if self.bytes_per_s is None:
            return BEGIN_BYTES
        return max(LEAST_BYTES, self.bytes_per_s * (QUEUE_S + (self._least_s or 0.0)))

    def message(self) -> float:
        """Bytes, as sent, of one message: who comes next waits for no longer than QUEUE_S."""
        return BEGIN_BYTES if self.bytes_per_s is None else max(LEAST_BYTES, self.bytes_per_s * QUEUE_S)
