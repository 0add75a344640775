"""A technician's look: what is dead does not hide what lives, and what is shown is what was on the wire."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from data_contract.calibration import Calibration
from data_contract.cause import Missing
from data_contract.reading import Quality
from device_profiles.library import Library
from edge_agent.commission.advice import advise
from edge_agent.commission.read_once import DeviceRead, Miss, Reader, Target, read_on, read_once
from edge_agent.commission.read_table import as_data, as_text, summary
from edge_agent.config import BinConfig, EdgeConfig, Hx711Config, ModbusRtuConfig, ModbusTcpConfig
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Bus, Civil, Talk, unheeded
from edge_agent.read.rtu import ModbusRtuBus
from edge_agent.site_plan import load_devices, plans_of
from tests.ports.rtu_line import RtuLine
from tests.twins.bus import BusTwin
from tests.twins.clock import civil_ms
from tests.twins.loop import run_virtual

LINE = {"type": "modbus_tcp", "host": "192.0.2.10"}
FIELDS = ("voltage_l1_v", "voltage_l2_v", "frequency_hz")
METER: dict[str, object] = {"profile": "eastron-sdm630", "bus": "line", "fields": FIELDS}


def site(**devices: Mapping[str, object]) -> EdgeConfig:
    return EdgeConfig.model_validate(
        {
            "gateway": "g1",
            "spool": {"file": "/nowhere"},
            "uplink": {"host": "localhost"},
            "buses": {"line": LINE, "other": {**LINE, "port": 1502}},
            "devices": devices,
        }
    )


def targets(config: EdgeConfig) -> list[Target]:
    devices = load_devices(config, Library())
    return [
        Target(name, of.bus, profile, tuple(plans_of(name, of, profile))) for name, (of, profile) in devices.items()
    ]


def floats(values: dict[int, float]) -> dict[int, int]:
    """Registers that hold float32, most significant word first."""
    words = {}
    for address, value in values.items():
        words[address], words[address + 1] = struct.unpack(">HH", struct.pack(">f", value))
    return words


METER_WORDS = floats({0: 230.5, 2: 231.25, 70: 50.0})


def meter(address: int, _t_ms: int) -> int:
    return METER_WORDS.get(address, 0)


def reader(heard: list[DeviceRead], buses: dict[str, Bus]) -> Reader:
    return Reader(buses, lambda: Civil(civil_ms(), True), heard.append)


def look(config: EdgeConfig, **buses: Bus) -> tuple[list[DeviceRead], float]:
    """What is read, and how many seconds it took."""

    async def main() -> tuple[list[DeviceRead], float]:
        heard: list[DeviceRead] = []
        await read_once(targets(config), reader(heard, buses))
        return heard, asyncio.get_running_loop().time()

    return run_virtual(main())


def shown(config: EdgeConfig, read: DeviceRead) -> list[str]:
    return as_text(read, bus=config.buses[read.bus]).splitlines()


def test_a_meter_is_shown_with_value_unit_quality_and_the_words_that_were_on_the_wire() -> None:
    config = site(m1=METER)
    (read,), _ = look(config, line=BusTwin(units={1: meter}))
    assert shown(config, read) == [
        "m1: Three-phase energy meter (eastron-sdm630), unit 1 on line",
        "  FIELD         VALUE   UNIT  QUALITY  REGISTER  RAW WORDS",
        "  voltage_l1_v  230.5   V     good     input 0   4366 8000",
        "  voltage_l2_v  231.25  V     good     input 2   4367 4000",
        "  frequency_hz  50      Hz    good     input 70  4248 0000",
    ]
    assert summary([read]) == "3 of 3 fields read"


def test_a_dead_device_does_not_keep_the_next_one_from_being_read() -> None:
    config = site(dead={**METER, "unit_id": 9}, alive=METER)
    twin = BusTwin(units={1: meter, 9: meter})
    twin.silent = {9}
    (dead, alive), took_s = look(config, line=twin)
    assert shown(config, dead) == [
        "dead: not read: no answer (timeout, unit 9 on line); "
        "check unit id 9 on the device; behind a converter also A and B, baud rate and parity"
    ]
    assert [each.value for each in alive.values] == [230.5, 231.25, 50.0]
    assert took_s < 2.2, "two time-outs of a second, whatever the number of its requests"
    assert summary([dead, alive]) == "3 of 6 fields read; not all of dead"


class Losing(BusTwin):
    """Loses the answers to some of its requests, by number from 0."""

    def __init__(self, lost: Sequence[int]) -> None:
        super().__init__(units={1: meter})
        self.lost, self.asked = set(lost), 0

    async def answer(self, ask: Ask) -> Answer:
        number, self.asked = self.asked, self.asked + 1
        if number in self.lost:
            return NotSampled(Missing.TIMEOUT, f"lost {number}")
        return await super().answer(ask)


def test_one_answer_lost_to_noise_is_asked_for_again() -> None:
    (read,), _ = look(site(m1=METER), line=Losing([0, 2]))
    assert len(read.values) == 3 and not read.misses


def test_a_device_that_falls_silent_on_the_way_shows_what_it_had_said() -> None:
    config = site(m1=METER)
    (read,), _ = look(config, line=Losing([1, 2]))
    assert [each.field for each in read.values] == ["voltage_l1_v", "voltage_l2_v"]
    assert shown(config, read)[-1].startswith("m1: frequency_hz not read: lost 1 (timeout, unit 1 on line); check ")


def test_what_a_device_refuses_does_not_hide_what_it_gives() -> None:
    class Refusing(BusTwin):
        async def answer(self, ask: Ask) -> Answer:
            if ask.address == 0:
                return NotSampled(Missing.EXCEPTION, "exception 2 at input 0")
            return await super().answer(ask)

    config = site(m1=METER)
    (read,), _ = look(config, line=Refusing(units={1: meter}))
    assert [each.field for each in read.values] == ["frequency_hz"]
    assert shown(config, read)[-1] == (
        "m1: voltage_l1_v, voltage_l2_v not read: exception 2 at input 0 (exception, unit 1 on line); check profile "
        "and model: the device has no such register; `fields:` of the site file reads only the others"
    )


def test_a_value_that_the_device_does_not_have_is_no_number() -> None:
    config = site(m1={**METER, "fields": ["voltage_l1_v"]})
    (read,), _ = look(config, line=BusTwin(units={1: lambda address, _: (0x7FC0, 0)[address]}))
    assert shown(config, read)[-1] == "  voltage_l1_v  -      V     invalid  input 0   7FC0 0000"
    assert as_data(read, bus=config.buses["line"])["values"] == [
        {
            "field": "voltage_l1_v",
            "group": "main",
            "value": None,
            "unit": "V",
            "quality": "invalid",
            "table": "input",
            "address": 0,
            "words": ["7FC0", "0000"],
        }
    ]


def test_a_bus_that_never_comes_back_ends_in_finite_time_and_holds_up_no_other() -> None:
    class Hung(BusTwin):
        async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
            await asyncio.Event().wait()

    config = site(stuck=METER, m1={**METER, "bus": "other"})
    (alive, stuck), took_s = look(config, line=Hung(units={}), other=BusTwin(units={1: meter}))
    assert alive.device == "m1" and not alive.misses
    assert stuck.misses == (Miss(FIELDS, Missing.BUS_DOWN, "the bus gave no answer at all within 14 s"),)
    assert took_s == pytest.approx(14.0)


def test_groups_are_read_at_their_own_intervals_until_it_is_stopped() -> None:
    config = site(m1={"profile": "tuf-2000m", "bus": "line", "every_s": {"main": 10, "diagnosis": 60}})
    heard: list[DeviceRead] = []

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(125):
                await read_on(targets(config), reader(heard, {"line": BusTwin(units={1: lambda *_: 0})}))

    run_virtual(main())
    groups = [{each.group for each in read.values} for read in heard]
    assert len(groups) == 13
    assert [n for n, each in enumerate(groups) if "diagnosis" in each] == [0, 6, 12]
    assert all("main" in each for each in groups)


def test_turns_that_a_silent_device_cost_are_not_caught_up_with() -> None:
    config = site(m1={**METER, "every_s": {"main": 0.5}})
    heard: list[DeviceRead] = []
    twin = BusTwin(units={1: meter})
    twin.silent = {1}

    async def main() -> None:
        asyncio.get_running_loop().call_later(9.9, twin.silent.clear)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20.1):
                await read_on(targets(config), reader(heard, {"line": twin}))

    run_virtual(main())
    # Five turns of two seconds' silence, then one every half second from 10.0 to 20.0 s.
    assert [len(read.misses) for read in heard] == [1] * 5 + [0] * 21


def test_a_bin_shows_its_content_beside_what_the_scale_says() -> None:
    calibration = Calibration.model_validate(
        {"id": "a", "from": "2026-01-01T00:00:00Z", "zero_counts": 30.0, "counts_per_kg": 2.0}
    )
    of = BinConfig(weight="voltage_l1_v", tare_kg=20.0, calibrations=(calibration,))
    config = site(m1={**METER, "bin": of.model_dump(mode="json", by_alias=True)})
    (read,), _ = look(config, line=BusTwin(units={1: meter}))
    assert shown(config, read)[4] == "  weight_kg     80.25   kg    good     input 0   -"
    assert [(each.field, each.value) for each in read.values if not each.words] == [("weight_kg", 80.25)]


TCP = ModbusTcpConfig(type="modbus_tcp", host="192.0.2.10", port=1502)
RTU = ModbusRtuConfig(type="modbus_rtu", port="/dev/ttyUSB0", baud=2400, parity="E")
PINS = Hx711Config(type="hx711", dout_pin=5, clock_pin=6, door_pin=13)
ADVICE = [
    (TCP, Missing.BUS_DOWN, "", "ping 192.0.2.10"),
    (TCP, Missing.BUS_DOWN, "", "port 1502"),
    (TCP, Missing.TIMEOUT, "", "unit id 7"),
    (TCP, Missing.EXCEPTION, "exception 11 at holding 0", "behind the converter"),
    (TCP, Missing.EXCEPTION, "not 2 registers at holding 0", "manual"),
    (RTU, Missing.BUS_DOWN, "", "/dev/ttyUSB0"),
    (RTU, Missing.BUS_DOWN, "", "dialout"),
    (RTU, Missing.TIMEOUT, "", "2400 baud, E, 1 stop"),
    (RTU, Missing.TIMEOUT, "", "unit id 7"),
    (RTU, Missing.BUS_DOWN, "No module named 'serial'", "pip install 'loopgauge[edge]'"),
    (PINS, Missing.TIMEOUT, "", "DOUT on GPIO 5, PD_SCK on GPIO 6, door on GPIO 13"),
    (PINS, Missing.BUS_DOWN, "Unable to load any default pin factory!", "apt install python3-lgpio"),
    (PINS, Missing.EXCEPTION, "an HX711 has holding registers 0 to 2 only", "profile"),
]


@pytest.mark.parametrize("bus, cause, detail, named", ADVICE)
def test_the_advice_names_what_this_bus_can_have_wrong(
    bus: ModbusTcpConfig | ModbusRtuConfig | Hx711Config, cause: Missing, detail: str, named: str
) -> None:
    said = advise(Miss(("x",), cause, detail), unit=7, bus=bus)
    assert named in said
    assert "\n" not in said and "{" not in said


def test_every_quality_has_a_word() -> None:
    assert [each.name.lower() for each in Quality] == ["good", "uncertain", "out_of_range", "invalid", "saturated"]


def test_on_a_serial_line_a_wrong_unit_id_costs_its_neighbour_nothing(tmp_path: Path) -> None:
    port = tmp_path / "line"
    config = EdgeConfig.model_validate(
        {
            "gateway": "g1",
            "spool": {"file": "/nowhere"},
            "uplink": {"host": "localhost"},
            "buses": {"line": {"type": "modbus_rtu", "port": str(port), "baud": 115_200}},
            "devices": {"wrong-id": {**METER, "unit_id": 9}, "m1": METER},
        }
    )

    async def main() -> list[DeviceRead]:
        line = RtuLine(lambda _unit, address: METER_WORDS.get(address, 0), port=port)
        line.silent = {9}
        await line.start()
        heard: list[DeviceRead] = []
        bus = ModbusRtuBus(port=str(port), baud=115_200, parity="N", stop_bits=1)
        try:
            await read_once(targets(config), reader(heard, {"line": bus}))
        finally:
            await bus.close()
            await line.stop()
        return heard

    wrong, right = asyncio.run(main())
    assert shown(config, wrong) == [
        "wrong-id: not read: no answer within 1 s (timeout, unit 9 on line); check power, A and B, unit id 9, and that "
        "the device is set to 115200 baud, N, 1 stop; no agent may be on the same line"
    ]
    assert [each.value for each in right.values] == [230.5, 231.25, 50.0]
    assert not right.misses
