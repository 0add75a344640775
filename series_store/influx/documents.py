"""The answer of /query as it streams in: bytes → JSON documents, one a line → pieces of series.

With `chunked=true` a long series comes in several documents, of which all but the last say `partial`. An error stands
inside an answer with status 200, in any document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pydantic import TypeAdapter

DOCUMENT_BYTES_MAX = 268_435_456
"""One document: the rows that the server puts into a chunk, texts included."""

_FOREIGN = "the answer is not that of InfluxDB"
_ANY: TypeAdapter[Any] = TypeAdapter(Any)


class Piece(NamedTuple):
    """Some rows of one series in the answer to statement number `statement`."""

    statement: int
    name: str
    tags: dict[str, str]
    columns: list[str]
    rows: list[list[Any]]


def documents(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines of a stream of bytes. Raises ValueError where a line passes the bound."""
    kept: list[bytes] = []
    size = 0
    for received in stream:
        *lines, rest = received.split(b"\n")
        for line in lines:
            yield b"".join([*kept, line])
            kept, size = [], 0
        kept.append(rest)
        size += len(rest)
        if size > DOCUMENT_BYTES_MAX:
            raise ValueError(f"a document of more than {DOCUMENT_BYTES_MAX} bytes in the answer")
    yield b"".join(kept)


def pieces(lines: Iterable[bytes]) -> Iterator[Piece]:
    """All pieces in order. Raises ValueError with the server's words, or where the answer is none or breaks off."""
    unfinished = True
    for line in lines:
        if not line.strip():
            continue
        unfinished = False
        for result in _results(line):
            if "error" in result:
                raise ValueError(f"the query was refused: {result['error']}{_mend(str(result['error']))}")
            unfinished = unfinished or bool(result.get("partial"))
            yield from _series(result)
    if unfinished:
        raise ValueError("the answer broke off")


def _results(line: bytes) -> list[dict[str, Any]]:
    try:
        document = _ANY.validate_json(line)
    except ValueError:
        raise ValueError(_FOREIGN) from None
    if isinstance(document, dict) and isinstance(document.get("error"), str):
        return [document]
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise ValueError(_FOREIGN)
    return results


def _series(result: dict[str, Any]) -> list[Piece]:
    try:
        return [
            Piece(
                result["statement_id"],
                series.get("name", ""),
                # A series without a tag that others have shows it as empty.
                {key: value for key, value in series.get("tags", {}).items() if value != ""},
                series["columns"],
                series.get("values", []),
            )
            for series in result.get("series", ())
        ]
    except (AttributeError, KeyError, TypeError):
        raise ValueError(_FOREIGN) from None


def _mend(said: str) -> str:
    if "database not found" in said or "no dbrp mapping" in said:
        return "; `loopgauge store init` creates it"
    return "; make a bucket instead, with an influx2 address" if "not implemented" in said else ""
