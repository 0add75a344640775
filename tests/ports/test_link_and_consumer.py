"""What both ends may expect of the way between them, on a real Mosquitto and on the twin of a broker.

It promises little: what is published arrives, or does not; a connection that is gone says so; nothing waits for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from data_contract.topics import READY, Channel, command_topic, topic
from edge_agent.config import UplinkConfig
from edge_agent.errors import NotConnected
from edge_agent.ports import SLOWEST_BYTES_PER_S, Link, Session
from edge_agent.send.link import MqttLink
from ingest.config import BrokerConfig
from ingest.consumer import MqttConsumer
from ingest.ports import Consumer, Delivery
from tests.e2e.servers import PATIENCE_S, MosquittoServer, wait_until
from tests.twins.broker import BrokerTwin, ConsumerTwin, LinkTwin
from tests.twins.death import Life
from tests.twins.loop import run_virtual
from tests.twins.steady import run_steady

DATA, ACK = topic("gw-1", Channel.DATA), topic("gw-1", Channel.ACK)


class Broker(Protocol):
    """A broker that a test can take away, with clients made for it."""

    def link(self, gateway: str) -> Link: ...

    def consumer(self, worker: str) -> Consumer: ...

    async def stop(self) -> None: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Real:
    """Mosquitto."""

    server: MosquittoServer
    shared: bool = True
    consumers: list[MqttConsumer] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)

    def link(self, gateway: str) -> Link:
        config = UplinkConfig(host="127.0.0.1", port=self.server.port, timeout_s=20)
        return MqttLink(gateway=gateway, config=config, password=None)

    def consumer(self, worker: str) -> Consumer:
        config = BrokerConfig(host="127.0.0.1", port=self.server.port, shared=self.shared)
        made = MqttConsumer(
            worker=worker, config=config, password=None, connected=lambda: self.connected.append(worker)
        )
        made.start()
        self.consumers.append(made)
        return made

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def close(self) -> None:
        for consumer in self.consumers:
            await asyncio.to_thread(consumer.stop)


class Twin:
    """The twin of a broker."""

    def __init__(self) -> None:
        self.broker = BrokerTwin(rng=random.Random(1))

    def link(self, gateway: str) -> Link:
        return LinkTwin(gateway=gateway, broker=self.broker, life=Life())

    def consumer(self, worker: str) -> Consumer:
        return ConsumerTwin(broker=self.broker, life=Life())

    async def stop(self) -> None:
        self.broker.down = True
        self.broker.restart()

    async def start(self) -> None:
        self.broker.down = False

    async def close(self) -> None:
        return None


Script = Callable[[Any], Coroutine[Any, Any, None]]
Play = Callable[[Script], None]


@pytest.fixture(
    params=[pytest.param("mosquitto", marks=pytest.mark.e2e), pytest.param("mqtt311", marks=pytest.mark.e2e), "twin"]
)
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Play]:
    """Run a script with a fresh broker."""

    async def whole(script: Script, broker: Any) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await script(broker)
        finally:
            await broker.close()

    if request.param == "twin":
        yield lambda script: run_virtual(whole(script, Twin()))
        return
    with MosquittoServer(folder=tmp_path / "mosquitto") as server:
        yield lambda script: asyncio.run(whole(script, Real(server, shared=request.param == "mosquitto")))


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    """So many messages, settled."""
    found: list[Delivery] = []
    while len(found) < count:
        taken = await consumer.take(10)
        assert taken, f"{len(found)} of {count} messages arrived"
        consumer.settle(taken)
        found += taken
    return found


async def heard(consumer: Consumer, session: Session) -> None:
    """Wait until a consumer is subscribed: its first messages may fall on deaf ears. It has all that it gets."""
    for number in range(1000):
        last = b"probe %d" % number
        await session.publish(topic("probe", Channel.DATA), last)
        taken = await consumer.take(0.1)
        consumer.settle(taken)
        if taken:
            break
    while taken and taken[-1].payload != last:
        taken = await consumer.take(2)  # or never, where another worker has got it
        consumer.settle(taken)


def test_an_ack_or_a_command_that_comes_right_after_connecting_is_not_missed(play: Play) -> None:
    async def script(broker: Broker) -> None:
        async with broker.link("gw-9").connect() as other, broker.link("gw-1").connect() as session:
            await other.publish(ACK, b"ack 1")
            await other.publish(READY, b"ready")
            await other.publish(topic("gw-2", Channel.ACK), b"not ours")
            await other.publish(command_topic("gw-2", "flush"), b"not ours")
            await other.publish(command_topic("gw-1", "flush"), b"now")
            found = set()
            async for heard in session.messages():
                found.add(heard)
                if len(found) == 3:
                    break
            command = command_topic("gw-1", "flush"), b"now", False
            assert found == {(ACK, b"ack 1", False), (READY, b"ready", False), command}

    play(script)


def test_what_a_gateway_publishes_reaches_one_worker_once_whole(play: Play) -> None:
    async def script(broker: Broker) -> None:
        consumer = broker.consumer("w1")
        async with broker.link("gw-1").connect() as session:
            await heard(consumer, session)
            payloads = [bytes([number]) * 10_000 for number in range(50)]
            for payload in payloads:
                await session.publish(DATA, payload)
            found = await take(consumer, 50)
            assert sorted(d.payload for d in found) == payloads
            assert {d.topic for d in found} == {DATA}
            assert await consumer.take(0.3) == []

    play(script)


def test_what_a_worker_publishes_reaches_the_gateway_that_it_names(play: Play) -> None:
    async def script(broker: Broker) -> None:
        consumer = broker.consumer("w1")
        async with broker.link("gw-1").connect() as session:
            await heard(consumer, session)
            consumer.publish(ACK, b'{"run":"r"}')
            async for name, payload, _ in session.messages():
                assert (name, payload) == (ACK, b'{"run":"r"}')
                break

    play(script)


def test_taking_waits_no_longer_than_it_was_told(play: Play) -> None:
    async def script(broker: Broker) -> None:
        consumer = broker.consumer("w1")
        lasted_s = []
        for _ in range(5):  # as a busy machine may halt in one
            before_s = asyncio.get_running_loop().time()
            assert await consumer.take(0.3) == []
            lasted_s.append(asyncio.get_running_loop().time() - before_s)
        assert 0.29 <= min(lasted_s) < 2

    play(script)


def test_a_broker_that_is_not_there_is_not_connected_and_no_other_error(play: Play) -> None:
    async def script(broker: Broker) -> None:
        await broker.stop()
        with pytest.raises(NotConnected):
            async with broker.link("gw-1").connect():
                pass
        await broker.start()

    play(script)


def test_a_connection_that_breaks_says_so_to_whoever_listens_and_whoever_speaks(play: Play) -> None:
    async def script(broker: Broker) -> None:
        broke = []

        async def listen(session: Session) -> None:
            try:
                async for _ in session.messages():
                    pass
            except NotConnected:
                broke.append("listener")

        with contextlib.suppress(NotConnected):
            async with broker.link("gw-1").connect() as session:
                listening = asyncio.create_task(listen(session), name="listen")
                await asyncio.sleep(0.1)
                await broker.stop()
                await asyncio.wait_for(listening, PATIENCE_S)
                with pytest.raises(NotConnected):
                    await session.publish(DATA, b"x")
                broke.append("speaker")
        assert broke == ["listener", "speaker"]
        await broker.start()
        async with broker.link("gw-1").connect() as session:
            await session.publish(DATA, b"again")

    play(script)


def test_a_worker_goes_on_by_itself_when_the_broker_is_back_and_old_settlements_do_no_harm(play: Play) -> None:
    async def script(broker: Broker) -> None:
        consumer = broker.consumer("w1")
        async with broker.link("gw-1").connect() as session:
            await heard(consumer, session)
            await session.publish(DATA, b"before")
            old = await consumer.take(10)
            assert [d.payload for d in old] == [b"before"]
        await broker.stop()
        await asyncio.sleep(0.2)
        await broker.start()
        async with broker.link("gw-1").connect() as session:
            await heard(consumer, session)
            consumer.settle(old)
            await session.publish(DATA, b"after")
            assert [d.payload for d in await take(consumer, 1)] == [b"after"]

    play(script)


def test_equal_workers_share_the_messages_and_none_comes_twice() -> None:
    """The twin deals messages out in turn; whether Mosquitto does is tried below."""

    async def script(broker: Twin) -> None:
        await _share(broker)

    run_virtual(script(Twin()))


async def _share(broker: Broker) -> None:
    one, two = broker.consumer("w1"), broker.consumer("w2")
    async with broker.link("gw-1").connect() as session:
        await heard(one, session)
        await heard(two, session)
        for number in range(40):
            await session.publish(DATA, str(number).encode())
        found: list[tuple[Consumer, int]] = []

        async def take_all(waits_s: float) -> None:
            for consumer in (one, two):
                while taken := await consumer.take(waits_s):
                    consumer.settle(taken)
                    found.extend((consumer, int(each.payload)) for each in taken if each.topic == DATA)  # or a probe

        for _ in range(60):
            if len(found) >= 40:
                break
            await take_all(1)
        await take_all(2)
        assert sorted(number for _, number in found) == list(range(40)), "one is missing or came twice"
        assert {consumer for consumer, _ in found} == {one, two}, "one of them had nothing to do"


@pytest.mark.e2e
def test_equal_workers_share_the_messages_of_mosquitto(tmp_path: Path) -> None:
    async def main(server: MosquittoServer) -> None:
        broker = Real(server)
        try:
            await _share(broker)
        finally:
            await broker.close()

    with MosquittoServer(folder=tmp_path / "mosquitto") as server:
        asyncio.run(main(server))


@pytest.mark.e2e
def test_what_mosquitto_kept_is_told_from_what_is_said_now(tmp_path: Path) -> None:
    async def main(server: MosquittoServer) -> None:
        broker, restart = Real(server), command_topic("gw-1", "restart")
        async with broker.link("gw-9").connect() as other:
            await other.publish(restart, b"long ago", retain=True)
            async with broker.link("gw-1").connect() as session:
                messages = session.messages()
                assert await anext(messages) == (restart, b"long ago", True)
                await other.publish(restart, b"now", retain=True)
                assert await anext(messages) == (restart, b"now", False)

    with MosquittoServer(folder=tmp_path / "mosquitto") as server:
        asyncio.run(main(server))


@pytest.mark.e2e
def test_people_see_whether_a_gateway_runs_stopped_or_died(tmp_path: Path) -> None:
    """The retained message says 1 while a gateway runs, 0 after a stop and, by the last will, after a death."""
    online = topic("gw-1", Channel.ONLINE)

    async def seen(port: int) -> bytes:
        import aiomqtt

        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe(online)
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                return message.payload
        raise AssertionError

    async def main(server: MosquittoServer) -> None:
        link = Real(server).link("gw-1")
        up = asyncio.Event()

        async def session() -> None:
            async with link.connect() as mine:
                await mine.publish(online, b"1", retain=True)
                up.set()
                await asyncio.sleep(3600)

        task = asyncio.create_task(session(), name="session")
        await up.wait()
        assert await seen(server.port) == b"1"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await seen(server.port) == b"0"

    with MosquittoServer(folder=tmp_path / "mosquitto") as server:
        asyncio.run(main(server))


@pytest.mark.e2e
def test_a_broker_that_goes_away_is_said_once_by_the_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="loopgauge")

    async def main(server: MosquittoServer) -> None:
        broker = Real(server)
        try:
            broker.consumer("w1")
            assert await asyncio.to_thread(wait_until, lambda: broker.connected == ["w1"]), broker.connected
            await broker.stop()
            await asyncio.sleep(3.5)
            await broker.start()
            assert await asyncio.to_thread(wait_until, lambda: broker.connected == ["w1", "w1"]), broker.connected
        finally:
            await broker.close()

    with MosquittoServer(folder=tmp_path / "mosquitto") as server:
        asyncio.run(main(server))
    said = [r.getMessage() for r in caplog.records if r.name.startswith("loopgauge.ingest")]
    assert len(said) == 2, said
    assert "away" in said[0]
    assert said[1] == "broker: connected again"


def test_a_message_whose_bytes_take_longer_than_the_time_out_is_waited_for_and_a_silent_broker_is_not() -> None:
    """A slow link would be left and joined again without end, each time for the same bytes."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As much of MQTT 3.1.1 as a session needs; a publish is answered after 1.6 s."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (kind,), size, shift = await reader.readexactly(1), 0, 0
                while True:
                    (digit,) = await reader.readexactly(1)
                    size, shift = size + ((digit & 127) << shift), shift + 7
                    if digit < 128:
                        break
                body = await reader.readexactly(size)
                if kind >> 4 == 1:
                    writer.write(bytes([0x20, 2, 0, 0]))
                elif kind >> 4 == 8:
                    writer.write(bytes([0x90, 4, *body[:2], 0, 1]))
                elif kind >> 4 == 3:
                    await asyncio.sleep(1.6)
                    end = 2 + int.from_bytes(body[:2])
                    writer.write(bytes([0x40, 2, *body[end : end + 2]]))
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(slow, "127.0.0.1", 0)
        config = UplinkConfig(host="127.0.0.1", port=server.sockets[0].getsockname()[1], timeout_s=1)
        async with MqttLink(gateway="gw-1", config=config, password=None).connect() as session:
            await session.publish(DATA, bytes(4 * SLOWEST_BYTES_PER_S))
            with pytest.raises(NotConnected):
                await session.publish(DATA, b"small")
        server.close()

    run_steady(main())
