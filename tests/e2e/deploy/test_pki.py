"""The fleet's authority: what it signs, when it signs again, and whom it revokes."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.deploy.rendered import ANSIBLE

PKI = ANSIBLE / "roles" / "pki" / "files" / "pki.sh"
DAY_S = 86_400


def ran(*command: str | Path, text: str = "") -> str:
    """What a command printed; AssertionError where it failed."""
    words = [str(part) for part in command]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Answer:
    """What the authority says: three texts, and whether one of them is new."""

    authority: str
    revoked: str
    certificate: str
    made: bool


@dataclass
class Pki:
    """The authority of one folder."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def raw(self, *words: str, text: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        given = {"PKI_DIR": str(self.folder), "PKI_TITLE": "Test", "PKI_AUTHORITY_DAYS": "7300", "PKI_DAYS": "800"}
        given |= {"PKI_RENEW_DAYS": "90", "PKI_REVOKED_NAMES": "", "PKI_REVOKED_SERIALS": ""}
        environment = {**os.environ, **given, **self.settings, **settings}
        return subprocess.run(
            [PKI, *words], input=text, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def sign(
        self, request: str, *, name: str = "gw-1", sans: str = "", usage: str = "client", **settings: str
    ) -> Answer:
        done = self.raw("certificate", f"{name}_edge", name, usage, sans, text=request, **settings)
        assert done.returncode == 0, done.stderr
        authority, revoked, certificate = done.stdout.split("--\n-----")
        return Answer(authority, "-----" + revoked, "-----" + certificate, "made" in done.stderr)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
def request_(tmp_path: Path) -> str:
    return new_request(tmp_path / "a.key")


def new_request(key: Path, name: str = "anything") -> str:
    ran("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    return ran("openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}")


def serial(certificate: str) -> str:
    return ran("openssl", "x509", "-noout", "-serial", text=certificate).strip().removeprefix("serial=")


def verified(answer: Answer, folder: Path, purpose: str, *words: str) -> bool:
    """Whether openssl accepts the certificate, asking the revocation list, too, under the strict rules of RFC 5280."""
    for name, text in (("ca", answer.authority), ("crl", answer.revoked), ("leaf", answer.certificate)):
        (folder / f"{name}.pem").write_text(text)
    lists = ("-crl_check", "-CRLfile", str(folder / "crl.pem"))
    command = [
        "openssl",
        "verify",
        "-x509_strict",
        *lists,
        "-CAfile",
        str(folder / "ca.pem"),
        "-purpose",
        purpose,
        *words,
    ]
    return subprocess.run([*command, str(folder / "leaf.pem")], capture_output=True, check=False).returncode == 0


def test_a_second_run_changes_nothing(pki: Pki, request_: str) -> None:
    first, second = pki.sign(request_), pki.sign(request_)
    assert first.made
    assert not second.made
    assert second.certificate == first.certificate
    assert (second.authority, second.revoked) == (first.authority, first.revoked)


def test_a_certificate_holds_for_its_name_and_use_alone(pki: Pki, request_: str, tmp_path: Path) -> None:
    client = pki.sign(request_, name="gw-1")
    assert verified(client, tmp_path, "sslclient")
    assert not verified(client, tmp_path, "sslserver")
    server = pki.sign(request_, name="cloud", usage="server", sans="DNS:cloud,IP:127.0.0.1")
    assert verified(server, tmp_path, "sslserver", "-verify_hostname", "cloud")
    assert not verified(server, tmp_path, "sslserver", "-verify_hostname", "elsewhere")
    assert not verified(server, tmp_path, "sslclient")


def test_a_host_cannot_ask_for_another_name(pki: Pki, tmp_path: Path) -> None:
    """Of the request only the public key counts: the name is the inventory's."""
    answer = pki.sign(new_request(tmp_path / "k", "ingest"), name="gw-1")
    assert ran("openssl", "x509", "-noout", "-subject", text=answer.certificate).strip() == "subject=CN = gw-1"


def test_a_certificate_that_ends_soon_is_made_anew(pki: Pki, request_: str) -> None:
    short = pki.sign(request_, PKI_DAYS="30", PKI_RENEW_DAYS="20")
    assert not pki.sign(request_, PKI_DAYS="30", PKI_RENEW_DAYS="20").made
    renewed = pki.sign(request_)
    assert renewed.made
    assert serial(renewed.certificate) != serial(short.certificate)
    assert not pki.sign(request_).made


@pytest.mark.parametrize("changed", ["key", "name", "use", "authority"])
def test_whatever_a_certificate_says_is_made_anew_when_it_changes(
    changed: str, pki: Pki, request_: str, tmp_path: Path
) -> None:
    pki.sign(request_, sans="DNS:a", usage="server")
    sans, usage = "DNS:a", "server"
    if changed == "key":
        request_ = new_request(tmp_path / "b.key")
    elif changed == "name":
        sans = "DNS:a,DNS:b"
    elif changed == "use":
        usage = "client"
    else:
        (pki.folder / "ca.crt").unlink()
    assert pki.sign(request_, sans=sans, usage=usage).made


def test_a_revoked_certificate_is_refused_and_its_owner_gets_another(pki: Pki, request_: str, tmp_path: Path) -> None:
    stolen = pki.sign(request_)
    other = pki.sign(new_request(tmp_path / "b.key"), name="gw-2")
    revoked = {"PKI_REVOKED_SERIALS": serial(stolen.certificate).lower()}
    fresh = pki.sign(new_request(tmp_path / "c.key"), **revoked)
    assert fresh.made
    assert not pki.sign(ran("openssl", "req", "-new", "-key", tmp_path / "c.key", "-subj", "/CN=x"), **revoked).made
    now = fresh.revoked
    assert not verified(Answer(stolen.authority, now, stolen.certificate, False), tmp_path, "sslclient")
    assert verified(fresh, tmp_path, "sslclient")
    assert verified(Answer(stolen.authority, now, other.certificate, False), tmp_path, "sslclient")
    # Once revoked, always revoked: the entry may leave the inventory.
    assert not verified(
        Answer(stolen.authority, pki.sign(request_).revoked, stolen.certificate, False), tmp_path, "sslclient"
    )


def test_a_revoked_name_loses_every_certificate_that_it_ever_had(pki: Pki, request_: str, tmp_path: Path) -> None:
    had = [pki.sign(request_), pki.sign(new_request(tmp_path / "b.key"))]
    other = pki.sign(request_, name="gw-10", PKI_REVOKED_NAMES="gw-1")
    for answer in had:
        assert not verified(Answer(answer.authority, other.revoked, answer.certificate, False), tmp_path, "sslclient")
    assert verified(other, tmp_path, "sslclient")


def test_a_serial_that_was_never_given_is_named(pki: Pki, request_: str) -> None:
    pki.sign(request_)
    done = pki.raw("authority", PKI_REVOKED_SERIALS="ABCD")
    assert done.returncode == 1
    assert "pki_revoked: no certificate has the serial ABCD" in done.stderr


def test_hosts_that_are_set_up_at_once_get_serials_of_their_own(pki: Pki, request_: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: pki.sign(request_, name=f"gw-{n}"), range(24)))
    assert len({serial(answer.certificate) for answer in answers}) == 24
    assert len({answer.authority for answer in answers}) == 1
    assert len((pki.folder / "index.txt").read_text().splitlines()) == 25


def test_a_damaged_request_is_refused(pki: Pki, request_: str) -> None:
    lines = request_.splitlines()
    lines[3] = lines[3][::-1]
    for bad in ("", "not a request", "\n".join(lines)):
        done = pki.raw("certificate", "gw-1_edge", "gw-1", "client", "", text=bad)
        assert done.returncode != 0
        assert "-----BEGIN CERTIFICATE" not in done.stdout
    assert pki.sign(request_).made


def test_the_authority_is_its_owners_alone(pki: Pki, request_: str) -> None:
    pki.sign(request_)
    assert not [path for path in (pki.folder, *pki.folder.rglob("*")) if path.stat().st_mode & 0o077]
