"""What somebody tries at the database, past ingest and through it, while a gateway's readings go on to be stored."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import ssl
import time
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from tests.e2e.cloud import line, message
from tests.e2e.deploy.knock import TlsClient
from tests.e2e.deploy.packets import bare
from tests.e2e.deploy.rendered import WORKERS, RenderedInflux
from tests.e2e.deploy.siege import INTRUDER, VICTIM, Siege

pytestmark = pytest.mark.slow

OWN = f"lg/v1/{INTRUDER}/data"
LINE = "energy_meter,gateway=plant-1,device=energy-meter power_w=666 1700000000000"
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
STATEMENTS = {
    "read": "SELECT * FROM energy_meter LIMIT 1",
    "shape": "SHOW SERIES LIMIT 1",
    "databases": "SHOW DATABASES",
    "users": "SHOW USERS",
    "grants": "SHOW GRANTS FOR ingest",
    "drop a database": "DROP DATABASE loopgauge",
    "drop a measurement": "DROP MEASUREMENT energy_meter",
    "drop a series": "DROP SERIES FROM nothing",
    "delete": "DELETE FROM nothing WHERE time < now()",
    "create a database": "CREATE DATABASE mine",
    "create a user": "CREATE USER mine WITH PASSWORD 'mine' WITH ALL PRIVILEGES",
    "change a password": "SET PASSWORD FOR admin = 'mine'",
    "raise oneself": "GRANT ALL PRIVILEGES TO ingest",
    "keep less": "ALTER RETENTION POLICY autogen ON loopgauge DURATION 1h",
    "copy": "SELECT * INTO stolen FROM energy_meter",
    "kill a query": "KILL QUERY 1",
    "subscribe": "CREATE SUBSCRIPTION mine ON loopgauge.autogen DESTINATIONS ALL 'udp://localhost:9'",
    "continuous query": "CREATE CONTINUOUS QUERY c ON loopgauge BEGIN SELECT mean(power_w) INTO m FROM energy_meter"
    " GROUP BY time(1h) END",
}
ALLOWED = {
    "ingest": {"databases", "drop a series", "delete"},
    "reader": {"databases", "read", "shape", "continuous query"},
}
"""What InfluxDB 1.6 lets them do. A list of databases holds those alone that one may use. Whoever may write may delete
as well, and nothing in its settings says otherwise. Continuous queries are switched off, so none is ever run."""
MEASUREMENTS = {"energy_meter", "event", "gateway", "receipt", "summary"}


def _ask(influx: RenderedInflux, statement: str, **who: str) -> tuple[int, dict[str, Any]]:
    """Status and the first result of a statement, sent as one that may change something."""
    body = urllib.parse.urlencode({"q": statement, "db": "loopgauge"})
    status, text = influx.ask("POST", "/query", body, **who)
    return status, json.loads(text).get("results", [{}])[0] if status == HTTPStatus.OK else {}


def _may(influx: RenderedInflux, statement: str, **who: str) -> bool:
    status, result = _ask(influx, statement, **who)
    assert status in (HTTPStatus.OK, *REFUSED), status
    return status == HTTPStatus.OK and "error" not in result


def _shape(influx: RenderedInflux) -> list[Any]:
    """Users, databases, rights, and how long all is kept."""
    statements = ("SHOW USERS", "SHOW DATABASES", "SHOW RETENTION POLICIES", "SHOW SUBSCRIPTIONS")
    return [influx.query(statement) for statement in (*statements, "SHOW GRANTS FOR ingest", "SHOW GRANTS FOR reader")]


@pytest.fixture(autouse=True)
def _nothing_has_changed(siege: Siege) -> Iterator[None]:
    before = _shape(siege.influx)
    yield
    assert _shape(siege.influx) == before
    found = {row[0] for each in siege.influx.query("SHOW MEASUREMENTS") for row in each["values"]}
    assert found <= MEASUREMENTS


def test_nobody_reads_or_writes_without_a_password(siege: Siege) -> None:
    strangers: list[dict[str, str]] = [
        {},
        *({"user": user, "password": word} for user in ("admin", "ingest") for word in ("", "admin", "' OR '1'='1")),
        *({"user": user, "password": "x"} for user in ("", "root", "admin' --", "reader\x00")),
    ]

    def attack() -> None:
        for who in strangers:
            assert siege.influx.ask("POST", "/write?db=loopgauge&precision=ms", LINE, **who)[0] == 401
            for statement in ("SELECT * FROM energy_meter", "SHOW DATABASES", STATEMENTS["create a user"]):
                assert _ask(siege.influx, statement, **who)[0] == 401

    siege.withstands(attack)


def test_nobody_is_let_in_by_a_token_that_he_signed_himself(siege: Siege) -> None:
    """CVE-2019-20933: without a secret of its own, InfluxDB before 1.7.6 took tokens signed with an empty one."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    for algorithm in ("HS256", "none"):
        said = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part({'username': 'admin', 'exp': int(time.time()) + 3600})}"
        mark = hmac.new(b"", said.encode(), hashlib.sha256).digest() if algorithm == "HS256" else b""
        token = f"{said}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"
        connection = http.client.HTTPSConnection("localhost", siege.influx.port, context=siege.fleet.context())
        connection.request("POST", "/query?q=SHOW+USERS", "", {"Authorization": f"Bearer {token}"})
        assert connection.getresponse().status == 401
        connection.close()


@pytest.mark.parametrize("user", ["ingest", "reader"])
def test_a_user_can_do_what_it_is_for_and_nothing_else(user: str, siege: Siege) -> None:
    allowed = {what for what, statement in STATEMENTS.items() if _may(siege.influx, statement, user=user)}
    siege.influx.query("DROP CONTINUOUS QUERY c ON loopgauge")
    assert allowed == ALLOWED[user]
    shown = _ask(siege.influx, "SHOW DATABASES", user=user)[1]["series"][0].get("values", [])
    assert [["_internal"]] not in shown
    written = siege.influx.ask("POST", "/write?db=loopgauge&precision=ms", "", user=user)[0]
    assert (written in REFUSED) == (user == "reader")
    assert siege.influx.ask("POST", "/write?db=loopgauge&precision=ms", LINE, user="reader")[0] in REFUSED
    siege.all_is_there()


def test_rollups_may_write_but_never_make_users_or_databases(siege: Siege) -> None:
    for what in (
        "users",
        "create a user",
        "create a database",
        "change a password",
        "raise oneself",
        "drop a database",
    ):
        assert not _may(siege.influx, STATEMENTS[what], user="rollups"), what


def test_a_reader_cannot_write_through_a_question(siege: Siege) -> None:
    """A GET may not change anything, and two statements in one count each for itself."""
    for statement in (STATEMENTS["copy"], f"SHOW DATABASES; {STATEMENTS['drop a measurement']}"):
        path = "/query?" + urllib.parse.urlencode({"q": statement, "db": "loopgauge"})
        for method in ("GET", "POST"):
            status, text = siege.influx.ask(method, path, user="reader")
            assert status in REFUSED or "error" in text, text


def test_what_is_told_to_everybody_is_no_reading_and_no_secret(siege: Siege) -> None:
    secrets = [siege.fleet.secret(f"influxdb-{user}") for user in ("admin", "ingest", "rollups", "reader")]
    paths = ("/", "/ping?verbose=true", "/metrics", "/debug/vars", "/debug/pprof/", "/debug/requests?seconds=1")
    for path in (*paths, "/status", "/api/v1/prom/read", "/api/v2/query", "/backup", "/debug/pprof/all"):
        said = siege.influx.ask("GET", path)[1]
        assert not [secret for secret in secrets if secret in said], path
        assert VICTIM not in said and "energy_meter" not in said, path


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_the_database_answers_neither_plain_text_nor_an_old_tls(siege: Siege) -> None:
    with bare(siege.influx.port) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionError):  # a reset is a refusal, too
            assert b" 204 " not in connection.recv(200)
    old = siege.fleet.context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError), bare(siege.influx.port, old):
        pass
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with bare(siege.influx.port, old) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 204 " in connection.recv(200)


SUMMARY = ("to", "count", "min", "max", "mean")
BREAKING = (
    "x\nevil,a=b c=1 1700000000000",
    "x,evil=1",
    "x evil=1",
    'x"',
    "x\\",
    "x\\\n",
    "x'; DROP DATABASE loopgauge; --",
    "'; DROP MEASUREMENT energy_meter --",
    "../../etc/passwd",
    "gateway",
    "# x",
    "=",
    "",
    "é" * 40_000,
    "x\u2028y",
    "x\x00y",
)
"""Names that would end a line, a string or a statement if anybody put them there as they are."""


def _with(path: str, name: str, base_ms: int) -> bytes:
    """A batch in which a name stands at one place: of a device, its kind, a field, a poll group, a record …"""
    _, base, body = json.loads(line(1, {"meter": {"power_w": 1.5}}, base_ms=base_ms))
    device = body["devices"]["meter"]
    match path:
        case "device":
            body["devices"][name] = device
        case "kind":
            device["kind"] = name
        case "field":
            device["blocks"][0]["values"][name] = [2.5]
        case "quality":
            device["blocks"][0]["quality"] = {name: [[0, 1]]}
        case "group":
            device["counts"][name] = [0, 0, {name: 0}]
        case "summary":
            device["summary"] = {name: [[1000, 2000, 1, 1.0, 1.0, 1.0]]}
        case "record kind":
            body["records"] = [{"kind": name, "t": 1000}]
        case "record device":
            body["records"] = [{"kind": "stop", "device": name, "t": 1000}]
        case "record value":
            body["records"] = [{"kind": "stop", "values": {name: 1.0}, "t": 1000}]
        case "record data":
            body["records"] = [{"kind": "stop", "data": {name: name}, "t": 1000}]
        case "aside":
            body["aside"] = [[name, 1, 1, name]]
    return json.dumps([1, base, body]).encode() + b"\n"


PLACES = ("device", "kind", "field", "quality", "group", "summary", "record kind", "record device", "record value")


@pytest.mark.parametrize("path", [*PLACES, "record data", "aside"])
def test_a_name_that_breaks_out_of_a_line_is_refused_or_kept_as_it_is(path: str, siege: Siege) -> None:
    """The measurements, users and databases are the same afterwards (see the fixture), and no series is new."""
    influx = siege.influx
    with TlsClient(port=siege.broker.port, context=siege.fleet.gateway(INTRUDER)) as intruder:
        intruder.subscribe(f"lg/v1/{INTRUDER}/ack")
        sound = message(INTRUDER, 1, 1, _with("", "", siege.now_ms() - 60_000), board="board1")
        intruder.publish(OWN, sound)
        intruder.hear()
        before = _series(influx)
        for name in BREAKING:
            body = _with(path, name, siege.now_ms() - 60_000)
            intruder.publish(OWN, message(INTRUDER, 1, 1, body, board="board1"))
            assert json.loads(intruder.hear()[1])["run"], "it must be stored or rejected, or it comes again for ever"
    assert _series(influx) - before <= _ordinary(path), "something is stored under a name that nobody may bear"
    if path == "record data":
        (found,) = influx.query(f"SELECT text FROM event WHERE gateway = '{INTRUDER}' AND kind = 'stop'")  # noqa: S608
        kept = {name for _, text in found["values"] for name in json.loads(text)}
        assert {name for name in BREAKING if len(name) < 1000} <= kept, "a text is kept as it is"


def _series(influx: RenderedInflux) -> set[str]:
    """Every series and every field that is not the victim's: what an intruder's lines could bring, under any name.

    The victim's own fields come when they have a value, some of them only after minutes.
    """
    others = f"gateway != '{VICTIM}'"
    found = influx.query(f"SHOW SERIES WHERE {others}")
    counts = influx.query(f"SELECT count(*) FROM /.*/ WHERE {others}")  # noqa: S608
    return {row[0] for each in found for row in each["values"]} | {
        f"{each['name']}: {column.removeprefix('count_')}"
        for each in counts
        for column, count in zip(each["columns"], each["values"][0], strict=True)
        if column != "time" and count
    }


def _ordinary(path: str) -> set[str]:
    """What of the names is one that a gateway may use; a field may not be named as a tag is."""
    tags = f"gateway={INTRUDER}"
    usual = {f"energy_meter,device={device},{tags}" for device in ("meter", "gateway")}
    usual |= {f"receipt,{tags},worker={worker}" for worker in WORKERS}
    usual |= {f"event,device=gateway,{tags},kind=stop", "event: text"}
    return usual | {
        "kind": {f"gateway,device=meter,{tags}", "gateway: power_w"},
        "summary": {f"summary,device=meter,{tags}", *(f"summary: gateway_{part}" for part in SUMMARY)},
        "record kind": {f"event,device=gateway,{tags},kind=gateway"},
    }.get(path, set())


def test_ingest_is_the_only_writer_of_readings(siege: Siege) -> None:
    """The control: its password, and nobody else's, writes."""
    secret = siege.cloud.file("/etc/loopgauge/secrets/ingest-influxdb").read_text().strip()
    assert siege.influx.ask("POST", "/write?db=loopgauge&precision=ms", "", user="ingest", password=secret)[0] in (
        HTTPStatus.NO_CONTENT,
        HTTPStatus.BAD_REQUEST,
    )
    assert {receipt.worker for receipt in siege.receipts()} <= set(WORKERS)
    siege.all_is_there()
