"""The worker's consumer on a real Mosquitto: whole messages through TLS in both directions, and what flow control does.

What a port promises is in test_link_and_consumer; here is what lies below it.
"""

from __future__ import annotations

import asyncio
import getpass
import random
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from data_contract.message import MESSAGE_BYTES_MAX
from data_contract.topics import Channel, topic
from ingest import consumer as shell
from ingest.config import BrokerConfig, TlsConfig
from ingest.consumer import MqttConsumer
from ingest.guard import Refused, admit
from ingest.ports import Delivery
from tests.e2e.certificates import Issuer
from tests.e2e.mqtt import Client
from tests.e2e.servers import PATIENCE_S, MosquittoServer, wait_until

pytestmark = pytest.mark.e2e
DATA = topic("gw-1", Channel.DATA)
OPEN = ["allow_anonymous true", "max_queued_messages 1000000", "persistence false", f"user {getpass.getuser()}"]


def broker(folder: Path, certificate: tuple[Path, Path] | None = None) -> MosquittoServer:
    """A plain listener for the test and, with a certificate, a second one with TLS on the next port."""
    lines = ["listener {port} 127.0.0.1", *OPEN]
    return MosquittoServer(folder=folder, config="\n".join(lines + _tls(certificate)))


def _tls(certificate: tuple[Path, Path] | None) -> list[str]:
    if certificate is None:
        return []
    return [f"certfile {certificate[0]}", f"keyfile {certificate[1]}", f"cafile {certificate[0].parent / 'ca.crt'}"]


class Running:
    """A consumer that has subscribed, and what it heard of its own life."""

    def __init__(
        self,
        port: int,
        *,
        shared: bool = True,
        ca_file: Path | None = None,
        worker: str = "w1",
        knows: Callable[[str], bool] = lambda gateway: True,
    ) -> None:
        self.subscribed = asyncio.Event()
        self.signs = 0
        tls = None if ca_file is None else TlsConfig(ca_file=str(ca_file))
        config = BrokerConfig(host="localhost", port=port, shared=shared, tls=tls)
        self.consumer = MqttConsumer(
            worker=worker,
            config=config,
            password=None,
            connected=self.subscribed.set,
            promise=self._promise,
            knows=knows,
        )

    def _promise(self, seconds: float) -> None:
        assert seconds == shell.THREAD_S_MAX
        self.signs += 1

    async def take(self, count: int, *, settle: bool = True) -> list[Delivery]:
        found: list[Delivery] = []
        while len(found) < count:
            taken = await self.consumer.take(10)
            assert taken, f"{len(found)} of {count} messages arrived"
            assert len(taken) <= shell.TAKE_MAX
            if settle:
                self.consumer.settle(taken)
            found += taken
        return found


def play(running: Callable[[], Running], script: Callable[[Running], Awaitable[None]]) -> None:
    async def main() -> None:
        made = running()
        made.consumer.start()
        try:
            async with asyncio.timeout(2 * PATIENCE_S):
                await made.subscribed.wait()
                await asyncio.sleep(0.3)  # the broker has not answered the subscription yet
                await script(made)
        finally:
            await asyncio.to_thread(made.consumer.stop)

    asyncio.run(main())


@pytest.mark.parametrize("shared", [True, False], ids=["mqtt5", "mqtt311"])
@pytest.mark.parametrize("secured", [True, False], ids=["tls", "plain"])
def test_messages_of_all_sizes_pass_whole_while_the_worker_sends_as_much(
    shared: bool, secured: bool, tmp_path: Path
) -> None:
    fleet = Issuer(tmp_path / "fleet")
    rng = random.Random(5)
    sizes = [rng.choice((0, 1, 50, 2_000, 60_000, MESSAGE_BYTES_MAX)) for _ in range(150)]
    payloads = [rng.randbytes(size) for size in sizes]
    with broker(tmp_path / "broker", fleet.issue("broker") if secured else None) as server:

        async def script(made: Running) -> None:
            other = Running(server.port, shared=False, ca_file=ca_file, worker="w2")
            other.consumer.start()
            await other.subscribed.wait()
            await asyncio.sleep(0.3)
            found: list[Delivery] = []
            for begin in range(0, len(payloads), 3):  # no gateway has more in flight than its lane holds
                for payload in payloads[begin : begin + 3]:
                    other.consumer.publish(DATA, payload)
                    made.consumer.publish("lg/v1/gw-2/ack", payload)
                found += await made.take(len(payloads[begin : begin + 3]))
            assert [each.payload for each in found] == payloads, "one gateway's messages keep their order"
            assert {each.topic for each in found} == {DATA}
            await asyncio.to_thread(other.consumer.stop)

        ca_file = fleet.ca_file if secured else None
        play(lambda: Running(server.port, shared=shared, ca_file=ca_file), script)


def test_a_gateway_that_sends_a_hundred_times_what_it_may_is_dropped_and_everything_else_is_not(
    tmp_path: Path,
) -> None:
    with broker(tmp_path / "broker") as server:

        async def script(made: Running) -> None:
            sender = Client(port=server.port).connected()
            many, payload = 3 * shell.LANE_BYTES_MAX // 100_000, bytes(99_000)
            for _ in range(many):
                sender.publish(topic("flood", Channel.DATA), payload)
            sender.publish(DATA, b"good")
            assert await asyncio.to_thread(wait_until, lambda: bool(made.consumer.queue().lanes == 2))
            queue = made.consumer.queue()
            assert queue.bytes <= shell.LANE_BYTES_MAX + 2 * shell.MESSAGE_COST_BYTES
            assert queue.dropped == {("flood", "flood"): many - queue.messages + 1}
            assert DATA in {each.topic for each in await made.consumer.take(1)}, "in the very first hand-over"
            sender.close()

        play(lambda: Running(server.port), script)


def test_when_very_much_waits_the_broker_holds_the_rest_until_messages_are_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "CALM_BYTES_MAX", -1)
    monkeypatch.setattr(shell, "RECEIVE_MAX", 20)
    with broker(tmp_path / "broker") as server:

        async def script(made: Running) -> None:
            sender = Client(port=server.port).connected()
            for number in range(100):
                sender.publish(DATA, str(number).encode())
            held = await made.take(20, settle=False)
            assert await made.consumer.take(0.5) == [], "more than the broker was told to send"
            made.consumer.settle(held)
            found = held + await made.take(80)
            assert [int(each.payload) for each in found] == list(range(100))
            sender.close()

        play(lambda: Running(server.port), script)


@pytest.mark.parametrize("shared", [True, False], ids=["mqtt5", "mqtt311"])
def test_a_message_that_is_too_large_is_refused_by_its_length_and_never_kept_whole(
    shared: bool, tmp_path: Path
) -> None:
    with broker(tmp_path / "broker") as server:

        async def script(made: Running) -> None:
            sender = Client(port=server.port).connected()
            sender.publish(DATA, bytes(20_000_000))
            sender.publish(DATA, b"good")
            found = await made.take(1 if shared else 2)
            assert found[-1].payload == b"good"
            if not shared:  # a broker of MQTT 5 knows our limit, and keeps it for itself
                assert len(found[0].payload) == MESSAGE_BYTES_MAX + 1
                assert admit(DATA, found[0].payload) == Refused("too_large")
            sender.close()

        play(lambda: Running(server.port, shared=shared), script)


def test_a_thread_of_the_consumer_that_hangs_is_not_heard_of_again_and_one_that_has_nothing_to_do_is(
    tmp_path: Path,
) -> None:
    asked, hung = threading.Event(), threading.Event()

    def knows(gateway: str) -> bool:
        asked.set()
        return hung.wait(PATIENCE_S)

    with broker(tmp_path / "broker") as server:

        async def script(made: Running) -> None:
            idle = made.signs
            assert await asyncio.to_thread(wait_until, lambda: made.signs >= idle + 2), (
                "an idle thread is to be heard of"
            )
            sender = Client(port=server.port).connected()
            sender.publish(DATA, b"x")
            assert await asyncio.to_thread(asked.wait, PATIENCE_S)
            before = made.signs
            await asyncio.sleep(3)
            assert made.signs == before
            hung.set()
            assert await made.take(1)
            sender.close()

        play(lambda: Running(server.port, knows=knows), script)
