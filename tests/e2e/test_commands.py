"""`loopgauge command` to a real agent, through Mosquitto with the access list that is shipped for a single gateway."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.publish as once
import pytest
import yaml

from tests.e2e.compare import unheard
from tests.e2e.line import ENERGY_METER, GATEWAY, Line
from tests.e2e.mqtt import Client
from tests.e2e.programs import ROOT, run
from tests.e2e.servers import MosquittoServer, wait_until

ACL = (ROOT / "deploy" / "broker" / "acl").read_text(encoding="utf-8")
OTHER = "tuas-2"
PASSWORDS = {GATEWAY: "tide-and-salt", OTHER: "brine-works", "ingest": "reverse-osmosis", "operator": "lock-and-weir"}
RESTART = 75


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoServer]:
    """A broker that knows two gateways, ingest and an operator."""
    users = "\n".join(f"{user}:{password}" for user, password in PASSWORDS.items())
    with MosquittoServer(folder=tmp_path / "broker", password_file=users, acl_file=ACL) as server:
        yield server


def _secret(folder: Path, user: str) -> str:
    path = folder / f"{user}.password"
    path.write_text(f"{PASSWORDS[user]}\n", encoding="utf-8")
    path.chmod(0o600)
    return str(path)


@contextmanager
def _line(folder: Path, broker: MosquittoServer, *, rereads: int = 0) -> Iterator[Line]:
    """A line at work, of which nothing may be missing at the end but what was read out of schedule."""
    line = Line(
        folder=folder,
        store=f"sqlite:{folder / 'store'}",
        uplink={"port": broker.port, "password_file": _secret(folder, GATEWAY)},
        broker={"port": broker.port, "username": "ingest", "password_file": _secret(folder, "ingest")},
        meters=ENERGY_METER,
        listener=(GATEWAY, PASSWORDS[GATEWAY]),
    )
    with line:
        line.start()
        line.wait(lambda: len(line.receipts()) >= 2, what="fewer than 2 receipts")
        yield line
        # A worker that comes back after the agent did not hear what was sent in between: it comes again, but later.
        line.wait(lambda: _is_connected(line.workers[0].log()), what="the worker did not find the broker")
        line.drain()
        line.stop()
        fields = Counter(row.field for row in line.verdict().missing_rows)
        assert max(fields.values(), default=0) <= rereads + unheard(line.fates()), fields
        assert line.audit()["gateway"] == GATEWAY


def _is_connected(log: str) -> bool:
    return log.rfind("broker: connected again") >= log.rfind(" away (")


def _config(folder: Path, broker: MosquittoServer, user: str = "operator") -> Path:
    path = folder / f"{user}.yaml"
    at = {"host": "127.0.0.1", "port": broker.port, "username": user, "password_file": _secret(folder, user)}
    path.write_text(yaml.safe_dump({"name": "anna", "broker": at}), encoding="utf-8")
    return path


def _command(config: Path, verb: str, *more: str, code: int = 0) -> dict[str, Any]:
    """What the gateway answers."""
    done = run("command", GATEWAY, verb, "--config", str(config), "--json", *more)
    assert done.returncode == code, done.stdout + done.stderr
    assert not any(secret in done.stdout + done.stderr for secret in PASSWORDS.values())
    reply: dict[str, Any] = json.loads(done.stdout)
    assert reply["verb"] == verb
    return reply


def _said(line: Line, words: str) -> None:
    line.wait(lambda: words in line.agent.log(), what=f"the agent does not say: {words}")


def test_each_command_is_obeyed_and_answered_while_readings_go_on_being_stored(
    tmp_path: Path, broker: MosquittoServer
) -> None:
    config = _config(tmp_path, broker)
    with _line(tmp_path, broker, rereads=2) as line:
        assert _command(config, "birth")["ok"]
        assert _command(config, "flush")["text"] == "sealed; all that was sealed is confirmed"
        reread = _command(config, "reread", "--device", "energy-meter")
        ((device,)) = reread["devices"]
        assert device["device"] == "energy-meter" and device["values"]["power_w"] > 0
        old = _command(config, "restart")
        assert wait_until(lambda: line.agent.has_died), "it did not stop"
        line.agent.stop()
        assert line.agent.exit_code == RESTART
        gone = run("command", GATEWAY, "birth", "--config", str(config))
        assert gone.returncode == 1 and "is not connected" in gone.stderr
        line.agent.start()
        line.wait(lambda: line.receipts()[-1].run != old["run"], what="the next run is not stored")
        assert _command(config, "birth")["run"] != old["run"]
        assert "command restart, by anna" in line.agent.log()
        line.drain()
        shown = run("command", GATEWAY, "reread", "--config", str(config))
        assert shown.returncode == 0 and "power_w" in shown.stdout, shown.stdout + shown.stderr


def test_refused_commands_went_through_the_broker_and_change_nothing(tmp_path: Path, broker: MosquittoServer) -> None:
    config = _config(tmp_path, broker)
    with _line(tmp_path, broker) as line:
        first = _command(config, "birth")
        topic = f"lg/v1/{GATEWAY}/cmd"
        recorded = json.dumps({"run": first["run"], "n": first["n"]}).encode()
        fresh = json.dumps({"run": first["run"], "n": first["n"] + 10**9}).encode()
        with Client(port=broker.port, user="operator", password=PASSWORDS["operator"]).connected() as operator:
            operator.subscribe(f"lg/v1/{GATEWAY}/reply")
            for verb, payload, why in (
                ("restart", recorded, "replayed"),
                ("restart", json.dumps({"run": "0" * 32, "n": 1}).encode(), "other_run"),
                ("restart", b"now!", "unreadable"),
                ("restart", b"{" + b" " * 4000 + b"}", "too_large"),
                ("dance", json.dumps({"run": first["run"], "n": first["n"] + 1}).encode(), "unknown_verb"),
            ):
                operator.publish(f"{topic}/{verb}", payload)
                assert json.loads(operator.hear()[1])["refused"] == why
                _said(line, f"refused as {why}")
        _publish(broker, "operator", f"{topic}/restart/now", fresh)
        _publish(broker, OTHER, f"{topic}/restart", fresh)
        _publish(broker, "ingest", f"{topic}/restart", fresh)
        _publish(broker, GATEWAY, f"{topic}/restart", fresh)
        assert _command(config, "birth")["ok"], "whoever may not command has silenced who may"
        assert line.agent.runs


def _publish(broker: MosquittoServer, user: str, topic: str, payload: bytes, *, retain: bool = False) -> None:
    auth: Any = {"username": user, "password": PASSWORDS[user]}
    once.single(topic, payload, qos=1, retain=retain, port=broker.port, hostname="127.0.0.1", auth=auth)


def test_a_command_that_the_broker_kept_is_obeyed_by_no_later_run_nor_connection(
    tmp_path: Path, broker: MosquittoServer
) -> None:
    config = _config(tmp_path, broker)
    topic = f"lg/v1/{GATEWAY}/cmd/restart"
    with _line(tmp_path, broker) as line:
        run_now = _command(config, "birth")["run"]
        line.agent.pause()
        kept = json.dumps({"run": run_now, "n": round(time.time() * 1000) + 10_000}).encode()
        broker.stop()
        broker.start()
        _publish(broker, "operator", topic, kept, retain=True)
        line.agent.resume()
        _said(line, "refused as retained")
        line.wait(lambda: line.agent.runs, what="it obeyed")
        assert _command(config, "birth")["run"] == run_now
        _publish(broker, "operator", topic, b"", retain=True)


def test_another_gateway_can_neither_hear_commands_nor_answer_them(tmp_path: Path, broker: MosquittoServer) -> None:
    config = _config(tmp_path, broker)
    with (
        _line(tmp_path, broker),
        Client(port=broker.port, user=OTHER, password=PASSWORDS[OTHER]).connected() as intruder,
    ):
        for each in (f"lg/v1/{GATEWAY}/cmd/#", f"lg/v1/{GATEWAY}/reply", f"lg/v1/{GATEWAY}/birth", "lg/v1/+/cmd/+"):
            intruder.subscribe(each)
        forged = json.dumps({"run": "0" * 32, "n": N_GUESSED, "verb": "birth", "ok": True, "text": "forged"}).encode()
        intruder.publish(f"lg/v1/{GATEWAY}/reply", forged)
        assert _command(config, "birth")["text"] == "published again"
        assert intruder.heard.empty()


N_GUESSED = 1


@pytest.mark.parametrize(
    "words, said",
    [
        ((GATEWAY, "restrat"), "did you mean restart"),
        ((GATEWAY,), "give GATEWAY, VERB"),
        (("No.Id", "birth"), "no id of a gateway"),
        ((GATEWAY, "flush", "--device", "meter-1"), "only with reread"),
        ((GATEWAY, "birth", "--timeout", "0"), "--timeout"),
    ],
)
def test_bad_input_is_one_line_and_reaches_no_broker(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run("command", *words, "--config", str(tmp_path / "none.yaml"))
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "") and said in line


def test_what_is_wrong_between_the_operator_and_the_gateway_is_one_line(
    tmp_path: Path, broker: MosquittoServer
) -> None:
    unknown = run("command", "nobody-1", "birth", "--config", str(_config(tmp_path, broker)))
    wrong = _config(tmp_path, broker)
    (tmp_path / "operator.password").write_text("guess\n")
    refused = run("command", GATEWAY, "birth", "--config", str(wrong))
    broker.stop()
    away = run("command", GATEWAY, "birth", "--config", str(wrong))
    broker.start()
    found = {"knows no birth": unknown, "not let anna in: Not authorized": refused, "cannot connect": away}
    for said, done in found.items():
        (line,) = done.stderr.splitlines()
        assert (done.returncode, done.stdout) == (1, "") and said in line
        assert "guess" not in line
