"""A serial line served by other people's software, read by the agent's bus: a shared mistake would show here."""

from __future__ import annotations

import asyncio
import ctypes.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_contract.cause import Missing
from device_profiles.library import Library
from device_profiles.registers import decoder
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk
from edge_agent.read.rtu import ModbusRtuBus
from tests.independent.serial_meters import serial_meters


def ask(port: str, *asks: Ask) -> list[Answer]:
    answers: list[Answer] = []

    def talk() -> Talk:
        for one in asks:
            answers.append((yield one))

    async def main() -> None:
        bus = ModbusRtuBus(port=port, baud=9600, parity="N", stop_bits=1)
        await bus.carry(talk())
        await bus.close()

    asyncio.run(main())
    return answers


def value(profile_id: str, name: str, answer: Answer, first: int) -> float | None:
    assert not isinstance(answer, NotSampled), answer.detail
    profile = Library().load(profile_id)
    field = profile.fields[name]
    start = field.address - first
    return decoder(field, profile.modbus.word_order)(answer[start : start + field.type.registers]).value


def test_whole_frames_from_documents_are_understood() -> None:
    with serial_meters() as port:
        volts, flow, volume, analyser, scale, refused, nobody = ask(
            port,
            Ask(1, "input", 0, 2, 20.0),
            Ask(2, "holding", 0, 2, 20.0),
            Ask(2, "holding", 8, 4, 20.0),
            Ask(247, "input", 0, 3, 20.0),
            Ask(5, "holding", 6, 5, 20.0),
            Ask(1, "input", 1, 2, 20.0),
            Ask(2, "holding", 0x0200, 2, 0.2),
        )
    assert value("eastron-sdm630", "voltage_l1_v", volts, 0) == 230.20001
    assert value("tuf-2000m", "flow_m3_h", flow, 0) == 123.456
    assert value("tuf-2000m", "volume_m3", volume, 8) == 1234567.7181
    assert value("eh-cm44x", "conductivity_us_cm", analyser, 0) == 48210
    assert value("eh-cm44x", "conductivity_state", analyser, 0) == 1
    assert value("laumas-tlb4", "gross_weight_kg", scale, 6) == 1200.02
    assert value("laumas-tlb4", "net_weight_kg", scale, 6) == 1122.54
    assert isinstance(refused, NotSampled) and refused.cause is Missing.EXCEPTION
    assert isinstance(nobody, NotSampled) and nobody.cause is Missing.TIMEOUT


LIBMODBUS = ctypes.util.find_library("modbus")

SERVE = """
import ctypes, os, sys, tty
lib = ctypes.CDLL(sys.argv[1])
lib.modbus_new_rtu.restype = lib.modbus_mapping_new.restype = ctypes.c_void_p
class Mapping(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int) for n in "nb start_bits nib start_input_bits nir start_input nr start".split()]
    _fields_ += [(n, ctypes.POINTER(ctypes.c_uint8)) for n in ("bits", "input_bits")]
    _fields_ += [(n, ctypes.POINTER(ctypes.c_uint16)) for n in ("inputs", "registers")]
lib.modbus_receive.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
lib.modbus_reply.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
for name in ("modbus_connect", "modbus_set_slave", "modbus_set_socket"):
    getattr(lib, name).argtypes = [ctypes.c_void_p] + [ctypes.c_int] * (name != "modbus_connect")
ours, theirs = os.openpty()
tty.setraw(theirs)
context = ctypes.c_void_p(lib.modbus_new_rtu(os.ttyname(theirs).encode(), 9600, ctypes.c_char(b"N"), 8, 1))
lib.modbus_set_slave(context, 17)
lib.modbus_set_socket(context, ours)
place = lib.modbus_mapping_new(0, 0, 200, 200)
mapping = Mapping.from_address(place)
for n in range(200):
    mapping.registers[n], mapping.inputs[n] = 1000 + n, 50_000 + n
print(os.ttyname(theirs), flush=True)
query = ctypes.create_string_buffer(260)
while True:
    size = lib.modbus_receive(context, query)
    if size > 0:
        lib.modbus_reply(context, query, size, place)
"""


@contextmanager
def libmodbus() -> Iterator[str]:
    """The port behind which libmodbus serves unit 17."""
    assert LIBMODBUS is not None
    with subprocess.Popen([sys.executable, "-c", SERVE, LIBMODBUS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            assert Path(port).exists()
            yield port
        finally:
            process.kill()


@pytest.mark.skipif(LIBMODBUS is None, reason="libmodbus is not installed")
def test_libmodbus_serves_what_it_holds() -> None:
    with libmodbus() as port:
        for _ in range(3):
            holding, inputs, refused, again = ask(
                port,
                Ask(17, "holding", 3, 2, 20.0),
                Ask(17, "input", 75, 125, 20.0),
                Ask(17, "input", 199, 2, 20.0),
                Ask(17, "holding", 4, 2, 20.0),
            )
            assert holding == (1003, 1004)
            assert inputs == tuple(range(50_075, 50_200))
            assert isinstance(refused, NotSampled) and refused.cause is Missing.EXCEPTION
            assert again == (1004, 1005)
