"""One write from vetted tables to an outcome: encode, post, and search for the culprit where the server complains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from series_store.influx.answers import Answer, Kind, judge
from series_store.influx.lines import PRECISIONS, encode, precision
from series_store.influx.search import Part, Search
from series_store.table import Outcome, Refusal, Table
from series_store.vet import Sound

ROWS_MAX = 10_000
"""Lines of one request: where InfluxDB 1.6 and 2.9 are fastest, and 2 to 3 MB."""

Post = Callable[[bytes, str], Answer]
"""(lines, precision) → what the server answered. Never raises."""


def requests(sound: Sequence[Sound]) -> Iterator[list[Sound]]:
    """The same rows in groups of one precision and at most `ROWS_MAX` rows, tables cut where they must be."""
    for _, items in groupby(sorted(sound, key=lambda item: item.table.micros), key=lambda item: item.table.micros):
        group: list[Sound] = []
        room = ROWS_MAX
        for item in items:
            first = 0
            while first < len(item.rows):
                end = min(len(item.rows), first + room)
                group.append(_cut(item, first, end))
                room -= end - first
                first = end
                if room == 0:
                    yield group
                    group, room = [], ROWS_MAX
        if group:
            yield group


def send(post: Post, sound: Sequence[Sound]) -> Outcome:
    """Post all rows; those that the server will never take are named in the outcome, and all others are stored."""
    unit = precision([item.table for item in sound])
    assert unit in PRECISIONS
    search = Search([len(item.rows) for item in sound])
    while (span := search.next()) is not None:
        verdict = judge(post(encode(_tables(sound, search.parts(span))), unit))
        if verdict.kind is Kind.RETRY:
            return Outcome(retry_after_s=verdict.after_s, reason=verdict.reason)
        search.told(verdict)
    return Outcome(refused=tuple(_refusals(sound, search)))


def together(outcomes: Sequence[Outcome], refused: Sequence[Refusal]) -> Outcome:
    """The outcome of a write that went out in several requests, some rows of which were refused beforehand."""
    waits = [outcome for outcome in outcomes if not outcome.stored]
    if waits:
        return max(waits, key=lambda outcome: outcome.retry_after_s or 0.0)
    return Outcome(refused=tuple(sorted([*refused, *(row for outcome in outcomes for row in outcome.refused)])))


def _refusals(sound: Sequence[Sound], search: Search) -> Iterator[Refusal]:
    for span, reason in search.refused:
        for part in search.parts(span):
            item = sound[part.table]
            for row in item.rows[part.first : part.end]:
                yield Refusal(item.number, row, reason)


def _tables(sound: Sequence[Sound], parts: Iterator[Part]) -> list[Table]:
    return [_cut(sound[part.table], part.first, part.end).table for part in parts]


def _cut(item: Sound, first: int, end: int) -> Sound:
    """Rows [first, end) of a vetted table."""
    if end - first == len(item.rows):
        return item
    table = item.table
    columns = [column[first:end] for column in table.columns]
    return Sound(item.number, replace(table, times=table.times[first:end], columns=columns), item.rows[first:end])
