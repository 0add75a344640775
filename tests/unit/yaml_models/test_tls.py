"""A certificate file that cannot be used is named, with its key, before anything connects."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.config import UplinkConfig
from edge_agent.errors import Fatal as EdgeFatal
from edge_agent.send import link
from ingest import consumer
from ingest.config import BrokerConfig
from ingest.errors import Fatal as IngestFatal
from yaml_models.bad_file import BadFile
from yaml_models.tls import tls_context

CA = """\
-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUcoCCo6hqaMQJ//bDEgMuMQw0ZBgwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHVGVzdCBDQTAgFw0yNjExMjExMzQ3NThaGA8yMTI2MTAyODEz
NDc1OFowEjEQMA4GA1UEAwwHVGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABJu39ucE48F0et5keL9ZO3ckrnKFfJ5lxuZxsGaSA6fRQiAD+eBlul814f1x
nVL7ryasnJBue6V22G1HVKDW0mGjUzBRMB0GA1UdDgQWBBT94g21AtXUicF70Hlg
1oTAHr3dOjAfBgNVHSMEGDAWgBT94g21AtXUicF70Hlg1oTAHr3dOjAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIFCKc16iIH/F6D7Rij6qq0VKA9xR
RjyZIMAP+u4Ypo3YAiEAo/cSFgpetbLtGuR5ql9UjLesuodOrSZcFrYoryGXq/s=
-----END CERTIFICATE-----
"""
"""A certificate without its key, made for this test; valid until 2126."""


@dataclass(frozen=True)
class Files:
    ca_file: str
    cert_file: str | None = None
    key_file: str | None = None


@pytest.fixture
def ca(tmp_path: Path) -> str:
    path = tmp_path / "ca.crt"
    path.write_text(CA)
    return str(path)


def test_a_broker_without_a_certificate_of_this_authority_is_never_trusted(ca: str) -> None:
    context = tls_context(Files(ca))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert [each["subject"] for each in context.get_ca_certs()] == [((("commonName", "Test CA"),),)]


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_is_not_there_is_named_with_its_key(key: str, ca: str) -> None:
    files = {"ca_file": ca, "cert_file": ca, "key_file": ca} | {key: "/nowhere/x.pem"}
    with pytest.raises(BadFile, match=f"^/nowhere/x.pem: {key}: no such file; "):
        tls_context(Files(**files))


def test_a_file_that_holds_no_certificate_is_named(ca: str, tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("none\n")
    with pytest.raises(BadFile, match=rf"^{text}: ca_file: holds no certificate; "):
        tls_context(Files(str(text)))
    with pytest.raises(BadFile, match=rf"^{ca}: cert_file: no certificate with its private key, unencrypted; "):
        tls_context(Files(ca, cert_file=ca, key_file=str(text)))


def test_both_ends_say_in_which_section_it_stands() -> None:
    tls = {"ca_file": "/nowhere/ca.crt"}
    with pytest.raises(EdgeFatal, match=r"^uplink\.tls: /nowhere/ca\.crt: ca_file: no such file"):
        link.tls_context(UplinkConfig.model_validate({"host": "broker.example", "tls": tls}))
    with pytest.raises(IngestFatal, match=r"^broker\.tls: /nowhere/ca\.crt: ca_file: no such file"):
        consumer.tls_context(BrokerConfig.model_validate({"host": "broker.example", "tls": tls}))


def test_on_loopback_there_is_no_tls() -> None:
    assert link.tls_context(UplinkConfig(host="localhost")) is None
    assert consumer.tls_context(BrokerConfig(host="localhost")) is None
