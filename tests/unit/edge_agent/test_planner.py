"""Requests for fields: each is read, no forbidden register is touched, no device is asked for more than it gives."""

from __future__ import annotations

import random

import pytest

from data_contract.reading import FieldKind
from device_profiles.profile import DecodeType, ForbiddenSpan, ModbusDefaults, ProfileField, RegisterTable
from edge_agent.read.planner import plan


def field(address: int, of: DecodeType = DecodeType.U16, table: RegisterTable = RegisterTable.INPUT) -> ProfileField:
    return ProfileField(table=table, address=address, type=of, unit="1", kind=FieldKind.GAUGE)


def registers(of: ProfileField, *, even: bool) -> set[tuple[str, int]]:
    """What reading a field alone must touch; an even-only device gives whole pairs."""
    first, last = of.address, of.address + of.type.registers - 1
    if even:
        first, last = first - first % 2, last + (last + 1) % 2
    return {(of.table.value, address) for address in range(first, last + 1)}


@pytest.mark.parametrize("seed", range(200))
def test_any_profile_is_read_whole_and_as_its_device_wants_to_be_asked(seed: int) -> None:
    chance = random.Random(seed)
    even = chance.random() < 0.4
    modbus = ModbusDefaults(
        registers_max=chance.choice([4, 8, 20, 124, 125]), bridge_max=chance.choice([0, 2, 16, 124]), even_only=even
    )
    fields = {
        f"f{n}": field(
            chance.randint(0, 120) * 2 if even else chance.randint(0, 240),
            chance.choice(list(DecodeType)),
            chance.choice(list(RegisterTable)),
        )
        for n in range(chance.randint(1, 30))
    }
    needed = set().union(*(registers(each, even=even) for each in fields.values()))
    forbidden = []
    for _ in range(chance.randint(0, 6)):
        first = chance.randint(0, 250)
        span = ForbiddenSpan(table=chance.choice(list(RegisterTable)), first=first, last=first + chance.randint(0, 5))
        if not needed & {(span.table.value, a) for a in range(span.first, span.last + 1)}:
            forbidden.append(span)
    asked: dict[str, int] = {}
    for request in plan(fields, modbus, forbidden):
        touched = {(request.table, a) for a in range(request.address, request.address + request.count)}
        assert 1 <= request.count <= modbus.registers_max
        assert not even or (request.address % 2 == 0 and request.count % 2 == 0)
        for span in forbidden:
            assert not touched & {(span.table.value, a) for a in range(span.first, span.last + 1)}
        for name in request.fields:
            asked[name] = asked.get(name, 0) + 1
            assert registers(fields[name], even=False) <= touched
    assert asked == dict.fromkeys(fields, 1)


def test_neighbours_are_read_at_once_and_a_wide_gap_is_not_bridged() -> None:
    fields = {"a": field(0), "b": field(5), "c": field(40)}
    got = plan(fields, ModbusDefaults(bridge_max=4), ())
    assert [(r.address, r.count, r.fields) for r in got] == [(0, 6, ("a", "b")), (40, 1, ("c",))]


def test_a_forbidden_register_between_two_values_splits_the_request() -> None:
    fields = {"a": field(0), "b": field(5)}
    forbidden = [ForbiddenSpan(table=RegisterTable.INPUT, first=3, last=3)]
    assert [r.count for r in plan(fields, ModbusDefaults(), forbidden)] == [1, 1]
    elsewhere = [ForbiddenSpan(table=RegisterTable.HOLDING, first=3, last=3)]
    assert [r.count for r in plan(fields, ModbusDefaults(), elsewhere)] == [6]


def test_two_fields_on_the_same_register_are_one_request() -> None:
    fields = {"low": field(7), "high": field(7), "wide": field(6, DecodeType.U32)}
    assert [(r.address, r.count) for r in plan(fields, ModbusDefaults(), ())] == [(6, 2)]
