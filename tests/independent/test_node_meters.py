"""Meters served by other people's software: a mistake that ours makes on both sides would show here."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.independent.node_meters import SDM630, SDM630_UNIT, TUF2000M, TUF2000M_UNIT, node, node_meters

pytestmark = pytest.mark.skipif(node() is None, reason="Node.js is not installed")


def read(connection: socket.socket, unit: int, function: int, address: int, count: int) -> bytes:
    connection.sendall(struct.pack(">HHHBBHH", 7, 0, 6, unit, function, address, count))
    answer = b""
    while len(answer) < 9 + 2 * count:
        answer += connection.recv(300)
    assert answer[:9] == struct.pack(">HHHBBB", 7, 0, 3 + 2 * count, unit, function, 2 * count)
    return answer[9:]


def test_the_literals_are_the_values_that_tests_expect_of_them() -> None:
    with node_meters() as port, socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        (volts, _, _, amps) = struct.unpack(">4f", read(connection, SDM630_UNIT, 4, 0, 8))
        (total,) = struct.unpack(">f", read(connection, SDM630_UNIT, 4, 342, 2))
        low, high, fraction_low, fraction_high = struct.unpack(">4H", read(connection, TUF2000M_UNIT, 3, 8, 4))
        (quality,) = struct.unpack(">xB", read(connection, TUF2000M_UNIT, 3, 91, 1))
    (fraction,) = struct.unpack(">f", struct.pack(">HH", fraction_high, fraction_low))
    assert volts == pytest.approx(SDM630["voltage_l1_v"], abs=1e-5)
    assert amps == pytest.approx(SDM630["current_l1_a"], abs=1e-5)
    assert total == SDM630["energy_total_kwh"]
    assert (high << 16) + low + fraction == pytest.approx(TUF2000M["volume_m3"], abs=1e-6)
    assert quality == TUF2000M["signal_quality"]


def test_a_unit_that_is_not_there_is_silent_and_its_neighbours_are_not() -> None:
    with node_meters() as port, socket.create_connection(("127.0.0.1", port), timeout=0.3) as connection:
        connection.sendall(struct.pack(">HHHBBHH", 7, 0, 6, 9, 4, 0, 2))
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(60)
        assert len(read(connection, SDM630_UNIT, 4, 0, 2)) == 4
