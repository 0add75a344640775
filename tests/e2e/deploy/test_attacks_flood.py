"""One gateway with a good certificate sends all that a connection takes: the readings of another are stored in time."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.cloud import line, message
from tests.e2e.deploy import packets
from tests.e2e.deploy.knock import TlsClient
from tests.e2e.deploy.siege import INTRUDER, Siege, memory_bytes, page
from tests.e2e.programs import environment

pytestmark = pytest.mark.slow

OWN = f"lg/v1/{INTRUDER}/data"
CALM, DURING = 5, 6
"""Batches by which the delay is measured."""
LATE_S_MAX = 10.0
"""An ordinary seal interval, on a busy machine that flooder, broker, workers and database share."""
SECONDS_MAX = 300.0
BROKER_BYTES_MAX = 900_000_000
WORKER_GROWTH_BYTES_MAX = 500_000_000
DISTINCT = 200
RATE_MIN = 1000
"""Messages/s that reach the workers; what they are spared does not count."""


def _small(base_ms: int) -> bytes:
    """Sound batches of one reading, all different, QoS 1."""
    batches = (line(seq, {"meter": {"power_w": seq}}, base_ms=base_ms) for seq in range(1, DISTINCT + 1))
    sound = [message(INTRUDER, seq, seq, body, board="board1") for seq, body in enumerate(batches, 1)]
    return b"".join(packets.publish(OWN, each, mid=mid) for mid, each in enumerate(sound, 1))


def _large(base_ms: int) -> bytes:
    """Batches that take long to unpack, QoS 0."""
    body = line(1, {"meter": {f"power_{n}_w": n * 1.5 for n in range(5_000)}}, base_ms=base_ms)
    return packets.publish(OWN, message(INTRUDER, 1, 1, zlib.compress(body), packing="zlib", board="board1"))


def _strange(base_ms: int) -> bytes:
    """What no worker understands, in the smallest packets that there are, QoS 1."""
    return b"".join(packets.publish(OWN, b"", mid=mid) for mid in range(1, DISTINCT + 1))


@contextmanager
def _flooded(siege: Siege, data: bytes, folder: Path) -> Iterator[list[float]]:
    """Meanwhile the data is sent all the time; afterwards the list says how often."""
    (folder / "data").write_bytes(data)
    keys = [siege.fleet.file(INTRUDER, f"/etc/loopgauge/pki/edge.{end}") for end in ("crt", "key")]
    words = [siege.broker.port, siege.fleet.authority / "ca.crt", *keys, folder / "data", SECONDS_MAX]
    flooder = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.deploy.raw_flooder", *map(str, words)], env=environment({})
    )
    sent: list[float] = []
    try:
        yield sent
        assert flooder.poll() is None, "the flood has ended before its time"
    finally:
        flooder.kill()
        flooder.wait()


@pytest.fixture(scope="module")
def calm(siege: Siege) -> list[float]:
    """Delays in peace, in which the intruder has become known to the workers."""
    sound = message(INTRUDER, 1, 1, line(1, {"meter": {"power_w": 1}}, base_ms=siege.now_ms() - 60_000), board="board1")
    with TlsClient(port=siege.broker.port, context=siege.fleet.gateway(INTRUDER)) as intruder:
        intruder.subscribe(f"lg/v1/{INTRUDER}/ack")
        acked: set[str] = set()
        while len(acked) < len(siege.workers):
            intruder.publish(OWN, sound)
            acked.add(json.loads(intruder.hear()[1])["worker"])
    return siege.delays_s(CALM)


@pytest.mark.parametrize("kind", [_small, _large, _strange], ids=["small", "large", "strange"])
def test_the_others_readings_are_stored_in_time_while_one_gateway_sends_all_it_can(
    kind: Callable[[int], bytes], calm: list[float], siege: Siege, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = kind(siege.now_ms() - 3_600_000)
    connects = siege.agent_figure("connects_total")
    workers, before = siege.workers, [memory_bytes(worker.pid) for worker in siege.workers]
    crowded_out = _crowded_out(siege)
    heard, began_s = _heard(siege), time.monotonic()
    with _flooded(siege, data, tmp_path):
        siege.delays_s(1)  # until it is under way
        during = siege.delays_s(DURING)
        rate = (_heard(siege) - heard) / (time.monotonic() - began_s)
    p95 = {name: _p95(delays) for name, delays in (("calm", calm), ("during", during))}
    with capsys.disabled():
        print(
            f"\n{kind.__name__}: {rate:.0f} messages/s of one gateway reach workers: another's readings stored after "
            f"{p95['calm']:.2f} s (p95) in calm, {p95['during']:.2f} s during the flood, "
            f"factor {p95['during'] / p95['calm']:.1f}; broker {memory_bytes(siege.broker.pid) / 1e6:.0f} MB"
        )
    assert p95["during"] <= LATE_S_MAX
    assert siege.agent_figure("connects_total") == connects, "the agent has lost its connection"
    assert rate > RATE_MIN, "that was no flood"
    assert _crowded_out(siege) == crowded_out, "others than the flood's own author were dropped"
    assert memory_bytes(siege.broker.pid) < BROKER_BYTES_MAX
    grown = [memory_bytes(worker.pid) - was for worker, was in zip(workers, before, strict=True)]
    assert max(grown) < WORKER_GROWTH_BYTES_MAX, grown
    siege.all_is_there()


def _p95(delays: list[float]) -> float:
    return statistics.quantiles(delays, n=20, method="inclusive")[-1]


def _heard(siege: Siege) -> float:
    """Messages of the intruder that reached a worker: let in, refused, or dropped for want of room."""
    pattern = rf'^loopgauge_ingest_(?:messages_total|refused_total{{.*}}|dropped_total{{gateway="{INTRUDER}".*}}) (\S+)'
    return sum(float(n) for port in siege.worker_metrics.values() for n in re.findall(pattern, page(port), re.M))


def _crowded_out(siege: Siege) -> float:
    """Messages of anybody but the intruder that were dropped for want of room."""
    pattern = r'^loopgauge_ingest_dropped_total{gateway="([^"]*)".*} (\S+)'
    found = [each for port in siege.worker_metrics.values() for each in re.findall(pattern, page(port), re.M)]
    return sum(float(count) for gateway, count in found if gateway != INTRUDER)
