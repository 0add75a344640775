"""A technician who edits the site file while the cloud is away loses nothing of what was sampled under the old one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_agent.config import EdgeConfig
from series_store.table import Outcome
from tests.faults.judge import ledgers
from tests.faults.world import World
from tests.twins.loop import run_virtual

METER = {"profile": "test-meter", "bus": "line"}


@pytest.mark.parametrize(
    "changes",
    [
        {"devices": {"meter-2": {**METER, "unit_id": 2}}},
        {"devices": {"pump": {**METER, "unit_id": 1}, "meter-2": {**METER, "unit_id": 2}}},
        {"devices": {"meter-1": {**METER, "unit_id": 2, "every_s": {"main": 5}}}},
        {"devices": {}, "buses": {}, "health_every_s": 0},
        {"seal_every_s": 30, "health_every_s": 10, "clock": {"wait_s": 5}},
        {"devices": {"meter-1": {**METER, "unit_id": 1, "fields": ["volume_m3"]}}},
        {"uplink": {"host": "127.0.0.1", "port": 8884, "send_every_s": 20}},
    ],
    ids=["removed", "renamed", "other interval", "nothing left", "other seals", "fewer fields", "other uplink"],
)
def test_a_backlog_drains_whatever_becomes_of_the_site_file(tmp_path: Path, changes: dict[str, Any]) -> None:
    async def main() -> None:
        world = World(seed=3, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(30)
        world.store_away = Outcome(retry_after_s=10, reason="503")
        await asyncio.sleep(200)
        await world.kill_gateway(gateway)
        assert gateway.agent is not None
        waiting = set(gateway.agent.spool.held)
        assert len(waiting) > 15
        old = gateway.config.model_dump(mode="json", exclude_unset=True)
        gateway.config = EdgeConfig.model_validate({**old, **changes})
        world.start_gateway(gateway)
        await asyncio.sleep(60)
        assert waiting <= set(gateway.agent.spool.held)
        world.store_away = None
        await asyncio.sleep(400)
        assert not waiting & set(gateway.agent.spool.held)
        assert not gateway.agent.spool.aside
        await world.settle(600)
        assert await world.stored() == world.sealed_readings(gateway), "value for value"
        assert await ledgers(world) == []

    run_virtual(main())
