"""What somebody with another gateway's certificate tries at the broker, each beside what its owner may do.

A broker hands on in order and has dealt with a publish before it acknowledges it. So where a message that may pass
comes first, one that was sent before has been refused: no test here waits for a silence.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.e2e.deploy import packets
from tests.e2e.deploy.authority import EXPIRED, Authority, with_certificate
from tests.e2e.deploy.knock import TlsClient, is_let_in
from tests.e2e.deploy.packets import bare, is_ended
from tests.e2e.deploy.rendered import CLOUD, GATEWAYS, Fleet, RenderedBroker
from tests.e2e.servers import wait_until

VICTIM, INTRUDER = GATEWAYS
ACK = b'{"run":"%032x","stored":[[1,1000]]}' % 1
VERSIONS = (MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5)
FOREIGN = (
    *(f"lg/v1/{VICTIM}/{channel}" for channel in ("data", "birth", "online", "reply", "ack", "cmd", "cmd/stop")),
    *(f"lg/v1/{INTRUDER}/{channel}" for channel in ("ack", "cmd/stop", "data/more", "")),
    *("lg/v1/ready", "lg/v1/ingest/data", "lg/v1//data", "lg/v2/data", "$SYS/broker/version"),
    *("$share/ingest/lg/v1/plant-1/data", f"/lg/v1/{INTRUDER}/data"),
)
"""Topics in which a gateway may not publish."""
LISTENING = (
    *(f"lg/v1/{VICTIM}/{channel}" for channel in ("data", "birth", "online", "reply", "ack", "cmd/#", "cmd/stop")),
    *("#", "+", "+/+/+/+", "/#", "lg/#", "lg/v1/#", "lg/v1/+/data", "lg/v1/+/ack", "lg/v1/+/+", f"lg/v1/{VICTIM}/#"),
    *("$SYS/#", "$share/ingest/lg/v1/+/data", "$share/mine/lg/v1/+/data", "$share/ingest/#", "$share/mine/lg/v1/+/ack"),
)
"""Filters behind which a gateway may hear nothing but what is meant for it."""


@pytest.fixture(scope="module")
def broker(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RenderedBroker]:
    """One broker for the whole file: what one test sends must not trouble the next."""
    with RenderedBroker(fleet=fleet, folder=tmp_path_factory.mktemp("broker")) as server:
        yield server


@contextmanager
def everybody(
    fleet: Fleet, broker: RenderedBroker, version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311
) -> Iterator[tuple[TlsClient, TlsClient, TlsClient]]:
    """A worker, the gateway under attack, and the other one; the first two listen as they do at work."""
    with ExitStack() as stack:
        worker, victim, intruder = (
            stack.enter_context(TlsClient(port=broker.port, context=context, client_id=name, version=version))
            for name, context in (
                ("w", fleet.worker()),
                ("v", fleet.gateway(VICTIM)),
                ("i", fleet.gateway(INTRUDER)),
            )
        )
        worker.subscribe("lg/v1/+/data")
        for topic in (f"lg/v1/{VICTIM}/ack", f"lg/v1/{VICTIM}/cmd/#", "lg/v1/ready"):
            victim.subscribe(topic)
        yield worker, victim, intruder


@pytest.mark.parametrize("version", VERSIONS, ids=["3.1.1", "5"])
def test_a_gateway_is_heard_under_no_name_but_its_own(
    version: MQTTProtocolVersion, fleet: Fleet, broker: RenderedBroker
) -> None:
    with everybody(fleet, broker, version) as (worker, victim, intruder):
        for retain in (False, True):
            for topic in FOREIGN:
                intruder.publish(topic, ACK, retain=retain)
        intruder.publish(f"lg/v1/{INTRUDER}/data", b"its own")
        assert worker.hear() == (f"lg/v1/{INTRUDER}/data", b"its own")
        worker.publish(f"lg/v1/{VICTIM}/ack", b"true")
        assert victim.hear() == (f"lg/v1/{VICTIM}/ack", b"true")
        assert intruder.heard.empty()


@pytest.mark.parametrize("version", VERSIONS, ids=["3.1.1", "5"])
def test_a_gateway_hears_nothing_that_is_not_meant_for_it(
    version: MQTTProtocolVersion, fleet: Fleet, broker: RenderedBroker
) -> None:
    with everybody(fleet, broker, version) as (worker, victim, intruder):
        for pattern in (*LISTENING, f"lg/v1/{INTRUDER}/ack"):
            intruder.subscribe(pattern)
        for channel in ("data", "birth", "online", "reply"):
            victim.publish(f"lg/v1/{VICTIM}/{channel}", b"secret")
        assert worker.hear() == (f"lg/v1/{VICTIM}/data", b"secret"), "its share went to the intruder"
        worker.publish(f"lg/v1/{VICTIM}/ack", b"secret")
        worker.publish(f"lg/v1/{INTRUDER}/ack", b"for you")
        assert intruder.hear()[1] == b"for you"
        assert victim.hear() == (f"lg/v1/{VICTIM}/ack", b"secret")
        while not intruder.heard.empty():
            assert intruder.heard.get()[1] == b"for you", "only the same again, for each filter that matches"


def test_an_intruder_who_cannot_guess_the_name_takes_no_message_out_of_the_workers_share(
    fleet: Fleet, broker: RenderedBroker
) -> None:
    """A shared subscription deals out: to whoever joins, every second message would go, and be refused there."""
    share = fleet.text(CLOUD, "/etc/loopgauge/secrets/ingest-share").strip()
    sent = [b"%d" % count for count in range(20)]
    with (
        TlsClient(port=broker.port, context=fleet.worker(), version=MQTTProtocolVersion.MQTTv5) as worker,
        TlsClient(port=broker.port, context=fleet.gateway(VICTIM)) as victim,
        TlsClient(port=broker.port, context=fleet.gateway(INTRUDER), version=MQTTProtocolVersion.MQTTv5) as intruder,
    ):
        worker.subscribe(f"$share/{share}/lg/v1/+/data")
        for guess in ("ingest", "worker-1", share[:-1], share.swapcase()):
            intruder.subscribe(f"$share/{guess}/lg/v1/+/data")
        for payload in sent:
            victim.publish(f"lg/v1/{VICTIM}/data", payload)
        assert [worker.hear()[1] for _ in sent] == sent
        intruder.subscribe(f"$share/{share}/lg/v1/+/data")
        for payload in (*sent, b"last", b"last"):
            victim.publish(f"lg/v1/{VICTIM}/data", payload)
        heard: list[bytes] = []
        while not heard or heard[-1] != b"last":
            heard.append(worker.hear()[1])
        assert len(heard) < len(sent), "the name is no secret that matters any more"
        assert intruder.heard.empty()


def test_nothing_that_an_intruder_leaves_behind_waits_for_a_gateway_or_a_worker(
    fleet: Fleet, broker: RenderedBroker
) -> None:
    own = f"lg/v1/{INTRUDER}/data"
    with TlsClient(port=broker.port, context=fleet.gateway(INTRUDER)) as intruder:
        for topic in (f"lg/v1/{VICTIM}/ack", "lg/v1/ready", f"lg/v1/{VICTIM}/cmd/stop", own):
            intruder.publish(topic, ACK, retain=True)
    with (
        TlsClient(port=broker.port, context=fleet.worker()) as worker,
        TlsClient(port=broker.port, context=fleet.gateway(VICTIM)) as victim,
    ):
        worker.subscribe("lg/v1/+/data")
        assert worker.hear() == (own, ACK), "in its own topic it may; then that nothing else was left says something"
        for topic in (f"lg/v1/{VICTIM}/ack", "lg/v1/ready", f"lg/v1/{VICTIM}/cmd/#"):
            victim.subscribe(topic)
        victim.publish(f"lg/v1/{VICTIM}/data", b"true")
        assert worker.hear() == (f"lg/v1/{VICTIM}/data", b"true")
        worker.publish("lg/v1/ready", b"true")
        assert victim.hear() == ("lg/v1/ready", b"true")
    with TlsClient(port=broker.port, context=fleet.gateway(INTRUDER)) as intruder:
        intruder.publish(own, b"", retain=True)


@pytest.mark.parametrize("level", [4, 5], ids=["3.1.1", "5"])
def test_a_last_will_reaches_nobody_whom_its_author_may_not_speak_to(
    level: int, fleet: Fleet, broker: RenderedBroker
) -> None:
    with everybody(fleet, broker) as (worker, victim, intruder):
        intruder.end()
        for topic in (f"lg/v1/{VICTIM}/ack", "lg/v1/ready", f"lg/v1/{VICTIM}/data", f"lg/v1/{INTRUDER}/data"):
            with bare(broker.port, fleet.gateway(INTRUDER)) as connection:
                connection.sendall(packets.connect(will=(topic, b"last"), level=level))
                assert connection.recv(4)[:1] == bytes([packets.CONNACK])
        assert worker.hear() == (f"lg/v1/{INTRUDER}/data", b"last"), "a will of its own is carried out"
        worker.publish("lg/v1/ready", b"true")
        assert victim.hear() == ("lg/v1/ready", b"true")
    with TlsClient(port=broker.port, context=fleet.gateway(INTRUDER)) as intruder:
        intruder.publish(f"lg/v1/{INTRUDER}/data", b"", retain=True)


@pytest.mark.parametrize("client_id", ["lg-plant-1", VICTIM, "ingest.worker-1", "lg-ingest-worker-1", "x", ""])
@pytest.mark.parametrize("level", [4, 5], ids=["3.1.1", "5"])
def test_nobody_takes_over_a_session_by_its_name(
    client_id: str, level: int, fleet: Fleet, broker: RenderedBroker
) -> None:
    with everybody(fleet, broker) as (worker, victim, intruder):
        with bare(broker.port, fleet.gateway(INTRUDER)) as connection:
            connection.sendall(packets.connect(client_id, level=level))
            assert connection.recv(4)[:1] == bytes([packets.CONNACK])
            assert wait_until(lambda: not intruder.is_connected), "it has taken over itself"
        victim.publish(f"lg/v1/{VICTIM}/data", b"still here")
        assert worker.hear() == (f"lg/v1/{VICTIM}/data", b"still here")
        assert worker.ends.empty() and victim.ends.empty()


WEAK = {
    "no encryption": "NULL-SHA256:eNULL:@SECLEVEL=0",
    "no certificate": "ADH:AECDH:@SECLEVEL=0",
    "no forward secrecy": "AES128-GCM-SHA256:@SECLEVEL=0",
    "CBC": "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0",
}


@pytest.mark.parametrize("ciphers", WEAK.values(), ids=WEAK.keys())
def test_a_client_cannot_talk_the_broker_down_to_a_weak_cipher(
    ciphers: str, fleet: Fleet, broker: RenderedBroker
) -> None:
    weak = fleet.gateway(VICTIM)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers(ciphers)
    assert not is_let_in(broker.port, weak)
    weak.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    assert is_let_in(broker.port, weak)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_a_client_cannot_talk_the_broker_down_to_an_old_tls(
    version: ssl.TLSVersion, fleet: Fleet, broker: RenderedBroker
) -> None:
    old = fleet.gateway(VICTIM)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = version, version
    assert not is_let_in(broker.port, old)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert is_let_in(broker.port, old)


def test_plain_text_gets_no_answer_and_no_other_door(fleet: Fleet, broker: RenderedBroker) -> None:
    seen = len(broker.log())
    for said in (packets.connect(VICTIM), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03"):
        with bare(broker.port) as connection:
            connection.sendall(said)
            with contextlib.suppress(OSError):  # it may have hung up before
                connection.shutdown(socket.SHUT_WR)
            assert is_ended(connection)
    assert "New client connected" not in broker.log()[seen:]
    conf = broker.file("/etc/mosquitto/loopgauge.conf").read_text()
    assert [line.split()[0] for line in conf.splitlines() if line.startswith(("listener", "port"))] == ["listener"]
    with bare(broker.port, fleet.gateway(VICTIM)) as connection:
        connection.sendall(packets.connect(VICTIM))
        assert connection.recv(4)[:1] == bytes([packets.CONNACK])


def test_a_certificate_counts_only_as_long_and_from_whom_it_should(
    fleet: Fleet, broker: RenderedBroker, tmp_path: Path
) -> None:
    ours = Authority(tmp_path / "ours", copy_of=fleet.authority)
    stranger = Authority(tmp_path / "stranger")
    tomorrow = ("20980101000000Z", "20990101000000Z")
    shown = {
        "good": ours.issue(VICTIM),
        "of another authority": stranger.issue(VICTIM),
        "expired": ours.issue(f"{VICTIM}.old", EXPIRED),
        "not yet valid": ours.issue(f"{VICTIM}.new", tomorrow),
    }
    let_in = {what: is_let_in(broker.port, with_certificate(fleet.context(), files)) for what, files in shown.items()}
    assert let_in == {"good": True, "of another authority": False, "expired": False, "not yet valid": False}
    assert not is_let_in(broker.port, fleet.context())


def test_what_a_certificate_names_cannot_widen_its_rights(fleet: Fleet, broker: RenderedBroker, tmp_path: Path) -> None:
    """A name that no line of the access list has brings no right, however much it looks like one that has."""
    ours = Authority(tmp_path / "ours", copy_of=fleet.authority)
    for name in ("ingest", "ingest.worker-9", "*"):
        files = ours.issue(name)
        with (
            TlsClient(port=broker.port, context=fleet.worker()) as worker,
            TlsClient(port=broker.port, context=with_certificate(fleet.context(), files)) as odd,
            TlsClient(port=broker.port, context=fleet.gateway(VICTIM)) as victim,
        ):
            worker.subscribe("lg/v1/+/data")
            victim.subscribe("lg/v1/ready")
            odd.subscribe("lg/v1/+/data")
            odd.publish("lg/v1/ready", json.dumps({"worker": name}).encode())
            for topic in (f"lg/v1/{VICTIM}/data", f"lg/v1/{name}/data"):
                odd.publish(topic, b"forged")
            victim.publish(f"lg/v1/{VICTIM}/data", b"true")
            assert worker.hear() == (f"lg/v1/{VICTIM}/data", b"true")
            worker.publish("lg/v1/ready", b"true")
            assert victim.hear() == ("lg/v1/ready", b"true")
            assert odd.heard.empty()
