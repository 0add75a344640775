"""Nothing that stands in a name or a text can end the literal that it stands in."""

from __future__ import annotations

import pytest

from series_store.influx import influxql as ql


@pytest.mark.parametrize(
    "given, name, text",
    [
        ("plain", '"plain"', "'plain'"),
        ("it's", '"it\'s"', "'it\\'s'"),
        ('quo"te', '"quo\\"te"', "'quo\"te'"),
        ("back\\", '"back\\\\"', "'back\\\\'"),
        ("two\nlines", '"two\\nlines"', "'two\\nlines'"),
        ("'; DROP DATABASE x; --", '"\'; DROP DATABASE x; --"', "'\\'; DROP DATABASE x; --'"),
        ("再生水", '"再生水"', "'再生水'"),
    ],
)
def test_names_and_texts_are_quoted(given: str, name: str, text: str) -> None:
    assert ql.name(given) == name
    assert ql.text(given) == text


def test_a_statement_is_put_together_from_quoted_parts() -> None:
    conditions = [*ql.tagged({"gateway": "g'1"}), ql.since_ms(5), ql.before_ms(7)]
    assert ql.select(ql.names(["a", "b"]), "m x", conditions, "LIMIT 3") == (
        'SELECT "a", "b" FROM "m x" WHERE "gateway" = \'g\\\'1\' AND time >= 5ms AND time < 7ms LIMIT 3'
    )
    assert ql.select("*", "m") == 'SELECT * FROM "m"'


@pytest.mark.parametrize("time", [-(2**70), 2**70])
def test_times_stay_within_what_the_server_can_count(time: int) -> None:
    for literal in (ql.since_ms(time), ql.before_ms(time)):
        assert abs(int(literal.split()[-1].removesuffix("ms"))) * 10**6 < 2**63
    for literal in (ql.after_us(time), ql.at_us(time)):
        assert abs(int(literal.split()[-1].removesuffix("u"))) * 10**3 < 2**63
    assert abs(ql.number(time)) == 2**53
