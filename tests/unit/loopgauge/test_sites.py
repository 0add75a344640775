"""The site files of the demo: what an agent accepts, and what the scenario says."""

from __future__ import annotations

from typing import Any

import pytest

from device_profiles.library import Library
from edge_agent.config import EdgeConfig, Hx711Config, ModbusTcpConfig
from edge_agent.site_plan import load_devices
from loopgauge.demo import sites
from simulators.checked_scenario import CheckedScenario
from simulators.load_scenario import Loaded, find, load_scenario

CELL = {"load_cell": {"zero_counts": 1, "counts_per_kg": 9}}


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
        seal_every_s=600,
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


def test_no_two_load_cells_of_a_gateway_share_a_pin() -> None:
    chips = {f"c{n}": {"profile": "avia-hx711", "fields": {"raw_count": "b.gross_kg"}, **CELL} for n in range(8)}
    bins = {"b": {"material": "paper", "capacity_kg": 100, "deposits_per_day": 50, "empty_hour": 5}}
    scenario = CheckedScenario.model_validate({"scenario": "chips", "bins": bins, "meters": chips})
    city = Loaded(scenario, {"avia-hx711": Library().load("avia-hx711")})
    config = EdgeConfig.model_validate(site_of(city, "gw-1"))
    buses = [bus for bus in config.buses.values() if isinstance(bus, Hx711Config)]
    pins = [pin for bus in buses for pin in (bus.dout_pin, bus.clock_pin, bus.door_pin)]
    assert len(buses) == 8 and len(set(pins)) == 24
    assert not {0, 1, 14, 15} & set(pins), "the pins of the board's own EEPROM and console"


def test_the_load_of_a_weighbridge_is_no_bins() -> None:
    city = load_scenario(find("tianjin-year"), Library().load)
    config = EdgeConfig.model_validate(site_of(city, "nankai-1"))
    assert config.devices["transfer-weighbridge"].bin is None


def test_reports_of_gateways_are_added_up_by_key_and_cause() -> None:
    one = {"expected": 5, "delivered": 3, "missing": {"timeout": 1, "overrun": 1}}
    other = {"expected": 2, "delivered": 1, "missing": {"overrun": 1}}
    assert sites.added([one, other]) == {"expected": 7, "delivered": 4, "missing": {"timeout": 1, "overrun": 2}}
