"""What an operator's command needs: who and where, a connection to the broker, and one question with its answer.

The gateway's retained birth names its present run; the command names that run and a number above all before. The number
is the time in ms, so that operators need not know of each other; where a clock is behind, the gateway's refusal says
which number was the last, and the command goes once more, above it.
"""

from __future__ import annotations

import queue
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contract.control import Command, Refusal, Reply, read_birth, read_reply, write
from data_contract.topics import Channel, command_topic, topic
from yaml_models.files import read_secret
from yaml_models.loopback import is_loopback
from yaml_models.tls import tls_context

CONNECT_S_MAX = 10.0
"""Longest wait for the broker: to let us in, to grant a subscription."""
RETAINED_S_MAX = 3.0
"""What the broker keeps comes right behind the subscription; after so many s there is nothing."""


class NoAnswer(Exception):
    """Nothing came of it; the message is one line that says what to look at."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OperatorTls(_Model):
    """How the broker proves who it is, and how this operator does."""

    ca_file: str = Field(description="certificate authority of the broker, PEM")
    cert_file: str | None = Field(default=None, description="this operator's certificate, PEM; omit with a password")
    key_file: str | None = Field(default=None, description="private key of cert_file, PEM, readable by its owner alone")


class OperatorBroker(_Model):
    """The MQTT broker."""

    host: str = Field(description="name or address of the broker")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=8883, description="port of the broker")
    tls: OperatorTls | None = Field(default=None, description="required unless the broker is on this machine")
    username: str | None = Field(default=None, description="user name; with a certificate its common name counts")
    password_file: str | None = Field(default=None, description="file with the password, mode 600")

    @model_validator(mode="after")
    def _protected(self) -> OperatorBroker:
        if self.tls is None and not is_loopback(self.host):
            raise ValueError(f"tls is missing and {self.host} is not this machine: add tls with ca_file")
        return self


class OperatorConfig(_Model):
    """Somebody who may command gateways."""

    name: Annotated[str, Field(pattern=r"^[ -~]{1,64}$")] = Field(description="who you are, for the gateways' logs")
    broker: OperatorBroker


SAMPLE: dict[str, object] = {
    "name": "anna",
    "broker": {
        "host": "broker.example.net",
        "tls": {"ca_file": "ca.crt", "cert_file": "operator.crt", "key_file": "operator.key"},
    },
}
"""An operator with a certificate: what `loopgauge command --sample` shows."""


class Operator:
    """A connection to the broker that hears one gateway."""

    def __init__(
        self, client: mqtt.Client, heard: queue.Queue[mqtt.MQTTMessage | None], gateway: str, name: str
    ) -> None:
        self._client = client
        self._heard = heard
        self._gateway = gateway
        self._name = name

    def present_run(self) -> str:
        """The run of the gateway's agent, from what the broker keeps. Raises NoAnswer."""
        run, online, until_s = None, None, time.monotonic() + RETAINED_S_MAX
        while (run is None or online is None) and (message := self._next(until_s)) is not None:
            if message.topic == topic(self._gateway, Channel.ONLINE):
                online = message.payload
            elif message.topic == topic(self._gateway, Channel.BIRTH):
                birth = read_birth(bytes(message.payload))
                run = None if birth is None else birth.run
        if run is None:
            raise NoAnswer(
                f"{self._gateway}: the broker knows no birth of it: look at the name, and whether you may read it"
            )
        if online == b"0":
            raise NoAnswer(f"{self._gateway} is not connected; nothing was sent, since a command is kept nowhere")
        return run

    def command(self, verb: str, *, run: str, device: str | None, timeout_s: float) -> Reply:
        """Send a command and wait for what becomes of it. Raises NoAnswer."""
        until_s = time.monotonic() + timeout_s
        reply = self._ask(verb, run, round(time.time() * 1000), device, until_s)
        if reply.refused == Refusal.REPLAYED:
            reply = self._ask(verb, run, reply.last_n + 1, device, until_s)
        return reply

    def _ask(self, verb: str, run: str, n: int, device: str | None, until_s: float) -> Reply:
        command = Command(run=run, n=n, by=self._name, device=device)
        self._client.publish(command_topic(self._gateway, verb), write(command), qos=1)
        while (message := self._next(until_s)) is not None:
            if message.topic == topic(self._gateway, Channel.REPLY) and not message.retain:
                reply = read_reply(bytes(message.payload))
                if reply is not None and reply.n == n:
                    return reply
        raise NoAnswer(
            f"{self._gateway}: no answer in time; it may have obeyed all the same. If never any answer comes: does the"
            " broker let you command (it hides a refusal), and is the agent new enough to obey?"
        )

    def _next(self, until_s: float) -> mqtt.MQTTMessage | None:
        """What arrives before an instant; None: nothing did. Raises NoAnswer."""
        try:
            message = self._heard.get(timeout=max(0.0, until_s - time.monotonic()))
        except queue.Empty:
            return None
        if message is None:
            raise NoAnswer("the broker has ended the connection: is the same certificate in use for another command?")
        return message


@contextmanager
def connect(config: OperatorConfig, gateway: str) -> Iterator[Operator]:
    """A connection that hears the gateway's birth, online and reply. Raises BadFile, NoAnswer."""
    answers: queue.Queue[str] = queue.Queue()
    heard: queue.Queue[mqtt.MQTTMessage | None] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    broker = config.broker
    if broker.tls is not None:
        client.tls_set_context(tls_context(broker.tls))
    if broker.username is not None or broker.password_file is not None:
        client.username_pw_set(
            broker.username, read_secret(Path(broker.password_file)) if broker.password_file else None
        )
    client.on_connect = lambda _c, _u, _f, reason, _p: answers.put(str(reason))
    client.on_subscribe = lambda _c, _u, _m, _r, _p: answers.put("subscribed")
    client.on_disconnect = lambda _c, _u, _f, _r, _p: heard.put(None)
    client.on_message = lambda _c, _u, message: heard.put(message)
    where = f"{broker.host}:{broker.port}"
    client.connect_timeout = CONNECT_S_MAX
    try:
        client.connect(broker.host, broker.port)
    except (OSError, ssl.SSLError) as error:
        raise NoAnswer(f"cannot connect to {where}: {error.strerror or error}") from None
    client.loop_start()
    try:
        _expect(answers, "Success", f"{where} does not let {config.name} in")
        client.subscribe([(topic(gateway, each), 1) for each in (Channel.REPLY, Channel.ONLINE, Channel.BIRTH)])
        _expect(answers, "subscribed", f"{where} grants no subscription")
        yield Operator(client, heard, gateway, config.name)
    finally:
        client.disconnect()
        client.loop_stop()


def _expect(answers: queue.Queue[str], wanted: str, otherwise: str) -> None:
    try:
        said = answers.get(timeout=CONNECT_S_MAX)
    except queue.Empty:
        raise NoAnswer(f"{otherwise}: no answer within {CONNECT_S_MAX:g} s") from None
    if said != wanted:
        raise NoAnswer(f"{otherwise}: {said}; look at certificate, key or password")
