"""Recordings: what is refused in them, and what a profile makes of registers that are partly there."""

from __future__ import annotations

import pytest

from data_contract.reading import Quality
from device_profiles.library import Library
from device_profiles.recording import Recording, replay
from device_profiles.registers import Value
from yaml_models.bad_file import BadFile
from yaml_models.parse import parse


def _recording(*frames: tuple[str, int, str]) -> Recording:
    return Recording.model_validate(
        {"frames": [{"table": t, "address": a, "words": w, "source": "test"} for t, a, w in frames]}
    )


def test_a_field_is_decoded_only_where_all_of_its_registers_were_recorded() -> None:
    profile = Library().load("tuf-2000m")

    assert replay(profile, _recording(("holding", 0, "0000 42FB 0000"), ("holding", 4, "0000")).registers()) == {
        "flow_m3_h": Value(125.5, Quality.GOOD)
    }
    assert replay(profile, _recording(("input", 0, "0000 42FB")).registers()) == {}


def test_the_later_of_two_frames_wins_where_they_hold_the_same_register() -> None:
    registers = _recording(("holding", 0, "0001 0002"), ("holding", 1, "00ff")).registers()

    assert dict(registers) == {("holding", 0): 1, ("holding", 1): 0xFF}


@pytest.mark.parametrize("words", ["4366 333", "4366 33344", "43G6", "0x4366", "４３６６", "4366,3334"])
def test_a_word_that_is_no_register_is_told_in_one_line(words: str) -> None:
    text = f"frames:\n- table: input\n  address: 0\n  source: x\n  words: '{words}'\n"

    with pytest.raises(BadFile) as caught:
        parse(text, Recording, file="r.yaml")
    assert str(caught.value).startswith("r.yaml:5: frames[0].words: ")
    assert str(caught.value).endswith("is not a register; write four hexadecimal digits, such as 4366")


def test_a_recording_without_registers_is_refused() -> None:
    with pytest.raises(BadFile, match=r"frames\[0\].words: no registers; write them"):
        parse("frames: [{table: input, address: 0, source: x, words: ''}]", Recording, file="r.yaml")
    with pytest.raises(BadFile, match="frames: 0 entries; write at least 1"):
        parse("frames: []", Recording, file="r.yaml")


def test_a_word_that_looks_like_a_number_must_be_quoted_and_the_message_says_so() -> None:
    with pytest.raises(BadFile, match="expected text, got 4366; put it in quotes"):
        parse("frames: [{table: input, address: 0, source: x, words: 4366}]", Recording, file="r.yaml")
