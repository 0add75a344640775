"""What to look at when a device does not answer, in the words of somebody who has the screwdriver in hand. Pure."""

from __future__ import annotations

import re

from data_contract.cause import Missing
from edge_agent.commission.read_once import Miss
from edge_agent.config import BusConfig, Hx711Config, ModbusRtuConfig, ModbusTcpConfig

_CODE = re.compile(r"\bexception (\d+)\b")

_EXCEPTIONS = {
    1: "the profile: the device does not know this function",
    2: "profile and model: the device has no such register; `fields:` of the site file reads only the others",
    3: "the profile: the device does not let so many registers be read at once",
    4: "the device's own display for a failure, and unit id {unit}",
    6: "again in a moment: the device is busy",
    10: "unit id {unit}, and the settings of the converter: it has no way to this device",
    11: "unit id {unit}, and the wiring behind the converter: no device answers there",
}
"""Exception codes of the Modbus Application Protocol V1.1b3, section 7."""

_INSTALLATION = {
    "No module named": "the installation: pip install 'loopgauge[edge]'",
    "pin factory": "the installation: sudo apt install python3-lgpio, and a venv made with --system-site-packages",
}
"""What Python and gpiozero say where a library is not there."""


def advise(miss: Miss, *, unit: int, bus: BusConfig) -> str:
    """What to check, as the end of a line."""
    for sign, advice in _INSTALLATION.items():
        if sign in miss.detail:
            return advice
    if miss.cause is Missing.EXCEPTION and isinstance(bus, Hx711Config):
        return "profile and `fields` of the device, and the pins of its bus"
    if miss.cause is Missing.EXCEPTION:
        code = _CODE.search(miss.detail)
        said = _EXCEPTIONS.get(int(code[1]) if code else 0, "the profile, and this answer in the device's manual")
        return said.format(unit=unit)
    away = miss.cause is Missing.BUS_DOWN
    match bus:
        case ModbusTcpConfig():
            return _network(bus) if away else _behind(unit)
        case ModbusRtuConfig():
            return _port(bus) if away else _line(bus, unit)
        case Hx711Config():
            return _pins(bus)


def _network(bus: ModbusTcpConfig) -> str:
    return (
        f"power, network (ping {bus.host}) and port {bus.port}; "
        "where an agent runs, stop it first: many meters admit one connection only"
    )


def _behind(unit: int) -> str:
    return f"unit id {unit} on the device; behind a converter also A and B, baud rate and parity"


def _port(bus: ModbusRtuConfig) -> str:
    return (
        f"that {bus.port} is there (ls -l /dev/serial/by-id), that this user is in the group dialout, "
        "and that no agent has it open"
    )


def _line(bus: ModbusRtuConfig, unit: int) -> str:
    return (
        f"power, A and B, unit id {unit}, and that the device is set to "
        f"{bus.baud} baud, {bus.parity}, {bus.stop_bits} stop; no agent may be on the same line"
    )


def _pins(bus: Hx711Config) -> str:
    door = "" if bus.door_pin is None else f", door on GPIO {bus.door_pin}"
    return (
        f"3.3 V and GND, DOUT on GPIO {bus.dout_pin}, PD_SCK on GPIO {bus.clock_pin}{door}; "
        "that this user is in the group gpio, and that no agent holds the pins"
    )
