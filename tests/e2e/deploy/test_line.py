"""A reading's whole way through programs that were started from rendered files alone: TLS and rights all along."""

from __future__ import annotations

import contextlib
import urllib.request
from functools import partial
from pathlib import Path

from tests.e2e.deploy.line import PAGE_PORT, RenderedLine
from tests.e2e.deploy.rendered import GATEWAYS, Fleet, RenderedBroker, RenderedInflux
from tests.e2e.programs import run
from tests.e2e.servers import PATIENCE_S, Server


def test_readings_of_two_gateways_go_all_the_way_through_what_the_roles_render(
    fleet: Fleet, broker: RenderedBroker, influx: RenderedInflux, tmp_path: Path
) -> None:
    influx.provision()
    with RenderedLine(fleet=fleet, broker=broker, influx=influx, folder=tmp_path, gateways=GATEWAYS) as line:
        for gateway in GATEWAYS:
            line.wait(partial(_has_stored, line, gateway), what=f"nothing of {gateway} was stored")
        line.wait(lambda: b"plant-1" in _page(line), what="the page does not show plant-1")
        line.wait(lambda: bool(influx.query("SELECT * FROM asset", user="reader")), what="no assets")
        _no_secret_is_shown(fleet, [*line.programs, broker, influx])
        for program in reversed(line.programs):
            program.stop()
            assert program.exit_code == 0, f"{program.words}: {program.log()[-2000:]}"
            assert "Traceback" not in program.log()
        _the_audit_adds_up(line)


def _has_stored(line: RenderedLine, gateway: str) -> bool:
    return line.stored(gateway) > 0


def _page(line: RenderedLine) -> bytes:
    """What the page shows; nothing where it does not answer, which may be asked again."""
    url = f"http://127.0.0.1:{line.ports[PAGE_PORT]}/api/overview"
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        shown: bytes = answer.read()
        return shown
    return b""


def _no_secret_is_shown(fleet: Fleet, running: list[Server]) -> None:
    secrets = [file.read_text().strip() for file in fleet.secrets.iterdir() if file.is_file()]
    assert secrets
    for server in running:
        process = Path(f"/proc/{server.pid}")
        for shown in (server.log(), (process / "cmdline").read_text(), (process / "environ").read_text()):
            assert not [secret for secret in secrets if secret in shown]


def _the_audit_adds_up(line: RenderedLine) -> None:
    secret = line.cloud.file("/etc/loopgauge/secrets/console-influxdb")
    authority = line.cloud.file("/etc/loopgauge/pki/ca.crt")
    where = ("--store", line.influx.store("reader"), "--secret-file", str(secret), "--ca-file", str(authority))
    done = run("audit", *where, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
