"""The site files of the demo: what an agent accepts, and what the scenario says."""

from __future__ import annotations

from typing import Any

import pytest

from device_profiles.library import Library
from edge_agent.config import EdgeConfig, Hx711Config, ModbusTcpConfig
from edge_agent.site_plan import load_devices
from loopgauge.demo import sites
from simulators.load_scenario import Loaded, find, load_scenario


@pytest.fixture(scope="module")
def city() -> Loaded:
    return load_scenario(find("demo"), Library().load)


def site_of(city: Loaded, gateway: str, places: sites.Places | None = None) -> dict[str, Any]:
    return sites.site(
        gateway,
        scenario=city.scenario,
        profiles=city.profiles,
        places=places or {},
        every_s=60,
        since="2026-11-07T12:00:00+00:00",
        spool="spool.db",
        broker_port=1883,
    )


def test_an_agent_accepts_every_site_and_reads_each_device_once(city: Loaded) -> None:
    assert set(sites.gateways(city.scenario)) == {"nankai-1", "jizhou-1", "binhai-1"}
    read: list[str] = []
    for gateway in sites.gateways(city.scenario):
        config = EdgeConfig.model_validate(site_of(city, gateway))
        read += load_devices(config, Library())
        assert all(device.simulated for device in config.devices.values())
    assert sorted(read) == sorted(city.scenario.meters)


def test_a_meter_is_read_where_the_world_serves_it(city: Loaded) -> None:
    config = EdgeConfig.model_validate(
        site_of(city, "binhai-1", {"feed-meter": {"host": "127.0.0.1", "port": 5555, "unit_id": 7}})
    )
    bus = config.buses["feed-meter"]
    assert isinstance(bus, ModbusTcpConfig)
    assert (bus.port, config.devices["feed-meter"].unit_id) == (5555, 7)


def test_a_bin_is_weighed_by_its_gross_load_less_its_own_tare(city: Loaded) -> None:
    config = EdgeConfig.model_validate(site_of(city, "nankai-1"))
    weighed = {name: device.bin for name, device in config.devices.items()}
    for name, of in weighed.items():
        assert of is not None and of.tare_kg == city.scenario.bins[name].tare_kg
        assert of.weight == ("raw_count" if name == "bin-paper" else "gross_weight_kg")
        assert bool(of.calibrations) == (name == "bin-paper")
    assert isinstance(config.buses["bin-paper"], Hx711Config)
    assert [sites.on_pins(city.scenario, name) for name in ("nankai-1", "jizhou-1")] == [True, False]


def test_reports_of_gateways_are_added_up_by_key_and_cause() -> None:
    one = {"expected": 5, "delivered": 3, "missing": {"timeout": 1, "overrun": 1}}
    other = {"expected": 2, "delivered": 1, "missing": {"overrun": 1}}
    assert sites.added([one, other]) == {"expected": 7, "delivered": 4, "missing": {"timeout": 1, "overrun": 2}}
