"""What is unconfirmed between gateway and store, when it is sent again, and what an ack releases. Pure.

A message leaves the spool's side once and then lives here until the cloud has confirmed every batch in it:

                    launch                 confirmed (all of it)
    spool ────────────────────► in flight ─────────────────────► forgotten with the next seal
                                  │   ▲ │
                  due: repeated   └───┘ └──► set aside, after SKIPS_MAX repeats that later messages overtook

When is it due again?
  * Connected, or the cloud says `ready`: everything in flight once (after `ready` with jitter: all gateways hear it).
  * Acks are flowing (`quiet` is 0): each message whose answer is overdue by the measured round trip.
  * Silence: only the oldest, at doubling intervals with full jitter. A dead cloud costs one message now and then; the
    first ack ends the silence, and the rest follows at once.

Only ranges that were sent by this flight can be confirmed. Any other ack is counted and ignored: one that names a run
or a seq that was never offered deletes nothing.

How much may be in flight? Never more than `bytes_max`, counted as sent, compressed, and `batches_max` of live data; so
the broker's share of a dead cloud is small, and the rest waits on disk. The backlog has room in BACKLOG_SHARE of both,
and in no more than the way carries in some two seconds (`goodput`), so that live data neither queues behind it nor
finds the flight full. Where the cloud is fast, `batches_max` grows with what it confirms, up to FAST_BATCHES_MAX, until
it falls silent. Live data and backlog may each have one batch in flight whatever its size, or a large one would never
leave.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from data_contract.batch import Span
from data_contract.control import Ack
from edge_agent.send.goodput import Goodput, Mark

SKIPS_MAX = 20
"""Times that a message is repeated while later ones are confirmed, before it is set aside as `unanswered`."""
REPEAT_MIN_S, REPEAT_MAX_S = 2.0, 300.0
FIRST_REPEAT_S = 10.0
"""Overdue time before a round trip has been measured."""
REPEAT_SPREAD = 1.5
"""While acks flow, an overdue message is repeated after the overdue time, or up to this many times as late."""
READY_JITTER_S = 10.0

FLIGHT_BYTES_MAX, FLIGHT_BATCHES_MAX = 262_144, 32
"""What may be unconfirmed, as sent."""
FAST_BATCHES_MAX = 1024
"""In flight while a fast cloud confirms them: with batches of 200 readings, half a second of 400 000 readings/s."""
BACKLOG_SHARE = 0.75
"""Of the flight that backlog may fill."""
RATIO_MEMORY = 0.8
"""How much of what is known of compression stays with each message."""


class Room(NamedTuple):
    """What one message may hold now: bytes of plain JSON, and batches. `one`: a single batch of any size may go."""

    bytes: int
    batches: int
    one: bool


@dataclass(slots=True)
class Message:
    """Consecutive batches of one run, as they were sent together."""

    run: str
    first: int
    last: int
    plain: int
    """Bytes of JSON."""
    size: int
    """Bytes as sent, estimated until then."""
    backlog: bool = False
    mark: Mark | None = None
    forced: bool = True
    """It is to be sent once whatever the silence: new, or after a connect or `ready`."""
    due_s: float = 0.0
    sent_s: float | None = None
    tries: int = 0
    skips: int = 0
    overtaken: bool = False

    @property
    def span(self) -> Span:
        """(run, first, last)."""
        return self.run, self.first, self.last


def _cut(message: Message, ranges: Sequence[tuple[int, int]]) -> list[Message]:
    """What remains of a message when some of its seqs are confirmed, as messages of their own."""
    gone = {seq for a, b in ranges for seq in range(max(a, message.first), min(b, message.last) + 1)}
    batches = message.last - message.first + 1
    share, plain = message.size // batches, message.plain // batches
    left: list[Message] = []
    for seq in range(message.first, message.last + 1):
        if seq in gone:
            continue
        if left and left[-1].last == seq - 1:
            left[-1].last = seq
            left[-1].size += share
            left[-1].plain += plain
        else:
            left.append(replace(message, first=seq, last=seq, size=share, plain=plain))
    return left


def _apart(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same seqs as rising ranges that do not overlap: none counts twice, and what an ack lists is looked up."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _hits(message: Message, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of a message that ranges as `_apart` makes them name."""
    for index in range(bisect_left(ranges, message.first, key=lambda each: each[1]), len(ranges)):
        first, last = ranges[index]
        if first > message.last:
            return
        yield max(first, message.first), min(last, message.last)


class Flight:
    """Messages in flight, oldest first. Times are s of the event loop's clock."""

    def __init__(
        self, *, rng: random.Random, bytes_max: int = FLIGHT_BYTES_MAX, batches_max: int = FLIGHT_BATCHES_MAX
    ) -> None:
        self._bytes_max = bytes_max
        self._batches_max = batches_max
        self._rng = rng
        self._messages: list[Message] = []
        self._quiet = 0
        self._round_trip_s: float | None = None
        self._goodput = Goodput()
        self._plain, self._packed, self._batches = 0.0, 0.0, 0.0
        """Of the last messages: what they held, what they were as sent, and how many batches."""
        self.foreign_acks = 0
        """Acks that named nothing of ours in flight."""
        self.last_ack_s: float | None = None

    @property
    def batches(self) -> int:
        """How many batches are in flight."""
        return sum(m.last - m.first + 1 for m in self._messages)

    @property
    def bytes(self) -> int:
        """How many bytes are in flight, as sent."""
        return sum(m.size for m in self._messages)

    @property
    def goodput(self) -> float | None:
        """Bytes, as sent, that are confirmed per second while there is something to send; None before it is known."""
        return self._goodput.bytes_per_s

    def holds(self, run: str, seq: int) -> bool:
        """Whether a batch is in flight."""
        return any(m.run == run and m.first <= seq <= m.last for m in self._messages)

    @property
    def spans(self) -> list[Span]:
        """What is in flight."""
        return [message.span for message in self._messages]

    def room(self, *, backlog: bool = False, message_bytes_max: float = math.inf) -> Room:
        """What the next message of live data, or of backlog, may hold. `message_bytes_max`: as sent."""
        bytes_max, batches_max = float(self._bytes_max), float(self._batches_most())
        held = sum(m.last - m.first + 1 for m in self._messages if backlog or not m.backlog)
        if backlog:
            bytes_max, batches_max = min(BACKLOG_SHARE * bytes_max, self._goodput.window()), BACKLOG_SHARE * batches_max
        free = min(bytes_max - self.bytes, self._goodput.message(), message_bytes_max)
        alone = all(message.backlog is not backlog for message in self._messages)
        return Room(int(free / self._ratio), int(batches_max) - held, alone and held < batches_max)

    @property
    def _ratio(self) -> float:
        """Bytes as sent for each plain one."""
        return self._packed / self._plain if self._plain else 1.0

    def _batches_most(self) -> int:
        """What is measured counts only while acks come: a cloud that fell silent gets no more than any."""
        if self._quiet or self.goodput is None or not self._batches:
            return self._batches_max
        # So many that the bytes are what limits the backlog.
        fast = min(self._goodput.window(), self._bytes_max) / (self._packed / self._batches) / BACKLOG_SHARE
        return max(self._batches_max, min(int(fast), FAST_BATCHES_MAX))

    def launch(self, span: Span, plain: int, *, backlog: bool = False) -> Message:
        """A message of so many plain bytes that is to be sent for the first time: it is due at once."""
        message = Message(*span, plain, int(plain * self._ratio), backlog=backlog)
        self._messages.append(message)
        return message

    def sent(self, message: Message, now_s: float, size: int | None = None) -> None:
        """A message leaves now, as so many bytes."""
        if message.overtaken:
            message.skips += 1
            message.overtaken = False
        if not message.forced:
            self._quiet += 1
        message.forced = False
        if size is not None:
            message.size = size
            self._plain = RATIO_MEMORY * self._plain + message.plain
            self._packed = RATIO_MEMORY * self._packed + size
            self._batches = RATIO_MEMORY * self._batches + message.last - message.first + 1
        alone = all(other is message or not other.tries for other in self._messages)
        message.mark = self._goodput.sent(now_s, alone=alone)
        message.tries += 1
        message.sent_s = now_s
        message.due_s = now_s + self._overdue_s()

    def forget(self, message: Message) -> None:
        """A message is not sent after all."""
        self._messages = [other for other in self._messages if other is not message]

    def taken(self, message: Message, now_s: float) -> None:
        """The broker has all of it: on a slow link that takes longer than the answer, which is awaited from now on."""
        message.due_s = max(message.due_s, now_s + self._overdue_s())

    def _overdue_s(self) -> float:
        """How long to wait for an answer before the message is sent again."""
        base = FIRST_REPEAT_S if self._round_trip_s is None else max(REPEAT_MIN_S, 4 * self._round_trip_s)
        base = min(base, REPEAT_MAX_S)
        # Some chance even while acks flow: a broker deals shared messages out in turn, and repeats in step with live
        # messages would all fall to the one worker that hangs.
        ceiling = min(REPEAT_MAX_S, base * max(REPEAT_SPREAD, 2.0 ** min(self._quiet, 12)))
        return base + self._rng.random() * (ceiling - base)

    def due(self, now_s: float) -> Message | None:
        """The message to send now, if any."""
        for message in self._messages:
            if message.due_s <= now_s and (message.forced or self._may_repeat(message)):
                return message
        return None

    def _may_repeat(self, message: Message) -> bool:
        return self._quiet == 0 or message is self._messages[0]

    def wake_s(self) -> float | None:
        """When `due` is worth asking again."""
        waiting = [m.due_s for m in self._messages if m.forced or self._may_repeat(m)]
        return min(waiting, default=None)

    def confirmed(self, ack: Ack, now_s: float) -> list[Span]:
        """What an ack releases, as spans that were in flight; rejected batches are released, too: ingest keeps them."""
        ranges = _apart([*ack.stored, *((r.seq, r.seq) for r in ack.rejected)])
        released: list[Span] = []
        kept: list[Message] = []
        newest = -1.0
        once: list[Mark] = []
        for message in self._messages:
            ours = message.run == ack.run and message.tries > 0
            hits = list(_hits(message, ranges)) if ours else []
            if not hits:
                kept.append(message)
                continue
            released.extend((message.run, a, b) for a, b in hits)
            kept.extend(_cut(message, hits))
            assert message.sent_s is not None, "a message that was tried has been sent"
            newest = max(newest, message.sent_s)
            confirmed = sum(b - a + 1 for a, b in hits)
            share = min(1.0, confirmed / (message.last - message.first + 1))
            self._goodput.delivered(round(message.size * share), now_s)
            if message.tries == 1 and message.mark is not None:
                self._measure(now_s - message.sent_s)
                once.append(message.mark)
        self._messages = kept
        for mark in once:
            self._goodput.sample(mark, now_s)
        if not released:
            self.foreign_acks += 1
            return []
        self.last_ack_s = now_s
        self._heard(newest, now_s)
        return released

    def _heard(self, newest: float, now_s: float) -> None:
        """The cloud answers: the silence is over, and what was sent before the answered message has been overtaken."""
        if self._quiet:
            self._quiet = 0
            for message in self._messages:
                # Once each: the first repeat alone must not begin a new silence for the rest.
                if message.sent_s is not None and not message.forced:
                    message.forced = True
                    message.due_s = max(now_s, min(message.due_s, message.sent_s + self._overdue_s()))
        for message in self._messages:
            if message.sent_s is not None and message.sent_s < newest:
                message.overtaken = True

    def _measure(self, round_trip_s: float) -> None:
        old = self._round_trip_s
        self._round_trip_s = round_trip_s if old is None else 0.875 * old + 0.125 * round_trip_s

    def connected(self) -> None:
        """A new session: the broker may have forgotten everything, so all that is in flight is sent once."""
        self._quiet = 0
        self._goodput.forget()
        for message in self._messages:
            message.forced, message.due_s = True, 0.0

    def ready(self, now_s: float) -> None:
        """The cloud can store again: all that is in flight once, spread out."""
        self._quiet = 0
        for message in self._messages:
            if not message.forced:
                message.forced, message.due_s = True, now_s + self._rng.random() * READY_JITTER_S

    def unanswered(self) -> list[Message]:
        """Messages that were overtaken too often; they leave the flight."""
        given_up = [m for m in self._messages if m.skips >= SKIPS_MAX]
        self._messages = [m for m in self._messages if m.skips < SKIPS_MAX]
        return given_up
