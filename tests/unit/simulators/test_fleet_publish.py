"""The fleet's connections with brokers that misbehave: nobody waits for ever, and one complaint is enough."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable

import pytest

from simulators.fleet import mqtt, publish
from simulators.fleet.plan import FleetPlan
from simulators.fleet.publish import Broker, CannotConnect
from simulators.fleet.waiting import until
from tests.twins.steady import run_steady

PLAN = FleetPlan(gateways=3)
CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x04\x00\x01\x01\x00"


class Ears:
    """Notes who is up, and how often someone went."""

    def __init__(self) -> None:
        self.online: set[int] = set()
        self.went = 0

    def up(self, gateway: int) -> None:
        self.online.add(gateway)

    def down(self, gateway: int) -> None:
        self.online.discard(gateway)
        self.went += 1

    def acknowledged(self, gateway: int, payload: bytes) -> None:
        raise AssertionError("nobody acknowledges here")

    def ready(self) -> None:
        raise AssertionError("nobody is ready here")


class Answers(asyncio.Protocol):
    """A broker that says `answer(packet)` to each packet."""

    callers = 0

    def __init__(self, answer: Callable[[mqtt.Packet], bytes]) -> None:
        self._answer = answer
        self._incoming = mqtt.Incoming()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Answers.callers += 1
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for packet in self._incoming.feed(data):
            self._transport.write(self._answer(packet))


def polite(packet: mqtt.Packet) -> bytes:
    """CONNACK and SUBACK, and nothing more, whatever is published or asked."""
    return {1: CONNACK, 8: SUBACK}.get(packet.kind, b"")


def tried(
    answer: Callable[[mqtt.Packet], bytes], over: Callable[[Broker, Ears], bool], connections: int | None = None
) -> tuple[Broker, Ears, bool]:
    """A fleet before such a broker, until `over` or 60 s; whether it was over."""

    async def program() -> tuple[Broker, Ears, bool]:
        Answers.callers = 0
        loop, ears = asyncio.get_running_loop(), Ears()
        server = await loop.create_server(lambda: Answers(answer), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        broker = Broker(host="127.0.0.1", port=port, plan=PLAN, ears=ears, now_s=loop.time, connections=connections)
        link = asyncio.create_task(broker.run())
        done = await until(lambda: over(broker, ears) or link.done(), 60.0)
        if link.done():
            link.result()
        link.cancel()
        await broker.goodbye(0.0)
        server.close()
        return broker, ears, done

    return run_steady(program())


def test_every_gateway_is_let_in_over_its_own_connection_or_over_shared_ones() -> None:
    for many in (3, 2, 1):
        broker, ears, done = tried(polite, lambda _, ears: len(ears.online) == 3, connections=many)
        assert done and ears.online == {0, 1, 2}
        assert Answers.callers == many == broker.connections


def test_a_broker_that_accepts_and_never_answers_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "HANDSHAKE_S", 0.1)
    broker, ears, done = tried(lambda _: b"", lambda _broker, _ears: Answers.callers >= 6)
    assert done and not ears.online and broker.complaint == "the broker does not answer"


def test_a_broker_that_falls_silent_is_left_and_what_was_under_way_can_be_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publish, "SILENCE_S", 0.2)
    _, _, done = tried(polite, lambda _, ears: ears.went >= 3 and Answers.callers >= 6)
    assert done


def test_a_refusal_names_its_reason_once(caplog: pytest.LogCaptureFixture) -> None:
    broker, ears, done = tried(lambda _: b"\x20\x02\x00\x05", lambda _, _ears: Answers.callers >= 4)
    assert done and not ears.online
    assert broker.complaint == "the broker refuses us: not authorised"
    assert len([record for record in caplog.records if "refuses" in record.message]) == 1


def test_too_many_connections_for_this_machine_are_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (32, 64))
    with pytest.raises(CannotConnect, match=r"ulimit -n 67.*--connections"):
        tried(polite, lambda *_: False)


def test_a_cut_connection_comes_back_only_after_the_outage() -> None:
    at: dict[str, float] = {}

    def over(broker: Broker, ears: Ears) -> bool:
        now_s = broker.now_s()
        if "cut" not in at and len(ears.online) == 3:
            at["cut"] = now_s
            assert broker.cut(1.0, now_s + 0.8) == 3
        elif "cut" in at and ears.went == 3 and ears.online:
            at["back"] = now_s
        return "back" in at

    _, _, done = tried(polite, over)
    assert done and 0.75 <= at["back"] - at["cut"] < 2.5
