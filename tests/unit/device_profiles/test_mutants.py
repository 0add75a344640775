"""Could a wrong profile pass? Every field of the catalog is made wrong in every way a person gets a register map wrong.

Each mutant must make a recording decode to something else, or stand in `equivalent.yaml` with the reason why it cannot.
A mutant counts as noticed by a wrong value, not by a register that happens not to be recorded, except where the device
has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from device_profiles.library import EXPECTED_FILE, RECORDING_FILE, Library
from device_profiles.profile import DecodeType, Profile, ProfileField, RegisterTable, WordOrder
from device_profiles.recording import Expected, Recording, Registers, words_of
from device_profiles.registers import decoder
from yaml_models.files import load

EQUIVALENT = yaml.safe_load(
    (Path(__file__).parents[2] / "golden" / "mutants" / "equivalent.yaml").read_text(encoding="utf-8")
)
FIELDS = [(profile_id, name) for profile_id in Library().ids() for name in Library().load(profile_id).fields]


def _mutations(profile: Profile, field: ProfileField) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is changed -> the new values."""
    for address in (field.address - 1, field.address + 1):
        if address >= 0:
            yield f"address {address}", {"address": address}
    for order in WordOrder:
        if order != _order(profile, field):
            yield f"word_order {order}", {"word_order": order}
    for kind in DecodeType:
        if kind != field.type:
            yield f"type {kind}", {"type": kind}
    yield "scale x 10", {"scale": field.scale * 10}
    yield "scale / 10", {"scale": field.scale / 10}
    yield "scale x -1", {"scale": -field.scale}
    if field.mask is not None:
        yield "mask none", {"mask": None}
        yield "mask inverted", {"mask": field.mask ^ 0xFFFF}


def _order(profile: Profile, field: ProfileField) -> WordOrder | None:
    return field.word_order or (profile.modbus.word_order if field.type.registers > 1 else None)


def _cases(profile_id: str) -> list[tuple[Registers, dict[str, float | None]]]:
    return [
        (load(file, Recording).registers(), load(file.with_name(EXPECTED_FILE), Expected).root)
        for file in sorted(Library().folder(profile_id).rglob(RECORDING_FILE))
    ]


def _noticed(profile: Profile, field: ProfileField, name: str, cases: list[Any]) -> bool:
    return any(expected[name] != _read(profile, field, registers) for registers, expected in cases if name in expected)


def _read(profile: Profile, field: ProfileField, registers: Registers) -> float | str | None:
    words = words_of(field, registers)
    if words is None:
        return "not recorded"
    try:
        return decoder(field, profile.modbus.word_order)(words).value
    except ValueError as refused:
        return str(refused)


@pytest.mark.parametrize("profile_id, name", FIELDS)
def test_a_wrong_field_of_a_profile_is_noticed(profile_id: str, name: str) -> None:
    profile, cases = Library().load(profile_id), _cases(profile_id)
    field = profile.fields[name]
    assert not _noticed(profile, field, name, cases)

    equivalent = EQUIVALENT.get(f"{profile_id}/{name}", {})
    survivors = {
        change
        for change, values in _mutations(profile, field)
        if not _noticed(profile, field.model_copy(update=values), name, cases)
    }
    assert survivors == set(equivalent)


@pytest.mark.parametrize("profile_id, name", FIELDS)
def test_the_neighbours_of_a_field_are_recorded_so_that_a_wrong_address_reads_a_wrong_value(
    profile_id: str, name: str
) -> None:
    field = Library().load(profile_id).fields[name]
    registers = load(Library().folder(profile_id) / RECORDING_FILE, Recording).registers()

    for address in (field.address - 1, field.address + 1):
        if address >= 0:
            assert words_of(field.model_copy(update={"address": address}), registers) is not None
    for kind in DecodeType:
        assert words_of(field.model_copy(update={"type": kind}), registers) is not None


@pytest.mark.parametrize("profile_id, name", FIELDS)
def test_a_field_looked_for_in_the_other_register_table_is_not_found(profile_id: str, name: str) -> None:
    profile, cases = Library().load(profile_id), _cases(profile_id)
    field = profile.fields[name]
    other = RegisterTable.INPUT if field.table is RegisterTable.HOLDING else RegisterTable.HOLDING

    assert _noticed(profile, field.model_copy(update={"table": other}), name, cases)


def test_every_equivalent_mutant_belongs_to_a_field_and_has_a_reason() -> None:
    fields = {f"{profile_id}/{name}" for profile_id, name in FIELDS}

    assert set(EQUIVALENT) <= fields
    assert all(reason for changes in EQUIVALENT.values() for reason in changes.values())
