"""The stream of /query, cut wherever a network may cut it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from series_store.influx.documents import documents, pieces


def document(rows: list[list[Any]], *, statement: int = 0, partial: bool = False) -> bytes:
    series: dict[str, Any] = {"name": "m", "tags": {"a": "1", "b": ""}, "columns": ["time", "v"], "values": rows}
    result: dict[str, Any] = {"statement_id": statement, "series": [series]}
    if partial:
        series["partial"] = result["partial"] = True
    return json.dumps({"results": [result]}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


STREAM = document([[1, 0.5], [2, None]], partial=True) + document([[3, 7]]) + document([[4, 1e300]], statement=1)
ROWS = [(0, [[1, 0.5], [2, None]]), (0, [[3, 7]]), (1, [[4, 1e300]])]


def read(*stream: bytes) -> list[tuple[int, list[list[Any]]]]:
    return [(piece.statement, piece.rows) for piece in pieces(documents(stream))]


def test_a_whole_stream_gives_all_its_pieces() -> None:
    assert read(STREAM) == ROWS
    piece = next(pieces(documents([STREAM])))
    assert (piece.name, piece.tags, piece.columns) == ("m", {"a": "1"}, ["time", "v"])


def test_it_makes_no_difference_where_the_stream_is_split() -> None:
    for at in range(len(STREAM) + 1):
        assert read(STREAM[:at], STREAM[at:]) == ROWS
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == ROWS


def test_a_stream_that_breaks_off_is_never_taken_for_the_whole() -> None:
    ends = {len(STREAM), len(STREAM) - 1}
    first, second = STREAM.index(b"\n") + 1, STREAM.index(b"\n", STREAM.index(b"\n") + 1) + 1
    # Between two statements an answer looks complete; the transfer encoding tells that it is not.
    ends |= {second, second - 1}
    for at in set(range(len(STREAM))) - ends:
        with pytest.raises(ValueError, match="broke off" if at in (0, first, first - 1) else "not that of InfluxDB"):
            read(STREAM[:at])


@pytest.mark.parametrize("garbage", [b"x", b"{}", b"null", b"\xff", b'{"results":[5]}', b'{"results":[{"series":5}]}'])
def test_garbage_after_the_answer_is_refused(garbage: bytes) -> None:
    with pytest.raises(ValueError, match="not that of InfluxDB"):
        read(STREAM + garbage)


def test_an_error_in_any_document_is_raised_with_the_words_of_the_server() -> None:
    for error in (b'{"results":[{"statement_id":0,"error":"timeout"}]}\n', b'{"error":"timeout"}\n'):
        with pytest.raises(ValueError, match="refused: timeout"):
            read(STREAM, error)


def test_a_missing_database_comes_with_its_mend() -> None:
    for said in ("database not found: db", "no dbrp mapping found"):
        with pytest.raises(ValueError, match="store init"):
            read(json.dumps({"results": [{"statement_id": 0, "error": said}]}).encode())


def test_an_answer_without_rows_is_empty() -> None:
    assert read(b'{"results":[{"statement_id":0}]}\n') == []
    assert read(b'{"results":[]}') == []


def test_a_document_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("series_store.influx.documents.DOCUMENT_BYTES_MAX", 1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        read(*[b"x" * 100] * 20)
