"""Commands and replies of every version ever shipped mean the same for ever, on both sides of the broker."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from paho.mqtt import client as mqtt

from data_contract.control import Command, Refusal, Reply, Verb, read_command, read_reply, write
from data_contract.topics import Channel, command_topic, gateway_of, verb_of
from edge_agent.send.commands import Commands
from loopgauge.operator import Operator
from tools import contract_schemas as schemas

HOME = Path(__file__).parents[2] / "golden" / "control"
GATEWAY = "plant-1"
UNKNOWN = {"of_a_later_version": {"n": [1, None], "run": "x"}}


class Golden(NamedTuple):
    topic: str
    payload: bytes
    says: dict[str, Any]


def golden(which: str) -> list[Any]:
    found = []
    for path in sorted(HOME.glob(f"v*/{which}-*/payload.json")):
        expected = json.loads(path.with_name("expected.json").read_text("utf-8"))
        message = Golden(expected["topic"], path.read_bytes(), expected["says"])
        found.append(pytest.param(message, id=f"{path.parts[-3]}-{path.parts[-2]}"))
    return found


COMMANDS, REPLIES = golden("command"), golden("reply")


def with_unknown_keys(value: Any) -> Any:
    """The same, and in each object of the contract a key that nobody knows; names of fields are no keys of it."""
    if isinstance(value, dict):
        inside = {k: v if k in ("values", "quality", "missing") else with_unknown_keys(v) for k, v in value.items()}
        return inside | UNKNOWN
    return [with_unknown_keys(item) for item in value] if isinstance(value, list) else value


def heard_by_operator(payload: bytes, n: int) -> Reply:
    """What `loopgauge command` makes of a reply to its command of this number."""
    heard: queue.Queue[Any] = queue.Queue()
    heard.put(SimpleNamespace(topic=f"lg/v1/{GATEWAY}/reply", payload=payload, retain=False))
    client = cast(mqtt.Client, SimpleNamespace(publish=lambda *_, **__: None))
    return Operator(client, heard, GATEWAY, "anna")._ask("birth", "0" * 32, n, None, 0.0)


def test_every_verb_and_every_shape_of_a_reply_has_a_golden_message() -> None:
    assert {verb_of(each.values[0].topic, GATEWAY) for each in COMMANDS} == {verb.value for verb in Verb}
    replies = [each.values[0].says for each in REPLIES]
    assert {name for said in replies for name in said} == set(Reply.model_fields)
    assert {said["ok"] for said in replies} == {True, False}


@pytest.mark.parametrize("message", COMMANDS)
def test_an_agent_obeys_a_golden_command(message: Golden) -> None:
    verb = verb_of(message.topic, GATEWAY)
    assert verb is not None and command_topic(GATEWAY, verb) == message.topic
    for payload in (message.payload, json.dumps(with_unknown_keys(json.loads(message.payload))).encode()):
        commands = Commands(run=message.says["run"], devices={"feed-meter"})
        refused = commands.hear(verb, payload, retained=False, now_s=0.0)
        assert refused is None, refused
        order = commands.next()
        assert order is not None
        assert (order.verb, order.command.model_dump(exclude_unset=True)) == (verb, message.says)


@pytest.mark.parametrize("message", REPLIES)
def test_an_operator_reads_a_golden_reply(message: Golden) -> None:
    assert gateway_of(message.topic, Channel.REPLY) == GATEWAY
    for payload in (message.payload, json.dumps(with_unknown_keys(json.loads(message.payload))).encode()):
        # An answer to what could not be read names no number: nobody waits for it, and whoever listens can read it.
        reply = heard_by_operator(payload, message.says["n"]) if message.says["n"] else read_reply(payload)
        assert reply is not None
        assert reply.model_dump(exclude_unset=True, mode="json") == message.says


@pytest.mark.parametrize("message", [each for each in COMMANDS if "later" not in str(each.id)])
def test_what_an_operator_sends_is_what_was_shipped(message: Golden) -> None:
    assert json.loads(write(Command(**message.says))) == json.loads(message.payload)


@pytest.mark.parametrize("message", [each for each in REPLIES if "later" not in str(each.id)])
def test_what_an_agent_answers_is_what_was_shipped(message: Golden) -> None:
    """Keys that hold their default may be left out."""
    defaults = {name: field.default for name, field in Reply.model_fields.items() if not field.is_required()}
    wanted = {name: value for name, value in message.says.items() if name not in defaults or defaults[name] != value}
    assert json.loads(write(Reply.model_validate_json(message.payload))) == wanted


@pytest.mark.parametrize("message", COMMANDS + REPLIES)
def test_a_golden_message_that_is_cut_short_or_has_something_behind_it_is_never_read(message: Golden) -> None:
    read = read_command if "/cmd/" in message.topic else read_reply
    assert read(message.payload) is not None
    for end in range(len(message.payload)):
        assert read(message.payload[:end]) is None
    for tail in (b"\0", b"x", b"{}"):
        assert read(message.payload + tail) is None


def test_a_reason_for_a_refusal_never_changes_its_name() -> None:
    shipped = "retained too_large unreadable other_run replayed too_many unknown_verb unknown_device busy"
    assert set(shipped.split()) <= {reason.value for reason in Refusal}


@pytest.mark.parametrize("name, messages", [("command", COMMANDS), ("reply", REPLIES)])
def test_a_published_schema_asks_for_no_key_that_was_not_always_there(name: str, messages: list[Any]) -> None:
    schema = json.loads(schemas.path(name).read_text("utf-8"))
    for message in _payloads(messages):
        assert set(schema["required"]) <= message.keys()
        assert schema.get("additionalProperties", True) is True, "unknown keys are ignored"


def _payloads(messages: list[Any]) -> Iterator[dict[str, Any]]:
    return (json.loads(each.values[0].payload) for each in messages)
