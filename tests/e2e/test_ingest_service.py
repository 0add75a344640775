"""The worker under a service manager: ready without a store, alive while it works, figures on a port of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.cloud import Cloud
from tests.e2e.programs import Program
from tests.e2e.servers import PATIENCE_S, InfluxServer, MosquittoServer, free_port, wait_until

GATEWAY = "binhai-1"
WATCHDOG = {"WATCHDOG_USEC": "1500000"}


class Manager:
    """Hears what a service says, as systemd does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.bind(str(path))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while text := self._channel.recv(4096).decode():
                self.said.append(text)

    def heard(self, begin: str, times: int = 1) -> bool:
        return sum(each.startswith(begin) for each in self.said) >= times

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def figures(port: int) -> dict[tuple[str, ...], float]:
    """(name, label values …) → value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        text = answer.read().decode()
    return {
        (sample.name.removeprefix("loopgauge_ingest_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_it_says_while_it_works_while_the_store_is_away_and_when_it_ends(
    tmp_path: Path, mosquitto: MosquittoServer, influx: InfluxServer, manager: Manager
) -> None:
    port = free_port()
    cloud = Cloud(
        folder=tmp_path / "cloud",
        port=mosquitto.port,
        store=f"influx1://127.0.0.1:{influx.port}/loopgauge",
        more={"metrics": {"port": port}},
        env={"NOTIFY_SOCKET": str(manager.path), **WATCHDOG},
    )
    with cloud:
        assert wait_until(lambda: manager.heard("WATCHDOG=1", 3))
        assert manager.said.index("READY=1") < 4
        cloud.send_good(GATEWAY, 1)
        cloud.acked(GATEWAY, 1)
        cloud.send_good(GATEWAY, 1)
        cloud.send(GATEWAY, b"hello")
        assert wait_until(lambda: figures(port).get(("refused_total", "no_header")) == 1)
        assert wait_until(lambda: figures(port)["redelivered_total",] == 1)
        found = figures(port)
        assert found["readings_total",] == 2, "a second copy is stored and confirmed again"
        assert found["connected",] == 1
        assert found["store_away",] == 0
        assert 0 < found["lag_seconds", GATEWAY] < 120
        assert found["last_heard_timestamp_seconds", GATEWAY] > cloud.base_ms / 1000
        influx.stop()
        cloud.send_good(GATEWAY, 2)
        assert wait_until(lambda: figures(port)["store_away",] == 1)
        pets = sum(each == "WATCHDOG=1" for each in manager.said)
        assert wait_until(lambda: manager.heard("WATCHDOG=1", pets + 4)), "a store away is no reason"
        assert wait_until(lambda: manager.heard("STATUS=connected; store away"))
        influx.start()
        cloud.acked(GATEWAY, 2)
    assert wait_until(lambda: manager.heard("STOPPING=1"))
    assert manager.said.count("READY=1") == 1, "ready once, and not again at the end"


def test_it_is_ready_though_neither_broker_nor_store_is_there(tmp_path: Path, manager: Manager) -> None:
    """Else a machine that starts all of them at once would wait in the wrong order."""
    config = tmp_path / "w1.yaml"
    said = {
        "worker": "w1",
        "broker": {"host": "127.0.0.1", "port": free_port()},
        "store": {"url": f"influx1://127.0.0.1:{free_port()}/loopgauge"},
        "gateways_file": str(tmp_path / "gateways.json"),
        "dead_letters": str(tmp_path / "dead"),
    }
    config.write_text(yaml.safe_dump(said), encoding="utf-8")
    env = {"NOTIFY_SOCKET": str(manager.path), **WATCHDOG}
    with Program(folder=tmp_path / "w1", words=["ingest", "run", str(config)], env=env) as worker:
        assert wait_until(lambda: manager.heard("READY=1") and manager.heard("WATCHDOG=1", 5))
        assert worker.runs
        worker.stop()
        assert worker.exit_code == 0
    assert wait_until(lambda: manager.heard("STOPPING=1"))


def test_a_port_for_figures_that_is_taken_is_one_line(tmp_path: Path, mosquitto: MosquittoServer) -> None:
    config = tmp_path / "w1.yaml"
    said = {
        "worker": "w1",
        "broker": {"host": "127.0.0.1", "port": mosquitto.port},
        "store": {"url": f"sqlite:{tmp_path / 'store'}"},
        "gateways_file": str(tmp_path / "gateways.json"),
        "dead_letters": str(tmp_path / "dead"),
        "metrics": {"port": mosquitto.port},
    }
    config.write_text(yaml.safe_dump(said), encoding="utf-8")
    worker = Program(folder=tmp_path / "w1", words=["ingest", "run", str(config)], env={})
    worker.start()
    assert wait_until(lambda: worker.has_died)
    worker.stop()
    assert worker.exit_code == 1
    line = worker.log()
    assert line.startswith(f"loopgauge: metrics: cannot listen on 127.0.0.1:{mosquitto.port}: ")
    assert line.count("\n") == 1
