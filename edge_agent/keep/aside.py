"""What the spool keeps and no longer offers: looked at, offered again, or given up. SQL on a connection that is given.

A batch that is given up leaves its place behind, without its readings but with the reason: the next batches tell of it,
so that the audit can say why it never came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_contract.batch import Span
from data_contract.verdict import DROPPED

if TYPE_CHECKING:
    import sqlite3

TOLD_SPANS_MAX = 100
"""Spans that a batch tells of at most; beyond, those of one run and reason are joined across the gaps between them."""
Told = tuple[str, int, int, str]
"""(run, first, last, reason)."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A batch that is not offered. Times in ms UTC, None where it was never dated."""

    run: str
    seq: int
    reason: str
    size: int
    from_ms: int | None
    to_ms: int | None
    body: str

    @property
    def dropped(self) -> bool:
        """Whether it has been given up: only its place is left."""
        return self.reason.startswith(DROPPED)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which batches are meant: all that fit everything that is given."""

    run: str | None = None
    """A run, or the beginning of one."""
    first: int = 1
    last: int = 2**62
    reason: str | None = None
    """A part of the reason."""

    def takes(self, run: str, seq: int, reason: str) -> bool:
        """Whether a batch is meant."""
        fits = self.run is None or run.startswith(self.run)
        return fits and self.first <= seq <= self.last and (self.reason is None or self.reason in reason)


def aside(db: sqlite3.Connection, choice: Choice) -> list[Aside]:
    """The batches that are meant, oldest first."""
    rows = db.execute(
        "SELECT run, seq, aside, base_ms, body FROM batch JOIN run ON run.id = run_id WHERE aside IS NOT NULL"
        " ORDER BY run_id, seq"
    )
    found = []
    for run, seq, reason, base_ms, body in rows:
        if choice.takes(run, seq, reason):
            low, high = _span(body)
            dated = base_ms is not None and low is not None and high is not None
            from_ms, to_ms = (base_ms + low, base_ms + high) if dated else (None, None)
            found.append(Aside(run, seq, reason, len(body), from_ms, to_ms, body))
    return found


def _span(body: str) -> tuple[int | None, int | None]:
    try:
        said = json.loads(body)
        return int(said["from"]), int(said["to"])
    except (ValueError, KeyError, TypeError):
        return None, None


def offer(db: sqlite3.Connection, chosen: Iterable[Aside]) -> int:
    """Let these be offered from the next start of the agent on; how many. What was given up cannot come back."""
    offered = [each for each in chosen if not each.dropped]
    for each in offered:
        place = "WHERE run_id=(SELECT id FROM run WHERE run=?) AND seq=?"
        db.execute(f"UPDATE batch SET aside=NULL {place}", (each.run, each.seq))  # noqa: S608
    return len(offered)


def drop(db: sqlite3.Connection, chosen: Iterable[Aside], why: str) -> int:
    """Give these up: their readings are gone for good; how many."""
    given_up = [each for each in chosen if not each.dropped]
    later = {row[1] for row in db.execute("PRAGMA table_info(batch)")} & {"size", "crc"}
    for each in given_up:
        low, high = _span(each.body)
        # Still a body for whoever reads the row, with the time that it stood for.
        body = json.dumps({"from": low or 0, "to": high or 0}, separators=(",", ":"))
        also = ", size=length(:body), crc=NULL" if later == {"size", "crc"} else ""
        db.execute(
            f"UPDATE batch SET aside=:why, body=:body{also}"  # noqa: S608  # columns of ours
            " WHERE run_id=(SELECT id FROM run WHERE run=:run) AND seq=:seq",
            {"why": f"{DROPPED} {why}", "body": body, "run": each.run, "seq": each.seq},
        )
    return len(given_up)


def without(spans: Iterable[Told], gone: Span) -> list[Told]:
    """The spans without those batches that are no longer set aside."""
    run, low, high = gone
    found: list[Told] = []
    for each in spans:
        if each[0] != run or each[2] < low or each[1] > high:
            found.append(each)
            continue
        if each[1] < low:
            found.append((run, each[1], low - 1, each[3]))
        if each[2] > high:
            found.append((run, high + 1, each[2], each[3]))
    return found


def told(spans: Sequence[Told]) -> list[Told]:
    """The spans as a batch tells of them, never more than TOLD_SPANS_MAX.

    One that spans a gap speaks of batches too that are elsewhere; these have better evidence of their own.
    """
    if len(spans) <= TOLD_SPANS_MAX:
        return list(spans)
    joined: dict[tuple[str, str], tuple[int, int]] = {}
    for run, first, last, why in spans:
        low, high = joined.get((run, why), (first, last))
        joined[run, why] = (min(low, first), max(high, last))
    return [(run, first, last, why) for (run, why), (first, last) in joined.items()][-TOLD_SPANS_MAX:]
