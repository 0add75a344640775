"""Addresses: every right one opens the right store without touching anything, a wrong one is a line with its mend."""

from __future__ import annotations

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
    address = parse_influx1("influx1://us%20er@db.example:1234/loop%20gauge", "pw")
    assert (address.base, address.user, address.name) == ("http://db.example:1234", "us er", "loop gauge")
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
        ("influx2://h/bucket", "token", "ORG"),
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
    for url, secret in (("influx1://no-such-host.invalid/db", None), ("influx2://org@no-such-host.invalid/b", "t")):
        assert isinstance(open_writer(url, secret), InfluxWriter)
        assert isinstance(open_reader(url, secret), InfluxReader)
        assert isinstance(open_figures(url, secret), InfluxFigures)
