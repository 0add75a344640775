"""Finds the rows that a server refuses by asking in halves, with bounded work.

Pure: it says what to send next and is told what came of it. Rows are counted through all tables of a write, and a part
is cut where a table ends if it can be: what one device does wrong should cost its neighbours few requests.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from series_store.influx.answers import Kind, Verdict

REQUESTS_MAX = 256
"""Requests of one search. Beyond it a part that fails is refused whole, so that the others get through."""


class Span(NamedTuple):
    """Rows [first, end) of a write."""

    first: int
    end: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.end - self.first


class Part(NamedTuple):
    """Rows [first, end) of one table."""

    table: int
    first: int
    end: int


class Search:
    """The state of one write of tables with `sizes` rows each."""

    def __init__(self, sizes: Sequence[int], *, requests_max: int = REQUESTS_MAX) -> None:
        self._ends = list(accumulate(sizes))
        self._requests_left = requests_max
        self._unsent = [Span(0, self._ends[-1])] if self._ends and self._ends[-1] else []
        self.refused: list[tuple[Span, str]] = []
        """Rows that will never be stored, with the reason."""

    def next(self) -> Span | None:
        """What to send now, or None when every row is stored or refused."""
        return self._unsent[-1] if self._unsent else None

    def told(self, verdict: Verdict) -> None:
        """What came of the span that `next` named. Not for a retry, which ends the search."""
        assert verdict.kind is not Kind.RETRY
        span = self._unsent.pop()
        self._requests_left -= 1
        if verdict.kind is Kind.STORED:
            return
        if span.rows == 1 or self._is_bad_throughout(span, verdict):
            self.refused.append((span, verdict.reason))
        elif self._requests_left <= 0:
            self.refused.append((span, f"{verdict.reason} (not told apart from its neighbours)"))
        else:
            middle = self._cut(span)
            self._unsent += [Span(middle, span.end), Span(span.first, middle)]

    def parts(self, span: Span) -> Iterator[Part]:
        """The pieces of tables that a span covers."""
        table = bisect.bisect_right(self._ends, span.first)
        at = span.first
        while at < span.end:
            begin = self._ends[table - 1] if table else 0
            end = min(span.end, self._ends[table])
            if end > at:
                yield Part(table, at - begin, end - begin)
            at, table = end, table + 1

    def _is_bad_throughout(self, span: Span, verdict: Verdict) -> bool:
        """Whether the server itself counts as many refused lines as the span has, all of one table.

        The count can be too small (it is that of one shard) but not too large.
        """
        return verdict.dropped is not None and verdict.dropped >= span.rows and len(list(self.parts(span))) == 1

    def _cut(self, span: Span) -> int:
        """Where to halve: at the end of a table that is nearest to the middle, or in the middle of the only one."""
        middle = (span.first + span.end) // 2
        inside = self._ends[bisect.bisect_right(self._ends, span.first) : bisect.bisect_left(self._ends, span.end)]
        return min(inside, key=lambda end: abs(end - middle)) if inside else middle
