"""Every device of the catalog: sound, and read as an independent decoder reads it. Drop a folder, get a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_profiles.library import EXPECTED_FILE, RECORDING_FILE, Library
from device_profiles.recording import Expected, Recording, replay
from tests.independent import struct_decoder
from yaml_models.files import load

IDS = Library().ids()
RECORDINGS = [
    pytest.param(profile_id, file, id=str(file.parent.relative_to(Library().folder(profile_id).parent)))
    for profile_id in IDS
    for file in sorted(Library().folder(profile_id).rglob(RECORDING_FILE))
]


@pytest.mark.parametrize("profile_id", IDS)
def test_a_profile_of_the_catalog_has_neither_errors_nor_warnings(profile_id: str) -> None:
    checked = Library().check(profile_id)

    assert [str(finding) for finding in (*checked.errors, *checked.warnings)] == []
    assert checked.profile.verified.document


@pytest.mark.parametrize("profile_id", IDS)
def test_every_field_of_the_catalog_is_recorded_and_typed_from_its_document_a_second_time(profile_id: str) -> None:
    expected = load(Library().folder(profile_id) / EXPECTED_FILE, Expected).root

    assert set(Library().load(profile_id).fields) == set(expected) == set(struct_decoder.DEVICES[profile_id].rows)


@pytest.mark.parametrize("profile_id, recording", RECORDINGS)
def test_a_recording_decodes_to_what_is_expected(profile_id: str, recording: Path) -> None:
    expected = load(recording.with_name(EXPECTED_FILE), Expected).root

    read = replay(Library().load(profile_id), load(recording, Recording).registers())

    assert {name: value.value for name, value in read.items()} == expected


@pytest.mark.parametrize("profile_id, recording", RECORDINGS)
def test_the_independent_decoder_expects_the_same(profile_id: str, recording: Path) -> None:
    expected = load(recording.with_name(EXPECTED_FILE), Expected).root

    assert struct_decoder.decode_file(profile_id, recording) == expected


def test_the_independent_decoder_imports_nothing_of_ours() -> None:
    source = Path(struct_decoder.__file__).read_text(encoding="utf-8")
    imports = [line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))]

    assert set(imports) <= {"__future__", "struct", "decimal", "pathlib", "typing", "numpy", "yaml"}
