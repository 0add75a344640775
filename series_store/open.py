"""From an address to a store. Nothing is opened here: a store opens itself at first use, or at `start`.

    sqlite:FOLDER                      readings.db and rollups.db in a folder of this machine
    influx1://USER@HOST:PORT/DATABASE  InfluxDB 1.x, and every later one that serves /write and /query with HTTP Basic
    influx2://ORG@HOST:PORT/BUCKET     InfluxDB 2.x through its own client
    influx1+https://, influx2+https:// the same over TLS
    influx1+plain://, influx2+plain:// the same without TLS, and with a secret, to another machine

A password or token never stands in the address; it is the separate `secret`. `trust` says whose certificates count for
TLS (this machine's authorities by default); it must be a context that checks certificate and name.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from series_store.address import TLS, Address, parse_folder, parse_influx1, parse_influx2, shown
from series_store.port import OwnedFigures, OwnedReader, OwnedWriter

if TYPE_CHECKING:
    from series_store.influx.api2 import Api2
    from series_store.influx.http import Server


@dataclass(frozen=True, slots=True)
class _Home:
    """How one kind of store is made from its address."""

    parse: Callable[[str, str | None], Address]
    writer: Callable[[Address], OwnedWriter]
    reader: Callable[[Address], OwnedReader]
    figures: Callable[[Address, bool], OwnedFigures]
    provision: Callable[[Address], Awaitable[None]]


def open_writer(url: str, secret: str | None = None, trust: ssl.SSLContext | None = None) -> OwnedWriter:
    """The writer at an address; ValueError says in one line what is wrong with it."""
    home, address = _parse(url, secret, trust)
    return home.writer(address)


def open_reader(url: str, secret: str | None = None, trust: ssl.SSLContext | None = None) -> OwnedReader:
    """The reader at an address; ValueError says in one line what is wrong with it."""
    home, address = _parse(url, secret, trust)
    return home.reader(address)


def open_figures(
    url: str, secret: str | None = None, trust: ssl.SSLContext | None = None, *, writes: bool = True
) -> OwnedFigures:
    """The figure store at an address; without `writes` it can only be read, beside the program that writes it."""
    home, address = _parse(url, secret, trust)
    return home.figures(address, writes)


async def provision(url: str, secret: str | None = None, trust: ssl.SSLContext | None = None) -> None:
    """Make the files, the database or the bucket; harmless where they exist. Raises Unavailable with the reason."""
    home, address = _parse(url, secret, trust)
    await home.provision(address)


def _parse(url: str, secret: str | None, trust: ssl.SSLContext | None) -> tuple[_Home, Address]:
    home = _HOMES.get(url.partition(":")[0]) if ":" in url else None
    if home is None:
        kinds = ", ".join(_HOMES)
        raise ValueError(f"store {shown(url)}: an address begins with {kinds} and a colon, as in sqlite:var/store")
    tls = url.partition(":")[0].endswith(TLS)
    if trust is not None and not tls:
        raise ValueError(f"store {shown(url)}: has no TLS, so that no ca_file counts; leave it out, or write {TLS}://")
    if trust is None and tls:
        trust = ssl.create_default_context()
        trust.minimum_version = ssl.TLSVersion.TLSv1_2
    assert trust is None or (trust.verify_mode is ssl.CERT_REQUIRED and trust.check_hostname)
    return home, replace(home.parse(url, secret), trust=trust)


def _sqlite_writer(address: Address) -> OwnedWriter:
    from series_store.sqlite.store import SqliteWriter

    return SqliteWriter(folder=Path(address.folder))


def _sqlite_reader(address: Address) -> OwnedReader:
    from series_store.sqlite.store import SqliteReader

    return SqliteReader(folder=Path(address.folder))


def _sqlite_figures(address: Address, writes: bool) -> OwnedFigures:
    from series_store.sqlite.store import SqliteFigures

    return SqliteFigures(folder=Path(address.folder), writes=writes)


async def _sqlite_provision(address: Address) -> None:
    for store in (_sqlite_writer(address), _sqlite_figures(address, True)):
        try:
            await store.start()
        finally:
            await store.close()


def _server(address: Address, *, token: bool = False) -> Server:
    from series_store.influx.http import Server

    return Server(
        base=address.base,
        database=address.name,
        user=address.user,
        secret=address.secret,
        token=token,
        trust=address.trust,
    )


def _influx1_writer(address: Address) -> OwnedWriter:
    from series_store.influx.store import InfluxWriter

    server = _server(address)
    return InfluxWriter(server=server, post=server.post)


def _influx1_reader(address: Address) -> OwnedReader:
    from series_store.influx.store import InfluxReader

    return InfluxReader(server=_server(address))


def _influx1_figures(address: Address, writes: bool) -> OwnedFigures:
    from series_store.influx.store import InfluxFigures

    server = _server(address)
    return InfluxFigures(server=server, post=server.post)


async def _influx1_provision(address: Address) -> None:
    from series_store.influx.store import make_database

    server = _server(address)
    try:
        await make_database(server)
    finally:
        await server.close()


def _api2(address: Address) -> Api2:
    from series_store.influx.api2 import Api2

    return Api2(
        base=address.base, org=address.user, bucket=address.name, token=address.secret or "", trust=address.trust
    )


def _influx2_writer(address: Address) -> OwnedWriter:
    from series_store.influx.store import InfluxWriter

    api = _api2(address)
    return InfluxWriter(server=_server(address, token=True), post=api.post, close_post=api.close)


def _influx2_reader(address: Address) -> OwnedReader:
    from series_store.influx.store import InfluxReader

    return InfluxReader(server=_server(address, token=True))


def _influx2_figures(address: Address, writes: bool) -> OwnedFigures:
    from series_store.influx.store import InfluxFigures

    api = _api2(address)
    return InfluxFigures(server=_server(address, token=True), post=api.post, close_post=api.close)


async def _influx2_provision(address: Address) -> None:
    api, server = _api2(address), _server(address, token=True)
    try:
        await server.run(api.make_bucket)
    finally:
        api.close()
        await server.close()


_SQLITE = _Home(parse_folder, _sqlite_writer, _sqlite_reader, _sqlite_figures, _sqlite_provision)
_INFLUX1 = _Home(parse_influx1, _influx1_writer, _influx1_reader, _influx1_figures, _influx1_provision)
_INFLUX2 = _Home(parse_influx2, _influx2_writer, _influx2_reader, _influx2_figures, _influx2_provision)
_HOMES = {
    "sqlite": _SQLITE,
    "influx1": _INFLUX1,
    "influx1+https": _INFLUX1,
    "influx1+plain": _INFLUX1,
    "influx2": _INFLUX2,
    "influx2+https": _INFLUX2,
    "influx2+plain": _INFLUX2,
}
