"""Who may command a gateway, by the rendered access list: an operator of the inventory, and nobody else in any way."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.deploy.authority import Authority, with_certificate
from tests.e2e.deploy.knock import TlsClient, is_let_in
from tests.e2e.deploy.rendered import OPERATORS
from tests.e2e.deploy.siege import INTRUDER, VICTIM, Siege
from tests.e2e.programs import run

CMD, REPLY = f"lg/v1/{VICTIM}/cmd", f"lg/v1/{VICTIM}/reply"
ANNA, BERT = OPERATORS
"""She uses the tool; what he sends obeys no rules."""
FAR_AHEAD = 2**50
"""A number above any that was used."""


@pytest.fixture
def operator(siege: Siege) -> Iterator[TlsClient]:
    """Somebody who may command, with a client of his own."""
    with TlsClient(port=siege.broker.port, context=siege.fleet.operator(BERT)) as client:
        yield client


@pytest.fixture
def config(siege: Siege, tmp_path: Path) -> Path:
    """An operator's file as it is rendered, but for the port."""
    said = yaml.safe_load(siege.fleet.operator_file(ANNA, "command.yaml").read_text(encoding="utf-8"))
    said["broker"]["port"] = siege.broker.port
    path = tmp_path / "command.yaml"
    path.write_text(yaml.safe_dump(said), encoding="utf-8")
    return path


def command(config: Path, verb: str, gateway: str = VICTIM) -> dict[str, Any]:
    """What `loopgauge command` prints; it must be obeyed."""
    done = run("command", gateway, verb, "--config", str(config), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


def refused(siege: Siege, why: str) -> float:
    """How many commands the agent has refused for a reason."""
    return siege.agent_figure(rf'commands_refused_total\{{reason="{why}"\}}')


def obeyed(siege: Siege, verb: str) -> float:
    """How many commands the agent has obeyed."""
    return siege.agent_figure(rf'commands_obeyed_total\{{verb="{verb}"\}}')


def fresh(reply: dict[str, Any], ahead: int = 1) -> bytes:
    """A command that the gateway would obey from whoever may command."""
    return json.dumps({"run": reply["run"], "n": reply["n"] + ahead, "by": "somebody"}).encode()


def _flush(config: Path) -> None:
    assert command(config, "flush")["text"] == "sealed; all that was sealed is confirmed"


def test_an_operator_of_the_inventory_commands_with_the_file_that_was_made_for_him(siege: Siege, config: Path) -> None:
    assert command(config, "birth")["text"] == "published again"
    siege.withstands(partial(_flush, config))
    assert obeyed(siege, "flush") >= 1
    folder = siege.fleet.operator_file(ANNA, ".")
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (folder, *folder.iterdir())} == {0}


def test_a_gateway_cannot_command_another_one_nor_itself(siege: Siege, config: Path) -> None:
    payload = fresh(command(config, "birth"))
    before, run_before = siege.agent_figure("connects_total"), command(config, "birth")["run"]
    with TlsClient(port=siege.broker.port, context=siege.fleet.gateway(INTRUDER)) as intruder:
        own = f"lg/v1/{INTRUDER}/cmd"
        intruder.subscribe(f"{own}/#")

        def attack() -> None:
            for verb in ("restart", "flush", "birth", "reread"):
                for retain in (False, True):
                    intruder.publish(f"{CMD}/{verb}", payload, retain=retain)
            intruder.publish(f"{own}/restart", payload)

        siege.withstands(attack)
        assert intruder.heard.empty(), "it has commanded itself"
    assert siege.agent_figure("connects_total") == before
    assert command(config, "birth")["run"] == run_before
    assert not obeyed(siege, "restart") and not refused(siege, "replayed"), "it has reached the agent"


def test_no_other_certificate_may_command(siege: Siege, config: Path, tmp_path: Path) -> None:
    payload = fresh(command(config, "birth"))
    ours, stranger = Authority(tmp_path / "ours", copy_of=siege.fleet.authority), Authority(tmp_path / "stranger")
    name = f"operator.{ANNA}"
    assert not is_let_in(siege.broker.port, with_certificate(siege.fleet.context(), stranger.issue(name)))
    assert is_let_in(siege.broker.port, siege.fleet.operator(ANNA))
    contexts = [with_certificate(siege.fleet.context(), ours.issue(each)) for each in ("operator.eve", "operator", "#")]
    with ExitStack() as stack:
        clients = [
            stack.enter_context(TlsClient(port=siege.broker.port, context=context))
            for context in [*contexts, siege.fleet.gateway(INTRUDER)]
        ]

        def attack() -> None:
            for client in clients:
                client.publish(f"{CMD}/restart", payload)

        siege.withstands(attack)
    assert not obeyed(siege, "restart") and not refused(siege, "replayed")


def test_an_operator_may_command_and_nothing_else(siege: Siege, config: Path, operator: TlsClient) -> None:
    run_now = command(config, "birth")["run"]
    ack = json.dumps({"run": run_now, "stored": [[1, 100_000]]}).encode()
    for topic in (f"lg/v1/{VICTIM}/data", f"lg/v1/{VICTIM}/ack", "lg/v1/+/ack", f"lg/v1/{VICTIM}/cmd/#"):
        operator.subscribe(topic)

    def attack() -> None:
        for channel in ("ack", "data", "birth", "online", "reply", "cmd", "cmd/restart/now"):
            operator.publish(f"lg/v1/{VICTIM}/{channel}", ack)
        operator.publish("lg/v1/ready", b"{}")

    refusals = siege.refused()
    siege.withstands(attack)
    assert operator.heard.empty(), "readings are none of an operator's business"
    assert siege.refused() == refusals, "it reached a worker"
    assert command(config, "birth")["run"] == run_now


def test_a_recorded_command_is_refused_each_time_that_it_is_sent_again(
    siege: Siege, config: Path, operator: TlsClient
) -> None:
    first = command(config, "flush")
    recorded = fresh(first, ahead=0)
    operator.subscribe(REPLY)
    flushed, before = obeyed(siege, "flush"), refused(siege, "replayed")
    operator.publish(f"{CMD}/flush", recorded)
    assert json.loads(operator.hear()[1])["refused"] == "replayed"
    siege.withstands(lambda: operator.publish(f"{CMD}/restart", recorded))
    assert obeyed(siege, "flush") == flushed and refused(siege, "replayed") > before + 1
    assert not obeyed(siege, "restart")


def test_what_the_broker_keeps_is_obeyed_by_no_gateway_that_comes_back(
    siege: Siege, config: Path, operator: TlsClient
) -> None:
    known = command(config, "birth")["run"]
    operator.publish(f"{CMD}/birth", json.dumps({"run": known, "n": FAR_AHEAD}).encode(), retain=True)
    siege.wait(lambda: obeyed(siege, "birth") >= 1, what="the live copy is an ordinary command")
    try:
        siege.restart_agent()
        siege.wait(lambda: refused(siege, "retained") == 1, what="it is not refused as retained")
        assert not obeyed(siege, "birth")
        run_now = command(config, "birth")["run"]
        assert run_now != known
        siege.withstands(lambda: None)
    finally:
        operator.publish(f"{CMD}/birth", b"", retain=True)


def test_a_forged_answer_reaches_no_operator(siege: Siege, config: Path, operator: TlsClient) -> None:
    operator.subscribe(REPLY)
    forged = json.dumps({"run": "0" * 32, "n": 1, "verb": "flush", "ok": True, "text": "forged"}).encode()
    with (
        TlsClient(port=siege.broker.port, context=siege.fleet.gateway(INTRUDER)) as intruder,
        TlsClient(port=siege.broker.port, context=siege.fleet.worker()) as worker,
    ):
        for retain in (False, True):
            intruder.publish(REPLY, forged, retain=retain)
            worker.publish(REPLY, forged, retain=retain)
        assert command(config, "flush")["text"] != "forged"
    assert "forged" not in operator.hear()[1].decode()
    assert operator.heard.empty()
    siege.withstands(lambda: None)
