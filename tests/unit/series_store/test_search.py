"""The search for culprits, against a model of servers: it finds them all, spares all others, and ends."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from series_store.influx.answers import Kind, Verdict
from series_store.influx.search import REQUESTS_MAX, Search, Span

STORED = Verdict(Kind.STORED)


def run(search: Search, server: Callable[[Span], Verdict]) -> tuple[set[int], set[int], int]:
    """(rows that were in a request that was stored, rows refused, requests)."""
    stored: set[int] = set()
    requests = 0
    while (span := search.next()) is not None:
        verdict = server(span)
        requests += 1
        if verdict.kind is Kind.STORED:
            stored |= set(range(*span))
        search.told(verdict)
    return stored, {row for span, _ in search.refused for row in range(*span)}, requests


def refusing(bad: set[int], *, counts: bool) -> Callable[[Span], Verdict]:
    def server(span: Span) -> Verdict:
        hit = bad & set(range(*span))
        return Verdict(Kind.SPLIT, "bad line", dropped=len(hit) if counts else None) if hit else STORED

    return server


@pytest.mark.parametrize("counts", [True, False])
def test_exactly_the_culprits_are_refused_and_every_neighbour_is_stored(counts: bool) -> None:
    chance = random.Random(1)
    for _ in range(300):
        sizes = [chance.randint(0, 9) for _ in range(chance.randint(0, 12))]
        rows = sum(sizes)
        bad = {row for row in range(rows) if chance.random() < chance.choice([0.0, 0.02, 0.3])}
        stored, refused, _ = run(Search(sizes), refusing(bad, counts=counts))
        assert refused == bad
        assert stored == set(range(rows)) - bad


def test_one_culprit_among_ten_thousand_costs_some_thirty_requests() -> None:
    stored, refused, requests = run(Search([50] * 200), refusing({7777}, counts=False))
    assert refused == {7777}
    assert len(stored) == 9999
    assert requests <= 30


def test_a_table_that_is_bad_throughout_costs_few_requests_where_the_server_counts() -> None:
    bad = set(range(5000, 6000))
    stored, refused, requests = run(Search([1000] * 10), refusing(bad, counts=True))
    assert refused == bad
    assert len(stored) == 9000
    assert requests <= 10


def test_a_count_over_several_tables_is_not_believed() -> None:
    # Two tables, of each one row is bad, and a server that counts a row twice: nothing good may be refused for it.
    def server(span: Span) -> Verdict:
        hit = {1, 3} & set(range(*span))
        return Verdict(Kind.SPLIT, "bad", dropped=4 if len(hit) == 2 else None) if hit else STORED

    stored, refused, _ = run(Search([2, 2]), server)
    assert (stored, refused) == ({0, 2}, {1, 3})


@pytest.mark.parametrize("sizes", [[10_000], [1] * 10_000, [100] * 100])
def test_the_work_is_bounded_when_everything_is_bad(sizes: list[int]) -> None:
    everything = set(range(10_000))
    stored, refused, requests = run(Search(sizes), refusing(everything, counts=False))
    assert refused == everything
    assert stored == set()
    assert requests <= REQUESTS_MAX + 20


def test_beyond_the_bound_good_parts_are_still_sent() -> None:
    bad = set(range(0, 5000, 3))
    stored, refused, requests = run(Search([10_000]), refusing(bad, counts=False))
    assert requests <= REQUESTS_MAX + 20
    assert refused >= bad
    assert stored >= set(range(5000, 10_000))
    assert stored | refused == set(range(10_000))


def test_refusals_beyond_the_bound_say_that_neighbours_are_among_them() -> None:
    search = Search([8], requests_max=1)
    run(search, refusing({1}, counts=False))
    assert [span for span, _ in search.refused] == [Span(0, 8)]
    assert "not told apart" in search.refused[0][1]


def test_a_request_that_is_too_large_is_halved_until_it_fits_and_nothing_is_lost() -> None:
    def server(span: Span) -> Verdict:
        return Verdict(Kind.HALVE, "too large") if span.rows > 30 else STORED

    stored, refused, _ = run(Search([1000, 7, 0, 300]), server)
    assert refused == set()
    assert stored == set(range(1307))


def test_a_row_that_is_too_large_alone_is_refused_alone() -> None:
    def server(span: Span) -> Verdict:
        return Verdict(Kind.HALVE, "413, too large") if span.first <= 5 < span.end else STORED

    search = Search([10])
    stored, refused, _ = run(search, server)
    assert refused == {5}
    assert stored == set(range(10)) - {5}
    assert search.refused[0][1] == "413, too large"


def test_parts_are_the_pieces_of_tables_that_a_span_covers() -> None:
    search = Search([3, 0, 2, 4])
    assert list(search.parts(Span(0, 9))) == [(0, 0, 3), (2, 0, 2), (3, 0, 4)]
    assert list(search.parts(Span(2, 4))) == [(0, 2, 3), (2, 0, 1)]
    assert list(search.parts(Span(5, 7))) == [(3, 0, 2)]


def test_nothing_to_write_needs_no_request() -> None:
    assert Search([]).next() is None
    assert Search([0, 0]).next() is None
