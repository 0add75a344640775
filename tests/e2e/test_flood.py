"""A gateway that floods meets the end of its own lane; the readings of the others are stored nearly as soon as ever."""

from __future__ import annotations

import getpass
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.cloud import SEAL_MS, Cloud, line, message
from tests.e2e.programs import environment
from tests.e2e.servers import PATIENCE_S, InfluxServer, MosquittoServer, free_port

GOOD, FLOOD = "binhai-1", "flooding-1"
FLOODERS = 4
CALM, DURING = 5, 12
"""Messages, one a second, by which the delay is measured."""
FLOOD_S = 25.0
LATE_S_MAX = SEAL_MS / 1000
"""A seal interval, on a busy machine that flooders, broker, worker and database share. Without lanes the first message
of the calm gateway had not arrived after 20 s."""
_BROKER = "\n".join(
    [
        "listener {port} 127.0.0.1",
        "allow_anonymous true",
        "max_queued_messages 1000000",
        "max_inflight_messages 1000",
        "persistence false",
        f"user {getpass.getuser()}",
    ]
)


def _delays(cloud: Cloud, first: int, count: int) -> list[float]:
    """Seconds from the publish of a message to its ack, one message a second."""
    found = []
    for seq in range(first, first + count):
        began_s = time.monotonic()
        cloud.send_good(GOOD, seq)
        cloud.acked(GOOD, seq)
        found.append(time.monotonic() - began_s)
        time.sleep(max(0.0, 1 - found[-1]))
    return found


@pytest.mark.parametrize("fields", [pytest.param(1, id="small"), pytest.param(200, id="large", marks=pytest.mark.slow)])
def test_the_others_readings_are_stored_in_time_while_one_gateway_floods(
    fields: int, tmp_path: Path, influx: InfluxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"metrics": {"port": free_port()}}
    store = f"influx1://127.0.0.1:{influx.port}/loopgauge"
    payload = tmp_path / "payload"
    with (
        MosquittoServer(folder=tmp_path / "mosquitto", config=_BROKER) as broker,
        Cloud(folder=tmp_path / "cloud", port=broker.port, store=store, more=metrics) as cloud,
    ):
        calm = _delays(cloud, 1, CALM)
        devices = {"meter": {f"power_{n}_w": n * 1.5 for n in range(fields)}}
        payload.write_bytes(message(FLOOD, 1, 1, line(1, devices, base_ms=cloud.base_ms)))
        words = [str(broker.port), f"lg/v1/{FLOOD}/data", str(payload), str(FLOOD_S)]
        flooders = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.flooder", *words],
                stdout=subprocess.PIPE,
                text=True,
                env=environment({}),
            )
            for _ in range(FLOODERS)
        ]
        try:
            time.sleep(2)
            during = _delays(cloud, 100, DURING)
        finally:
            sent = sum(int(each.communicate(timeout=FLOOD_S + PATIENCE_S)[0]) for each in flooders)
        url = f"http://127.0.0.1:{metrics['metrics']['port']}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            figures = answer.read().decode()
    p95 = statistics.quantiles(during, n=20, method="inclusive")[-1]
    with capsys.disabled():
        print(
            f"\n{payload.stat().st_size} bytes, {sent / FLOOD_S:.0f} messages/s of one gateway: the other's readings "
            f"confirmed after {statistics.median(calm):.2f} s in calm, {statistics.median(during):.2f} s (median), "
            f"{p95:.2f} s (p95) during the flood"
        )
    assert p95 <= LATE_S_MAX
    assert sent > FLOOD_S * 1000, "that was no flood"
    dropped = f'loopgauge_ingest_dropped_total{{gateway="{FLOOD}",reason="flood"}}'
    assert dropped in figures, figures
    assert f'dropped_total{{gateway="{GOOD}"' not in figures
