"""Two processes of one demo must see the same world, whatever Python's hash seed is."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from simulators import chance

NUMBERS = np.array([0, 1, 2, 1_760_000_000_000, 2**62], dtype=np.int64)


def test_a_column_of_chance_equals_its_numbers_one_by_one() -> None:
    of = chance.key(3, "meter", "field")
    assert chance.units(of, NUMBERS).tolist() == [chance.unit(of, int(n)) for n in NUMBERS]
    drifts = chance.drifts(of, NUMBERS, 60_000)
    assert drifts.tolist() == pytest.approx([chance.drift(of, int(n), 60_000) for n in NUMBERS], abs=1e-12)


def test_chance_is_even() -> None:
    numbers = chance.units(chance.key(1, "even"), np.arange(20_000))
    counts, _ = np.histogram(numbers, bins=10, range=(0.0, 1.0))
    assert counts.min() > 1800 and counts.max() < 2200
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.03


def test_names_are_not_run_together() -> None:
    assert chance.key(1, "ab", "c") != chance.key(1, "a", "bc")
    assert chance.key(1, "a") != chance.key(11, "a")


PROGRAM = """
from tests.unit.simulators.plant import ORIGIN_MS, units
for device, unit in sorted(units().items()):
    function = 4 if device == "energy-meter" else 3
    for n in range(20):
        count = 80 if function == 4 else 92
        print(device, unit.answer(function, 0, count, ORIGIN_MS + 12_345 * n))
"""


def test_the_same_seed_serves_the_same_bytes_in_every_process() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "4242")
    ]
    assert outputs[0].count(b"\n") == 60
    assert outputs[0] == outputs[1]
