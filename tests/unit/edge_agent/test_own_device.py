"""The gateway as a device: what it reports of itself is sealed, counted and born like the readings of any meter."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from data_contract.topics import Channel, topic
from edge_agent.own_device import FIELDS
from edge_agent.ports import BoardState
from series_store.table import Outcome
from tests.faults.judge import judge, ledgers
from tests.faults.world import World, body_of, values_of
from tests.twins.loop import run_virtual

OFF = {"health_every_s": 0}


def newest(world: World) -> dict[str, float]:
    """The gateway's last values by field."""
    found: dict[str, tuple[int, float]] = {}
    for sealed in world.gateways[0].sealed.values():
        for device, name, stamp, value in values_of(body_of(sealed.body)):
            if device == "gateway" and stamp >= found.get(name, (0, 0.0))[0]:
                found[name] = stamp, value
    return {name: value for name, (_, value) in found.items()}


def test_all_fields_are_stored_and_a_sensor_that_is_not_there_is_missing_by_cause(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(600)
        said = newest(world)
        assert said.keys() == FIELDS.keys() - {"temperature_c", "written_bytes_day"}
        assert (said["connected"], said["clock_trusted"], said["unconfirmed_s"]) == (1, 1, 0)
        assert (said["disk_free_bytes"], said["load_1min"], said["uptime_s"]) == (8e9, 0.25, 3600)
        assert said["spool_batches"] <= 1
        devices = [body_of(sealed.body).devices for sealed in gateway.sealed.values()]
        counts = [of["gateway"].counts for of in devices if "gateway" in of]
        assert {json.dumps(each) for each in counts} == {'{"health": [17, 15, {"invalid": 2}]}'}
        gateway.board.state = BoardState(temperature_c=48.312, written_bytes=1e6)
        await asyncio.sleep(125)
        gateway.board.state = BoardState(temperature_c=48.312, written_bytes=2e6)
        await asyncio.sleep(60)
        assert newest(world)["temperature_c"] == 48.3
        assert newest(world)["written_bytes_day"] == pytest.approx(86_400e6 / 155, rel=0.2)
        await world.settle(600)
        verdict = await judge(world)
        assert [*verdict.wrong, *await ledgers(world)] == []
        kinds = {(key.measurement, key.device) for key in await world.store.series()}
        assert ("gateway", "gateway") in kinds

    run_virtual(main())


def test_its_birth_tells_fields_and_units_and_with_0_it_is_no_device_at_all(tmp_path: Path) -> None:
    async def main(on: bool) -> dict[str, object]:
        folder = tmp_path / str(on)
        folder.mkdir()
        world = World(seed=1, folder=folder)
        gateway = world.gateways[0]
        if not on:
            gateway.config = gateway.config.model_copy(update=OFF)
        world.start()
        await asyncio.sleep(200)
        assert bool(newest(world)) is on
        birth: dict[str, dict[str, object]] = json.loads(world.broker.retained[topic(gateway.name, Channel.BIRTH)])
        await world.settle(100)
        return birth["devices"]

    own = run_virtual(main(True))["gateway"]
    assert isinstance(own, dict)
    assert own["kind"] == "gateway"
    assert own["fields"]["disk_free_bytes"] == {"unit": "By", "kind": "gauge"}
    assert own["fields"]["connected"]["kind"] == "state"
    assert own["fields"].keys() == FIELDS.keys()
    assert "gateway" not in run_virtual(main(False))


def test_a_dead_cloud_a_lost_broker_and_an_unset_clock_can_be_read_from_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(300)
        world.store_away = Outcome(retry_after_s=10, reason="503")
        await asyncio.sleep(900)
        said = newest(world)
        assert 700 < said["unconfirmed_s"] < 900
        assert 800 < said["spool_oldest_s"] < 920
        assert 80 <= said["spool_batches"] <= 92
        assert said["spool_bytes"] > 1000 * said["spool_batches"] / 5
        assert said["connected"] == 1
        assert len([r for r in caplog.records if "unconfirmed for" in r.getMessage()]) == 1
        world.broker.down = True
        world.broker.restart()
        await asyncio.sleep(180)
        said = newest(world)
        assert (said["connected"], said["unconfirmed_s"]) == (0, 0)
        assert said["spool_oldest_s"] > 900
        world.broker.down, world.store_away = False, None
        await asyncio.sleep(300)
        said = newest(world)
        assert (said["connected"], said["unconfirmed_s"]) == (1, 0)
        assert said["spool_oldest_s"] <= 20
        gateway.clock.trusted = False
        await asyncio.sleep(120)
        assert newest(world)["clock_trusted"] == 0
        await world.settle(600)
        verdict = await judge(world)
        assert verdict.wrong == []

    run_virtual(main())


def test_the_oldest_batch_of_an_earlier_run_still_counts_its_age(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        gateway = world.gateways[0]
        world.broker.down = True
        world.start()
        await asyncio.sleep(600)
        await world.kill_gateway(gateway)
        await asyncio.sleep(600)
        world.start_gateway(gateway)
        await asyncio.sleep(120)
        assert 1200 < newest(world)["spool_oldest_s"] < 1320
        await world.settle(600)
        assert await world.stored() == world.sealed_readings(gateway)

    run_virtual(main())
