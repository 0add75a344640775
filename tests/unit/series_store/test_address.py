"""Addresses: every right one opens the right store without touching anything, a wrong one is a line with its mend."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from series_store.address import parse_folder, parse_influx1, parse_influx2
from series_store.influx.store import InfluxFigures, InfluxReader, InfluxWriter
from series_store.open import open_figures, open_reader, open_writer
from series_store.sqlite.store import SqliteFigures, SqliteReader, SqliteWriter


@pytest.mark.parametrize(
    "url, folder", [("sqlite:var/store", "var/store"), ("sqlite:/var/lg", "/var/lg"), ("sqlite:///var/lg", "/var/lg")]
)
def test_a_folder_may_be_relative_or_absolute(url: str, folder: str) -> None:
    assert parse_folder(url, None).folder == folder


def test_a_server_is_taken_apart() -> None:
    address = parse_influx1("influx1+https://us%20er@db.example:1234/loop%20gauge", "pw")
    assert (address.base, address.user, address.name) == ("https://db.example:1234", "us er", "loop gauge")
    assert parse_influx1("influx1://127.0.0.1/db", None).base == "http://127.0.0.1:8086"
    assert parse_influx1("influx1+https://[::1]:443/db", None).base == "https://[::1]:443"
    assert parse_influx2("influx2+https://my%20org@h/b", "token").user == "my org"


@pytest.mark.parametrize(
    "url, secret, mend",
    [
        ("", None, "begins with"),
        ("var/store", None, "begins with"),
        ("postgres://h/db", None, "begins with"),
        ("http://u:hunter2@h/db", None, "begins with"),
        ("sqlite", None, "begins with"),
        ("sqlite:", None, "sqlite:FOLDER"),
        ("sqlite:/", None, "sqlite:FOLDER"),
        ("sqlite://var/store", None, "without //"),
        ("sqlite:var/\0", None, "sqlite:FOLDER"),
        ("sqlite:var", "pw", "no secret"),
        ("influx1://u:hunter2@h/db", None, "give it as the secret"),
        ("influx1://u:hunter2@h:port/db", None, "HOST:PORT"),
        ("influx1://h:99999/db", None, "HOST:PORT"),
        ("influx1://[::1/db", None, "HOST:PORT"),
        ("influx1://u@h/db", None, "give it as the secret"),
        ("influx1://h", None, "DATABASE"),
        ("influx1://h/", None, "DATABASE"),
        ("influx1:///db", None, "DATABASE"),
        ("influx1://h/a/b", None, "DATABASE"),
        ("influx1://h/db?rp=x", None, "DATABASE"),
        ("influx1://h/db#x", None, "DATABASE"),
        ("influx1://u@h/db", "two\nlines", "one line"),
        ("influx1://u@h/db", "", "one line"),
        ("influx2+https://h/bucket", "token", "ORG"),
        ("influx1://u@db.example/db", "pw", r"for all to read; write influx1\+https://"),
        ("influx2://org@192.0.2.1/b", "token", r"for all to read; write influx2\+https://"),
        ("influx1://u@127.0.0.1.example/db", "pw", "for all to read"),
        ("influx2://org@h/bucket", None, "token"),
    ],
)
def test_a_wrong_address_is_one_line_with_its_mend(url: str, secret: str | None, mend: str) -> None:
    for open_store in (open_writer, open_reader, open_figures):
        with pytest.raises(ValueError, match=mend) as raised:
            open_store(url, secret)
        assert "hunter2" not in str(raised.value), "a password in a message ends up in a log"
        assert "\n" not in str(raised.value)


def test_opening_opens_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert isinstance(open_writer(f"sqlite:{folder}"), SqliteWriter)
    assert isinstance(open_reader(f"sqlite:{folder}"), SqliteReader)
    assert isinstance(open_figures(f"sqlite:{folder}"), SqliteFigures)
    assert not folder.exists()
    for url, secret in (
        ("influx1://no-such-host.invalid/db", None),
        ("influx2+https://org@no-such-host.invalid/b", "t"),
    ):
        assert isinstance(open_writer(url, secret), InfluxWriter)
        assert isinstance(open_reader(url, secret), InfluxReader)
        assert isinstance(open_figures(url, secret), InfluxFigures)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"])
def test_a_secret_may_go_without_tls_to_this_machine(host: str) -> None:
    assert parse_influx1(f"influx1://u@{host}/db", "pw").base.startswith("http://")


def test_a_secret_goes_without_tls_to_another_machine_only_for_who_says_so() -> None:
    assert parse_influx1("influx1+plain://u@db.example/db", "pw").base == "http://db.example:8086"
    assert parse_influx2("influx2+plain://org@db.example/b", "token").base == "http://db.example:8086"
    assert parse_influx1("influx1://db.example/db", None).base == "http://db.example:8086", "there is no secret"


@pytest.mark.parametrize("url", ["sqlite:var/store", "influx1://localhost/db", "influx1+plain://db.example/db"])
def test_an_authority_without_tls_is_a_mistake_and_not_ignored(url: str) -> None:
    for open_store in (open_writer, open_reader, open_figures):
        with pytest.raises(ValueError, match="has no TLS, so that no ca_file counts"):
            open_store(url, None, ssl.create_default_context())
