"""The opponents do the work that they are credited with."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from benchmarks.limits.bare_modbus import decoder
from benchmarks.limits.bulk_http import Load, requests_of


def test_the_bare_loop_decodes_what_it_reads() -> None:
    registers = struct.unpack(">6H", struct.pack(">fhhf", 230.5, 1, 2, -0.25))
    assert decoder(6, [0, 4])(registers) == [230.5, -0.25]


@pytest.mark.parametrize("pieces", [1, 2, 3, 10])
def test_the_bulk_loader_posts_every_byte_once_whatever_the_size_of_a_request(pieces: int, tmp_path: Path) -> None:
    parts = [bytes([65 + n]) * (n + 1) for n in range(7)]
    path = tmp_path / "lines"
    path.write_bytes(b"".join(parts))
    found = list(requests_of(str(path), [len(part) for part in parts], pieces))
    assert b"".join(bytes(body) for body, _ in found) == b"".join(parts)
    assert sum(count for _, count in found) == len(parts)
    assert all(count == pieces for _, count in found[:-1])


def test_the_bulk_loader_stops_when_its_time_is_over_or_the_database_complains() -> None:
    request = (memoryview(b"x"), 1)
    assert Load([request], seconds=60).take() == request
    assert Load([], seconds=60).take() is None
    assert Load([request], seconds=0).take() is None
    load = Load([request], seconds=60)
    load.trouble = "503"
    assert load.take() is None
