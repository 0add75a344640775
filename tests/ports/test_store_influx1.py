"""What only a real InfluxDB 1.6 can show: partial writes, credentials, limits, and its death under our hands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from series_store.influx.http import Server
from series_store.influx.store import InfluxReader, InfluxWriter
from series_store.open import open_figures, open_reader, open_writer, provision
from series_store.port import Unavailable
from series_store.table import STORED, Table
from tests.e2e.servers import InfluxServer
from tests.ports.store_rows import ENERGY, POWER, T0, event, pairs, readings, receipt, receipt_table

pytestmark = pytest.mark.e2e
Run = Callable[[Coroutine[Any, Any, Any]], Any]
FOREVER = (0, 2**62)


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs coroutines of one test on one loop."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[InfluxServer]:
    """A server of one's own, to be killed, paused and configured."""
    with InfluxServer(folder=tmp_path / "influxdb") as server:
        server.create_database("db")
        yield server


def url(server: InfluxServer, database: str = "db") -> str:
    return f"influx1://127.0.0.1:{server.port}/{database}"


def raw(server: InfluxServer, lines: str) -> None:
    """Write as another program would."""
    other = Server(base=server.url, database="db")
    assert other.post(lines.encode(), "ms").status == 204


def test_rows_that_conflict_with_a_field_of_another_type_spare_their_neighbours(run: Run, influx: InfluxServer) -> None:
    raw(influx, f"energy_meter,gateway=g1,device=m1 energy_kwh=5i {T0}\n")
    writer, reader = open_writer(url(influx)), open_reader(url(influx))
    good = readings(range(50), {"power_w": [float(n) for n in range(50)]}, device="m2")
    mixed = readings(range(50), {"power_w": [1.5] * 50, "energy_kwh": [None] * 20 + [2.5] * 5 + [None] * 25})
    outcome = run(writer.write([good, mixed, readings([99], {"power_w": [1.0]}, device="m3")]))
    assert outcome.stored
    assert [(refusal.table, refusal.row) for refusal in outcome.refused] == [(1, row) for row in range(20, 25)]
    assert all("type conflict" in refusal.reason for refusal in outcome.refused)
    count = run(reader.count([POWER, POWER._replace(device="m2"), POWER._replace(device="m3")], *FOREVER))
    assert count == 50 + 45 + 1


def test_the_count_of_dropped_lines_is_never_larger_than_the_lines(influx: InfluxServer) -> None:
    raw(influx, f"m,gateway=g1,device=m1 a=5i,b=5i,c=5i {T0}\n")
    week_ms = 7 * 86_400_000
    for lines, at_most in [
        (["m,device=m1 a=1.0,b=1.0,c=1.0"], 1),
        (["m,device=m1 a=1.0,b=1.0", "m,device=m2 b=1.0,c=2.0", "m,device=m3 d=1.0"], 2),
        (["m,device=m1 a=1.0,b=1.0", "m,device=m1 a=x,b=2.0", "m,device=m2 c=1.0,a=2.0"], 2),
    ]:
        spread = "\n".join(f"{line} {T0 + n * week_ms}" for n in (0, 1) for line in lines)
        said = Server(base=influx.url, database="db").post(spread.encode(), "ms").body.decode()
        assert 0 <= int(said.split("dropped=")[1].split('"')[0]) <= 2 * at_most


def test_rows_before_the_retention_are_refused_and_the_rest_is_stored(run: Run, influx: InfluxServer) -> None:
    influx.query('CREATE RETENTION POLICY "short" ON "db" DURATION 1h REPLICATION 1 DEFAULT')
    now = int(time.time() * 1000) - T0
    writer, reader = open_writer(url(influx)), open_reader(url(influx))
    outcome = run(writer.write([readings([0, now, 1, 2], {"power_w": [1.0] * 4}), readings([now], {"x_w": [1.0]})]))
    assert outcome.stored
    assert [(refusal.table, refusal.row) for refusal in outcome.refused] == [(0, 0), (0, 2), (0, 3)]
    assert "retention" in outcome.refused[0].reason
    assert run(reader.count([POWER, POWER._replace(field="x_w")], *FOREVER)) == 2


def test_a_missing_database_is_said_with_its_mend_and_can_be_made(run: Run, influx: InfluxServer) -> None:
    missing = url(influx, "no such db")
    writer, reader, figures = open_writer(missing), open_reader(missing), open_figures(missing)
    outcome = run(writer.write([readings([0], {"power_w": [1.0]})]))
    assert not outcome.stored
    assert "store init" in outcome.reason
    for store in (writer, reader, figures):
        with pytest.raises(Unavailable, match="store init"):
            run(store.start())
    for question in (reader.series, reader.gateways, reader.last_receipts):
        with pytest.raises(Unavailable, match="store init"):
            run(question())
    run(provision(missing))
    run(provision(missing))
    for store in (writer, reader, figures):
        run(store.start())
    assert run(writer.write([readings([0], {"power_w": [1.0]})])) == STORED


def test_wrong_credentials_are_said_and_right_ones_work(run: Run, tmp_path: Path) -> None:
    with InfluxServer(folder=tmp_path, http_options="auth-enabled = true") as server:
        admin = Server(base=server.url, database="db", user="root", secret='it\'s "secret" 1')
        list(admin.ask("CREATE USER root WITH PASSWORD 'it\\'s \"secret\" 1' WITH ALL PRIVILEGES"))
        address = url(server).replace("://", "://root@")
        run(provision(address, 'it\'s "secret" 1'))
        for secret, says in (("wrong", "credentials"), (None, "credentials")):
            bad = open_writer(address if secret else url(server), secret)
            outcome = run(bad.write([readings([0], {"power_w": [1.0]})]))
            assert not outcome.stored
            assert says in outcome.reason
            with pytest.raises(Unavailable, match=says):
                run(open_reader(address if secret else url(server), secret).series())
        good = open_writer(address, 'it\'s "secret" 1')
        assert run(good.write([readings([0], {"power_w": [1.0]})])) == STORED
        assert run(open_reader(address, 'it\'s "secret" 1').series()) == [POWER]


def test_a_server_with_a_small_limit_gets_smaller_requests(run: Run, tmp_path: Path) -> None:
    with InfluxServer(folder=tmp_path, http_options="max-body-size = 3000") as server:
        server.create_database("db")
        long = event(0, "x" * 5000)
        tables = [readings(range(300), {"power_w": [0.1] * 300}), long]
        outcome = run(open_writer(url(server)).write(tables))
        assert outcome.stored
        assert [(refusal.table, "413" in refusal.reason) for refusal in outcome.refused] == [(1, True)]
        assert run(open_reader(url(server)).count([POWER], *FOREVER)) == 300


def test_what_was_confirmed_survives_the_death_of_the_server(run: Run, influx: InfluxServer) -> None:
    writer, reader = open_writer(url(influx)), open_reader(url(influx))

    async def write_until_it_dies() -> int:
        confirmed = 0
        while True:
            if confirmed == 30:
                asyncio.get_running_loop().call_later(0.01, influx.kill)
            outcome = await writer.write([readings([confirmed], {"power_w": [float(confirmed)]})])
            if not outcome.stored:
                assert outcome.reason.isprintable()
                return confirmed
            confirmed += 1

    confirmed = run(write_until_it_dies())
    assert confirmed >= 30
    with pytest.raises(Unavailable):
        run(reader.series())
    influx.start()
    found = pairs(run(reader.window([POWER], *FOREVER))[POWER])
    assert found[:confirmed] == [(n, float(n)) for n in range(confirmed)]
    assert run(writer.write([readings([0], {"energy_kwh": [1.0]})])) == STORED
    assert run(reader.latest([ENERGY])) == {ENERGY: (T0, 1.0)}


def test_a_server_that_hangs_is_given_up_after_its_time_and_used_again(
    run: Run, influx: InfluxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(base=influx.url, database="db")
    writer, reader = InfluxWriter(server=server, post=server.post), InfluxReader(server=server)
    assert run(writer.write([readings([0], {"power_w": [1.0]})])) == STORED
    influx.pause()
    monkeypatch.setattr(server, "_write_s_max", 0.5)
    monkeypatch.setattr(server, "_query_s_max", 0.5)
    outcome = run(writer.write([readings([1], {"power_w": [2.0]})]))
    assert not outcome.stored
    assert "timed out" in outcome.reason
    with pytest.raises(Unavailable, match="timed out"):
        run(reader.series())
    influx.resume()
    monkeypatch.undo()
    assert run(writer.write([readings([1], {"power_w": [2.0]})])) == STORED
    assert pairs(run(reader.window([POWER], *FOREVER))[POWER]) == [(0, 1.0), (1, 2.0)]


def test_an_answer_of_several_chunks_and_series_arrives_whole(run: Run, influx: InfluxServer) -> None:
    writer, reader = open_writer(url(influx)), open_reader(url(influx))
    tables = []
    for gateway in ("g1", "g2", "g3"):
        one = event(0, "", gateway=gateway)
        texts: list[float | str | None] = [f"{gateway} {n}" for n in range(10_000)]
        tables.append(Table(one.measurement, one.tags, one.fields, [T0 + n for n in range(10_000)], [texts]))
    assert run(writer.write(tables)) == STORED
    found = run(reader.events("start", *FOREVER))
    assert len(found) == 30_000
    assert [event.text for event in found[:4]] == ["g1 0", "g2 0", "g3 0", "g1 1"]
    receipts = [receipt(n + 1, worker=f"w{n % 7}", seq=n + 1) for n in range(300)]
    assert run(writer.write([receipt_table(one) for one in receipts])) == STORED
    assert run(reader.receipts(0, 1000)) == receipts
    assert run(reader.receipts(0, 100)) == receipts[:100]
