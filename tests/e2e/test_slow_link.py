"""A backlog behind a real link of 64 kbit/s: live readings stay fresh, and it takes as long as the agent promised."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from edge_agent.keep.disk import FileDisk
from edge_agent.keep.spool import Sealed, Spool
from tests.e2e.certificates import Issuer
from tests.e2e.compare import of_meters
from tests.e2e.line import ENERGY_METER, Line
from tests.e2e.programs import Program
from tests.e2e.servers import PATIENCE_S, MosquittoServer, free_port
from tests.e2e.slow_link import NEAR, SlowLink, slow_link
from tests.unit.edge_agent.test_slow_link import FIELDS, METERS, bodies

RATE_BYTES_S = 64_000 / 8
SEAL_S = 5.0
OLD = "a" * 32
BATCHES = 1_500
"""Some 70 s of the link, and of what ten-second intervals leave behind in four hours."""
LOOK_S = 20.0
DRAIN_S_MAX = 150.0
LATE_S_MAX = 10.0
"""From the end of a seal interval to the store; so a reading is in the store within the interval and this."""


class Beyond(Program):
    """A program at the far end of the link."""

    def __init__(self, program: Program, link: SlowLink, ready: bool) -> None:
        super().__init__(folder=program.folder, words=program.words, env=program._env, prepare=program._prepare)
        self._link = link
        self._far_ready = program._ready if ready else lambda: True

    def _command(self) -> list[str]:
        return self._link.inside(super()._command())


def fill(path: Path, now_ms: int) -> None:
    """What an earlier run has left in the spool: ten-second intervals up to now."""

    async def write() -> None:
        spool = Spool(disk=FileDisk(path=path, bytes_max=512_000_000), run=OLD, boot="before")
        await spool.open()
        base_ms = now_ms - (BATCHES + 6) * 10_000
        for seq, body in enumerate(itertools.islice(bodies(random.Random(1)), BATCHES), 1):
            await spool.seal(Sealed(seq, base_ms, base_ms, base_ms + seq * 10_000, body, clean=seq == BATCHES), [])
        await spool.close()

    path.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(write())


def scrape(link: SlowLink, port: int) -> dict[str, float]:
    """The agent's figures, asked for at its own end, so that the answer takes nothing of the link."""
    asked = f"u.urlopen('http://127.0.0.1:{port}/metrics', timeout={PATIENCE_S})"
    code = f"import urllib.request as u; print({asked}.read().decode())"
    done = subprocess.run(link.inside([sys.executable, "-c", code]), capture_output=True, text=True, check=True)
    families = text_string_to_metric_families(done.stdout)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


@pytest.mark.slow
def test_live_readings_stay_fresh_on_64_kbit_s_while_a_backlog_drains_in_the_promised_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with slow_link("64kbit") as link:
        issuer = Issuer(tmp_path / "ca")
        cert, key = issuer.issue("broker", names=f"IP:{NEAR}")
        far_port, metrics_port = free_port(), free_port()
        config = "\n".join(
            [
                "listener {port} 127.0.0.1",
                "allow_anonymous true",
                f"listener {far_port} {NEAR}",
                f"certfile {cert}",
                f"keyfile {key}",
                "persistence false",
                "user root",
            ]
        )
        with MosquittoServer(folder=tmp_path / "mosquitto", config=config) as broker:
            line = Line(
                folder=tmp_path,
                store=f"sqlite:{tmp_path / 'store'}",
                uplink={"host": NEAR, "port": far_port, "tls": {"ca_file": str(issuer.ca_file)}},
                broker={"port": broker.port},
                meters=ENERGY_METER,
                speed=1.0,
                seal_every_s=SEAL_S,
            )
            site = yaml.safe_load((tmp_path / "edge.yaml").read_text())
            site["metrics"] = {"port": metrics_port}
            (tmp_path / "edge.yaml").write_text(yaml.safe_dump(site))
            line.meters, line.agent = Beyond(line.meters, link, ready=False), Beyond(line.agent, link, ready=True)
            fill(line.spool, line.now_ms())
            with line:
                _drain(line, link, metrics_port, capsys)


def _drain(line: Line, link: SlowLink, metrics_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    line.start()
    began_s, sent = time.monotonic(), link.sent()
    time.sleep(LOOK_S)
    promised_s = scrape(link, metrics_port)["loopgauge_edge_drain_seconds"]
    looked_s = time.monotonic()

    def drained() -> bool:
        return all(run != OLD for run, _ in line.held())

    line.wait(drained, within_s=DRAIN_S_MAX, what="the backlog did not drain")
    took_s = time.monotonic() - looked_s
    used = (link.sent() - sent) / (time.monotonic() - began_s) / RATE_BYTES_S
    figures = scrape(link, metrics_port)
    line.stop()
    receipts = line.receipts()
    late = [r.at_us / 1e6 - r.to_ms / 1e3 for r in receipts if r.run != OLD]
    with capsys.disabled():
        print(
            f"\npromised {promised_s:.0f} s, took {took_s:.0f} s; live p95 {p95(late):.1f} s, longest {max(late):.1f} s"
            f" of {len(late)}; {used:.0%} of the link used; {figures['loopgauge_edge_messages_redelivered_total']:.0f}"
            " messages sent twice"
        )
    assert {r.seq for r in receipts if r.run == OLD} == set(range(1, BATCHES + 1))
    assert len(late) > 0.8 * (LOOK_S + took_s) / SEAL_S
    assert p95(late) < LATE_S_MAX
    assert promised_s == pytest.approx(took_s, rel=0.4, abs=10)
    assert used > 0.6, "the link lay idle"
    assert figures["loopgauge_edge_connects_total"] == 1
    assert sum(of_meters(r) for r in receipts if r.run == OLD) == BATCHES * METERS * FIELDS
    assert line.readings() == sum(map(of_meters, receipts)), "stored is what the receipts count"
