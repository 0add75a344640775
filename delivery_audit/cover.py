"""Which evidence covers which time: the life of one gateway as spans, each with its explanation.

    run 1                        run 2
    ├ 1..40 ┤ 41..43 ├ 44..90 ┤u┤  down  ├ 1..17 ┤ 18..20 ├ 21..30 ┤ silent → now
     arrived  pending  arrived  unsealed   arrived  refused  arrived

Nothing here is a remainder: a break between batches that no record, list or receipt speaks of is `unexplained`. Where
batches with different fates lie in one break, they are told apart by the rule that the gateway seals at every multiple
of its seal interval; a span for which that rule gives no exact answer is marked as estimated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from data_contract.batch import Span as SeqSpan
from data_contract.cause import Fate
from data_contract.schedule import next_slot, slots
from data_contract.verdict import DROPPED
from delivery_audit.fates import Fates, Part
from delivery_audit.history import Closing, Digest, History, Stretch
from delivery_audit.lives import Life, begin_of, lives_of
from delivery_audit.plan import Plan
from delivery_audit.runs import Run, in_order
from delivery_audit.seqs import Range, common


class Cover(StrEnum):
    """Explanations of time in which the schedule calls for nothing on its own."""

    BATCHES = "batches"
    """Batches arrived; their own counts hold."""
    CLOCK_STEP = "clock_step"
    """The gateway's clock was put forward: this time did not pass there."""
    CLOSED = "closed"
    """An operator closed the last run, and no other has begun: nothing is expected."""


@dataclass(frozen=True, slots=True)
class Span:
    """[from_ms, to_ms) and its explanation; numbers `first` to `last` of the batches concerned, 0 for none."""

    from_ms: int
    to_ms: int
    what: Fate | Cover
    run: str = ""
    first: int = 0
    last: int = 0
    why: str = ""
    digest: Digest | None = None
    estimated: bool = False
    began_ms: int | None = None
    """When the run began whose schedule holds here, if that is known."""

    @property
    def certain(self) -> bool:
        """Whether the gateway itself said that these batches are gone, so that no receipt can tell otherwise."""
        return self.why.startswith(DROPPED)


def cover(history: History, plan: Plan, now_ms: int) -> list[Span]:
    """The spans of a gateway's life from its first batch until now, in the order in which they happened.

    Spans of different runs may overlap where the clock was put back between them. A span may be empty: its batches
    exist, but no time is left for them.
    """
    runs = in_order(history)
    damaged, carried = _before_damage(runs)
    closed = _closed(history, runs)
    pending = _newest_pending(history, runs)
    fates = Fates(history=history, pending=pending, damaged=damaged, carried=carried, closed=closed)
    spans: list[Span] = []
    before: Life | None = None
    for life in lives_of(runs, plan, now_ms):
        if before:
            spans += _between(before, life, closed.get(before.run.run))
        spans += _inside(life, fates)
        before = life
    if before and before.end_ms < now_ms:
        spans += _after_all(before, history, closed.get(before.run.run), now_ms)
    return spans


def _after_all(last: Life, history: History, closing: Closing | None, now_ms: int) -> Iterator[Span]:
    """Since the gateway was heard last: silent; parked as soon as ingest says so; lost until an operator closed it."""
    run = last.run
    if closing and closing.at_ms >= last.end_ms:
        lost_ms = min(closing.at_ms, now_ms)
        yield Span(last.end_ms, lost_ms, Fate.LOST, run.run, why=closing.why, began_ms=run.begin_ms)
        if lost_ms < now_ms:
            yield Span(lost_ms, now_ms, Cover.CLOSED, run.run, why=closing.why)
        return
    parked = [(t_ms, board) for board, times in history.parked.items() for t_ms in times]
    since = [(t_ms, board) for t_ms, board in sorted(parked) if last.end_ms <= t_ms < now_ms]
    silent_ms = since[0][0] if since else now_ms
    if silent_ms > last.end_ms:
        yield Span(last.end_ms, silent_ms, Fate.SILENT, run.run, began_ms=run.begin_ms)
    if since:
        why = f"board {since[0][1]} is parked"
        yield Span(silent_ms, now_ms, Fate.SET_ASIDE, run.run, why=why, began_ms=run.begin_ms)


def _newest_pending(history: History, runs: list[Run]) -> tuple[tuple[str, int, int], ...]:
    """The pending list of the last message heard: the newest batch of the newest run."""
    return next((history.pending[run.run] for run in reversed(runs) if run.run in history.pending), ())


def _closed(history: History, runs: list[Run]) -> dict[str, Closing]:
    """Run → the operator's word about it."""
    words = history.closed.items()
    return {run.run: closing for run in runs for beginning, closing in words if run.run.startswith(beginning)}


def _before_damage(runs: list[Run]) -> tuple[frozenset[str], tuple[SeqSpan, ...]]:
    """Runs whose batches lay in a spool that was found damaged at the start of a later run; what that could read."""
    damaged = [index for index, run in enumerate(runs) if run.damaged]
    if not damaged:
        return frozenset(), ()
    return frozenset(run.run for run in runs[: damaged[-1]]), runs[damaged[-1]].carried


def _between(before: Life, after: Life, closing: Closing | None) -> Iterator[Span]:
    """From the end of one run to the begin of the next: no agent ran, or its last samples were never sealed.

    Where the next one began on another card, it cannot tell how this one ended; an operator can.
    """
    run, end_ms, begin_ms = before.run, before.end_ms, after.begin_ms
    if begin_ms <= end_ms:
        return
    if closing and not run.told:
        yield Span(end_ms, begin_ms, Fate.LOST, run.run, why=closing.why, began_ms=run.begin_ms)
        return
    if after.run.forgot and not run.clean:
        why = "the spool was damaged"
        yield Span(end_ms, begin_ms, Fate.LOST, run.run, why=why, began_ms=run.begin_ms)
        return
    down_ms = end_ms if run.clean else min(begin_ms, end_ms + before.plan.seal_ms(end_ms))
    why = _on_another_card(run, after.run)
    if down_ms > end_ms:
        yield Span(end_ms, down_ms, Fate.UNSEALED, run.run, why=why, began_ms=run.begin_ms)
    if begin_ms > down_ms:
        yield Span(down_ms, begin_ms, Fate.DOWN, run.run, why=why, began_ms=run.begin_ms)


def _on_another_card(run: Run, after: Run) -> str:
    """The mend, for a run that nobody has seen end: what it sealed and did not send may have gone with its card."""
    if run.told or after.found in (None, run.run):
        return ""
    short = run.run[:8]
    return f"the next card knows no run {short}: was it replaced, say so with `loopgauge audit close --run {short}`"


def _inside(life: Life, fates: Fates) -> Iterator[Span]:
    """The batches of a run and the breaks between them."""
    run, missing = life.run, life.run.missing
    if not run.stretches:
        yield from _break(life, missing, life.begin_ms, life.end_ms, fates, sure=life.sure)
        return
    oldest, newest = run.stretches[0], run.stretches[-1]
    head = common(missing, [(1, oldest.first - 1)]) if oldest.first > 1 else []
    yield from _break(life, head, life.begin_ms, begin_of(oldest, run), fates, sure=run.begin_ms is not None)
    yield _covered(oldest)
    for before, after in pairwise(run.stretches):
        gone = common(missing, [(before.last + 1, after.first - 1)]) if after.first > before.last + 1 else []
        yield from _step(life, before, after, gone, fates)
        yield _covered(after)
    tail = common(missing, [(newest.last + 1, run.last)]) if run.last > newest.last else []
    yield from _break(life, tail, newest.to_ms, life.end_ms, fates, sure=run.end_ms is not None)


def _covered(stretch: Stretch) -> Span:
    return Span(stretch.from_ms, stretch.to_ms, Cover.BATCHES, stretch.run, stretch.first, stretch.last)


def _step(life: Life, before: Stretch, after: Stretch, gone: list[Range], fates: Fates) -> Iterator[Span]:
    """Between two stretches of a run: missing batches, a clock put forward, or time that no batch accounts for."""
    run, begin_ms = life.run, begin_of(after, life.run)
    if gone:
        yield from _break(life, gone, before.to_ms, begin_ms, fates, sure=True)
    elif begin_ms > before.to_ms:
        yield Span(before.to_ms, begin_ms, Cover.CLOCK_STEP, run.run)
    if after.from_ms > begin_ms:
        why = f"batch {after.first} begins later than the one before it ended"
        yield Span(begin_ms, after.from_ms, Fate.UNEXPLAINED, run.run, why=why, began_ms=run.begin_ms)


def _break(life: Life, gone: list[Range], from_ms: int, to_ms: int, fates: Fates, *, sure: bool) -> Iterator[Span]:
    """Missing batches in the time that is left for them, each group of one fate with its share."""
    if not gone:
        return
    run, to_ms = life.run, max(from_ms, to_ms)
    parts = fates.split(run.run, gone)
    edges, exact = _edges(parts, from_ms, to_ms, life.plan.seal_ms(from_ms) or life.plan.seal_ms(to_ms))
    for part, (low_ms, high_ms) in zip(parts, pairwise(edges), strict=True):
        yield Span(
            from_ms=low_ms,
            to_ms=high_ms,
            what=part.fate,
            run=run.run,
            first=part.first,
            last=part.last,
            why=part.why,
            digest=part.digest,
            estimated=not (sure and exact),
            began_ms=run.begin_ms,
        )


def _edges(parts: list[Part], from_ms: int, to_ms: int, seal_ms: int) -> tuple[list[int], bool]:
    """Where each part begins, and the end of the last; and whether the seal boundaries tell it exactly."""
    if len(parts) == 1:
        return [from_ms, to_ms], True
    total = sum(part.batches for part in parts)
    inner = slots(seal_ms, from_ms + 1, to_ms) if seal_ms else 0
    exact = inner + 1 == total
    edges, before = [from_ms], 0
    for part, after in pairwise(parts):
        before += part.batches
        if exact:
            edge_ms = next_slot(seal_ms, from_ms + 1) + (before - 1) * seal_ms
        else:
            share_ms = from_ms + (to_ms - from_ms) * before // total
            near_ms = min(to_ms, next_slot(seal_ms, share_ms)) if seal_ms else share_ms
            told_ms = _told_by_digest(part, after, from_ms, to_ms)
            edge_ms = near_ms if told_ms is None else told_ms
        edges.append(max(edges[-1], edge_ms))
    return [*edges, to_ms], exact


def _told_by_digest(part: Part, after: Part, from_ms: int, to_ms: int) -> int | None:
    """The edge between two parts where a digest begins or ends exactly there."""
    if part.digest and part.digest.replaces[-1][2] == part.last and from_ms <= part.digest.to_ms <= to_ms:
        return part.digest.to_ms
    if after.digest and after.digest.replaces[0][1] == after.first and from_ms <= after.digest.from_ms <= to_ms:
        return after.digest.from_ms
    return None
