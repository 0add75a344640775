"""With the access list that is shipped, a gateway speaks for itself alone, and only ingest confirms."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.line import ENERGY_METER, GATEWAY, Line
from tests.e2e.mqtt import Client
from tests.e2e.programs import ROOT, run
from tests.e2e.servers import MosquittoServer

ACL = (ROOT / "deploy" / "broker" / "acl").read_text(encoding="utf-8")
PASSWORDS = {GATEWAY: "tide-and-salt", "tuas-2": "brine-works", "ingest": "reverse-osmosis"}
SILENCE_S = 0.5
"""Long enough for a message on loopback, where a message that was sent before has been heard."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoServer]:
    """A broker that knows two gateways and the user of ingest."""
    users = "\n".join(f"{user}:{password}" for user, password in PASSWORDS.items())
    with MosquittoServer(folder=tmp_path / "broker", password_file=users, acl_file=ACL) as server:
        yield server


def _client(broker: MosquittoServer, user: str) -> Client:
    return Client(port=broker.port, user=user, password=PASSWORDS[user]).connected()


def _secret(folder: Path, name: str, password: str) -> str:
    path = folder / f"{name}.password"
    path.write_text(f"{password}\n", encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def _line(folder: Path, broker: MosquittoServer, *, password: str = PASSWORDS[GATEWAY]) -> Line:
    return Line(
        folder=folder,
        store=f"sqlite:{folder / 'store'}",
        uplink={"port": broker.port, "password_file": _secret(folder, "edge", password)},
        broker={
            "port": broker.port,
            "username": "ingest",
            "password_file": _secret(folder, "ingest", PASSWORDS["ingest"]),
        },
        meters=ENERGY_METER,
        listener=(GATEWAY, PASSWORDS[GATEWAY]),
    )


def test_readings_and_acks_pass_a_broker_that_has_the_shipped_access_list(
    tmp_path: Path, broker: MosquittoServer
) -> None:
    with _line(tmp_path, broker) as line:
        line.start()
        line.wait(lambda: len(line.receipts()) >= 3, what="fewer than 3 receipts")
        shown = [Path(f"/proc/{program.pid}/cmdline").read_text() for program in line.programs.values()]
        line.stop()
        line.account()
        shown += [*line.logs().values(), broker.log()]
        leaked = [secret for secret in PASSWORDS.values() if any(secret in text for text in shown)]
        assert not leaked, "a password stands in a log, or among the arguments of a process"


def test_a_gateway_cannot_speak_as_another_one(broker: MosquittoServer) -> None:
    with _client(broker, "ingest") as ingest, _client(broker, "tuas-2") as intruder:
        ingest.subscribe("lg/v1/+/data")
        intruder.publish(f"lg/v1/{GATEWAY}/data", b"forged")
        intruder.publish("lg/v1/tuas-2/data", b"its own")
        assert ingest.hear() == ("lg/v1/tuas-2/data", b"its own")
        _hears_nothing(ingest)


def test_a_gateway_cannot_listen_to_the_acks_and_commands_of_another_one(broker: MosquittoServer) -> None:
    with _client(broker, "ingest") as ingest, _client(broker, "tuas-2") as intruder:
        for topic in (f"lg/v1/{GATEWAY}/ack", f"lg/v1/{GATEWAY}/cmd/#", "lg/v1/+/ack", "#"):
            intruder.subscribe(topic)
        ingest.publish(f"lg/v1/{GATEWAY}/ack", b"not for you")
        ingest.publish("lg/v1/tuas-2/ack", b"for you")
        assert intruder.hear() == ("lg/v1/tuas-2/ack", b"for you")
        _hears_nothing(intruder)


@pytest.mark.parametrize("topic", [f"lg/v1/{GATEWAY}/ack", "lg/v1/tuas-2/ack", "lg/v1/ready"])
def test_a_gateway_cannot_confirm_batches_nor_call_ingest_ready(topic: str, broker: MosquittoServer) -> None:
    with _client(broker, GATEWAY) as gateway, _client(broker, "tuas-2") as intruder, _client(broker, "ingest") as cloud:
        for mine in (f"lg/v1/{GATEWAY}/ack", "lg/v1/ready"):
            gateway.subscribe(mine)
        intruder.publish(topic, b"forged")
        cloud.publish(f"lg/v1/{GATEWAY}/ack", b"true")
        assert gateway.hear() == (f"lg/v1/{GATEWAY}/ack", b"true")
        _hears_nothing(gateway)


def test_ingest_cannot_send_commands_nor_data(broker: MosquittoServer) -> None:
    with _client(broker, GATEWAY) as gateway, _client(broker, "ingest") as ingest:
        gateway.subscribe(f"lg/v1/{GATEWAY}/#")
        ingest.subscribe("lg/v1/+/data")
        ingest.publish(f"lg/v1/{GATEWAY}/cmd/restart", b"{}")
        ingest.publish(f"lg/v1/{GATEWAY}/data", b"made up")
        ingest.publish(f"lg/v1/{GATEWAY}/ack", b"allowed")
        assert gateway.hear() == (f"lg/v1/{GATEWAY}/ack", b"allowed")
        _hears_nothing(gateway)
        _hears_nothing(ingest)


def test_nobody_gets_in_without_a_password(broker: MosquittoServer) -> None:
    for user, password in ((None, None), (GATEWAY, "guess"), ("stranger", "guess")):
        with Client(port=broker.port, user=user, password=password) as client:
            assert client.answer() == "Not authorized"


def _hears_nothing(client: Client) -> None:
    with pytest.raises(queue.Empty):
        client.hear(SILENCE_S)


def test_an_agent_with_a_wrong_password_says_so_once_and_goes_on_sampling(
    tmp_path: Path, broker: MosquittoServer
) -> None:
    with _line(tmp_path, broker, password="wrong-guess") as line:
        line.start()
        line.wait(lambda: broker.log().count("not authorised") >= 2, what="the agent did not try again")
        line.wait(lambda: len(line.held()) >= 5, what="the agent did not go on sampling")
        line.agent.kill()  # a clean stop would wait for the cloud
        of_meter = ("energy-meter: no reading", "energy-meter: answers again")  # on a busy machine
        said = [text for text in line.agent.log().splitlines() if not any(each in text for each in of_meter)]
        assert len(said) == 1, said
        assert "uplink" in said[0]
        assert "not authori" in said[0].lower()
        assert "wrong-guess" not in said[0]


@pytest.mark.parametrize("host", ["broker.example.org", "192.0.2.7", "0.0.0.0"])
def test_a_broker_that_is_not_this_machine_is_refused_without_tls(host: str, tmp_path: Path) -> None:
    edge = {
        "gateway": GATEWAY,
        "spool": {"file": "spool.db"},
        "uplink": {"host": host},
        "buses": {"tcp": {"type": "modbus_tcp", "host": "127.0.0.1"}},
        "devices": {"energy-meter": {"profile": "eastron-sdm630", "bus": "tcp"}},
    }
    worker = {
        "worker": "w1",
        "broker": {"host": host},
        "store": {"url": "sqlite:store"},
        "gateways_file": "gateways.json",
        "dead_letters": "dead",
    }
    for name, content, words in (("edge", edge, ("edge", "check")), ("ingest", worker, ("ingest", "run"))):
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        done = run(*words, str(file))
        (line,) = done.stderr.splitlines()
        assert (done.returncode, done.stdout) == (2, "")
        assert str(file) in line and "tls is missing" in line and host in line
