"""What a damaged spool still says: its runs and how they read their fields, what its devices must know, and each batch
that is as it was sealed. Pure.

It is looked through once, to tell what can be carried over; the rows themselves are read again, some pages at a time,
when they are.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from data_contract.batch import Span
from edge_agent.keep.batch_row import is_sound
from edge_agent.keep.index import SEQ_MAX, Spans
from edge_agent.keep.pages import Read, Value, rows_of
from edge_agent.keep.plan_row import is_sound as is_sound_plan

MISSING_SPANS_MAX = 500
"""Spans that a start record names at most of either kind; beyond, the shortest are left out."""

_BATCH_COLUMNS, _RUN_COLUMNS, _PLAN_COLUMNS, _MEMORY_COLUMNS = (8, 10), 7, 3, 2
_RUN_CHARS = 32


class BatchRow(NamedTuple):
    """A row of the table `batch`, under the name of its run."""

    run: str
    seq: int
    base_ms: int | None
    guess_ms: int
    unsure_lo: int | None
    unsure_hi: int | None
    aside: str | None
    body: str


class RunRow(NamedTuple):
    """A row of the table `run`."""

    run: str
    boot: str
    last: int
    to_ms: int | None
    clean: int
    backsteps: int


def _batch(columns: list[Value]) -> tuple[int, BatchRow] | None:
    """(run_id, row) if the columns are those of a batch that is as it was sealed; the run's name is not known yet."""
    if len(columns) not in _BATCH_COLUMNS:
        return None
    run_id, seq, base, guess, lo, hi, aside, body, _, crc = [*columns, None, None][:10]
    fits = isinstance(run_id, int) and isinstance(seq, int) and seq > 0 and isinstance(guess, int)
    if not fits or not isinstance(body, str) or not isinstance(aside, str | None):
        return None
    if not all(isinstance(each, int | None) for each in (base, lo, hi, crc)):
        return None
    if not is_sound(seq, base, guess, lo, hi, body, crc):  # type: ignore[arg-type]  # just looked at
        return None
    return run_id, BatchRow("", seq, base, guess, lo, hi, aside, body)  # type: ignore[return-value,arg-type]


def _run(columns: list[Value]) -> RunRow | None:
    if len(columns) != _RUN_COLUMNS or columns[0] is not None:
        return None
    _, run, boot, last, to_ms, clean, backsteps = columns
    if not isinstance(run, str) or len(run) != _RUN_CHARS or not isinstance(boot, str):
        return None
    if not all(isinstance(each, int) for each in (last, clean, backsteps)) or not isinstance(to_ms, int | None):
        return None
    return RunRow(run, boot, last, to_ms, clean, backsteps)  # type: ignore[arg-type]  # just looked at


def _named(columns: list[Value]) -> tuple[int, str] | None:
    """(run_id, run) of an entry of the index of runs' names."""
    if len(columns) != _MEMORY_COLUMNS or not isinstance(columns[1], int):
        return None
    name = columns[0]
    return (columns[1], name) if isinstance(name, str) and len(name) == _RUN_CHARS else None


def _plan(columns: list[Value]) -> tuple[str, str] | None:
    """(run, text) of how the fields of a run were read, if it is as it was written."""
    if len(columns) != _PLAN_COLUMNS:
        return None
    run, version, text = columns
    if not isinstance(run, str) or not isinstance(version, int) or not isinstance(text, str):
        return None
    return (run, text) if is_sound_plan(run, version, text) else None


class Wreck:
    """A damaged file: `pages` of them, and `read`, which fetches one."""

    def __init__(self, *, name: str, pages: int, read: Read) -> None:
        """Looks through the whole file."""
        self.name = name
        self.pages = pages
        self.memory: dict[str, str] = {}
        self._read = read
        plans: dict[str, str] = {}
        runs: dict[int, RunRow] = {}
        places: dict[int, tuple[array[int], array[int]]] = {}
        names: dict[int, str] = {}
        for page in range(1, pages + 1):
            for rowid, columns in rows_of(page, read):
                if (found := _batch(columns)) is not None:
                    seqs, where = places.setdefault(found[0], (array("q"), array("q")))
                    seqs.append(found[1].seq)
                    where.append(2 * page + (found[1].base_ms is not None))
                elif (run := _run(columns)) is not None:
                    runs[rowid] = max(run, runs.get(rowid, run), key=lambda each: each.last)
                elif (named := _named(columns)) is not None:
                    names[named[0]] = named[1]
                elif (plan := _plan(columns)) is not None:
                    plans[plan[0]] = plan[1]
                elif len(columns) == _MEMORY_COLUMNS and all(isinstance(each, str) for each in columns):
                    self.memory[str(columns[0])] = str(columns[1])
        for run_id in names.keys() - runs.keys():  # its row is gone, its entry in the index of names is not
            runs[run_id] = RunRow(names[run_id], "", max(places.get(run_id, ([0],))[0]), None, 0, 0)
        self._names = {run_id: runs[run_id].run for run_id in sorted(runs)}
        self.runs = [runs[run_id] for run_id in sorted(runs)]
        """Oldest first."""
        self.plans = {run: plans[run] for run in self._names.values() if run in plans}
        """By run: how its fields were read, as the row said it."""
        self._places = {run_id: _best(*places[run_id]) for run_id in sorted(places) if run_id in self._names}
        """By run_id: seqs, rising, and the page of each."""

    def readable(self, after_page: int = 0) -> Spans:
        """The batches that can be carried over from pages behind this one."""
        found = Spans()
        for run_id, (seqs, pages) in self._places.items():
            for seq, page in zip(seqs, pages, strict=True):
                if page > after_page:
                    found.add((self._names[run_id], seq, seq))
        return found

    def rows(self, after_page: int, last_page: int) -> Iterator[BatchRow]:
        """Those of the pages (after_page, last_page], each once."""
        for page in range(after_page + 1, last_page + 1):
            for _, columns in rows_of(page, self._read):
                found = _batch(columns)
                if found is None or found[0] not in self._names:
                    continue
                run_id, row = found
                seqs, pages = self._places[run_id]
                if pages[bisect_left(seqs, row.seq)] == page:
                    yield row._replace(run=self._names[run_id])

    def missing(self) -> list[Span]:
        """What its runs have sealed and it no longer has: confirmed long ago, or gone. The newest run has no end."""
        readable = self.readable()
        ends = [run.last for run in self.runs[:-1]] + [SEQ_MAX] * bool(self.runs)
        spans = [
            part
            for run, last in zip(self.runs, ends, strict=True)
            if last
            for part in readable.gaps((run.run, 1, last))
        ]
        return longest(spans)


def _best(seqs: array[int], places: array[int]) -> tuple[array[int], array[int]]:
    """Each seq once: a row that was moved may have left a copy behind, from before it was dated."""
    best: dict[int, int] = {}
    for seq, place in zip(seqs, places, strict=True):
        known = best.get(seq, place)
        best[seq] = max(known, place, key=lambda each: (each & 1, each))
    return array("q", sorted(best)), array("q", [best[seq] >> 1 for seq in sorted(best)])


def longest(spans: list[Span]) -> list[Span]:
    """As many as a record may name, in their order."""
    if len(spans) <= MISSING_SPANS_MAX:
        return spans
    kept = sorted(range(len(spans)), key=lambda i: spans[i][1] - spans[i][2])[:MISSING_SPANS_MAX]
    return [spans[i] for i in sorted(kept)]


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a start found of damaged spools. `what` is None where batches have told of all of them."""

    what: str | None = None
    tells: Sequence[str] = ()
    """Names of those of which the first batch is the first to tell."""
    missing: list[Span] = field(default_factory=list)
    carried: list[Span] = field(default_factory=list)
    wrecks: Sequence[Wreck] = ()
    """Those whose rows are still to be carried over, oldest first."""
    done: Callable[[str], None] = lambda name: None
    """To be told the name of each when that is done."""
