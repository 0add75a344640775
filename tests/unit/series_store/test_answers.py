"""Statuses and bodies of InfluxDB 1.6, 2.9 and 3 Core, and of what may stand in front of it → what a writer does."""

from __future__ import annotations

import json

import pytest

from series_store.influx.answers import REASON_CHARS_MAX, Answer, Kind, judge

CONFLICT = (
    'partial write: field type conflict: input field "v" on measurement "m" is type integer, already exists as type'
    " float dropped=2"
)
UNREADABLE = "partial write: unable to parse 'm,a=1 v=nan 1000': invalid number\nunable to parse 'm v= 5': missing"


def one(text: str) -> bytes:
    """A body of 1.x."""
    return json.dumps({"error": text}).encode()


def two(code: str, text: str) -> bytes:
    """A body of 2.x."""
    return json.dumps({"code": code, "message": text}).encode()


@pytest.mark.parametrize(
    "answer, kind, says",
    [
        (Answer(204), Kind.STORED, ""),
        (Answer(400, one(CONFLICT)), Kind.SPLIT, "field type conflict"),
        (Answer(400, one(UNREADABLE + " dropped=0")), Kind.SPLIT, "unable to parse"),
        (Answer(400, one("partial write: points beyond retention policy dropped=3")), Kind.SPLIT, "retention"),
        (Answer(400, two("invalid", "unable to parse 'm v=': missing field value")), Kind.SPLIT, "unable to parse"),
        (
            Answer(422, two("unprocessable entity", f"failure writing points to database: {CONFLICT}")),
            Kind.SPLIT,
            "conflict",
        ),
        (Answer(400, b'{"error":"partial write of line protocol occurred","data":[]}'), Kind.SPLIT, "partial write"),
        (Answer(400, one("database is required")), Kind.RETRY, "database is required"),
        (Answer(400, b"Client sent an HTTP request to an HTTPS server."), Kind.RETRY, "HTTPS"),
        (Answer(422, b"<html>what?</html>"), Kind.RETRY, "422"),
        (Answer(401, one("unable to parse authentication credentials")), Kind.RETRY, "credentials"),
        (Answer(401, two("unauthorized", "unauthorized access")), Kind.RETRY, "secret"),
        (Answer(403, one('user "u" is not authorized to write')), Kind.RETRY, "credentials"),
        (Answer(404, one('database not found: "db"')), Kind.RETRY, "store init"),
        (Answer(404, two("not found", 'bucket "b" not found')), Kind.RETRY, "store init"),
        (Answer(413, one("Request Entity Too Large")), Kind.HALVE, "too large"),
        (Answer(413, b""), Kind.HALVE, "too large"),
        (Answer(429, two("too many requests", "slow down")), Kind.RETRY, "slow down"),
        (Answer(500, one("timeout")), Kind.RETRY, "timeout"),
        (Answer(502, b"<html>\r\n<h1>Bad Gateway</h1>\r\n</html>"), Kind.RETRY, "Bad Gateway"),
        (Answer(503, b""), Kind.RETRY, "503"),
        (Answer(0, trouble="connection refused"), Kind.RETRY, "connection refused"),
        (Answer(200, b"<html>welcome to the hotel</html>"), Kind.RETRY, "is this InfluxDB"),
        (Answer(202), Kind.RETRY, "unexpected"),
        (Answer(301, b""), Kind.RETRY, "unexpected"),
        (Answer(405, b"no"), Kind.RETRY, "405"),
        (Answer(418, b"\xff\xfe\x00"), Kind.RETRY, "418"),
    ],
)
def test_each_answer_has_one_thing_to_do(answer: Answer, kind: Kind, says: str) -> None:
    verdict = judge(answer)
    assert verdict.kind is kind
    assert says in verdict.reason
    assert verdict.reason.isprintable()
    assert len(verdict.reason) <= REASON_CHARS_MAX + 100
    assert (verdict.after_s > 0) == (kind is Kind.RETRY)


def test_the_servers_own_count_is_read_where_it_stands_at_the_end() -> None:
    assert judge(Answer(400, one(CONFLICT))).dropped == 2
    assert judge(Answer(400, one("partial write: unable to parse 'm,a=dropped=9 v=': what"))).dropped is None
    assert judge(Answer(400, one("x" * 2000 + " unable to parse " + "x" * 2000 + " dropped=7\n"))).dropped == 7


@pytest.mark.parametrize(
    "header, after_s", [("30", 30.0), ("0", 1.0), ("99999", 300.0), ("", 5.0), ("Wed, 21 Oct 2026", 5.0), ("-3", 5.0)]
)
def test_a_pause_that_the_server_asks_for_is_kept_within_bounds(header: str, after_s: float) -> None:
    assert judge(Answer(503, b"", header)).after_s == after_s


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'"text"', b'{"error": 5}', b'{"error": null}', b"{", b"", b"\x00\xff"]
)
@pytest.mark.parametrize("status", [200, 400, 401, 404, 413, 422, 503])
def test_a_body_that_makes_no_sense_still_gives_a_reason(status: int, body: bytes) -> None:
    verdict = judge(Answer(status, body))
    assert verdict.kind is (Kind.HALVE if status == 413 else Kind.RETRY)
    assert verdict.reason.isprintable()
    assert str(status) in verdict.reason
