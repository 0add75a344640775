"""A worker and its database over TLS: while anything is wrong with it the gateways keep all, and then it is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.e2e.certificates import ELSEWHERE, EXPIRED, Issuer
from tests.e2e.cloud import Cloud
from tests.e2e.programs import run
from tests.e2e.servers import MosquittoServer, wait_until
from tests.e2e.tls_influx import ADMIN, PASSWORD, TlsInflux

GATEWAY = "binhai-1"


def _until(ready: Callable[[], bool]) -> None:
    assert wait_until(ready)


def test_no_certificate_but_the_right_one_gets_readings_and_what_waited_is_stored_at_last(
    tmp_path: Path, mosquitto: MosquittoServer
) -> None:
    fleet, stranger = Issuer(tmp_path / "fleet"), Issuer(tmp_path / "stranger")
    good = fleet.issue("influx")
    wrong = {
        "does not come from the CA": stranger.issue("influx"),
        "has expired": fleet.issue("old", lifetime=EXPIRED),
        "made out to another name": fleet.issue("other", names=ELSEWHERE),
    }
    with TlsInflux(folder=tmp_path / "influx", certificate=good) as influx:
        influx.make_user(fleet.ca_file)
        place = {"folder": tmp_path / "cloud", "port": mosquitto.port, "store": influx.address}
        with Cloud(**place, secret=PASSWORD, ca_file=fleet.ca_file) as cloud:  # type: ignore[arg-type]
            cloud.send_good(GATEWAY, 1)
            cloud.acked(GATEWAY, 1)
            for number, (says, certificate) in enumerate(wrong.items(), start=1):
                influx.stop()
                influx.present(certificate)
                influx.start()
                seq = 1 + number
                cloud.send_good(GATEWAY, seq)
                _until(lambda number=number: len(cloud.log_lines("store: away")) == number)  # type: ignore[misc]
                assert says in cloud.log_lines("store: away")[-1]
                assert not cloud.is_acked(GATEWAY, seq), "acknowledged, and stored nowhere"
                influx.stop()
                influx.present(good)
                influx.start()
                cloud.acked(GATEWAY, seq)
            assert cloud.values(GATEWAY) == {("meter", "power_w"): [1.0, 2.0, 3.0, 4.0]}
            assert cloud.dead(GATEWAY) == []
            assert len(cloud.worker.log().splitlines()) == 2 * len(wrong), "said once, and once that it is back"
            assert PASSWORD not in cloud.worker.log()


def test_a_database_that_asks_for_a_password_gets_none_of_a_stranger(
    tmp_path: Path, mosquitto: MosquittoServer
) -> None:
    fleet = Issuer(tmp_path / "fleet")
    secret = tmp_path / "secret"
    with TlsInflux(folder=tmp_path / "influx", certificate=fleet.issue("influx")) as influx:
        influx.make_user(fleet.ca_file)
        ca_file = ("--ca-file", str(fleet.ca_file))
        bare = influx.address.replace(f"{ADMIN}@", "")
        for address, words in ((bare, ()), (influx.address, ("--secret-file", str(secret)))):
            secret.write_text("wrong\n")
            secret.chmod(0o600)
            for verb in (("store", "init"), ("store", "info"), ("audit",)):
                done = run(*verb, "--store", address, *words, *ca_file)
                assert done.returncode == 1
                assert "401, the credentials were refused" in done.stderr
                assert (done.stderr.count("\n"), done.stdout) == (1, "")
        secret.write_text(PASSWORD)
        done = run("store", "init", "--store", influx.address, "--secret-file", str(secret), *ca_file)
        assert (done.returncode, done.stderr) == (0, "")
        for file, says in ((tmp_path / "none.crt", "no such file"), (secret, "holds no certificate")):
            done = run("store", "info", "--store", influx.address, "--ca-file", str(file))
            assert done.returncode == 2
            assert done.stderr.startswith(f"loopgauge: {file}: --ca-file: {says}; ")
        done = run("store", "info", "--store", influx.address, "--secret-file", str(secret))
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "look at ca_file" in done.stderr
        distant = f"influx1://{ADMIN}@192.0.2.1:8086/loopgauge"
        done = run("store", "info", "--store", distant, "--secret-file", str(secret))
        assert done.returncode == 2
        assert "for all to read" in done.stderr
