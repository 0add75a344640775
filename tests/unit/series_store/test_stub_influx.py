"""Whatever a server answers, or does not: no exception, no lost neighbour, a reason on one line. Over both clients."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import pytest

from series_store.influx.api2 import Api2
from series_store.influx.http import Server
from series_store.influx.store import InfluxFigures, InfluxReader, InfluxWriter
from series_store.port import Unavailable
from series_store.table import STORED, Outcome, SeriesKey, Table
from tests.unit.series_store.stub_influx import Picky, Reply, Request, StubInflux, body

WAIT_S, HUNG_S = 20.0, 0.5
"""The latter where the server hangs: nothing else is waited for in vain."""


class Open(Protocol):
    """Makes a writer to the server at `url`."""

    def __call__(self, url: str, wait_s: float = ...) -> InfluxWriter: ...


def over_http(url: str, wait_s: float = WAIT_S) -> InfluxWriter:
    server = Server(base=url, database="db", user="u", secret="s3cret", write_s_max=wait_s, query_s_max=wait_s)
    return InfluxWriter(server=server, post=server.post)


def over_api2(url: str, wait_s: float = WAIT_S) -> InfluxWriter:
    api = Api2(base=url, org="org", bucket="db", token="s3cret", write_s_max=wait_s)
    server = Server(base=url, database="db", secret="s3cret", token=True, query_s_max=wait_s)
    return InfluxWriter(server=server, post=api.post, close_post=api.close)


@pytest.fixture(params=[over_http, over_api2], ids=["http", "api2"])
def client(request: pytest.FixtureRequest) -> Open:
    chosen: Open = request.param
    return chosen


def readings(device: str, rows: int) -> Table:
    tags = (("gateway", "g1"), ("device", device))
    return Table("meter", tags, ("power_w", "energy_kwh"), list(range(rows)), [[1.0] * rows, [2.0] * rows])


def write(client: Open, url: str, tables: Sequence[Table], wait_s: float = WAIT_S) -> Outcome:
    async def story() -> Outcome:
        writer = client(url, wait_s)
        try:
            return await writer.write(tables)
        finally:
            await writer.close()

    return asyncio.run(story())


def always(reply: Reply) -> Callable[[Request], Reply]:
    return lambda request: reply


PARTIAL = "partial write: field type conflict: input field on measurement is type integer dropped={n}"


@pytest.mark.parametrize(
    "status, keeps_the_rest, text",
    [
        (400, True, PARTIAL),
        (400, True, "partial write: unable to parse '{line}': invalid number dropped=0"),
        (400, False, "unable to parse '{line}': invalid number"),
        (422, True, "failure writing points to database: " + PARTIAL),
        (400, False, "partial write of line protocol occurred"),
    ],
    ids=["1.6 conflict", "1.6 unreadable", "2.9 unreadable", "2.9 conflict", "3"],
)
def test_neighbours_of_a_refused_line_are_stored(client: Open, status: int, keeps_the_rest: bool, text: str) -> None:
    picky = Picky(b"device=bad", status, keeps_the_rest, text)
    tables = [readings("m1", 40), readings("bad", 3), readings("m2", 40), readings("m3", 1)]
    with StubInflux(picky) as stub:
        outcome = write(client, stub.url, tables)
    assert outcome.stored
    assert [(refusal.table, refusal.row) for refusal in outcome.refused] == [(1, 0), (1, 1), (1, 2)]
    assert all(refusal.reason.isprintable() and refusal.reason for refusal in outcome.refused)
    assert len(picky.kept) == 81
    assert not any(b"device=bad" in line for line in picky.kept)


def test_rows_refused_by_us_and_by_the_server_are_named_together(client: Open) -> None:
    picky = Picky(b"device=bad", 400, True, PARTIAL)
    nan = Table("meter", (("gateway", "g1"), ("device", "m1")), ("power_w",), [1, 2, 3], [[1.0, float("nan"), 3.0]])
    with StubInflux(picky) as stub:
        outcome = write(client, stub.url, [nan, readings("bad", 1)])
    assert [(refusal.table, refusal.row) for refusal in outcome.refused] == [(0, 1), (1, 0)]
    assert len(picky.kept) == 2


def test_a_refused_row_is_named_by_its_place_in_the_table_as_it_was_given(client: Open) -> None:
    picky = Picky(b" 7\n"[:2], 400, True, PARTIAL)
    values = [float("nan"), 1.0, float("nan"), 2.0, 3.0]
    table = Table("meter", (("gateway", "g1"), ("device", "m1")), ("power_w",), [1, 2, 3, 7, 8], [values])
    with StubInflux(picky) as stub:
        outcome = write(client, stub.url, [table])
    assert [refusal.row for refusal in outcome.refused] == [0, 2, 3]


@pytest.mark.parametrize(
    "reply, says",
    [
        (Reply(400, body(error="database is required")), "database is required"),
        (Reply(400, b"<html>\r\n<h1>400 Bad Request</h1>"), "Bad Request"),
        (Reply(401, body(error="authorization failed")), "credentials"),
        (Reply(401, body(code="unauthorized", message="unauthorized access")), "credentials"),
        (Reply(403, body(error="user is not authorized")), "credentials"),
        (Reply(404, body(error='database not found: "db"')), "store init"),
        (Reply(404, body(code="not found", message='bucket "db" not found')), "store init"),
        (Reply(422, b"what?"), "what?"),
        (Reply(429, b"", {"Retry-After": "7"}), "429"),
        (Reply(500, body(error="timeout")), "timeout"),
        (Reply(503, b"", {"Retry-After": "11"}), "503"),
        (Reply(503, body(error="engine: cache-max-memory-size exceeded")), "cache-max-memory-size"),
        (Reply(200, b"<html>please pay for this WLAN</html>"), "is this InfluxDB"),
        (Reply(302, b"", {"Location": "http://127.0.0.1:9/"}), "302"),
        (Reply(400, b"\xff\xfe\x00garbage"), ""),
        (Reply(raw=b"\x00\x01\x02 this is not HTTP at all\r\n\r\n"), ""),
        (Reply(raw=b"HTTP/1.1 4x4 What\r\n\r\n"), ""),
        (Reply(cut=True), ""),
        (Reply(hang=True), "timed out"),
    ],
    ids=lambda value: (
        f"{value.status}{' raw' * bool(value.raw)}{' hang' * value.hang}{' cut' * value.cut}"
        if isinstance(value, Reply)
        else ""
    ),
)
def test_anything_else_is_tried_again_and_refuses_nothing(client: Open, reply: Reply, says: str) -> None:
    with StubInflux(always(reply)) as stub:
        outcome = write(client, stub.url, [readings("m1", 3)], HUNG_S if reply.hang else WAIT_S)
        assert len(stub.requests) == 1, "a writer does not repeat by itself"
    assert not outcome.stored
    assert outcome.retry_after_s is not None
    assert 0 < outcome.retry_after_s <= 300
    assert outcome.refused == ()
    assert says in outcome.reason
    assert outcome.reason
    assert outcome.reason.isprintable()


def test_a_pause_that_the_server_asks_for_is_passed_on(client: Open) -> None:
    with StubInflux(always(Reply(503, b"", {"Retry-After": "11"}))) as stub:
        assert write(client, stub.url, [readings("m1", 3)]).retry_after_s == 11.0


def test_nobody_listening_is_a_reason_to_wait(client: Open) -> None:
    with socket.socket() as probe:  # bound to the end, so that nobody else listens there meanwhile
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        outcome = write(client, f"http://127.0.0.1:{port}", [readings("m1", 3)])
    assert not outcome.stored
    assert "refused" in outcome.reason
    assert str(port) in outcome.reason
    assert outcome.reason.isprintable()


def test_a_name_that_nobody_knows_is_a_reason_to_wait(client: Open) -> None:
    outcome = write(client, "http://no-such-host.invalid:8086", [readings("m1", 3)])
    assert not outcome.stored
    assert "no-such-host.invalid" in outcome.reason


def test_a_request_that_is_too_large_is_sent_in_parts(client: Open) -> None:
    kept: set[bytes] = set()

    def small(request: Request) -> Reply:
        if len(request.lines) > 8:
            return Reply(413, body(error="Request Entity Too Large"))
        kept.update(request.lines)
        return Reply(204)

    with StubInflux(small) as stub:
        assert write(client, stub.url, [readings("m1", 30), readings("m2", 21)]) == STORED
    assert len(kept) == 51


def test_a_server_that_fails_during_the_search_leaves_nothing_decided(client: Open) -> None:
    replies = iter([Reply(400, body(error="unable to parse 'x'")), Reply(204)])
    with StubInflux(lambda request: next(replies, Reply(503))) as stub:
        outcome = write(client, stub.url, [readings("m1", 30)])
    assert not outcome.stored
    assert outcome.refused == ()


def test_large_writes_go_out_in_requests_of_ten_thousand_lines(client: Open) -> None:
    with StubInflux(always(Reply(204))) as stub:
        assert write(client, stub.url, [readings("m1", 12_000), readings("m2", 12_000)]) == STORED
        sizes = sorted(len(request.lines) for request in stub.requests)
        lines = {line for request in stub.requests for line in request.lines}
    assert sizes == [4_000, 10_000, 10_000]
    assert len(lines) == 24_000


def test_microseconds_and_milliseconds_are_never_mixed_in_one_request(client: Open) -> None:
    tags = (("gateway", "g1"), ("worker", "w1"))
    fields = ("run", "seq", "from", "to", "readings", "bad", "counts")
    columns: list[list[float | str | None]] = [["r"], [1.0], [0.0], [1.0], [1.0], [0.0], ["{}"]]
    receipt = Table("receipt", tags, fields, [5_000_001], columns, micros=True)
    with StubInflux(always(Reply(204))) as stub:
        assert write(client, stub.url, [receipt, readings("m1", 1)]) == STORED
        sent = {parse_qs(urlsplit(request.path).query)["precision"][0]: request.body for request in stub.requests}
    assert set(sent) in ({"ms", "u"}, {"ms", "us"})
    assert sent.pop("ms").startswith(b"meter,")
    assert next(iter(sent.values())).endswith(b" 5000001\n")


def test_no_request_names_a_retention_policy_and_each_carries_its_credentials(client: Open) -> None:
    with StubInflux(always(Reply(204))) as stub:
        write(client, stub.url, [readings("m1", 1)])
        (request,) = stub.requests
    asked = parse_qs(urlsplit(request.path).query)
    basic = "Basic " + base64.b64encode(b"u:s3cret").decode()
    if client is over_http:
        assert urlsplit(request.path).path == "/write"
        assert asked == {"db": ["db"], "precision": ["ms"]}
        assert request.authorization == basic
    else:
        assert urlsplit(request.path).path == "/api/v2/write"
        assert asked == {"org": ["org"], "bucket": ["db"], "precision": ["ms"]}
        assert request.authorization == "Token s3cret"


@pytest.mark.parametrize(
    "reply", [Reply(204), Reply(400, body(code="invalid", message="writing requires points"))], ids=["1.6", "2.x"]
)
def test_starting_a_writer_tells_nothing_wrong_where_nothing_is(client: Open, reply: Reply) -> None:
    with StubInflux(always(reply)) as stub:
        asyncio.run(client(stub.url).start())


def test_starting_a_writer_tells_what_is_wrong(client: Open) -> None:
    missing = always(Reply(404, body(error='database not found: "db"')))
    with StubInflux(missing) as stub, pytest.raises(Unavailable, match="store init"):
        asyncio.run(client(stub.url).start())


_WHOLE = b'{"results":[{"statement_id":0}]}\n'
UNENDED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(_WHOLE), _WHOLE)
"""A whole document, but the connection ends without the last chunk: there may have been more to say."""

QUERIES = [
    (Reply(200, b'{"results":[{"statement_id":0,"error":"database not found: db"}]}\n'), "store init"),
    (Reply(200, b'{"error":"timeout"}\n'), "timeout"),
    (Reply(400, body(error="error parsing query")), "error parsing query"),
    (Reply(401, body(error="authorization failed")), "credentials"),
    (Reply(404, b"404 page not found"), "404"),
    (Reply(503, b"", {"Retry-After": "5"}), "503"),
    (Reply(204), "204"),
    (Reply(200, b""), "broke off"),
    (Reply(200, b"<html>please pay for this WLAN</html>"), "not that of InfluxDB"),
    (Reply(200, b"[1, 2]"), "not that of InfluxDB"),
    (Reply(200, b'{"results": 5}'), "not that of InfluxDB"),
    (Reply(200, b'{"results":[{"statement_id":0,"series":[{"values":[[1]]}]}]}'), "not that of InfluxDB"),
    (Reply(200, b'{"results":[{"statement_id":0,"partial":true}]}\n'), "broke off"),
    (Reply(200, b'{"results":[{"statement_id":0,"series":[{"na'), "not that of InfluxDB"),
    (Reply(200, b"\xff\xfe\x00"), "not that of InfluxDB"),
    (Reply(raw=b"\x00\x01\x02 this is not HTTP at all\r\n\r\n"), "http://127"),
    (Reply(raw=UNENDED), "http://127"),
    (Reply(cut=True), "http://127"),
    (Reply(hang=True), "timed out"),
]


@pytest.mark.parametrize("reply, says", QUERIES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_reader_says_unavailable_and_why_and_nothing_else(reply: Reply, says: str) -> None:
    async def story(url: str) -> None:
        wait_s = HUNG_S if reply.hang else WAIT_S
        server = Server(base=url, database="db", write_s_max=wait_s, query_s_max=wait_s)
        reader, figures = InfluxReader(server=server), InfluxFigures(server=server, post=server.post)
        key = SeriesKey("meter", "g1", "m1", "power_w")
        for question in (
            reader.series(),
            reader.window([key], 0, 1),
            reader.count([key], 0, 1),
            reader.last_receipts(),
            figures.cursor("c"),
        ):
            with pytest.raises(Unavailable, match=says) as raised:
                await question
            assert str(raised.value).isprintable()
            if reply.hang:
                question.close()
        await server.close()

    with StubInflux(always(reply)) as stub:
        asyncio.run(story(stub.url))


@pytest.mark.parametrize("reply, says", QUERIES, ids=lambda value: value if isinstance(value, str) else "")
def test_failed_queries_never_use_up_the_connections(reply: Reply, says: str) -> None:
    async def story(url: str) -> None:
        server = Server(base=url, database="db", query_s_max=0.05 if reply.hang else WAIT_S)
        reader = InfluxReader(server=server)
        for _ in range(6):
            with pytest.raises(Unavailable, match=says):
                await reader.gateways()
        stub.behave = always(Reply(200, _WHOLE))
        server._query_s_max = WAIT_S
        for _ in range(6):
            assert await reader.events("start", 0, 1) == []
        await server.close()

    with StubInflux(always(reply)) as stub:
        asyncio.run(story(stub.url))


@pytest.mark.parametrize("reply", [Reply(204), Reply(400, body(error="x" * 5000)), Reply(503, b"")])
def test_one_writer_after_the_other_shares_one_connection(client: Open, reply: Reply) -> None:
    async def story(url: str) -> None:
        writer = client(url)
        for _ in range(10):
            await writer.write([readings("m1", 1)])
        await writer.close()

    with StubInflux(always(reply)) as stub:
        asyncio.run(story(stub.url))
        assert len(stub.requests) == 10
        assert stub.connections == 1


def test_queries_share_one_connection() -> None:
    async def story(url: str) -> None:
        server = Server(base=url, database="db")
        for _ in range(10):
            assert await InfluxReader(server=server).events("start", 0, 1) == []
        await server.close()

    with StubInflux(always(Reply(200, _WHOLE))) as stub:
        asyncio.run(story(stub.url))
        assert stub.connections == 1


def test_a_cursor_that_was_not_stored_is_not_silently_lost() -> None:
    async def story(url: str) -> None:
        server = Server(base=url, database="db", write_s_max=WAIT_S)
        figures = InfluxFigures(server=server, post=server.post)
        with pytest.raises(Unavailable):
            await figures.set_cursor("c", 5)
        await server.close()

    for reply in (Reply(503), Reply(400, body(error="partial write: points beyond retention policy dropped=1"))):
        with StubInflux(always(reply)) as stub:
            asyncio.run(story(stub.url))


def test_a_long_answer_is_asked_for_in_chunks_so_that_it_never_stands_in_memory_as_text() -> None:
    async def story(url: str) -> None:
        server = Server(base=url, database="db", user="u", secret="s3cret")
        assert await InfluxReader(server=server).events("start", 0, 1) == []
        await server.close()

    with StubInflux(always(Reply(200, _WHOLE))) as stub:
        asyncio.run(story(stub.url))
        (request,) = stub.requests
    asked = parse_qs(request.body.decode())
    assert request.path == "/query"
    assert (asked["chunked"], asked["chunk_size"], asked["epoch"], asked["db"]) == (["true"], ["10000"], ["ms"], ["db"])
    assert request.authorization == "Basic " + base64.b64encode(b"u:s3cret").decode()


def test_queries_to_2x_carry_the_token() -> None:
    async def story(url: str) -> None:
        server = Server(base=url, database="db", secret="s3cret", token=True)
        await InfluxReader(server=server).start()
        await server.close()

    with StubInflux(always(Reply(200, _WHOLE))) as stub:
        asyncio.run(story(stub.url))
        assert stub.requests[0].authorization == "Token s3cret"


def test_lines_may_be_sent_compressed() -> None:
    async def story(url: str) -> None:
        server = Server(base=url, database="db", gzipped=True)
        assert await InfluxWriter(server=server, post=server.post).write([readings("m1", 100)]) == STORED
        await server.close()

    with StubInflux(always(Reply(204))) as stub:
        asyncio.run(story(stub.url))
        assert gzip.decompress(stub.requests[0].body).count(b"\n") == 100
