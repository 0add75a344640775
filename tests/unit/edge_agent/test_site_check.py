"""`edge check` finds what would otherwise be found on a ladder: each mistake on one line, with its mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_profiles.library import Library
from edge_agent.commission.line_load import character_s, request_s, share
from edge_agent.config import ModbusRtuConfig
from edge_agent.read.planner import Request
from loopgauge.cli.main import main

SCALE = """\
profile: pin-scale
version: 1
title: Scale on pins
maker: none
model: none
kind: scale
modbus: {unit_id: 1}
groups: {main: {every_s: 10}}
fields:
  raw_count: {table: holding, address: 0, type: i32, unit: "1", kind: gauge}
  door_open: {table: holding, address: 2, type: u16, unit: "1", kind: state}
verified: {confidence: L, document: made for a test}
"""
SITE = """\
gateway: plant-1
spool: {file: /var/lib/loopgauge/spool.db}
uplink: {host: localhost}
buses:
  net: {type: modbus_tcp, host: 192.0.2.10}
  line: {type: modbus_rtu, port: /dev/ttyUSB0}
  scale: {type: hx711, dout_pin: 5, clock_pin: 6, door_pin: 13}
devices:
  net-meter: {profile: tuf-2000m, bus: net}
  flow-meter: {profile: tuf-2000m, bus: line}
  flow-meter-2: {profile: tuf-2000m, bus: line, unit_id: 2}
  bin:
    profile: pin-scale
    bus: scale
    bin:
      weight: raw_count
      door: door_open
      calibrations:
        - {id: a, from: "2026-11-01T08:00:00+08:00", zero_counts: 84210, counts_per_kg: 20500}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    (tmp_path / "profiles" / "pin-scale").mkdir(parents=True)
    (tmp_path / "profiles" / "pin-scale" / "profile.yaml").write_text(SCALE)
    return path


def check(site: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], list[str]]:
    """Exit code, what it prints, and its complaints without the file's name."""
    code = main(["edge", "check", str(site), "--profiles", str(site.parent / "profiles")])
    said = capsys.readouterr()
    assert all(line.startswith(f"loopgauge: {site}") for line in said.err.splitlines()), said.err
    return code, said.out.splitlines(), [line.partition("site.yaml:")[2] for line in said.err.splitlines()]


def test_a_sound_site_is_good_and_nothing_is_said_against_it(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, complaints = check(site, capsys)
    assert (code, complaints) == (0, [])
    assert said[-1] == f"{site}: good"
    assert [line.partition(" ")[0] for line in said[:-1]] == [
        "net-meter",
        "net-meter",
        "flow-meter",
        "flow-meter",
        "flow-meter-2",
        "flow-meter-2",
        "bin",
    ]


ERRORS = [
    ("bus: net}", "bus: nett}", "9: devices.net-meter.bus: there is no bus 'nett'; did you mean net?"),
    ("bus: net}", "bus: x}", "9: devices.net-meter.bus: there is no bus 'x'; the buses are net, line, scale"),
    ("  net-meter:", "  gateway:", "9: devices.gateway: this id is the gateway's own; choose another"),
    (
        "{profile: tuf-2000m, bus: net}",
        "{profile: tuf-2000, bus: net}",
        "9: devices.net-meter.profile: no such profile: tuf-2000; did you mean tuf-2000m?",
    ),
    ("bus: net}", "bus: net, untid_id: 4}", "9: devices.net-meter.untid_id: unknown key; did you mean unit_id?"),
    (
        "bus: net}",
        "bus: net, fields: [flow_m3_h, volume_m]}",
        "9: devices.net-meter.fields[1]: tuf-2000m has no field 'volume_m'; did you mean volume_m3?",
    ),
    (
        "bus: net}",
        "bus: net, fields: []}",
        "9: devices.net-meter.fields: nothing is read from this device; name fields, or leave the key out",
    ),
    (
        "bus: net}",
        "bus: net, fields: [flow_m3_h, flow_m3_h]}",
        "9: devices.net-meter.fields: 'flow_m3_h' stands there 2 times; once is enough",
    ),
    (
        "bus: net}",
        "bus: net, every_s: {mian: 5}}",
        "9: devices.net-meter.every_s.mian: tuf-2000m has no poll group 'mian'; did you mean main?",
    ),
    (
        "unit_id: 2",
        "unit_id: 1",
        "11: devices.flow-meter-2.unit_id: flow-meter on line has unit id 1 too; "
        "give each device its own, here and on the device",
    ),
    (
        ", unit_id: 2",
        "",
        "11: devices.flow-meter-2: flow-meter on line has unit id 1 too, which is this profile's; "
        "set another on the device, and give it here as `unit_id`",
    ),
    (
        "unit_id: 2",
        "unit_id: 0",
        "11: devices.flow-meter-2.unit_id: on a serial line no device answers to unit id 0; "
        "write the device's own, 1 to 247",
    ),
    (
        "unit_id: 2",
        "unit_id: 2, every_s: {main: 0.05}",
        "6: buses.line: what is asked takes 109% of the time of this line at 9600 baud; "
        "longer `every_s`, fewer `fields`, more baud, or a second line",
    ),
    (
        "weight: raw_count",
        "weight: raw_cuont",
        "16: devices.bin.bin.weight: pin-scale has no field 'raw_cuont'; did you mean raw_count?",
    ),
    (
        "door: door_open",
        "door: lid",
        "17: devices.bin.bin.door: pin-scale has no field 'lid'; it has raw_count, door_open",
    ),
    (
        "    bin:\n",
        "    fields: [raw_count]\n    bin:\n",
        "18: devices.bin.bin.door: 'door_open' is not among the fields that are read; add it to `fields`",
    ),
    (
        "      calibrations:\n"
        '        - {id: a, from: "2026-11-01T08:00:00+08:00", zero_counts: 84210, counts_per_kg: 20500}\n',
        "",
        "15: devices.bin.bin: raw_count is in 1, not kg, and there is no calibration; "
        "add what `loopgauge edge calibrate` prints",
    ),
    (
        "    bus: scale\n",
        "    bus: scale\n    every_s: {main: 0.3}\n",
        "15: devices.bin.every_s.main: every 0.3 s, but 4 conversions at 10 Hz take longer; write 0.4 or more",
    ),
    (
        ", door_pin: 13",
        "",
        "12: devices.bin.fields: door_open is read, but scale has no door contact; "
        "add `door_pin` to the bus, or read `fields: [raw_count]` only",
    ),
    (
        "bus: net}",
        "bus: scale}",
        "9: devices.net-meter.bus: velocity_m_s of tuf-2000m is not what an HX711 gives, and scale is one; "
        "give the bus that the device is wired to",
    ),
    (
        "devices:\n",
        "  line-2: {type: modbus_rtu, port: /dev/ttyUSB0}\ndevices:\n",
        "8: buses.line-2.port: the bus line has this already; put its devices on that bus",
    ),
    (
        "devices:\n",
        "  scale-2: {type: hx711, dout_pin: 17, clock_pin: 5}\ndevices:\n",
        "8: buses.scale-2.clock_pin: the bus scale has this already; choose another pin",
    ),
]


@pytest.mark.parametrize("old, new, said", ERRORS, ids=[f"{n}-{e[2].split(':')[1]}" for n, e in enumerate(ERRORS)])
def test_a_mistake_is_named_with_line_key_and_mend(
    old: str, new: str, said: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = site.read_text()
    assert text.count(old) == 1
    site.write_text(text.replace(old, new))
    code, out, complaints = check(site, capsys)
    assert (code, out) == (2, [])
    assert said in complaints


def test_all_mistakes_are_said_at_once(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = site.read_text()
    site.write_text(text.replace("unit_id: 2", "unit_id: 1").replace("weight: raw_count", "weight: x"))
    code, _, complaints = check(site, capsys)
    assert code == 2
    assert [line.split(": ")[1] for line in complaints] == ["devices.bin.bin.weight", "devices.flow-meter-2.unit_id"]


WARNINGS = [
    (
        "port: /dev/ttyUSB0",
        "port: /dev/ttyUSB0, baud: 2400",
        "10: devices.flow-meter: leaves the factory with 9600 N1, but line has 2400 N1; "
        "make sure that it has been set so (warning)",
    ),
    (
        "unit_id: 2",
        "unit_id: 2, every_s: {main: 0.09}",
        "6: buses.line: what is asked takes about 84% of the time of this line at 9600 baud, answers after 0.02 s; "
        "longer `every_s`, fewer `fields`, more baud, or a second line (warning)",
    ),
    (
        "devices:\n",
        "  net-2: {type: modbus_tcp, host: 192.0.2.10}\ndevices:\n",
        "8: buses.net-2.host: the bus net has this already; put its devices on that bus (warning)",
    ),
]


@pytest.mark.parametrize("old, new, said", WARNINGS, ids=["factory-settings", "busy-line", "second-connection"])
def test_what_may_be_meant_is_a_warning_and_the_file_is_good(
    old: str, new: str, said: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write_text(site.read_text().replace(old, new))
    code, out, complaints = check(site, capsys)
    assert code == 0
    assert out[-1] == f"{site}: good"
    assert said in complaints


def test_a_request_takes_the_time_of_its_characters_and_of_the_silence_around_them() -> None:
    line = ModbusRtuConfig(type="modbus_rtu", port="x", baud=9600)
    assert character_s(line) == pytest.approx(10 / 9600)
    # 8 characters there, 5 + 2 x 10 back, 3.5 of silence after each: 40 of 1.0417 ms.
    assert request_s(Request("input", 0, 10, ("x",)), line) == pytest.approx(0.0416667, abs=1e-6)
    fast = ModbusRtuConfig(type="modbus_rtu", port="x", baud=115_200, parity="E", stop_bits=1)
    assert request_s(Request("input", 0, 10, ("x",)), fast) == pytest.approx(33 * 11 / 115_200 + 2 * 0.00175)


def test_a_line_on_which_a_round_outlasts_two_seal_intervals_is_told_how_to_read_its_last_device(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = site.read_text().replace("port: /dev/ttyUSB0", "port: /dev/ttyUSB0, baud: 1200")
    for seal_every_s, warned in ((1, True), (2, False)):
        site.write_text(f"seal_every_s: {seal_every_s}\n{text}")
        code, _, complaints = check(site, capsys)
        assert code == 0
        problem = (
            "1: seal_every_s: to ask for everything once takes about 2.4 s on line; what comes last is given up by then"
        )
        assert (f"{problem}; set it to 2 or more (warning)" in complaints) is warned


def test_nothing_asked_is_no_load() -> None:
    assert share([], ModbusRtuConfig(type="modbus_rtu", port="x"), turnaround_s=1) == 0


def test_a_profile_that_is_broken_is_named_with_its_own_file_and_line(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = site.parent / "profiles" / "pin-scale" / "profile.yaml"
    profile.write_text(profile.read_text().replace("address: 2", "address: 1"))
    assert main(["edge", "check", str(site), "--profiles", str(site.parent / "profiles")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"loopgauge: {profile}:11: ")
    assert Library(site.parent / "profiles").folder("pin-scale") == profile.parent
