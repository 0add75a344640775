"""Three days without the cloud on a spool that holds one: what is billed is exact, and the rest is accounted for."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from delivery_audit.days import Days
from delivery_audit.evidence import audit
from delivery_audit.ledger import Ledger
from series_store import names
from tests.faults.outage import HOUR_S, Outage, rolled_up
from tests.twins.clock import civil_ms
from tests.twins.loop import run_virtual

TOTALS = {("meter", "volume_m3"), ("meter", "energy_import_kwh"), ("bin", "mass_in_kg"), ("bin", "mass_out_kg")}
STATES = {("meter", "running")}
SPOOL_BYTES = 270_000


async def three_days(world: Outage) -> None:
    """Two hours of health, 72 hours of outage with a power cut and a dead scale in it, and the drain."""
    world.start()
    gateway = world.gateways[0]
    await asyncio.sleep(2.5 * HOUR_S)
    world.broker.cut_off.add(gateway.name)
    world.broker.drop()
    await world.kill_worker("w1")
    await asyncio.sleep(10 * HOUR_S)
    gateway.bus.silent.add(2)
    await asyncio.sleep(1.5 * HOUR_S)
    gateway.bus.silent.clear()
    await asyncio.sleep(20 * HOUR_S)
    await world.kill_gateway(gateway)
    await asyncio.sleep(400)
    world.start_gateway(gateway)
    await asyncio.sleep(72 * HOUR_S - 31.5 * HOUR_S - 400)
    assert gateway.agent is not None
    world.held = list(gateway.agent.spool.held)
    await world.settle(3 * HOUR_S)


class Seen:
    """What is left of an outage, for several tests."""

    def __init__(self, folder: Path) -> None:
        async def main() -> None:
            self.world = Outage(seed=7, folder=folder, spool_bytes_max=SPOOL_BYTES)
            await three_days(self.world)
            self.stored = await self.world.stored()
            self.rows = await rolled_up(self.world.store)
            self.whole = await rolled_up(await self.world.unbounded())
            days = Days(zone=UTC)
            self.ledger: Ledger = await audit(self.world.store, "gw-1", now_ms=civil_ms(), days=days)

        run_virtual(main())


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return Seen(tmp_path_factory.mktemp("outage"))


def test_the_spool_held_about_a_day_and_two_were_evicted(seen: Seen) -> None:
    assert seen.world.early == []
    digests = seen.world.digests()
    evicted = seen.world.evicted()
    assert seen.world.given_up <= evicted | digests.keys(), "deleted without a receipt and without a digest"
    assert len({run for run, _ in evicted}) == 2, "batches of both runs were evicted"
    assert len(evicted) > 48 * 12
    assert not any("disk_full" in account.fates for account in seen.ledger.accounts.values())


def test_totals_of_hours_and_days_are_those_of_all_readings(seen: Seen) -> None:
    checked: Counter[str] = Counter()
    for key, full in seen.whole.items():
        if key[2:] not in TOTALS:
            continue
        thin = seen.rows[key]
        for name in ("delta", "void", "odd", "gaps", "first_ms", "last_ms", "expected", "covered_s"):
            same = thin[name] == pytest.approx(full[name], rel=1e-12) if name == "delta" else thin[name] == full[name]
            assert same, f"{key} {name}: {thin[name]} instead of {full[name]}"
        assert total(thin) == total(full), key
        checked[key[0]] += 1
        checked["summarised"] += bool(thin["summarised"])
        checked["rollover"] += "rollover" in str(thin["odd"]) and bool(thin["summarised"])
    assert checked[names.ROLLUP_1H] > 4 * 72
    assert checked["summarised"] > 4 * 40
    assert checked["rollover"] >= 1, "it rolled over in an hour that was given up"


def total(row: dict[str, Any]) -> float:
    return float(row["readings"]) + float(row["summarised"])


def test_running_hours_are_those_of_all_readings(seen: Seen) -> None:
    hours = [key for key in seen.whole if key[2:] in STATES]
    for key in hours:
        thin, full = seen.rows[key], seen.whole[key]
        cells = ("mean", "min", "max", "covered_s", "void")
        assert [thin[name] for name in cells] == [full[name] for name in cells], key
    assert any(seen.rows[key]["summarised"] and 0 < float(seen.rows[key]["mean"]) < 1 for key in hours)


def test_a_gauge_keeps_its_extremes_and_its_mean_over_the_time_that_it_was_read(seen: Seen) -> None:
    checked = 0
    for key, full in seen.whole.items():
        if key[2:] not in {("meter", "level"), ("bin", "weight_kg")} or key[0] != names.ROLLUP_1H:
            continue
        thin = seen.rows[key]
        assert total(thin) == total(full)
        assert thin["covered_s"] == full["covered_s"], key
        assert (thin["min"], thin["max"]) == (full["min"], full["max"])
        # The end of an hour is a minute at most, of which the mean of the rest is taken.
        spread = float(full["max"]) - float(full["min"])
        assert thin["mean"] == pytest.approx(full["mean"], abs=max(spread / 30, 1e-6))
        checked += bool(thin["summarised"])
    assert checked > 80


def test_the_ledger_adds_up_and_tells_what_was_evicted_by_cause(seen: Seen) -> None:
    ledger = seen.ledger
    assert ledger.adds_up, ledger.unexplained
    assert ledger.surplus == ()
    for device in ("meter", "bin"):
        account = ledger.total([device])
        rows = sum(key[1] == device for key in seen.stored if not key[2].startswith("q_"))
        here = sum(1 for key in seen.stored if key[1] == device)
        assert account.fates["stored"] == here == rows
        assert account.fates["evicted"] == account.sampled - here > 0
    assert ledger.total(["bin"]).fates["timeout"] + ledger.total(["bin"]).fates["asleep"] > 0
    assert {gap.what for gap in ledger.gaps} <= {"evicted", "unsealed", "down", "silent"}


def test_start_and_schedule_of_a_run_outlive_the_batch_that_brought_them(seen: Seen) -> None:
    async def main() -> list[str]:
        return [json.loads(event.text)["run"] for event in await seen.world.store.events("start", 0, 2**50)]

    assert len(run_virtual(main())) == 2
