"""Attacks on a line at work: each is refused, and a gateway goes on to deliver every value that its meter shows."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import re
import socket
import ssl
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from data_contract.message import BODY_BYTES_MAX, MESSAGE_BYTES_MAX
from tests.e2e.cloud import line, message
from tests.e2e.compare import redelivered
from tests.e2e.deploy import packets
from tests.e2e.deploy.authority import EXPIRED, Authority, with_certificate
from tests.e2e.deploy.knock import TlsClient, is_let_in
from tests.e2e.deploy.packets import bare, is_ended
from tests.e2e.deploy.rendered import BROKER_PORT, CLOUD, WORKERS, Host, RenderedBroker
from tests.e2e.deploy.siege import INTRUDER, VICTIM, Siege, memory_bytes
from tests.e2e.programs import Program
from tests.e2e.servers import PATIENCE_S, free_port

pytestmark = pytest.mark.slow

OWN = f"lg/v1/{INTRUDER}/data"
GROWTH_BYTES_MAX = 100_000_000
LOG_BYTES_MAX = 100_000
"""What an attack may add to the log of any of our programs."""
HELD_CONNECTIONS = 300
TAKEN_S_MAX = 10.0
"""A broker that takes nothing for so long has enough of a flood."""


@pytest.fixture(autouse=True)
def _our_logs_stay_short(siege: Siege) -> Iterator[None]:
    before = {program.folder: len(program.log()) for program in siege.programs}
    yield
    for program in siege.programs:
        grown = program.log()[before[program.folder] :]
        assert len(grown) < LOG_BYTES_MAX, grown[-2000:]
        assert "Traceback" not in grown, grown


@pytest.fixture
def intruder(siege: Siege) -> Iterator[TlsClient]:
    """Somebody with the certificate of another gateway of the fleet."""
    with TlsClient(port=siege.broker.port, context=siege.fleet.gateway(INTRUDER)) as client:
        yield client


def test_in_peace_everything_arrives(siege: Siege) -> None:
    siege.withstands(lambda: None, batches=2)


def test_whoever_has_no_valid_certificate_is_refused_all_along(siege: Siege, tmp_path: Path) -> None:
    ours = Authority(tmp_path / "ours", copy_of=siege.fleet.authority)
    stranger = Authority(tmp_path / "stranger")
    strangers: list[ssl.SSLContext | None] = [
        None,
        siege.fleet.context(),
        with_certificate(siege.fleet.context(), stranger.issue(VICTIM)),
        with_certificate(siege.fleet.context(), ours.issue(VICTIM, EXPIRED)),
    ]

    def knock() -> None:
        assert [is_let_in(siege.broker.port, context) for context in strangers] == [False] * len(strangers)

    siege.withstands(knock)
    assert is_let_in(siege.broker.port, siege.fleet.gateway(INTRUDER))


def _forged_ack(siege: Siege) -> bytes:
    run = max(siege.receipts(), key=lambda receipt: receipt.at_us).run
    return json.dumps({"run": run, "stored": [[1, 100_000]], "rejected": [], "worker": WORKERS[0]}).encode()


@contextmanager
def _workers_away(siege: Siege) -> Iterator[dict[tuple[str, int], str]]:
    """Meanwhile nobody may confirm anything; what is in the spool then, which no true ack will delete any more.

    An ack is carried out by the seal after it, so that two batches must have been sealed since the last worker ended.
    """
    for worker in siege.workers:
        worker.stop()
    try:
        known = siege.spool().keys()
        siege.wait(lambda: len(siege.spool().keys() - known) >= 2, what="no batches wait for the workers")
        yield siege.spool()
    finally:
        for worker in siege.workers:
            worker.start()


def test_forged_acks_delete_nothing_and_a_forged_ready_starts_nothing(siege: Siege, intruder: TlsClient) -> None:
    ack = _forged_ack(siege)
    with _workers_away(siege) as before:
        repeated, heard = siege.agent_figure("messages_redelivered_total"), siege.agent_figure("foreign_acks_total")
        for topic in (f"lg/v1/{VICTIM}/ack", f"lg/v1/{INTRUDER}/ack"):
            intruder.publish(topic, ack, retain=True)

        def forge() -> bool:
            intruder.publish(f"lg/v1/{VICTIM}/ack", ack)
            return len(siege.spool().keys() - before.keys()) >= 2

        siege.wait(forge, what="no further batches are sealed")  # a seal deletes what is confirmed
        after = siege.spool()
        assert {key: after.get(key) for key in before} == before
        assert siege.agent_figure("foreign_acks_total") == heard, "a forged ack has reached the agent"
        intruder.publish("lg/v1/ready", b'{"worker":"worker-1"}')
        assert siege.agent_figure("messages_redelivered_total") - repeated <= 2 * len(after), "a storm of repeats"
    siege.wait(lambda: not before.keys() & siege.spool().keys(), what="the true acks deleted nothing either")
    siege.all_is_there()


def _is_taken_from_a_thief(siege: Siege, topic: str, payload: bytes) -> bool:
    """Whether the broker has taken his message before the gateway came back, which pushes him off in turn."""
    try:
        with TlsClient(port=siege.broker.port, context=siege.fleet.gateway(VICTIM)) as thief:
            thief.publish(topic, payload, retain=True)
    except (AssertionError, RuntimeError, queue.Empty):
        return False
    return True


def test_a_thief_of_a_gateways_own_certificate_cannot_make_it_forget_anything(siege: Siege) -> None:
    """He is that gateway for the broker, and pushes it off; but only ingest may confirm."""
    ack = _forged_ack(siege)
    with _workers_away(siege) as before:
        connects = siege.agent_figure("connects_total")
        for topic, payload in ((f"lg/v1/{VICTIM}/ack", ack), ("lg/v1/ready", b"{}")):
            siege.wait(partial(_is_taken_from_a_thief, siege, topic, payload), what=f"no answer to him on {topic}")
        siege.wait(lambda: siege.agent_figure("connects_total") > connects, what="the gateway does not come back")
        siege.wait(lambda: len(siege.spool().keys() - before.keys()) >= 2, what="no further batches are sealed")
        after = siege.spool()
        assert {key: after.get(key) for key in before} == before
    siege.wait(lambda: not before.keys() & siege.spool().keys(), what="what was held does not arrive")
    siege.all_is_there()


def test_data_and_wills_in_the_name_of_another_gateway_reach_nobody(siege: Siege) -> None:
    body = line(1, {"energy-meter": {"power_w": 6.66e6}}, base_ms=siege.now_ms() - 60_000)
    forged = message(VICTIM, 1, 1, body)
    refused = siege.refused()

    def speak() -> None:
        with bare(siege.broker.port, siege.fleet.gateway(INTRUDER)) as connection:
            connection.sendall(packets.connect(will=(f"lg/v1/{VICTIM}/data", forged)))
            assert connection.recv(4)[:1] == bytes([packets.CONNACK])
            connection.sendall(packets.publish(f"lg/v1/{VICTIM}/data", forged))
            connection.sendall(packets.publish("lg/v1/ready", b"{}"))

    siege.withstands(speak)
    assert siege.refused() == refused, "it reached a worker"


def test_a_message_that_names_another_gateway_in_its_header_is_refused(siege: Siege, intruder: TlsClient) -> None:
    body = line(1, {"energy-meter": {"power_w": 6.66e6}}, base_ms=siege.now_ms() - 60_000)
    before = siege.refused().get("foreign_gateway", 0)
    siege.withstands(lambda: intruder.publish(OWN, message(VICTIM, 1, 1, body)))
    assert siege.refused()["foreign_gateway"] > before


def _bodies(siege: Siege) -> dict[str, bytes]:
    """What a worker refuses by the head alone, by the reason that it gives."""
    good = line(1, {"meter": {"power_w": 1.0}}, base_ms=siege.now_ms() - 60_000)
    return {
        "no_header": b"\xff" * 1000,
        "unknown_version": message(INTRUDER, 1, 1, good, version="lg9"),
        "bad_header": message(INTRUDER.upper(), 1, 1, good),
        "bad_crc": message(INTRUDER, 1, 1, good, crc=1),
        "bad_range": message(INTRUDER, 1, 1_000_000, good),
        "foreign_gateway": message(VICTIM, 1, 1, good),
    }


def test_malformed_messages_are_counted_by_reason_and_nothing_else(siege: Siege, intruder: TlsClient) -> None:
    bodies, before = _bodies(siege), siege.refused()

    def send() -> None:
        for body in bodies.values():
            for _ in range(50):
                intruder.send(OWN, body)
        intruder.publish(OWN, b"")

    siege.withstands(send)
    after = siege.refused()
    assert {reason for reason in bodies if after.get(reason, 0) > before.get(reason, 0)} == bodies.keys()


def _hostile() -> dict[str, tuple[bytes, str]]:
    """Bodies that are costly to look at, with their packing."""
    return {
        "bomb": (zlib.compress(b"[" * 400_000_000, 9), "zlib"),
        "bomb of lines": (zlib.compress(b"\n" * BODY_BYTES_MAX, 9), "zlib"),
        "depth": (b"[1,2," + b"[" * 200_000 + b"\n", "plain"),
        "depth of objects": (b"[1,2," + b'{"a":' * 50_000 + b"\n", "plain"),
        "a long number": (b"[1," + b"9" * 250_000 + b",{}]\n", "plain"),
        "no end": (zlib.compress(os.urandom(100_000))[:-4], "zlib"),
        "many marks": (line(1, {"m": {f"f{n}_w": 1.0 for n in range(9_000)}}, base_ms=0), "plain"),
    }


def test_what_a_message_unpacks_to_cannot_fill_a_workers_memory(siege: Siege, intruder: TlsClient) -> None:
    workers = [worker.pid for worker in siege.workers]
    before = [memory_bytes(pid) for pid in workers]
    hostile = [message(INTRUDER, 1, 1, body, packing=packing) for body, packing in _hostile().values()]
    assert all(len(each) < MESSAGE_BYTES_MAX for each in hostile)

    def send() -> None:
        for each in hostile:
            intruder.publish(OWN, each)

    siege.withstands(send)
    assert [worker.pid for worker in siege.workers] == workers
    grown = [memory_bytes(pid) - was for pid, was in zip(workers, before, strict=True)]
    assert max(grown) < GROWTH_BYTES_MAX, grown


def test_another_board_under_a_known_name_waits_for_a_person(siege: Siege, intruder: TlsClient) -> None:
    base_ms = siege.now_ms() - 60_000
    true, cloned = (
        message(INTRUDER, 1, 1, line(1, {"meter": {"power_w": value}}, base_ms=base_ms), board=board)
        for board, value in (("board1", 1.0), ("cloned", 2.0))
    )
    intruder.subscribe(f"lg/v1/{INTRUDER}/ack")
    intruder.publish(OWN, true)
    intruder.hear()
    before = siege.refused().get("second_board", 0)
    siege.withstands(lambda: intruder.publish(OWN, cloned))
    assert siege.refused()["second_board"] > before
    said = json.loads(siege.cloud.file("/var/lib/loopgauge/ingest/gateways.json").read_text())
    assert said["parked"] == {INTRUDER: ["cloned"]}


def test_a_packet_above_the_limit_ends_its_connection_and_nobody_elses(siege: Siege) -> None:
    before = memory_bytes(siege.broker.pid)

    def exceed() -> None:
        for claimed in (MESSAGE_BYTES_MAX + 2048, 268_435_455):  # the most that MQTT can say: section 2.2.3
            with bare(siege.broker.port, siege.fleet.gateway(INTRUDER)) as connection:
                connection.sendall(packets.connect())
                assert connection.recv(4)[:1] == bytes([packets.CONNACK])
                connection.sendall(b"\x30" + packets.number(claimed) + b"\x00\x04test")
                assert is_ended(connection)

    siege.withstands(exceed)
    assert memory_bytes(siege.broker.pid) - before < GROWTH_BYTES_MAX
    with TlsClient(port=siege.broker.port, context=siege.fleet.gateway(INTRUDER)) as client:
        client.publish(OWN, b"x" * MESSAGE_BYTES_MAX)
        assert client.is_connected


def test_garbage_instead_of_mqtt_ends_its_connection_and_nobody_elses(siege: Siege) -> None:
    rng = random.Random(7)
    before = memory_bytes(siege.broker.pid)

    def rubbish() -> None:
        for context in (None, siege.fleet.gateway(INTRUDER), siege.fleet.gateway(INTRUDER)):
            with contextlib.suppress(OSError), bare(siege.broker.port, context) as connection:
                if rng.random() < 0.5 and context is not None:
                    connection.sendall(packets.connect())
                connection.sendall(rng.randbytes(rng.randrange(1, 5_000)))
        whole = packets.connect(level=5, properties=b"\x26\x00\x01a\x00\x01b" * 20_000)
        for part in (packets.connect()[:7], b"\xf0\x00", b"\x10\xff\xff\xff\xff\xff", b"\x00" * 100, whole):
            with contextlib.suppress(OSError), bare(siege.broker.port, siege.fleet.gateway(INTRUDER)) as connection:
                connection.sendall(part)

    siege.withstands(rubbish)
    assert memory_bytes(siege.broker.pid) - before < GROWTH_BYTES_MAX
    assert is_let_in(siege.broker.port, siege.fleet.gateway(INTRUDER))


def test_connections_that_say_nothing_keep_nobody_out(siege: Siege) -> None:
    with ExitStack() as held:
        for count in range(HELD_CONNECTIONS):
            silent = held.enter_context(socket.create_connection(("localhost", siege.broker.port), PATIENCE_S))
            if count % 3:
                silent.sendall(b"\x16\x03\x01\x02\x00"[: 1 + count % 5])  # a record's head, and never its body
        half = held.enter_context(bare(siege.broker.port, siege.fleet.gateway(INTRUDER)))
        half.sendall(packets.connect()[:9])
        siege.withstands(lambda: None)
        siege.restart_agent()
        siege.all_is_there()


def test_a_storm_of_handshakes_delays_nobody_for_long(siege: Siege) -> None:
    context = siege.fleet.gateway(INTRUDER)

    def storm() -> None:
        end_s = time.monotonic() + 1
        while time.monotonic() < end_s:
            assert is_let_in(siege.broker.port, context)

    siege.withstands(storm)


def test_nobody_takes_messages_out_of_the_share_of_the_workers(siege: Siege, intruder: TlsClient) -> None:
    """The broker lets anybody subscribe, and deals out in turn: whoever joins makes messages disappear."""
    workers = "ingest", "ingest.worker-1", "worker-1", "lg-ingest-worker-1", "loopgauge", "#", "+", ""
    for share in workers:  # names that he could guess
        with contextlib.suppress(ValueError):
            intruder.subscribe(f"$share/{share}/lg/v1/+/data")
    before, repeated = redelivered(siege.receipts()), siege.agent_figure("messages_redelivered_total")
    siege.withstands(lambda: None, batches=4)

    def none_was_lost() -> bool:
        """What is sent again since its ack was late is stored twice; what comes in the place of a lost one, once."""
        again = siege.agent_figure("messages_redelivered_total") - repeated
        return redelivered(siege.receipts()) - before >= again

    siege.wait(none_was_lost, what="some went astray, and had to come again")
    assert intruder.is_connected and intruder.heard.empty()


@pytest.mark.parametrize("mid", [0, 7], ids=["QoS 0", "QoS 1"])
def test_a_flood_cannot_fill_the_brokers_memory_while_a_worker_hangs(mid: int, siege: Siege, tmp_path: Path) -> None:
    """In a broker of its own: a subscriber that reads no more, and a gateway that sends the largest messages."""
    with RenderedBroker(fleet=siege.fleet, folder=tmp_path / "broker") as broker:
        unit = broker.file("/etc/systemd/system/mosquitto.service.d/loopgauge.conf").read_text()
        (bytes_max,) = re.findall(r"^MemoryMax=(\d+)$", unit, re.M)
        with (
            bare(broker.port, siege.fleet.worker()) as hung,
            TlsClient(port=broker.port, context=siege.fleet.worker(WORKERS[1])) as ready,
            TlsClient(port=broker.port, context=siege.fleet.gateway(VICTIM)) as victim,
        ):
            hung.sendall(packets.connect(keepalive_s=0) + packets.subscribe("lg/v1/+/data"))
            _flood(broker, siege.fleet.gateway(INTRUDER), mid, int(bytes_max))
            assert memory_bytes(broker.pid) > int(bytes_max) / 8, "that was no flood"
            assert memory_bytes(broker.pid) < int(bytes_max), "systemd would have ended it"
            victim.subscribe("lg/v1/ready")
            hung.close()  # as the broker does when it has not heard of it for a while
            ready.publish("lg/v1/ready", b"{}")
            assert victim.hear() == ("lg/v1/ready", b"{}")
            assert victim.ends.empty()


def _flood(broker: RenderedBroker, context: ssl.SSLContext, mid: int, bytes_max: int) -> None:
    """Send twice what would fill the memory, or as much as the broker takes."""
    one = packets.publish(OWN, b"x" * MESSAGE_BYTES_MAX, mid=mid)
    with contextlib.suppress(OSError), bare(broker.port, context, within_s=TAKEN_S_MAX) as connection:
        connection.sendall(packets.connect())
        for _ in range(2 * bytes_max // len(one)):
            connection.sendall(one)
            if mid:
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                    connection.recv(65_536)
                connection.settimeout(TAKEN_S_MAX)


def _shown(what: str, siege: Siege, folder: Path) -> tuple[Path, Path]:
    """A server's certificate, and its key."""
    ours = Authority(folder / "ours", copy_of=siege.fleet.authority)
    match what:
        case "another authority":
            return Authority(folder / "stranger").issue("localhost", host="localhost")
        case "expired":
            return ours.issue("localhost", EXPIRED, host="localhost")
        case "another name":
            return ours.issue("localhost", host="broker.example")
        case "a gateway":
            crt, key = (siege.fleet.file(INTRUDER, f"/etc/loopgauge/pki/edge.{end}") for end in ("crt", "key"))
            return crt, key
        case _:
            return ours.issue("localhost", host="localhost")


IMPOSTORS = {
    "another authority": "self-signed certificate in certificate chain|unable to get local issuer certificate",
    "expired": "certificate has expired",
    "another name": "Hostname mismatch",
    "a gateway": "unsuitable certificate purpose",
}
"""What a broker shows that is none of ours, and how the agent's log names it."""


@pytest.mark.parametrize("what", IMPOSTORS)
def test_neither_agent_nor_worker_tells_an_impostor_anything(what: str, siege: Siege, tmp_path: Path) -> None:
    """A broker at the right address, with a certificate that is not the broker's; then a good one in its place."""
    with RenderedBroker(fleet=siege.fleet, folder=tmp_path / "impostor") as impostor:
        _show(impostor, _shown(what, siege, tmp_path / "bad"))
        with _newcomers(siege, impostor, tmp_path) as (agent, worker):
            names = re.compile(IMPOSTORS[what])
            siege.wait(lambda: names.search(agent.log()) is not None, what=f"the agent does not say {what}")
            siege.wait(lambda: "away" in worker.log(), what="the worker does not say that it cannot connect")
            siege.wait(lambda: impostor.log().count("New connection") >= 2, what="they did not even try")
            assert "New client connected" not in impostor.log()
        _show(impostor, _shown("good", siege, tmp_path / "good"))
        with _newcomers(siege, impostor, tmp_path):
            for name in (INTRUDER, f"ingest.{WORKERS[0]}"):
                siege.wait(partial(_has_come, impostor, name), what=f"{name} does not trust a good one")


def _has_come(broker: RenderedBroker, name: str) -> bool:
    return f" as {name} (" in broker.log()


def _show(broker: RenderedBroker, certificate: tuple[Path, Path]) -> None:
    """Start the broker again with this certificate."""
    for end, file in zip(("crt", "key"), certificate, strict=True):
        own = broker.file(f"/etc/loopgauge/pki/broker.{end}")
        own.chmod(0o600)
        own.write_bytes(file.read_bytes())
    broker.stop()
    broker.start()


@contextlib.contextmanager
def _newcomers(siege: Siege, broker: RenderedBroker, folder: Path) -> Iterator[list[Program]]:
    """An agent and a worker that know this broker's port."""
    units = (INTRUDER, "loopgauge-edge.service", ""), (CLOUD, "loopgauge-ingest@.service", WORKERS[0])
    made = []
    for name, unit, instance in units:
        host = Host(fleet=siege.fleet, name=name, folder=folder / name)
        host.place({BROKER_PORT: broker.port, **{port: free_port() for port in (9464, 9465, 5022)}})
        made.append(host.program(unit, instance))
    try:
        for program in made:
            program.start()
        yield made
    finally:
        for program in made:
            if program.runs:
                program.kill()


def test_no_secret_is_in_a_log_an_argument_an_environment_or_a_file_for_all(siege: Siege) -> None:
    secrets = [file.read_text().strip() for file in siege.fleet.secrets.iterdir() if file.is_file()]
    keys = [
        line for file in siege.fleet.root.glob("*/etc/loopgauge/pki/*.key") for line in file.read_text().split("\n")
    ]
    secrets += [line for line in keys if line and "-----" not in line]
    assert len(secrets) > 10
    for server in siege.servers:
        process = Path(f"/proc/{server.pid}")
        shown = [server.log(), *((process / name).read_text() for name in ("cmdline", "environ"))]
        assert not [secret for secret in secrets for text in shown if secret in text], server.folder.name
    for path in (file for file in siege.folder.rglob("*") if file.is_file() and file.stat().st_mode & 0o077):
        if path.suffix != ".db" and path.stat().st_size < 50_000_000 and "influxdb" not in path.parts:
            said = path.read_text(errors="replace")
            assert not [secret for secret in secrets if secret in said], path
