"""When runs began and ended: as batches and records tell, else reckoned, a seal interval for each missing batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from delivery_audit.history import Stretch
from delivery_audit.plan import Plan
from delivery_audit.runs import Run
from delivery_audit.seqs import common, count


@dataclass(frozen=True, slots=True)
class Life:
    """Begin and end of a run (ms UTC), and the schedule as the run knew it."""

    run: Run
    begin_ms: int
    end_ms: int
    plan: Plan

    @property
    def sure(self) -> bool:
        """Whether both are told rather than reckoned."""
        return self.run.begin_ms is not None and self.run.end_ms is not None


def lives_of(runs: Sequence[Run], plan: Plan, now_ms: int) -> list[Life]:
    """The life of each run, oldest first. What is reckoned reaches into neither of the runs beside it."""
    found: list[Life] = []
    limit_ms = now_ms
    for run in reversed(runs):
        life = _reckoned(run, limit_ms, plan.of_run(run.begin_ms))
        found.append(life)
        limit_ms = life.begin_ms
    found.reverse()
    for index in range(1, len(found)):
        found[index] = _after(found[index], found[index - 1].end_ms, now_ms if index + 1 == len(found) else None)
    return found


def begin_of(stretch: Stretch, run: Run) -> int:
    """Where the time before a stretch ends. A digest tells nothing of it, as its own time lies in the past."""
    after_digest = [digest for digest in run.digests if digest.seq == stretch.first - 1]
    if stretch.prev_ms is None or any(digest.to_ms == stretch.prev_ms for digest in after_digest):
        return stretch.from_ms
    return stretch.prev_ms


def _reckoned(run: Run, limit_ms: int, plan: Plan) -> Life:
    end_ms, begin_ms = run.end_ms, run.begin_ms
    oldest = run.stretches[0] if run.stretches else None
    if end_ms is None and run.stretches:
        newest = run.stretches[-1]
        after = count(common(run.missing, [(newest.last + 1, run.last)])) if run.last > newest.last else 0
        end_ms = max(newest.to_ms, min(limit_ms, newest.to_ms + after * plan.seal_ms(newest.to_ms)))
    elif end_ms is None:
        end_ms = limit_ms
    if begin_ms is None:
        known_ms = begin_of(oldest, run) if oldest else end_ms
        before = count(common(run.missing, [(1, oldest.first - 1 if oldest else run.last)]))
        begin_ms = known_ms - before * plan.seal_ms(known_ms)
    return Life(run, begin_ms, end_ms, plan)


def _after(life: Life, edge_ms: int, now_ms: int | None) -> Life:
    """The life of a run after one that ended at `edge_ms`; `now_ms` is given for the newest."""
    run = life.run
    if run.stretches:
        if run.begin_ms is not None:
            return life
        return replace(life, begin_ms=min(max(life.begin_ms, edge_ms), begin_of(run.stretches[0], run)))
    if now_ms is not None and run.begin_ms is None and run.end_ms is None:
        end_ms = min(now_ms, edge_ms + count(run.missing) * life.plan.seal_ms(edge_ms))
        return replace(life, begin_ms=edge_ms, end_ms=max(edge_ms, end_ms))
    begin_ms = max(life.begin_ms, edge_ms)
    return replace(life, begin_ms=begin_ms, end_ms=max(life.end_ms, begin_ms))
