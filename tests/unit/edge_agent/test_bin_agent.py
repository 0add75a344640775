"""A gateway with a bin: its totals reach the store, count nothing twice and forget nothing when the power is cut."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from data_contract import receipt
from data_contract.control import Birth
from device_profiles.library import Library
from edge_agent.config import EdgeConfig
from edge_agent.errors import Fatal
from edge_agent.site_plan import load_devices
from tests.faults.world import World
from tests.twins.clock import civil_ms
from tests.twins.loop import run_virtual

BIN = {
    "weight": "level",
    "division_kg": 0.05,
    "calibrations": [{"id": "a", "from": "2020-01-01T00:00:00Z", "zero_counts": 0, "counts_per_kg": 10}],
}


def with_bin(world: World, **changes: Any) -> None:
    """The first device of the first gateway is a bin."""
    gateway = world.gateways[0]
    said = gateway.config.model_dump(by_alias=True)
    said["devices"]["meter-1"]["bin"] = {**BIN, **changes}
    gateway.config = EdgeConfig.model_validate(said)


class Load:
    """What stands on the scale, in counts, by a script of deposits and emptyings in civil time."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.steps: list[tuple[int, int]] = []
        content = 300
        self.put = self.taken = 0
        for n in range(1, 40):
            change = -content if n % 13 == 0 else chance.randrange(2, 60)
            content += change
            self.put, self.taken = self.put + max(0, change), self.taken - min(0, change)
            self.steps.append((n * 31_000, change))

    def counts(self, address: int, now_ms: int) -> int:
        if address != 2:
            return 0
        elapsed = now_ms - self.began
        return 300 + sum(change for at, change in self.steps if at <= elapsed)

    def start(self) -> None:
        self.began = civil_ms()


def test_totals_survive_power_cuts_and_each_kilogram_is_counted_once(tmp_path: Path) -> None:
    async def main() -> None:
        world, load = World(seed=5, folder=tmp_path), Load(5)
        with_bin(world)
        gateway = world.gateways[0]
        gateway.bus.units[1] = load.counts
        load.start()
        world.start()
        for seconds in (207, 333, 181, 77, 291):
            await asyncio.sleep(seconds)
            await world.kill_gateway(gateway)
            await asyncio.sleep(seconds % 17)
            world.start_gateway(gateway)
        await asyncio.sleep(300)
        await world.settle()
        stored = await world.stored()

        def column(of: str) -> list[float]:
            keys = sorted(key for key in stored if key[1] == "meter-1" and key[2] == of)
            return [stored[key] for key in keys]

        # Deposits that lie between the last rest and an emptying while no agent ran are not seen: none here.
        assert column("mass_in_kg")[-1] - column("mass_out_kg")[-1] == pytest.approx(column("weight_kg")[-1] - 30)
        assert column("mass_in_kg")[-1] == pytest.approx(load.put / 10)
        assert column("mass_out_kg")[-1] == pytest.approx(load.taken / 10)
        assert column("emptyings")[-1] == 3
        for total in ("mass_in_kg", "mass_out_kg", "emptyings"):
            values = column(total)
            assert values == sorted(values)
        assert len(column("weight_kg")) == len(column("level"))
        assert {key.measurement for key in await world.store.series() if key.device == "meter-1"} == {"bin"}

    run_virtual(main())


def test_a_bin_that_does_not_answer_misses_what_the_edge_would_have_made_too(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=6, folder=tmp_path)
        with_bin(world)
        gateway = world.gateways[0]
        world.start()
        await asyncio.sleep(60)
        gateway.bus.silent.add(1)
        await asyncio.sleep(60)
        await world.settle()
        said = [receipt.read(each.counts).devices["meter-1"] for each in await world.store.receipts(0, 10_000)]
        missing = sum(about.counts["main"][2].get("timeout", 0) for about in said if "main" in about.counts)
        assert missing > 0
        assert missing % 6 == 0

    run_virtual(main())


def test_the_birth_names_what_a_bin_adds(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=7, folder=tmp_path)
        with_bin(world)
        world.start()
        await asyncio.sleep(20)
        agent = world.gateways[0].agent
        assert agent is not None
        birth = Birth.model_validate_json(agent._birth())
        assert birth.devices["meter-1"].kind == "bin"
        assert birth.devices["meter-1"].fields["mass_in_kg"].unit == "kg"
        await world.settle()

    run_virtual(main())


@pytest.mark.parametrize(
    "device, mend",
    [
        ({"bin": {"weight": "load_kg"}}, "bin.weight: 'load_kg' is not read from this device"),
        ({"bin": {"weight": "volume_m3"}}, "run `loopgauge edge calibrate`"),
        ({"fields": ["flow_m3_h"], "bin": {"weight": "volume_m3"}}, "add it to its fields"),
    ],
)
def test_a_bin_on_what_is_no_scale_is_refused(device: dict[str, Any], mend: str) -> None:
    config = EdgeConfig.model_validate(
        {
            "gateway": "g",
            "spool": {"file": "s"},
            "uplink": {"host": "localhost"},
            "buses": {"b": {"type": "modbus_tcp", "host": "localhost"}},
            "devices": {"m": {"profile": "tuf-2000m", "bus": "b", **device}},
        }
    )
    with pytest.raises(Fatal, match=r"devices\.m\.bin") as error:
        load_devices(config, Library())
    assert mend in str(error.value)
