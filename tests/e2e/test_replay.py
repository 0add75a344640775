"""Dead letters and closed runs with a real worker, broker and store, by the commands that an operator types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import SEAL_MS, Cloud, line, message, run_id
from tests.e2e.programs import run
from tests.e2e.servers import MosquittoServer, wait_until

GATEWAY = "plant-1"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with (
        MosquittoServer(folder=tmp_path / "broker") as broker,
        Cloud(
            folder=tmp_path, port=broker.port, store=f"sqlite:{tmp_path / 'store'}", more={"devices_per_gateway_max": 2}
        ) as cloud,
    ):
        yield cloud


def _three_meters(cloud: Cloud, seq: int) -> None:
    devices = {name: {"power_w": float(seq)} for name in ("m1", "m2", "m3")}
    cloud.send(GATEWAY, message(GATEWAY, seq, seq, line(seq, devices, base_ms=cloud.base_ms)))
    assert cloud.reason(GATEWAY, seq) == ""


def _dead(cloud: Cloud, *words: str) -> str:
    verb, *more = words
    done = run("ingest", "dead", verb, str(cloud.config), *more)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def _fates(cloud: Cloud) -> dict[str, int]:
    done = run("audit", "--store", cloud.store, "--json")
    (gateway,) = json.loads(done.stdout)["gateways"]
    assert gateway["surplus"] == []
    return {fate: gateway["total"]["fates"].get(fate, 0) for fate in ("stored", "rejected")}


def _widen(cloud: Cloud) -> None:
    """The operator allows for a third device."""
    text = cloud.config.read_text("utf-8")
    cloud.config.write_text(text.replace("devices_per_gateway_max: 2", "devices_per_gateway_max: 3"), encoding="utf-8")


def test_what_was_refused_is_stored_after_the_cause_has_gone_and_the_audit_moves_it(cloud: Cloud) -> None:
    for seq in (1, 2, 3):
        _three_meters(cloud, seq)
    assert _fates(cloud) == {"stored": 6, "rejected": 3}
    assert "3 letters" in _dead(cloud, "list")
    assert "0 letters stored, 3 refused again" in _dead(cloud, "replay", "--all")
    assert _fates(cloud) == {"stored": 6, "rejected": 3}
    _widen(cloud)
    cloud.worker.stop()
    assert cloud.worker.exit_code == 0
    cloud.worker.start()
    assert "3 letters stored, 0 refused again" in _dead(cloud, "replay", "--gateway", GATEWAY)
    assert cloud.values(GATEWAY)["m3", "power_w"] == [1.0, 2.0, 3.0]
    assert _fates(cloud) == {"stored": 9, "rejected": 0}
    assert "0 letters" in _dead(cloud, "list")


def test_a_worker_that_is_killed_with_a_request_before_it_carries_it_out_afterwards(cloud: Cloud) -> None:
    for seq in range(1, 6):
        _three_meters(cloud, seq)
    cloud.worker.kill()
    assert "no answer yet" in _dead(cloud, "replay", "--all", "--wait", "0")
    _widen(cloud)
    cloud.worker.start()
    assert wait_until(lambda: "0 letters" in _dead(cloud, "list"))
    assert cloud.values(GATEWAY)["m3", "power_w"] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert _fates(cloud) == {"stored": 15, "rejected": 0}


def test_a_closed_run_explains_what_was_pending_on_its_card(cloud: Cloud) -> None:
    for seq in (1, 4):
        _three_meters(cloud, seq)
    assert run("audit", "--store", cloud.store).returncode == 1
    run_ = run_id(GATEWAY)
    words = ["audit", "close", GATEWAY, "--run", run_, "--reason", "card broke", "--worker-file", str(cloud.config)]
    done = run(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    audited = run("audit", "--store", cloud.store, "--json")
    assert audited.returncode == 0, audited.stdout
    (gateway,) = json.loads(audited.stdout)["gateways"]
    lost = [(gap["batches"], gap["to_ms"] - gap["from_ms"]) for gap in gateway["gaps"] if gap["batches"]]
    assert lost == [([2, 3], 2 * SEAL_MS)]
    assert gateway["gaps"][0]["why"].endswith("card broke")
