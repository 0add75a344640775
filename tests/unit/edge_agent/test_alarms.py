"""A value beyond its limit is sealed and sent at once, told once, and over when it has been back for a while."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError

from data_contract.batch import Record
from data_contract.reading import Quality, is_id
from edge_agent.config import LimitConfig
from edge_agent.errors import Fatal
from edge_agent.keep.alarms import ALARM, CLEAR_AFTER_MS, HELD, Alarms, Limit, read_held, write_held
from edge_agent.keep.index import SEQ_MAX
from edge_agent.send.lanes import ALARMS_MAX
from edge_agent.site_plan import load_devices
from tests.faults.world import PROFILE, Gateway, World, body_of
from tests.twins.clock import ORIGIN_MS
from tests.twins.loop import run_virtual


def alarms(low: float | None = None, high: float | None = 10.0, clear_by: float = 2.0) -> Alarms:
    return Alarms({("pump", "level"): Limit(low, high, clear_by)})


def look(one: Alarms, at_s: float, value: float | None, quality: Quality = Quality.GOOD) -> list[str]:
    found = one.look("pump", int(at_s * 1000), [("other", 1e9, Quality.GOOD), ("level", value, quality)])
    return [str(record.data["state"]) for record in found]


def test_a_limit_is_told_once_when_it_is_crossed_and_once_when_that_is_over() -> None:
    one = alarms()
    said = [state for at, value in enumerate([9, 10, 10.1, 50, 9, 7] + [7.9] * 70) for state in look(one, at, value)]
    assert said == ["raised", "cleared"]


def test_a_value_that_dances_on_its_limit_costs_two_records_a_minute_at_most() -> None:
    one = alarms(clear_by=0)
    said = [state for at in range(3600) for state in look(one, at, 10 + (-1) ** at)]
    assert len(said) == 1
    said = [state for at in range(3600, 7200) for state in look(one, at, 20 if at % 62 == 0 else 0)]
    assert len(said) <= 2 * 3600 / (CLEAR_AFTER_MS / 1000)


def test_back_within_but_not_by_enough_is_not_over() -> None:
    one = alarms()
    assert look(one, 0, 11) == ["raised"]
    assert [look(one, at, 9) for at in range(1, 200)] == [[]] * 199


@pytest.mark.parametrize("value, quality", [(None, Quality.INVALID), (99.0, Quality.INVALID)])
def test_what_is_missing_or_not_good_neither_raises_nor_clears(value: float | None, quality: Quality) -> None:
    one = alarms()
    assert look(one, 0, value, quality) == []
    assert look(one, 1, 11) == ["raised"]
    assert [look(one, at, value, quality) for at in range(2, 200)] == [[]] * 198


def test_a_lower_limit_holds_downwards() -> None:
    one = alarms(low=2.0, high=None)
    assert look(one, 0, 2.0) == []
    assert look(one, 1, 1.9) == ["raised"]
    assert look(one, 70, 3.9) == []
    assert look(one, 131, 4.0) == ["cleared"]


def test_the_spools_note_of_alarms_is_read_as_it_was_written_and_what_is_no_such_note_says_nothing() -> None:
    spans = [("a" * 32, 3, 3), ("b" * 32, 1, 5)]
    assert read_held(write_held(spans)) == spans
    worst = [(f"{run:032x}", SEQ_MAX, SEQ_MAX) for run in range(ALARMS_MAX)]
    assert read_held(write_held(worst)) == worst
    for text in ("", "[", "7", "null", '[["r"]]', '[["r",1]]', '[["r","x",2]]', '[["r",1e999,2]]', '{"a":1}'):
        assert read_held(text) == []
    for first, last in ((0, 1), (-5, 2), (3, 2), (1, 2**70)):
        assert read_held(write_held([("r", first, last), *spans])) == spans
    assert not is_id(HELD), "a device could have this name"


def limited(gateway: Gateway, **limit: float) -> None:
    device = gateway.config.devices["meter-1"].model_copy(update={"alarms": {"level": LimitConfig(**limit)}})
    gateway.config = gateway.config.model_copy(update={"devices": {**gateway.config.devices, "meter-1": device}})


def told(gateway: Gateway) -> list[tuple[int, int, Record]]:
    """(from, to, record) of every alarm that was sealed."""
    bodies = [body_of(sealed.body) for sealed in gateway.sealed.values()]
    return [(body.from_, body.to, record) for body in bodies for record in body.records if record.kind == ALARM]


def test_an_alarm_is_in_the_store_a_second_after_it_was_read_with_the_instant_of_its_sample(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        gateway = world.gateways[0]
        limited(gateway, above=6000)
        uplink = gateway.config.uplink.model_copy(update={"send_every_s": 60.0})
        gateway.config = gateway.config.model_copy(update={"uplink": uplink})
        level = gateway.bus.units[1]
        gateway.bus.units[1] = lambda at, now: 7000 if at == 2 and now >= ORIGIN_MS + 213_000 else level(at, now)
        world.start()
        await asyncio.sleep(213)
        assert told(gateway) == []
        sent = len(world.broker.data_messages)
        await asyncio.sleep(3.5)
        ((from_, to, record),) = told(gateway)
        assert (record.device, record.values) == ("meter-1", {"value": 7000.0, "limit": 6000.0})
        assert record.data == {"field": "level", "state": "raised"}
        zero = gateway.clock.booted_ms
        assert zero + from_ + record.t == pytest.approx(215_000, abs=50)
        assert to - from_ < 10_000, "the seal waited for the end of its interval"
        assert len(world.broker.data_messages) == sent + 1, "the alarm waits for the minute's message"
        (key,) = [key for key, sealed in gateway.sealed.items() if body_of(sealed.body).to == to]
        assert key in world.receipted
        await world.settle(300)
        assert await world.stored() == world.sealed_readings(gateway)

    run_virtual(main())


def test_an_alarm_does_not_wait_for_the_budget(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(seed=1, folder=tmp_path)
        gateway = world.gateways[0]
        limited(gateway, above=6000)
        uplink = gateway.config.uplink.model_copy(update={"bytes_per_s_max": 20.0})
        gateway.config = gateway.config.model_copy(update={"uplink": uplink})
        level = gateway.bus.units[1]
        gateway.bus.units[1] = lambda at, now: 7000 if at == 2 and now >= ORIGIN_MS + 613_000 else level(at, now)
        world.start()
        await asyncio.sleep(620)
        assert gateway.agent is not None
        assert len(gateway.agent.spool.held) > 20, "the budget does not bite"
        ((_, to, _),) = told(gateway)
        seqs = [seq for (_, seq), sealed in gateway.sealed.items() if (body_of(sealed.body).to) == to]
        assert any(f"-{seqs[0]} ".encode() in message[:80] for message in world.broker.data_messages)
        await world.kill_gateway(gateway)

    run_virtual(main())


def test_a_limit_that_cannot_be_meant_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="sets no limit"):
        LimitConfig()
    with pytest.raises(ValidationError, match="never be over"):
        LimitConfig(above=10, below=9, clear_by=1)
    world = World(seed=1, folder=tmp_path)
    gateway = world.gateways[0]
    device = gateway.config.devices["meter-1"].model_copy(update={"alarms": {"lvl": LimitConfig(above=1)}})
    config = gateway.config.model_copy(update={"devices": {"meter-1": device}})

    class Shelf:
        def folder(self, name: str) -> None: ...

        def load(self, name: str) -> object:
            return PROFILE

    with pytest.raises(Fatal, match=r"devices\.meter-1\.alarms\.lvl: 'lvl' is not read from this device; it has total"):
        load_devices(config, Shelf())  # type: ignore[arg-type]
