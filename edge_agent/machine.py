"""What a site file names on this machine: its buses and its secret."""

from __future__ import annotations

from pathlib import Path

from edge_agent.config import BusConfig, EdgeConfig, Hx711Config, ModbusRtuConfig, ModbusTcpConfig
from edge_agent.errors import Fatal
from edge_agent.ports import Bus
from edge_agent.read.modbus import ModbusTcpBus
from edge_agent.read.pseudonym import KEY_BYTES_MIN
from yaml_models.files import read_secret


def open_bus(config: BusConfig) -> Bus:
    """A bus, closed. What only some gateways have is imported where one has it."""
    match config:
        case ModbusTcpConfig():
            return ModbusTcpBus(host=config.host, port=config.port)
        case ModbusRtuConfig():
            from edge_agent.read.rtu import ModbusRtuBus

            return ModbusRtuBus(port=config.port, baud=config.baud, parity=config.parity, stop_bits=config.stop_bits)
        case Hx711Config():
            from edge_agent.read.hx711_pins import Hx711Bus

            return Hx711Bus(
                dout_pin=config.dout_pin, clock_pin=config.clock_pin, door_pin=config.door_pin, rate_hz=config.rate_hz
            )


def privacy_key(config: EdgeConfig) -> bytes:
    """The secret that makes pseudonyms, empty where there is none. Raises BadFile, Fatal."""
    if config.privacy is None:
        return b""
    key = read_secret(Path(config.privacy.key_file)).encode()
    if len(key) < KEY_BYTES_MIN:
        raise Fatal(
            f"privacy.key_file: a secret of {len(key)} characters can be guessed; `openssl rand -hex 32` makes one"
        )
    return key
