"""The database's file as the role renders it, and the users that the role makes."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import urllib.parse

import psutil
import pytest

from tests.e2e.deploy.rendered import RenderedInflux
from tests.e2e.programs import run
from tests.e2e.servers import PATIENCE_S

LINE = "bin,gateway=plant-1,device=bin-paper weight_kg=12.5 1700000000000"


def _write(influx: RenderedInflux, user: str | None = None, password: str | None = None, line: str = LINE) -> int:
    return influx.ask("POST", "/write?db=loopgauge&precision=ms", line, user=user, password=password)[0]


def _ask(influx: RenderedInflux, statement: str, user: str | None = None, password: str | None = None) -> int:
    body = urllib.parse.urlencode({"q": statement, "db": "loopgauge"})
    return influx.ask("POST", "/query", body, user=user, password=password)[0]


def test_the_database_listens_where_it_should_and_nowhere_else(influx: RenderedInflux) -> None:
    listening = {
        (each.laddr.ip, each.laddr.port)
        for each in psutil.Process(influx.pid).net_connections(kind="inet")
        if each.status == "LISTEN"
    }
    assert listening == {("127.0.0.1", influx.port), ("127.0.0.1", influx.rpc_port)}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_the_database_speaks_tls_alone(influx: RenderedInflux) -> None:
    with socket.create_connection(("localhost", influx.port), PATIENCE_S) as plain:
        plain.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionError):  # a reset is a refusal, too
            assert b"204" not in plain.recv(200)
    context = influx.fleet.context()
    with (
        socket.create_connection(("localhost", influx.port), PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.version() in ("TLSv1.2", "TLSv1.3")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("localhost", influx.port), PATIENCE_S) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")


@pytest.fixture
def provisioned(influx: RenderedInflux) -> RenderedInflux:
    """With the users and rights that the role's own tasks make."""
    influx.provision()
    return influx


def test_the_role_makes_users_with_narrow_rights_and_changes_nothing_the_second_time(influx: RenderedInflux) -> None:
    assert _changes(influx.provision()) > 0
    assert _changes(influx.provision()) == 0, "a second run must find everything as it is"

    assert _write(influx, "ingest") == 204
    assert _ask(influx, "SELECT * FROM bin", "ingest") == 403, "ingest only writes"
    assert _ask(influx, "SELECT * FROM bin", "reader") == 200
    assert _write(influx, "reader") == 403, "the reader only reads"
    assert _write(influx, "rollups", line="rollup_1h,device=bin-paper mean=1 1700000000000") == 204
    assert len(influx.query("SELECT * FROM rollup_1h", user="rollups")) == 1
    for user in ("ingest", "reader", "rollups"):
        for statement in ("DROP DATABASE loopgauge", "SHOW USERS", "CREATE USER intruder WITH PASSWORD 'x'"):
            assert _ask(influx, statement, user) == 403, f"{user}: {statement}"

    _nothing_without_a_password(influx)
    _no_secret_in_the_log(influx)
    _the_program_reads_the_store(influx)


def _nothing_without_a_password(influx: RenderedInflux) -> None:
    for user, password in ((None, None), ("admin", ""), ("reader", "guess"), ("stranger", "guess")):
        assert _write(influx, user, password) == 401
        for statement in ("SHOW DATABASES", "SELECT * FROM bin", "CREATE USER x WITH PASSWORD 'x' WITH ALL PRIVILEGES"):
            assert _ask(influx, statement, user, password) == 401
    assert influx.ask("GET", "/debug/pprof/")[0] == 404


def _no_secret_in_the_log(influx: RenderedInflux) -> None:
    secrets = [influx.fleet.secret(f"influxdb-{user}") for user in ("admin", "ingest", "rollups", "reader")]
    said = influx.log()
    assert not [secret for secret in secrets if secret in said]


def _the_program_reads_the_store(influx: RenderedInflux) -> None:
    secret = influx.host.file("/etc/loopgauge/secrets/console-influxdb")
    words = ("store", "info", "--store", influx.store("reader"), "--secret-file", str(secret), "--ca-file")
    done = run(*words, str(influx.host.file("/etc/loopgauge/pki/ca.crt")))
    assert done.returncode == 0, done.stderr
    assert "plant-1/bin-paper" in done.stdout


def test_a_changed_password_right_or_retention_is_put_right_by_the_next_run(provisioned: RenderedInflux) -> None:
    provisioned.query("SET PASSWORD FOR reader = 'guess'")
    provisioned.query("REVOKE WRITE ON loopgauge FROM ingest")
    assert _ask(provisioned, "SHOW MEASUREMENTS", "reader") == 401
    assert _changes(provisioned.provision(influxdb_retention_days=30)) == 3
    assert _changes(provisioned.provision(influxdb_retention_days=30)) == 0
    (policies,) = provisioned.query("SHOW RETENTION POLICIES")
    assert [row[:2] for row in policies["values"]] == [["autogen", "720h0m0s"]]
    assert _ask(provisioned, "SHOW MEASUREMENTS", "reader") == 200
    assert _write(provisioned, "ingest", line=LINE.rpartition(" ")[0]) == 204, "what is measured now is kept"
    assert _write(provisioned, "ingest") == 400, "what is older than that is not"


def test_a_body_above_the_limit_is_refused(provisioned: RenderedInflux) -> None:
    line = f"{LINE}\n"
    # It need not read to the end what it refuses: then the connection breaks before the answer is read.
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        assert _write(provisioned, "ingest", line=line * (26_000_000 // len(line))) == 413
    assert provisioned.query("SELECT * FROM bin", user="reader") == []
    assert _write(provisioned, "ingest") == 204


def _changes(said: str) -> int:
    (count,) = re.findall(r"^cloud .*changed=(\d+)", said, re.MULTILINE)
    return int(count)
