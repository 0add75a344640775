"""A store over TLS: only the right server gets to see a secret or a reading, and what is wrong with another is said."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from series_store.influx.http import Server
from series_store.open import open_figures, open_reader, open_writer, provision
from series_store.port import Unavailable
from series_store.table import STORED
from tests.e2e.certificates import ELSEWHERE, EXPIRED, Issuer
from tests.e2e.servers import InfluxServer, wait_until
from tests.e2e.tls_influx import PASSWORD, TlsInflux
from tests.ports.store_rows import POWER, readings
from yaml_models.tls import trust

pytestmark = pytest.mark.e2e
ROW = [readings([0], {"power_w": [1.0]})]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("pki") / "fleet")


@pytest.fixture
def influx(tmp_path: Path, issuer: Issuer) -> Iterator[TlsInflux]:
    with TlsInflux(folder=tmp_path / "influx", certificate=issuer.issue("influx")) as server:
        server.make_user(issuer.ca_file)
        yield server


def ours(issuer: Issuer) -> ssl.SSLContext:
    return trust(str(issuer.ca_file))


async def refused(address: str, secret: str | None, context: ssl.SSLContext | None) -> str:
    """Why neither writer nor readers get through: one line, the same for all."""
    writer, reader = open_writer(address, secret, context), open_reader(address, secret, context)
    try:
        outcome = await writer.write(ROW)
        assert not outcome.stored
        assert not outcome.refused, "a reading would be given up"
        assert outcome.retry_after_s is not None and outcome.retry_after_s <= 10
        with pytest.raises(Unavailable) as raised:
            await reader.series()
        assert str(raised.value).endswith(outcome.reason)
        assert "\n" not in outcome.reason and PASSWORD not in outcome.reason
        return outcome.reason
    finally:
        await writer.close()
        await reader.close()


def test_with_the_right_authority_readings_and_figures_are_written_and_read(influx: TlsInflux, issuer: Issuer) -> None:
    async def main() -> None:
        access = (influx.address, PASSWORD, ours(issuer))
        await provision(*access)
        writer, reader, figures = open_writer(*access), open_reader(*access), open_figures(*access)
        assert await writer.write(ROW) == STORED
        assert await reader.series() == [POWER]
        await figures.set_cursor("rollups", 7)
        assert await figures.cursor("rollups") == 7
        for each in (writer, reader, figures):
            await each.close()

    asyncio.run(main())


def test_a_server_of_another_authority_is_named_and_nothing_is_given_up(
    influx: TlsInflux, issuer: Issuer, tmp_path: Path
) -> None:
    stranger = Issuer(tmp_path / "stranger")
    said = f"{influx.url}: its certificate does not come from the CA that is trusted here; look at ca_file"
    assert asyncio.run(refused(influx.address, PASSWORD, trust(str(stranger.ca_file)))) == said
    assert asyncio.run(refused(influx.address, PASSWORD, None)) == said, "this machine's own authorities"


def test_influxdb_2s_own_client_says_the_same(influx: TlsInflux, tmp_path: Path) -> None:
    async def main() -> str:
        address = f"influx2+https://org@localhost:{influx.port}/bucket"
        writer = open_writer(address, "token", trust(str(Issuer(tmp_path / "stranger").ca_file)))
        outcome = await writer.write(ROW)
        await writer.close()
        assert not outcome.stored
        return outcome.reason

    assert asyncio.run(main()).endswith("look at ca_file")


@pytest.mark.parametrize(
    "name, made, says",
    [
        ("expired", {"lifetime": EXPIRED}, "its certificate has expired; renew it there"),
        ("elsewhere", {"names": ELSEWHERE}, "its certificate is made out to another name"),
    ],
)
def test_a_certificate_that_is_no_longer_valid_or_another_servers_is_said(
    name: str, made: dict[str, str], says: str, influx: TlsInflux, issuer: Issuer
) -> None:
    influx.stop()
    influx.present(issuer.issue(name, **made))  # type: ignore[arg-type]
    influx.start()
    assert says in asyncio.run(refused(influx.address, PASSWORD, ours(issuer)))


def test_a_wrong_or_missing_password_is_said(influx: TlsInflux, issuer: Issuer) -> None:
    assert "look at user and secret" in asyncio.run(refused(influx.address, "wrong", ours(issuer)))
    bare = influx.address.replace("ingest@", "")
    assert "look at user and secret" in asyncio.run(refused(bare, None, ours(issuer)))


def test_one_end_without_tls_is_said_by_the_other(influx: TlsInflux, issuer: Issuer, tmp_path: Path) -> None:
    plain = f"influx1://localhost:{influx.port}/db"

    def says_so() -> bool:
        """The server answers and resets the connection at once: now and then the reset overtakes the answer."""
        try:
            return "write the address with +https" in asyncio.run(refused(plain, None, None))
        except AssertionError as error:
            if "ConnectionReset" not in str(error):
                raise
            return False

    assert wait_until(says_so)
    with InfluxServer(folder=tmp_path / "plain") as server:
        address = f"influx1+https://localhost:{server.port}/db"
        assert "does not speak TLS" in asyncio.run(refused(address, None, ours(issuer)))


def test_an_older_tls_is_refused(influx: TlsInflux, issuer: Issuer) -> None:
    context = ours(issuer)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    asked = Server(base=influx.url, database="db", trust=context)
    with pytest.raises(Unavailable, match="credentials"):
        list(asked.ask("SHOW DATABASES"))
