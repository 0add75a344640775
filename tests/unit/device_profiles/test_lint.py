"""Mistakes in a profile that no schema sees: each is found, and a sound profile is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from device_profiles.lint import lint
from device_profiles.profile import Profile
from device_profiles.units import promised_unit

FLOW = {"table": "holding", "address": 0, "type": "f32", "unit": "m3/h", "kind": "gauge"}
VOLUME = {"table": "holding", "address": 2, "type": "u32", "unit": "m3", "kind": "counter", "rate_max_per_h": 100}


def _profile(**more: Any) -> Profile:
    plain: dict[str, Any] = {
        "profile": "x",
        "version": 1,
        "title": "x",
        "maker": "x",
        "model": "x",
        "kind": "water_meter",
        "groups": {"main": {"every_s": 10}},
        "fields": {"flow_m3_h": FLOW, "volume_m3": VOLUME},
        "verified": {"confidence": "H", "document": "x"},
    }
    return Profile.model_validate(plain | more)


def _found(**more: Any) -> list[str]:
    return [f"{f.level} {f.key}: {f.problem}; {f.mend}" for f in lint(_profile(**more))]


def _one(name: str = "flow_m3_h", **more: Any) -> list[str]:
    """Findings of a profile whose only field is a changed flow."""
    return _found(fields={name: FLOW | more})


def test_a_sound_profile_has_no_findings() -> None:
    assert _found() == []


def test_overlapping_registers_are_found() -> None:
    fields = {"flow_m3_h": FLOW, "volume_m3": VOLUME | {"address": 1}}

    assert _found(fields=fields) == [
        "error fields.volume_m3.address: register 1 also belongs to flow_m3_h (f32 at 0); correct an address or a type"
    ]
    assert _found(fields={"flow_m3_h": FLOW, "volume_m3": VOLUME | {"address": 1, "table": "input"}}) == []


def test_a_long_value_overlaps_also_the_field_after_the_next() -> None:
    fields = {
        "volume_m3": VOLUME | {"type": "u64", "address": 0},
        "state_1": FLOW | {"type": "u16", "address": 1, "unit": "1"},
        "state_2": FLOW | {"type": "u16", "address": 3, "unit": "1"},
    }

    assert len(_found(fields=fields)) == 2


def test_two_fields_in_different_bits_of_one_register_are_no_overlap() -> None:
    low = {"table": "holding", "address": 9, "type": "u16", "unit": "1", "kind": "state"}

    assert _found(fields={"low": low | {"mask": 0x00FF}, "high": low | {"mask": 0xFF00}}) == []
    assert len(_found(fields={"low": low | {"mask": 0x00FF}, "high": low | {"mask": 0x0180}})) == 1


def test_a_field_in_a_forbidden_span_is_found_up_to_its_last_register() -> None:
    for first, last, count in ((3, 3, 1), (2, 2, 1), (4, 9, 0), (0, 9, 2)):
        found = _found(forbidden=[{"table": "holding", "first": first, "last": last}])
        assert len(found) == count, (first, last)
    assert _found(forbidden=[{"table": "holding", "first": 3, "last": 3}]) == [
        "error fields.volume_m3.address: needs a register that forbidden[0] (3 to 3) excludes; "
        "correct the address, or narrow the span"
    ]
    assert _found(forbidden=[{"table": "input", "first": 0, "last": 9}]) == []


def test_a_span_that_ends_before_it_begins_is_found() -> None:
    assert _found(forbidden=[{"table": "input", "first": 9, "last": 5}]) == [
        "error forbidden[0]: begins at 9 and ends before, at 5; swap them"
    ]


def test_a_group_that_does_not_exist_is_found_with_the_one_that_was_meant() -> None:
    assert _one(group="mian") == [
        "warning groups.main: no field is in this group; put one into it, or delete it",
        "error fields.flow_m3_h.group: no group 'mian'; did you mean main?",
    ]


def test_a_profile_without_fields_is_found() -> None:
    assert "error fields: no fields; add what the device measures" in _found(fields={})


def test_an_odd_address_on_an_even_only_device_is_found() -> None:
    found = _found(modbus={"even_only": True}, fields={"flow_m3_h": FLOW | {"address": 31}})

    assert found == [
        "warning modbus.registers_max: 125 is odd on an even-only device; write 124",
        "error fields.flow_m3_h.address: 31 is odd on an even-only device; "
        "correct it to 30 or 32; addresses are 0-based",
    ]


def test_a_type_longer_than_a_request_may_be_is_found() -> None:
    assert _found(modbus={"registers_max": 1}, fields={"flow_m3_h": FLOW}) == [
        "error fields.flow_m3_h.type: f32 takes 2 registers, the device gives 1 at once; "
        "correct the type, or modbus.registers_max"
    ]


def test_a_value_that_ends_beyond_the_table_is_found() -> None:
    assert _one(address=65534) == []
    assert _one(address=65535) == [
        "error fields.flow_m3_h.address: 2 registers from 65535 end beyond 65535; correct address or type"
    ]


@pytest.mark.parametrize("low, high", [(5, 5), (6, 5)])
def test_a_range_without_room_is_found(low: float, high: float) -> None:
    assert _one(range=[low, high]) == [
        f"error fields.flow_m3_h.range: {low} is not below {high}; write the lower limit first"
    ]


def test_a_range_that_the_registers_cannot_reach_is_found() -> None:
    assert _one(type="u16", scale=0.1, range=[7000, 9000]) == [
        "error fields.flow_m3_h.range: u16 x 0.1 gives 0 to 6553.5, never 7000 to 9000; correct range, scale or type"
    ]
    assert _one(type="u16", scale=-0.1, range=[-9000, -1]) == []


@pytest.mark.parametrize("name", ["q_flow", "Flow", "flow-rate", "1flow", "_flow", "f" * 64, "flöw"])
def test_a_name_that_the_contract_refuses_is_found(name: str) -> None:
    assert _one(name)[0].startswith(f"error fields.{name}: not a usable field name; ")


@pytest.mark.parametrize("name", ["time", "device", "gateway"])
def test_a_name_that_a_store_would_shadow_is_found(name: str) -> None:
    assert _one(name) == [f"error fields.{name}: a name that the stores use themselves; call it {name}_value or better"]


def test_a_unit_that_contradicts_the_name_is_found() -> None:
    assert _one(unit="L/s") == [
        "error fields.flow_m3_h.unit: 'L/s', but the name ends as for 'm3/h'; write m3/h, or rename the field"
    ]


@pytest.mark.parametrize(
    "name, unit",
    [
        ("voltage_l1_v", "V"),
        ("current_l1_a", "A"),
        ("power_w", "W"),
        ("energy_import_kwh", "kW.h"),
        ("volume_m3", "m3"),
        ("flow_m3_h", "m3/h"),
        ("frequency_hz", "Hz"),
        ("feed_temperature_c", "Cel"),
        ("velocity_m_s", "m/s"),
        ("energy_kwh_m3", "kW.h/m3"),
        ("conductivity_us_cm", "uS/cm"),
        ("fill_ratio", "1"),
        ("working_time_s", "s"),
        ("error_bits", None),
        ("power_factor", None),
        ("v", None),
    ],
)
def test_the_end_of_a_name_promises_its_unit(name: str, unit: str | None) -> None:
    assert promised_unit(name) == unit


def test_a_scale_that_erases_the_value_is_found() -> None:
    assert _one(type="u16", scale=0) == [
        "error fields.flow_m3_h.scale: 0 makes every value 0; write the factor of the document, such as 0.1"
    ]


def test_a_scaled_float_is_only_a_warning_and_a_scaled_total_is_none() -> None:
    assert _one(scale=0.1) == [
        "warning fields.flow_m3_h.scale: f32 is rarely scaled; "
        "delete it, unless the document says so for this very value"
    ]
    assert _one(type="i32_f32", scale=0.1) == []


def test_a_mask_on_another_type_is_found() -> None:
    assert _one(type="i16", mask=1) == [
        "error fields.flow_m3_h.mask: i16 cannot be masked; use type u16, or delete the mask"
    ]


def test_a_sentinel_that_cannot_occur_is_found() -> None:
    assert _one(type="i16", sentinels=[0x8000, 0x10000]) == [
        "error fields.flow_m3_h.sentinels: 0x10000 cannot occur in i16; write the registers as one integer of 16 bits"
    ]


def test_a_counter_without_a_rate_is_a_warning() -> None:
    fields = {"volume_m3": {**VOLUME, "rate_max_per_h": None}}

    assert _found(fields=fields) == [
        "warning fields.volume_m3: a counter without a largest rate; "
        "add rate_max_per_h, so that an impossible step can be told from consumption"
    ]


@pytest.mark.parametrize("key", ["rollover", "rate_max_per_h"])
def test_what_belongs_to_counters_is_found_on_a_gauge(key: str) -> None:
    assert _found(fields={"flow_m3_h": FLOW | {key: 5}}) == [
        f"error fields.flow_m3_h.{key}: meant for counters, not for a gauge; delete it, or kind: counter"
    ]


def test_a_word_order_that_means_nothing_is_a_warning() -> None:
    assert _one(type="u16", word_order="CDAB") == [
        "warning fields.flow_m3_h.word_order: CDAB means nothing for a single register; "
        "delete it, or write BADC where its bytes are swapped"
    ]
    assert _one(type="u16", word_order="BADC") == []


STATE = {"table": "input", "address": 4, "type": "u16", "unit": "1", "kind": "state"}


def test_a_value_whose_even_pair_holds_a_forbidden_register_is_found() -> None:
    forbidden = [{"table": "input", "first": 5, "last": 9}]
    modbus = {"even_only": True, "registers_max": 80}

    assert _found(fields={"state": STATE}, modbus=modbus, forbidden=forbidden) == [
        "error fields.state.address: is asked for in even pairs, with a register that forbidden[0] excludes; "
        "correct the address, or narrow the span"
    ]
    assert _found(fields={"state": STATE}, forbidden=forbidden) == []
    assert _found(fields={"state": STATE}, modbus=modbus, forbidden=[{"table": "input", "first": 6, "last": 9}]) == []
    before = [{"table": "input", "first": 4, "last": 4}]
    assert len(_found(fields={"state": STATE | {"address": 5}}, modbus=modbus, forbidden=before)) == 2


def test_an_even_only_device_that_gives_one_register_at_once_is_found() -> None:
    found = _found(fields={"state": STATE}, modbus={"even_only": True, "registers_max": 1})

    assert found == [
        "error modbus.registers_max: 1 at most, on a device that gives only even numbers of them; "
        "write what the device gives, or delete even_only"
    ]


def test_a_sampling_interval_that_is_no_millisecond_is_found() -> None:
    assert _found(groups={"main": {"every_s": 0.0009}}) == [
        "error groups.main.every_s: 0.0009 s is shorter than time is counted here, 0.001 s; "
        "write it in seconds, such as 1"
    ]
    assert _found(groups={"main": {"every_s": 0.001}}) == []


def test_what_is_personal_is_a_whole_number_and_says_so_in_its_name() -> None:
    card = {"type": "u32", "unit": "1", "kind": "state", "personal": True}

    assert _one("card_pseudonym", **card) == []
    assert _one("card", **card) == [
        "error fields.card: what is personal is called ..._pseudonym, and nothing else is; name it ..._pseudonym"
    ]
    assert _one("card_pseudonym", **card | {"personal": False}) == [
        "error fields.card_pseudonym: what is personal is called ..._pseudonym, and nothing else is;"
        " personal: true, or another name"
    ]
    assert _one("card_pseudonym", **card | {"kind": "gauge"}) == [
        "error fields.card_pseudonym: the number of a person is no quantity; kind: state, unit: 1"
    ]
    assert _one("card_pseudonym", **card | {"type": "f32"}) == [
        "error fields.card_pseudonym: the number of a person is whole, not f32 x 1; type: u32"
    ]
