"""The broker's file as the role renders it: one door, a certificate for each name, and rights by name."""

from __future__ import annotations

import ssl
from pathlib import Path

import psutil
import pytest

from data_contract.message import MESSAGE_BYTES_MAX
from tests.e2e.deploy.authority import EXPIRED, Authority, with_certificate
from tests.e2e.deploy.knock import TlsClient, is_let_in
from tests.e2e.deploy.rendered import CLOUD, GATEWAYS, WORKERS, Fleet, RenderedBroker
from tests.e2e.servers import PATIENCE_S, wait_until

MINE, OTHER = GATEWAYS
ACL = "/etc/mosquitto/loopgauge.acl"
CRL = "/etc/loopgauge/pki/crl.pem"


def _gateway(fleet: Fleet, broker: RenderedBroker, gateway: str, client_id: str = "") -> TlsClient:
    return TlsClient(port=broker.port, context=fleet.gateway(gateway), client_id=client_id or f"lg-{gateway}")


def _ingest(fleet: Fleet, broker: RenderedBroker) -> TlsClient:
    return TlsClient(port=broker.port, context=fleet.worker(), client_id="lg-ingest")


@pytest.fixture
def authority(fleet: Fleet, tmp_path: Path) -> Authority:
    """Signs in the name of the fleet's authority, beside its book."""
    return Authority(tmp_path / "authority", copy_of=fleet.authority)


def test_the_broker_has_no_door_but_the_one_with_tls(broker: RenderedBroker) -> None:
    listening = {
        each.laddr.port for each in psutil.Process(broker.pid).net_connections(kind="inet") if each.status == "LISTEN"
    }
    assert listening == {broker.port}
    assert not is_let_in(broker.port, None)


def test_gateways_and_workers_come_in_and_a_message_finds_its_way(fleet: Fleet, broker: RenderedBroker) -> None:
    with _ingest(fleet, broker) as ingest, _gateway(fleet, broker, MINE) as gateway:
        ingest.subscribe("$share/ingest/lg/v1/+/data")
        for topic in (f"lg/v1/{MINE}/ack", "lg/v1/ready"):
            gateway.subscribe(topic)
        gateway.publish(f"lg/v1/{MINE}/data", b"x" * MESSAGE_BYTES_MAX)
        topic, payload = ingest.hear()
        assert (topic, len(payload)) == (f"lg/v1/{MINE}/data", MESSAGE_BYTES_MAX)
        ingest.publish(f"lg/v1/{MINE}/ack", b"stored")
        assert gateway.hear() == (f"lg/v1/{MINE}/ack", b"stored")
        ingest.publish("lg/v1/ready", b"{}")
        assert gateway.hear() == ("lg/v1/ready", b"{}")


def test_nobody_comes_in_without_a_certificate(fleet: Fleet, broker: RenderedBroker) -> None:
    assert not is_let_in(broker.port, fleet.context())
    assert is_let_in(broker.port, fleet.gateway(MINE))


def test_a_certificate_of_another_authority_is_refused(fleet: Fleet, broker: RenderedBroker, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    assert not is_let_in(broker.port, with_certificate(fleet.context(), stranger.issue(MINE)))


def test_a_gateway_does_not_speak_to_a_broker_of_another_authority(broker: RenderedBroker, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    trusting = ssl.create_default_context(cafile=str(stranger.folder / "ca.crt"))
    with pytest.raises(ssl.SSLCertVerificationError):
        is_let_in(broker.port, trusting)


def test_an_expired_certificate_is_refused(fleet: Fleet, broker: RenderedBroker, authority: Authority) -> None:
    assert is_let_in(broker.port, with_certificate(fleet.context(), authority.issue("valid")))
    assert not is_let_in(broker.port, with_certificate(fleet.context(), authority.issue("expired", EXPIRED)))


def test_a_revoked_certificate_is_refused(fleet: Fleet, broker: RenderedBroker, authority: Authority) -> None:
    stolen = authority.issue(MINE)
    assert is_let_in(broker.port, with_certificate(fleet.context(), stolen))
    authority.revoke(stolen[0], broker.file(CRL))
    broker.stop()
    broker.start()
    assert not is_let_in(broker.port, with_certificate(fleet.context(), stolen))
    assert is_let_in(broker.port, fleet.gateway(MINE)), "the gateway's new certificate must go on to work"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_before_1_2_is_refused(fleet: Fleet, broker: RenderedBroker) -> None:
    old = fleet.gateway(MINE)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert not is_let_in(broker.port, old)
    fine = fleet.gateway(MINE)
    fine.maximum_version = ssl.TLSVersion.TLSv1_2
    assert is_let_in(broker.port, fine)


def test_a_message_above_the_limit_ends_the_connection_and_reaches_nobody(fleet: Fleet, broker: RenderedBroker) -> None:
    with _ingest(fleet, broker) as ingest, _gateway(fleet, broker, MINE) as gateway:
        ingest.subscribe("lg/v1/+/data")
        gateway.send(f"lg/v1/{MINE}/data", b"x" * (MESSAGE_BYTES_MAX + 2048))
        assert gateway.ends.get(timeout=PATIENCE_S)
        assert ingest.hears_nothing()
        assert "oversize" in broker.log()


def test_a_gateway_cannot_speak_as_another_one(fleet: Fleet, broker: RenderedBroker) -> None:
    with _ingest(fleet, broker) as ingest, _gateway(fleet, broker, OTHER) as intruder:
        ingest.subscribe("lg/v1/+/data")
        for topic in (f"lg/v1/{MINE}/data", "lg/v1/new-1/data"):
            intruder.publish(topic, b"forged")
        intruder.publish(f"lg/v1/{OTHER}/data", b"its own")
        assert ingest.hear() == (f"lg/v1/{OTHER}/data", b"its own")
        assert ingest.hears_nothing()


def test_a_gateway_cannot_hear_what_is_meant_for_another_one(fleet: Fleet, broker: RenderedBroker) -> None:
    with (
        _ingest(fleet, broker) as ingest,
        _gateway(fleet, broker, MINE) as gateway,
        _gateway(fleet, broker, OTHER) as intruder,
    ):
        for topic in (f"lg/v1/{MINE}/ack", f"lg/v1/{MINE}/cmd/#", "lg/v1/+/ack", "lg/v1/+/data", "#", "$SYS/#"):
            intruder.subscribe(topic)
        ingest.publish(f"lg/v1/{MINE}/ack", b"not for you")
        gateway.publish(f"lg/v1/{MINE}/data", b"nor this")
        ingest.publish(f"lg/v1/{OTHER}/ack", b"for you")
        assert intruder.hear() == (f"lg/v1/{OTHER}/ack", b"for you")
        assert intruder.hears_nothing()


@pytest.mark.parametrize("topic", [f"lg/v1/{MINE}/ack", f"lg/v1/{OTHER}/ack", "lg/v1/ready", f"lg/v1/{MINE}/cmd/stop"])
def test_a_gateway_cannot_confirm_command_nor_call_ingest_ready(
    topic: str, fleet: Fleet, broker: RenderedBroker
) -> None:
    with (
        _ingest(fleet, broker) as ingest,
        _gateway(fleet, broker, MINE) as gateway,
        _gateway(fleet, broker, OTHER) as intruder,
    ):
        for mine in (f"lg/v1/{MINE}/ack", f"lg/v1/{MINE}/cmd/#", "lg/v1/ready"):
            gateway.subscribe(mine)
        intruder.subscribe(f"lg/v1/{OTHER}/ack")
        intruder.publish(topic, b"forged")
        ingest.publish(f"lg/v1/{MINE}/ack", b"true")
        assert gateway.hear() == (f"lg/v1/{MINE}/ack", b"true")
        assert gateway.hears_nothing()
        assert intruder.hears_nothing(), "not even what it says to itself"


def test_ingest_can_neither_command_nor_make_up_data(fleet: Fleet, broker: RenderedBroker) -> None:
    with _ingest(fleet, broker) as ingest, _gateway(fleet, broker, MINE) as gateway:
        gateway.subscribe(f"lg/v1/{MINE}/cmd/#")
        ingest.subscribe("lg/v1/+/data")
        ingest.publish(f"lg/v1/{MINE}/cmd/stop", b"{}")
        ingest.publish(f"lg/v1/{MINE}/data", b"made up")
        assert gateway.hears_nothing()
        assert ingest.hears_nothing()


def test_a_valid_certificate_that_the_inventory_does_not_name_can_do_nothing(
    fleet: Fleet, broker: RenderedBroker, authority: Authority
) -> None:
    left = with_certificate(fleet.context(), authority.issue("left-1"))
    with _ingest(fleet, broker) as ingest, TlsClient(port=broker.port, context=left) as client:
        ingest.subscribe("lg/v1/+/data")
        for topic in ("lg/v1/ready", "lg/v1/left-1/ack", "#"):
            client.subscribe(topic)
        client.publish("lg/v1/left-1/data", b"still here")
        ingest.publish("lg/v1/ready", b"{}")
        assert ingest.hears_nothing()
        assert client.hears_nothing()


def test_whoever_is_refused_keeps_its_connection(fleet: Fleet, broker: RenderedBroker) -> None:
    with _gateway(fleet, broker, MINE) as gateway:
        for _ in range(5):
            gateway.publish(f"lg/v1/{OTHER}/data", b"forged")
        assert gateway.is_connected
        assert gateway.ends.empty()


def test_nobody_is_pushed_out_by_another_who_takes_his_client_id(fleet: Fleet, broker: RenderedBroker) -> None:
    with _ingest(fleet, broker) as ingest, _gateway(fleet, broker, MINE) as gateway:
        for name in ("lg-ingest", f"lg-{MINE}", f"ingest.{WORKERS[0]}", MINE):
            with _gateway(fleet, broker, OTHER, client_id=name) as intruder:
                intruder.subscribe(f"lg/v1/{OTHER}/ack")
        other_worker = fleet.worker(WORKERS[1])
        with TlsClient(port=broker.port, context=other_worker, client_id="lg-ingest") as colleague:
            colleague.subscribe("lg/v1/+/data")
        assert ingest.is_connected and gateway.is_connected
        assert ingest.ends.empty() and gateway.ends.empty()


def test_a_reload_takes_the_rights_of_a_gateway_that_has_left_the_inventory(
    fleet: Fleet, broker: RenderedBroker
) -> None:
    with (
        _ingest(fleet, broker) as ingest,
        _gateway(fleet, broker, MINE) as stays,
        _gateway(fleet, broker, OTHER) as goes,
    ):
        ingest.subscribe("lg/v1/+/data")
        goes.subscribe(f"lg/v1/{OTHER}/ack")
        goes.publish(f"lg/v1/{OTHER}/data", b"before")
        assert ingest.hear() == (f"lg/v1/{OTHER}/data", b"before")
        acl = broker.file(ACL).read_text()
        broker.file(ACL).write_text("\n".join(line for line in acl.splitlines() if OTHER not in line))
        broker.reload()
        goes.publish(f"lg/v1/{OTHER}/data", b"after")
        ingest.publish(f"lg/v1/{OTHER}/ack", b"after")
        stays.publish(f"lg/v1/{MINE}/data", b"still")
        assert ingest.hear() == (f"lg/v1/{MINE}/data", b"still")
        assert ingest.hears_nothing() and goes.hears_nothing()


def test_a_reload_reads_certificate_and_revocations_too(
    fleet: Fleet, broker: RenderedBroker, authority: Authority
) -> None:
    stolen = authority.issue(MINE)
    with TlsClient(port=broker.port, context=with_certificate(fleet.context(), stolen)) as thief:
        authority.revoke(stolen[0], broker.file(CRL))
        broker.reload()
        assert not is_let_in(broker.port, with_certificate(fleet.context(), stolen))
        assert thief.is_connected, "Mosquitto does end it now: the role's restart is needed no more"


def test_the_log_names_who_came_and_keeps_no_payload(fleet: Fleet, broker: RenderedBroker) -> None:
    with _gateway(fleet, broker, MINE) as gateway:
        gateway.publish(f"lg/v1/{MINE}/data", b"tide-and-salt")
    assert wait_until(lambda: f"u'{MINE}'" in broker.log())
    assert "tide-and-salt" not in broker.log()
    assert "PRIVATE KEY" not in broker.log()
    assert fleet.file(CLOUD, "/etc/loopgauge/pki/broker.key").stat().st_mode & 0o077 == 0
