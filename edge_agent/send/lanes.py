"""What to send next: alarms, then what has just been sealed, then the backlog, oldest first. Pure.

Live batches are few, and the backlog merges, so the backlog usually gets what live data leaves over. Where live data
alone would take all that the uplink carries, the backlog still gets one byte in BACKLOG_ONE_IN, and live data the rest.
What live data cannot bring out in time becomes backlog: the newest goes first, so that what is shown stays fresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from data_contract.batch import Span
from data_contract.message import BATCHES_MAX, BODY_BYTES_MAX
from edge_agent.keep.index import SEQ_MAX, Held, Index, Spans
from edge_agent.send.flight import Room

MESSAGE_PLAIN_MAX = BODY_BYTES_MAX // 8
"""Plain bytes that one message gathers at most, unless a single batch is larger."""

BACKLOG_ONE_IN = 8
"""Of so many bytes that are sent while both wait, at least one is backlog."""

ALARMS_MAX = 200
"""Batches with an alarm that are remembered as such; the oldest beyond are sent as what they are by age."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What goes next: the span, its bytes of plain JSON, and whether it is backlog."""

    span: Span
    size: int
    backlog: bool
    alarm: bool = False
    contested: bool = False
    """Both live data and backlog waited, with room for either."""


def merge(held: Iterable[Held], *, bytes_max: int, batches_max: int) -> tuple[Span, int] | None:
    """The longest first stretch of consecutive seqs of a run within the bounds, and its size; one batch always fits.

    `held` rises or falls: the stretch begins with its first.
    """
    run, low, high, size = "", 0, 0, 0
    for batch in held:
        if not size:
            run, low, high, size = batch.run, batch.seq, batch.seq, batch.size
            continue
        too_many = high - low + 1 >= min(batches_max, BATCHES_MAX)
        too_large = size + batch.size > min(bytes_max, MESSAGE_PLAIN_MAX)
        if batch.run != run or batch.seq not in (low - 1, high + 1) or too_many or too_large:
            break
        low, high, size = min(low, batch.seq), max(high, batch.seq), size + batch.size
    return ((run, low, high), size) if size else None


class Lanes:
    """Remembers which batches of the present run are live: sealed since the last message and since the last connect."""

    def __init__(self, *, run: str) -> None:
        self._run = run
        self._live_from = 1
        self._alarms = Spans()
        self._behind = 0.0
        """Bytes, as sent, that the backlog has had too little while both waited."""
        self._quantum = 0.0
        """What its last message took of that."""
        self._contested: Chosen | None = None
        """Launched while both waited, and not yet sent."""

    def reconnected(self, last_seq: int) -> None:
        """All that is held now is backlog; alarms stay alarms."""
        self._live_from = last_seq + 1

    def alarm(self, seq: int) -> None:
        """This batch of the present run holds an alarm."""
        self._alarms.add((self._run, seq, seq))
        while self._alarms.count > ALARMS_MAX:
            run, first, _ = next(iter(self._alarms))
            self._alarms.discard((run, first, first))

    def alarms(self, held: Index) -> list[Span]:
        """What is held of the batches with an alarm, oldest first."""
        return list(held.spans(within=self._alarms))

    def recall(self, spans: Iterable[Span]) -> None:
        """These hold alarms, too: earlier runs have sealed them."""
        for span in spans:
            self._alarms.add(span)

    def urgent(self, held: Index, taken: Sequence[Span]) -> bool:
        """Whether an alarm waits to be sent."""
        return self._alarm(held, taken) is not None

    def _alarm(self, held: Index, taken: Sequence[Span]) -> Held | None:
        """The oldest alarm that waits; those that are no longer held are forgotten."""
        if not self._alarms.count:
            return None
        self._alarms = Spans(self.alarms(held))
        return next(held.batches(held.spans(within=self._alarms, without=taken, dated=True)), None)

    def next(self, held: Index, taken: Sequence[Span], *, live: Room, backlog: Room) -> Chosen | None:
        """What to launch, None where nothing waits or nothing has room.

        `taken`: not to offer; `live`, `backlog`: what a message of each may hold.
        """
        alarm, new = self._alarm(held, taken), [(self._run, self._live_from, SEQ_MAX)]
        newest = _newest_first(held, list(held.spans(within=new, without=taken, dated=True)))
        ahead = self._fitting(newest if alarm is None else [alarm], live, backlog=False)
        ahead = replace(ahead, alarm=True) if ahead and alarm else ahead
        oldest = held.batches(held.spans(without=[*taken, *new], dated=True))
        rest = self._fitting(oldest, backlog, backlog=True)
        due = rest is not None and alarm is None and self._behind > self._quantum
        chosen = rest if ahead is None or due else ahead
        return replace(chosen, contested=True) if chosen and ahead and rest else chosen

    @staticmethod
    def _fitting(offered: Iterable[Held], room: Room, *, backlog: bool) -> Chosen | None:
        if room.batches <= 0 or (room.bytes <= 0 and not room.one):
            return None
        found = merge(offered, bytes_max=room.bytes, batches_max=room.batches)
        if found is None or (found[1] > room.bytes and not room.one):
            return None
        return Chosen(*found, backlog)

    def launched(self, chosen: Chosen) -> None:
        """This has been sent: what is sealed from now on is live."""
        self._contested = chosen if chosen.contested else None
        run, _, last = chosen.span
        if run == self._run and last >= self._live_from:
            self._live_from = last + 1

    def spent(self, size: int) -> None:
        """What was launched last has cost so many bytes. It counts where the other lane waited for it."""
        chosen, self._contested = self._contested, None
        if chosen is None:
            return
        if chosen.backlog:
            self._quantum = size * (BACKLOG_ONE_IN - 1) / BACKLOG_ONE_IN
            self._behind -= self._quantum
        else:
            self._behind += size / BACKLOG_ONE_IN


def _newest_first(held: Index, spans: Sequence[Span]) -> Iterator[Held]:
    return (held[run, seq] for run, first, last in reversed(spans) for seq in range(last, first - 1, -1))
