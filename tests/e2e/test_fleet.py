"""A small fleet on the real line: `simulate fleet` → Mosquitto → `ingest run` → SQLite, and all that goes wrong."""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_contract.control import read_ack
from data_contract.message import read_header
from data_contract.topics import READY, Channel, every, gateway_of, topic
from loopgauge.fleet_judge import FleetVerdict, judge_fleet
from series_store.open import open_reader
from simulators.fleet.record import FleetRecord
from tests.e2e.mqtt import Client
from tests.e2e.programs import Program, run
from tests.e2e.servers import MosquittoServer, free_port, wait_until

GATEWAYS = 50
SMALL = f"--gateways {GATEWAYS} --meters 3 --fields 4 --every 1 --seal 2 --seed 7 --missing 0.02".split()


class Cloud:
    """One worker with its store."""

    def __init__(self, folder: Path, port: int) -> None:
        self.store = f"sqlite:///{folder / 'store.db'}"
        self._port = port
        config = folder / "ingest.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "worker": "w1",
                    "broker": {"host": "127.0.0.1", "port": port},
                    "store": {"url": self.store},
                    "gateways_file": str(folder / "gateways.json"),
                    "dead_letters": str(folder / "dead"),
                }
            )
        )
        made = run("store", "init", "--store", self.store)
        assert made.returncode == 0, made.stderr
        self.worker = Program(folder=folder / "w1", words=["ingest", "run", str(config)], env={})

    def start(self) -> None:
        """Start the worker, and wait until it says that it can store."""
        with Client(port=self._port).connected() as client:
            client.subscribe(READY)
            self.worker.start()
            assert client.hear()[0] == READY

    def audit(self, *words: str) -> dict[str, Any]:
        """What `loopgauge audit` says; it must add up."""
        done = run("audit", "--store", self.store, "--json", *words)
        assert done.returncode == 0, f"the audit does not add up: {done.stdout[-2000:]}{done.stderr}"
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def verdict(self, record: Path) -> FleetVerdict:
        """The store against the record of what was sent."""

        async def judged() -> FleetVerdict:
            reader, sent = open_reader(self.store), FleetRecord.open_readonly(record)
            try:
                return await judge_fleet(sent, reader)
            finally:
                sent.close()
                await reader.close()

        return asyncio.run(judged())


def fleet(folder: Path, port: int, *words: str) -> Program:
    """The command, with a record and a result in `folder`."""
    files = ("--record", str(folder / "record.db"), "--result", str(folder / "result.json"))
    where = ("--broker", f"127.0.0.1:{port}")
    return Program(folder=folder / "fleet", words=["simulate", "fleet", *SMALL, *where, *files, *words], env={})


def ended(program: Program) -> int:
    """Wait until it ends by itself; its exit code."""
    assert wait_until(lambda: program.has_died), program.log()[-2000:]
    return stopped(program)


def stopped(program: Program) -> int:
    """Tell it to stop, where it has not ended by itself; its exit code."""
    program.stop()
    assert program.exit_code is not None
    assert "Traceback" not in program.log(), program.log()[-4000:]
    return program.exit_code


def while_it_runs(program: Program, ready: Callable[[], bool], what: str) -> None:
    """Wait for a condition while the fleet lives."""
    assert wait_until(lambda: ready() or program.has_died), what
    assert not program.has_died, program.log()[-2000:]


def rows_of(record: Path) -> int:
    """How many batches the record holds by now."""
    try:
        with sqlite3.connect(f"{record.as_uri()}?mode=ro", uri=True) as db:
            (number,) = db.execute("SELECT count(*) FROM sent").fetchone()
            return int(number)
    except sqlite3.OperationalError:
        return 0


def test_a_fleet_survives_an_outage_of_ingest_and_a_reconnect_storm_without_losing_a_reading(
    tmp_path: Path, mosquitto: MosquittoServer
) -> None:
    cloud = Cloud(tmp_path, mosquitto.port)
    cloud.start()
    record = tmp_path / "record.db"
    program = fleet(
        tmp_path, mosquitto.port, "--for", "18", "--outage", "3,3,0.6", "--outage", "12,0,1", "--drain", "60"
    )
    program.start()
    try:
        while_it_runs(program, lambda: rows_of(record) >= 2 * GATEWAYS, "nothing was sent")
        cloud.worker.kill()
        before = rows_of(record)
        while_it_runs(
            program, lambda: rows_of(record) >= before + 2 * GATEWAYS, "nothing was sent while ingest was away"
        )
        cloud.start()
        assert ended(program) == 0, program.log()[-2000:]
    finally:
        program.stop()
        cloud.worker.stop()
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["unconfirmed"] == 0 and told["confirmed"] == told["batches"] and told["rejected"] == 0
    assert told["redelivered"] > 0 and told["lost_connections"] >= GATEWAYS
    verdict = cloud.verdict(record)
    assert verdict.exact, verdict
    assert verdict.delivered == told["readings"] > 15 * GATEWAYS * 3 * 4 * 0.97
    said = cloud.audit()
    assert len(said["gateways"]) == GATEWAYS
    assert not said["without_receipts"]
    assert _fates(said)["stored"] == verdict.delivered and _fates(said)["timeout"] > 0
    end = datetime.fromtimestamp(min(last_of(record)) / 1000, UTC).isoformat()
    until_the_end = _fates(cloud.audit("--to", end))
    assert set(until_the_end) <= {"stored", "timeout", "exception"}, "nothing is pending, silent or lost"


def last_of(record: Path) -> list[int]:
    """Where the last batch of each gateway ends, ms UTC; it must be the one that closes its run."""
    sent = FleetRecord.open_readonly(record)
    last = [list(sent.sent(number))[-1] for number in range(GATEWAYS)]
    sent.close()
    assert all(batch.stop for batch in last)
    return [batch.to_ms for batch in last]


def test_a_fleet_that_is_told_to_stop_closes_every_run_so_that_the_audit_has_no_silence_to_explain(
    tmp_path: Path, mosquitto: MosquittoServer
) -> None:
    cloud = Cloud(tmp_path, mosquitto.port)
    cloud.start()
    program = fleet(tmp_path, mosquitto.port)
    with Client(port=mosquitto.port).connected() as client:
        client.subscribe(every(Channel.ONLINE))
        program.start()
        try:
            record = tmp_path / "record.db"
            while_it_runs(program, lambda: rows_of(record) >= 2 * GATEWAYS, "nothing was sent")
            program.stop()
            assert program.exit_code == 0, program.log()[-2000:]
        finally:
            program.stop()
            cloud.worker.stop()
        last: dict[str, bytes] = {}
        while len(last) < GATEWAYS or set(last.values()) != {b"0"}:
            name, payload = client.hear()
            last[name] = payload
    assert len(last_of(record)) == GATEWAYS
    assert cloud.verdict(record).exact
    cloud.audit()


def test_a_cut_cable_leaves_the_last_will_of_exactly_the_gateways_behind_it(
    tmp_path: Path, mosquitto: MosquittoServer
) -> None:
    with (
        fleet(tmp_path, mosquitto.port, "--outage", "8,3600,0.2") as program,
        Client(port=mosquitto.port).connected() as client,
    ):
        client.subscribe(every(Channel.ONLINE))
        wills: set[str] = set()
        while len(wills) < GATEWAYS // 5:
            name, payload = client.hear()
            if payload == b"0":
                wills.add(name)
        assert program.runs, "the wills came before the end"
        assert stopped(program) == 1
    assert "unconfirmed" in program.log()


def test_prepared_payloads_arrive_as_they_were_made_and_the_audit_adds_up(
    tmp_path: Path, mosquitto: MosquittoServer
) -> None:
    cloud = Cloud(tmp_path, mosquitto.port)
    file, result = tmp_path / "ahead.fleet", tmp_path / "result.json"
    made = run("simulate", "fleet", *SMALL, "--for", "30", "--prepare", str(file), "--result", str(result))
    assert made.returncode == 0, made.stderr
    ahead = json.loads(result.read_text())
    cloud.start()
    where = ("--broker", f"127.0.0.1:{mosquitto.port}", "--connections", "4")
    done = run("simulate", "fleet", "--replay", str(file), *where, "--result", str(result))
    cloud.worker.stop()
    assert done.returncode == 0, done.stderr
    told = json.loads(result.read_text())
    assert (told["batches"], told["readings"]) == (ahead["batches"], ahead["readings"])
    assert told["confirmed"] == told["batches"] and told["unconfirmed"] == 0
    assert _fates(cloud.audit())["stored"] == told["readings"]


def _fates(said: dict[str, Any]) -> Counter[str]:
    """Where the readings of all gateways ended, as `audit --json` tells it."""
    fates: Counter[str] = Counter()
    for gateway in said["gateways"]:
        fates.update(gateway["total"]["fates"])
    return fates


def test_an_ack_of_another_run_confirms_nothing(tmp_path: Path, mosquitto: MosquittoServer) -> None:
    foreign = json.dumps({"run": "0" * 32, "stored": [[1, 100]]}).encode()
    assert read_ack(foreign) is not None
    with Client(port=mosquitto.port).connected() as client:
        client.subscribe(every(Channel.DATA))
        with fleet(tmp_path, mosquitto.port, "--gateways", "1") as program:
            header, _ = read_header(client.hear()[1])
            client.publish(topic(header.gateway, Channel.ACK), foreign)
            client.hear()  # it goes on after that
            assert stopped(program) == 1
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["confirmed"] == 0 and told["foreign_acks"] == 1 and told["unconfirmed"] == told["batches"]


def test_each_gateway_of_a_fleet_is_a_user_of_its_own_to_a_broker_with_an_acl(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    users = "\n".join(["fleet-00000:oneforall", "fleet-00001:oneforall", "cloud:cloud"])
    secret.write_text("oneforall\n")
    secret.chmod(0o600)
    acl = "pattern write lg/v1/%u/#\npattern read lg/v1/%u/ack\nuser cloud\ntopic read #"
    with (
        MosquittoServer(folder=tmp_path / "mosquitto", password_file=users, acl_file=acl) as broker,
        Client(port=broker.port, user="cloud", password="cloud").connected() as client,
    ):
        client.subscribe(every(Channel.DATA))
        heard: set[str | None] = set()
        with fleet(tmp_path, broker.port, "--gateways", "2", "--secret-file", str(secret)) as program:
            while len(heard) < 2:
                heard.add(gateway_of(client.hear()[0], Channel.DATA))
            assert stopped(program) == 1
    assert heard == {"fleet-00000", "fleet-00001"}


@pytest.mark.slow
def test_five_thousand_gateways_with_a_connection_each_fit_into_150_mb(tmp_path: Path) -> None:
    many = 5_000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < many + 200:
        pytest.skip(f"{hard} open files are allowed here: ulimit -Hn {many + 200}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the broker inherits it
    size = ("--gateways", str(many), "--meters", "20", "--fields", "10", "--every", "10", "--seal", "10")
    with (
        MosquittoServer(folder=tmp_path / "mosquitto") as broker,
        Client(port=broker.port).connected() as client,
    ):
        client.subscribe(every(Channel.ONLINE))
        program = fleet(tmp_path, broker.port, *size, "--for", "1h")
        program.start()
        try:
            online: set[str] = set()
            while len(online) < many:
                name, payload = client.hear()
                if payload == b"1":
                    online.add(name)
            while_it_runs(program, lambda: rows_of(tmp_path / "record.db") >= many, "not all of them have sent")
            status = Path(f"/proc/{program.pid}/status").read_text()
        finally:
            program.stop()
    (peak_kb,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak_kb < 150_000


@pytest.mark.parametrize(
    "words, told",
    [
        (["--gateways", "0"], "--gateways 0"),
        (["--meters", "200", "--fields", "16", "--every", "1", "--seal", "100"], "fewer --meters"),
        (["--rate", "1e6"], "--for"),
        (["--rate", "-1"], "--rate"),
        (["--broker", "nowhere"], "HOST:PORT"),
        (["--prefix", "Über"], "--prefix"),
        (["--prepare", "x"], "--for"),
        (["--replay", "/nowhere/at/all"], "--prepare makes it"),
        (["--secret-file", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused_on_one_line_that_says_what_to_change(words: list[str], told: str) -> None:
    done = run("simulate", "fleet", *words, *(() if "--broker" in words else ("--broker", f"127.0.0.1:{free_port()}")))
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and told in done.stderr, done.stderr


def test_a_record_is_never_written_over(tmp_path: Path) -> None:
    record = tmp_path / "record.db"
    record.write_bytes(b"precious")
    done = run("simulate", "fleet", "--record", str(record), "--for", "1", "--broker", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1 and str(record) in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert record.read_bytes() == b"precious"
