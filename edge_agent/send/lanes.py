"""What to send next: what has just been sealed, then the backlog, oldest first. Pure.

Live batches are few, so the backlog always gets the rest of the flight; the backlog merges, so it needs few messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_contract.batch import Span
from data_contract.message import BATCHES_MAX, BODY_BYTES_MAX
from edge_agent.keep.index import SEQ_MAX, Held, Index

MESSAGE_PLAIN_MAX = BODY_BYTES_MAX // 8
"""Plain bytes that one message gathers at most, unless a single batch is larger."""


def merge(held: Iterable[Held], *, bytes_max: int, batches_max: int) -> tuple[Span, int] | None:
    """The longest first stretch of consecutive seqs of a run within the bounds, and its size; one batch always fits."""
    first: Held | None = None
    last, size = 0, 0
    for batch in held:
        if first is None:
            first, last, size = batch, batch.seq, batch.size
            continue
        too_many = batch.seq - first.seq >= min(batches_max, BATCHES_MAX)
        too_large = size + batch.size > min(bytes_max, MESSAGE_PLAIN_MAX)
        if batch.run != first.run or batch.seq != last + 1 or too_many or too_large:
            break
        last, size = batch.seq, size + batch.size
    return None if first is None else ((first.run, first.seq, last), size)


class Lanes:
    """Remembers which batches of the present run are live: sealed since the last message and since the last connect."""

    def __init__(self, *, run: str) -> None:
        self._run = run
        self._live_from = 1

    def reconnected(self, last_seq: int) -> None:
        """All that is held now is backlog."""
        self._live_from = last_seq + 1

    def next(
        self,
        held: Index,
        taken: Sequence[Span],
        *,
        bytes_max: int,
        batches_max: int,
    ) -> tuple[Span, int] | None:
        """The span to launch and its size, None where nothing is left. `taken`: not to offer."""
        live = [(self._run, self._live_from, SEQ_MAX)]
        for lane in (live, None):
            free = held.batches(held.spans(within=lane, without=taken, dated=True))
            chosen = merge(free, bytes_max=bytes_max, batches_max=batches_max)
            if chosen is not None:
                return chosen
        return None

    def launched(self, span: Span) -> None:
        """This has been sent: what is sealed from now on is live."""
        run, first, last = span
        if run == self._run and first >= self._live_from:
            self._live_from = last + 1
