"""The agent's figures for a collector: they agree with what was sealed, and are bounded by the site file."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from edge_agent import own_device
from edge_agent.config import EdgeConfig, MetricsConfig
from edge_agent.errors import Fatal
from edge_agent.send.suspicion import Cause
from series_store.table import Outcome
from service_health.endpoint import renderer
from tests.faults.world import World, body_of
from tests.twins.loop import run_virtual


def scraped(world: World) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names …) to value, as a collector reads it."""
    agent = world.gateways[0].agent
    assert agent is not None
    text = renderer(agent._metrics)().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("loopgauge_edge_")
    }


VITALS = {
    "spool_batches": "spool_batches",
    "spool_bytes": "spool_bytes",
    "spool_oldest_s": "spool_oldest_seconds",
    "spool_full_s": "spool_full_seconds",
    "drain_s": "drain_seconds",
    "unconfirmed_s": "unconfirmed_seconds",
    "unconfirmed_cause": "unconfirmed_cause",
    "connected": "connected",
    "clock_trusted": "clock_trusted",
    "clock_waiting": "clock_waiting_batches",
    "clock_backsteps": "clock_backsteps_total",
    "written_bytes_day": "storage_written_bytes_per_day",
}
"""What the gateway tells as a reading of itself, and what a collector calls it."""
OF_THE_BOARD = {"disk_free_bytes", "temperature_c", "memory_available_bytes", "load_1min", "uptime_s"}
"""What any exporter of the machine tells a collector; the agent tells it as readings alone."""


def test_what_a_gateway_tells_as_readings_a_collector_can_ask_it_for_with_the_same_values(tmp_path: Path) -> None:
    assert VITALS.keys() | OF_THE_BOARD == own_device.FIELDS.keys() and not VITALS.keys() & OF_THE_BOARD

    async def main() -> None:
        world = World(seed=3, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(1000)
        world.store_away = Outcome(retry_after_s=10, reason="503")
        await asyncio.sleep(4000)
        assert gateway.agent is not None and gateway.agent._report is not None
        vitals = asdict(gateway.agent._report.vitals())
        found = scraped(world)
        causes = {key[1]: value for key, value in found.items() if key[0] == "loopgauge_edge_unconfirmed_cause"}
        assert causes == {cause.name.lower(): float(cause is vitals["unconfirmed_cause"]) for cause in Cause if cause}
        assert vitals.pop("unconfirmed_cause") is not Cause.NONE
        for field, value in vitals.items():
            said = found.get((f"loopgauge_edge_{VITALS[field]}",))
            assert said == (None if value is None else pytest.approx(float(value), rel=0.01, abs=2)), field
        assert vitals["spool_full_s"] > 0 and vitals["drain_s"] > 0 and vitals["spool_bytes"] > 0
        await world.kill_gateway(gateway)

    run_virtual(main())


def test_the_figures_agree_with_what_was_sealed_and_stored(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(300)
        gateway.bus.silent.add(2)
        await asyncio.sleep(303)
        found = scraped(world)
        sampled: Counter[str] = Counter()
        missing: Counter[tuple[str, str]] = Counter()
        for sealed in gateway.sealed.values():
            for name, device in body_of(sealed.body).devices.items():
                for _, taken, causes in device.counts.values():
                    sampled[name] += taken
                    missing.update({(name, cause): n for cause, n in causes.items()})
        prefix = "loopgauge_edge_"
        assert {k[1]: v for k, v in found.items() if k[0] == prefix + "readings_sampled_total"} == sampled
        assert {k[:0:-1]: v for k, v in found.items() if k[0] == prefix + "readings_missing_total"} == missing
        assert {cause for device, cause in missing if device == "meter-2"} == {"timeout", "asleep"}
        batches = len(gateway.sealed)
        assert found[prefix + "batches_sealed_total",] == batches
        assert found[prefix + "batches_confirmed_total",] == batches
        assert found[prefix + "messages_sent_total",] == batches
        assert found[prefix + "connects_total",] == found[prefix + "connected",] == 1
        assert found[prefix + "devices_silent", "line"] == 1
        assert (found[prefix + "spool_batches",], found[prefix + "spool_oldest_seconds",]) == (0, 0)
        assert found[prefix + "build_info", "test"] == 1
        assert found[prefix + "clock_trusted",] == 1
        assert found[prefix + "tasks_hung",] == 0
        labels = len(found)
        world.store_away = Outcome(retry_after_s=10, reason="503")
        gateway.clock.offset_ms = -3_600_000
        await asyncio.sleep(600)
        found = scraped(world)
        assert len(found) <= labels + 2
        assert found[prefix + "spool_batches",] >= 59
        assert found[prefix + "flight_batches",] == 32
        assert found[prefix + "messages_redelivered_total",] > 0
        assert found[prefix + "unconfirmed_seconds",] > 500
        assert found[prefix + "clock_backsteps_total",] == 1
        gateway.clock.offset_ms = 0
        await world.settle(900)

    run_virtual(main())


def test_without_metrics_in_the_site_file_the_library_is_not_loaded(tmp_path: Path) -> None:
    code = "import sys, edge_agent.app, loopgauge.cli.edge; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_they_are_for_this_machine_alone_unless_the_site_file_says_otherwise() -> None:
    assert MetricsConfig(port=9464).host == "127.0.0.1"
    with pytest.raises(ValidationError):
        MetricsConfig(port=0)


def test_a_taken_port_is_one_line_and_nothing_has_begun(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        world = World(seed=1, folder=tmp_path)
        gateway = world.gateways[0]
        gateway.config = EdgeConfig.model_validate({**gateway.config.model_dump(), "metrics": {"port": port}})
        world.start_gateway(gateway)
        assert gateway.agent is not None
        assert gateway.task is not None
        with pytest.raises(ExceptionGroup) as caught:
            await gateway.task
        (error,) = caught.value.exceptions
        assert isinstance(error, Fatal)
        text = str(error)
        assert text == (
            f"metrics: cannot listen on 127.0.0.1:{port}: Address already in use; choose another port, or leave it out"
        )
        assert gateway.bus.served == []
        assert not gateway.path.exists()
        assert gateway.notifier.heard == []
        taken.close()

    asyncio.run(main())
