"""Encoder and decoder were written apart; where they disagree, readings would seem lost that never were."""

from __future__ import annotations

import random

import pytest

from data_contract.reading import Quality
from device_profiles.library import Library
from device_profiles.profile import DecodeType, ProfileField, WordOrder
from device_profiles.registers import decode, decoders
from simulators.app import build_units
from simulators.devices.encode import encode, encode_nan, shown
from simulators.load_scenario import Loaded, find, load_scenario, shipped_names
from simulators.world.world import World
from tests.unit.simulators.plant import ORIGIN_MS


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.001, 10.0])
@pytest.mark.parametrize("order", list(WordOrder))
@pytest.mark.parametrize("kind", list(DecodeType))
def test_the_decoder_reads_exactly_what_the_record_notes(kind: DecodeType, order: WordOrder, scale: float) -> None:
    spec = ProfileField.model_validate(
        {
            "table": "input",
            "address": 0,
            "type": kind,
            "word_order": order,
            "scale": scale,
            "unit": "1",
            "kind": "gauge",
        }
    )
    drawn = random.Random(f"{kind}{order}{scale}")
    for size in (1.0, 100.0, 30_000.0, 1e6, 2e9):
        for digits in (0, 2, 3):
            value = round(drawn.uniform(0, size) * scale, digits)
            words = encode(value, kind=kind, order=order, scale=scale)
            assert decode(spec, words, WordOrder.ABCD).value == shown(value, kind=kind, scale=scale), (value, words)
    nothing = encode_nan(kind=kind, order=order)
    assert nothing is None or decode(spec, nothing, WordOrder.ABCD).value is None


@pytest.mark.parametrize("name", shipped_names())
def test_every_field_of_every_shipped_meter_is_read_as_noted_and_lies_in_its_range(name: str) -> None:
    plan = load_scenario(find(name), Library().load)
    loaded = Loaded(plan.scenario.model_copy(update={"faults": ()}), plan.profiles)
    for device, unit in build_units(loaded, world=World(scenario=loaded.scenario, origin_ms=ORIGIN_MS)).items():
        profile = loaded.profiles[loaded.scenario.meters[device].profile]
        readers = decoders(profile)
        for n in range(24):
            t_ms = ORIGIN_MS + n * 3_600_000 + n
            for field, spec in profile.fields.items():
                function = {"holding": 3, "input": 4}[spec.table]
                assert unit.refuse(function, spec.address, spec.type.registers, t_ms) is None
                words, noted = unit.answer(function, spec.address, spec.type.registers, t_ms)
                read = readers[field](words)
                assert [(row.field, row.value) for row in noted] == [(field, read.value)]
                assert read.quality is Quality.GOOD, (device, field, read)
