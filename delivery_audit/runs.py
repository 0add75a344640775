"""The runs of a gateway's agent in the order in which they happened, also those of which nothing has arrived yet.

A run that was offline for its whole life is known from the start record of its successor, or from the lists of what is
pending, set aside or replaced. Its numbers tell how many batches there are; when it began may be unknown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from data_contract.batch import Previous
from data_contract.batch import Span as SeqSpan
from delivery_audit.history import Began, Digest, History, Stretch, joined
from delivery_audit.seqs import Range, without


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what arrived of it, and what is known of its begin and end (ms UTC; None where nothing tells)."""

    run: str
    stretches: tuple[Stretch, ...]
    digests: tuple[Digest, ...]
    last: int
    """The highest number that anything speaks of."""
    begin_ms: int | None
    end_ms: int | None
    clean: bool
    """It sealed everything before it ended, and said so."""
    damaged: bool
    """When it started, the spool that it found was damaged."""
    carried: tuple[SeqSpan, ...]
    """And these batches could be read in it: they are sent as usual."""
    forgot: bool
    """It found a damaged spool and does not know which run was before it."""
    told: bool = False
    """A later run on the same card tells how it ended."""
    found: str | None = None
    """The run that it found on its card, "" on an empty one; None where its start record has not arrived."""

    @property
    def missing(self) -> list[Range]:
        """Numbers that are known to exist and did not arrive."""
        arrived = [(stretch.first, stretch.last) for stretch in self.stretches]
        arrived += [(digest.seq, digest.seq) for digest in self.digests]
        return without([(1, self.last)] if self.last else [], arrived)


def in_order(history: History) -> list[Run]:
    """Every run that anything in the history speaks of, oldest first."""
    stretches: dict[str, list[Stretch]] = defaultdict(list)
    for stretch in joined(history.stretches):
        stretches[stretch.run].append(stretch)
    starts = _attributed(history.starts, stretches)
    ends = {began.start.previous.run: began.start.previous for began in history.starts if began.start.previous}
    ordered = _ordered(stretches, starts, ends, history)
    _begin_ghosts([run for run in ordered if run not in stretches], ordered, starts, history.starts)
    last = _last_known(history, ends)
    digests: dict[str, list[Digest]] = defaultdict(list)
    for digest in history.digests:
        digests[digest.run].append(digest)
    return [
        _run(run, stretches.get(run, []), digests[run], last[run], starts.get(run), ends.get(run), history.stops)
        for run in ordered
    ]


def _run(
    run: str,
    stretches: list[Stretch],
    digests: list[Digest],
    last: int,
    began: Began | None,
    end: Previous | None,
    stops: tuple[int, ...],
) -> Run:
    newest = stretches[-1] if stretches else None
    complete = newest is not None and max([newest.last, *(digest.seq for digest in digests)]) >= last
    stopped = complete and newest is not None and any(newest.last_from_ms <= t <= newest.to_ms for t in stops)
    if stretches and stretches[0].first == 1:
        begin_ms: int | None = stretches[0].from_ms
    else:
        begin_ms = began.t_ms if began else None
    if complete and newest is not None:
        end_ms: int | None = newest.to_ms
    else:
        end_ms = end.to_ms if end and end.last == last else None
    start = began.start if began else None
    return Run(
        run=run,
        stretches=tuple(stretches),
        digests=tuple(digests),
        last=last,
        begin_ms=begin_ms,
        end_ms=end_ms,
        clean=end.clean if end else stopped,
        told=end is not None or stopped,
        damaged=bool(start and start.damaged),
        carried=tuple(start.carried) if start else (),
        forgot=bool(start and start.damaged and start.previous is None),
        found=(start.previous.run if start.previous else "") if start else None,
    )


def _attributed(starts: Sequence[Began], stretches: Mapping[str, list[Stretch]]) -> dict[str, Began]:
    """Run → its start record: the one that names it, else by time, in its first batch or between the runs."""
    owners = {began.start.run: began for began in starts if began.start.run}
    orphans = []
    firsts = [found[0] for found in stretches.values() if found[0].first == 1]
    for began in sorted((began for began in starts if not began.start.run), key=lambda began: began.t_ms):
        holding = [first for first in firsts if first.from_ms <= began.t_ms <= first.to_ms]
        if holding:
            owners.setdefault(max(holding, key=lambda first: first.from_ms).run, began)
        else:
            orphans.append(began)
    before_ms = -1
    for found in sorted(stretches.values(), key=lambda found: found[0].from_ms):
        between = [began for began in orphans if before_ms <= began.t_ms <= found[0].from_ms]
        if found[0].first > 1 and between:
            owners.setdefault(found[0].run, between[-1])
        before_ms = max(before_ms, found[-1].to_ms)
    return owners


def _ordered(
    stretches: Mapping[str, list[Stretch]], starts: Mapping[str, Began], ends: Mapping[str, Previous], history: History
) -> list[str]:
    """Run ids by time, each after the one that its start record names, then those known only from lists."""
    before = {run: began.start.previous for run, began in starts.items()}
    ordered: list[str] = []
    for run in sorted(stretches, key=lambda run: stretches[run][0].from_ms):
        chain: list[str] = []
        step: str | None = run
        while step is not None and step not in ordered and step not in chain:
            chain.append(step)
            previous = before.get(step)
            step = previous.run if previous and previous.last else None
        ordered += reversed(chain)
    lists = [[run for run, _, _ in spans] for spans in history.pending.values()]
    lists += [[run for run, _, _ in digest.replaces] for digest in history.digests]
    lists += [[run] for run, _, _, _ in history.aside] + [[digest.run] for digest in history.digests]
    for listed in lists:
        _place(ordered, listed, stretches, ends)
    _place_refused(ordered, stretches, history)
    return ordered


def _place_refused(ordered: list[str], stretches: Mapping[str, list[Stretch]], history: History) -> None:
    """Insert runs of which batches were refused and nothing else is known: at the time of the refusal."""
    heard_ms = max((found[-1].to_ms for found in stretches.values()), default=0)
    unknown = {run: at_ms for run, _, _, at_ms in history.rejected if run not in ordered and at_ms >= history.since_ms}
    for run, at_ms in unknown.items():
        later = [r for r in ordered if r in stretches and stretches[r][0].from_ms >= at_ms]
        newest = len(ordered) - (1 if ordered and at_ms <= heard_ms else 0)
        ordered.insert(ordered.index(later[0]) if later else newest, run)


def _place(
    ordered: list[str], listed: list[str], stretches: Mapping[str, list[Stretch]], ends: Mapping[str, Previous]
) -> None:
    """Insert runs known only from a list: by their end, else before the next in the list, else before the newest."""
    follower: str | None = None
    for run in reversed(listed):
        if run not in ordered:
            end_ms = ends[run].to_ms if run in ends else None
            later = [r for r in ordered if end_ms is not None and r in stretches and stretches[r][0].from_ms >= end_ms]
            at = ordered.index(follower) if follower else max(0, len(ordered) - 1)
            ordered.insert(ordered.index(later[0]) if later else at, run)
        follower = run


def _begin_ghosts(ghosts: list[str], ordered: list[str], starts: dict[str, Began], all_starts: Iterable[Began]) -> None:
    """Give the start records that are left to runs of which no batch arrived, by the run that they name before."""
    taken = {began.t_ms for began in starts.values()}
    left = {
        began.start.previous.run if began.start.previous else None: began
        for began in all_starts
        if began.t_ms not in taken
    }
    for run in ghosts:
        index = ordered.index(run)
        before = ordered[index - 1] if index else None
        if before in left and run not in starts:
            starts[run] = left[before]


def _last_known(history: History, ends: Mapping[str, Previous]) -> Counter[str]:
    """Run → the highest number that anything speaks of."""
    last: Counter[str] = Counter()
    known = [(stretch.run, stretch.last) for stretch in history.stretches]
    known += [(digest.run, digest.seq) for digest in history.digests]
    known += [(run, seq) for run, seq, _, _ in history.rejected]
    known += [(run, high) for run, _, high, _ in history.aside]
    known += [(run, high) for digest in history.digests for run, _, high in digest.replaces]
    known += [(run, high) for spans in history.pending.values() for run, _, high in spans]
    known += [(run, end.last) for run, end in ends.items()]
    for run, number in known:
        last[run] = max(last[run], number)
    return last
