"""Where profiles come from, and what is said when one is not there or not sound."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from device_profiles.library import Library, check
from yaml_models.bad_file import BadFile


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site's folder with a meter of its own."""
    shutil.copytree(Library().folder("eastron-sdm630"), tmp_path / "my-meter")
    _replace(tmp_path / "my-meter", "profile: eastron-sdm630", "profile: my-meter")
    return tmp_path


def _replace(folder: Path, old: str, new: str) -> Path:
    file = folder / "profile.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def _line_of(file: Path, text: str) -> int:
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_site_sees_its_own_profiles_and_the_catalog(site: Path) -> None:
    assert {"eastron-sdm630", "tuf-2000m"} <= set(Library().ids())
    assert Library(site).ids() == sorted({*Library().ids(), "my-meter"})
    assert Library(site).load("my-meter").profile == "my-meter"
    assert Library(site).load("tuf-2000m").kind == "water_meter"


def test_a_sites_profile_hides_the_one_of_the_catalog(site: Path) -> None:
    (site / "my-meter").rename(site / "tuf-2000m")
    _replace(site / "tuf-2000m", "profile: my-meter", "profile: tuf-2000m")

    assert Library(site).load("tuf-2000m").maker == "Eastron"
    assert Library().load("tuf-2000m").maker != "Eastron"


def test_an_unknown_profile_is_one_line_with_the_near_one(site: Path) -> None:
    with pytest.raises(BadFile) as near:
        Library(site).load("my-metre")
    with pytest.raises(BadFile) as far:
        Library(site).load("zzz")

    assert str(near.value) == "device profiles: my-metre: no such profile; did you mean my-meter?"
    there_are = ", ".join(sorted({*Library().ids(), "my-meter"}))
    assert str(far.value) == f"device profiles: zzz: no such profile; there are: {there_are}"


@pytest.mark.parametrize("name", ["../my-meter", "/etc", "", ".", "my-meter/../my-meter", "a\nb"])
def test_an_id_never_leads_out_of_the_folders(site: Path, name: str) -> None:
    with pytest.raises(BadFile, match="no such profile"):
        Library(site / "my-meter").load(name)


def test_a_folder_for_profiles_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadFile) as caught:
        Library(tmp_path / "profiles").ids()
    assert str(caught.value) == (
        f"{tmp_path}/profiles: cannot be listed (No such file or directory); "
        "create it, or give another folder for profiles"
    )


def test_a_typo_in_a_profile_names_file_line_key_and_mend(site: Path) -> None:
    file = _replace(site / "my-meter", "  even_only: true", "  evn_only: true")

    with pytest.raises(BadFile) as caught:
        Library(site).load("my-meter")
    assert (
        str(caught.value)
        == f"{file}:{_line_of(file, 'evn_only')}: modbus.evn_only: unknown key; did you mean even_only?"
    )


def test_a_mistake_that_only_lint_sees_names_its_line_too(site: Path) -> None:
    file = _replace(site / "my-meter", "address: 2,", "address: 3,")

    with pytest.raises(BadFile) as caught:
        Library(site).load("my-meter")
    assert str(caught.value) == (
        f"{file}:{_line_of(file, 'address: 3,')}: fields.voltage_l2_v.address: 3 is odd on an even-only device; "
        "correct it to 2 or 4; addresses are 0-based"
    )


def test_a_profile_in_the_folder_of_another_is_refused(site: Path) -> None:
    (site / "my-meter").rename(site / "her-meter")

    with pytest.raises(BadFile) as caught:
        Library(site).load("her-meter")
    assert caught.value.line == 3
    assert str(caught.value).endswith(
        "'my-meter' lies in the folder 'her-meter'; write her-meter, or rename the folder"
    )


def test_a_warning_does_not_keep_a_profile_from_being_used(site: Path) -> None:
    file = _replace(site / "my-meter", "    rate_max_per_h: 100\n", "")

    assert Library(site).load("my-meter").fields["energy_import_kwh"].rate_max_per_h is None
    assert [str(warning) for warning in check(file).warnings] == [
        f"{file}:{_line_of(file, 'energy_import_kwh:')}: fields.energy_import_kwh: a counter without a largest rate; "
        "add rate_max_per_h, so that an impossible step can be told from consumption"
    ]


@pytest.mark.parametrize(
    "old, new, key, problem, mend",
    [
        ("address: 0, type: f32", "adress: 0, type: f32", "fields.voltage_l1_v.adress", "unknown key", "address"),
        ("address: 0, type: f32", "address: 0, type: float", "fields.voltage_l1_v.type", "float", "f32"),
        ("address: 0, type: f32", "address: zero, type: f32", "fields.voltage_l1_v.address", "zero", "write"),
        ("range: [0, 300]", "range: [300, 0]", "fields.voltage_l1_v.range", "300 is not below 0", "lower limit first"),
        ("range: [0, 300]", "range: [0, 10, 300]", "fields.voltage_l1_v.range", "3", "2"),
        (
            "address: 2, type: f32",
            "address: 0,  type: f32",
            "fields.voltage_l2_v.address",
            "also belongs to",
            "correct",
        ),
        ("every_s: 10", "every_s: 0.0001", "groups.main.every_s", "shorter than", "write"),
    ],
)
def test_every_kind_of_mistake_names_file_line_key_and_mend(
    site: Path, old: str, new: str, key: str, problem: str, mend: str
) -> None:
    file = _replace(site / "my-meter", old, new)

    with pytest.raises(BadFile) as caught:
        Library(site).load("my-meter")
    told = str(caught.value)
    assert told.startswith(f"{file}:{_line_of(file, new)}: {key}: ")
    said, _, way = told.partition(f"{key}: ")[2].rpartition("; ")
    assert problem in said
    assert mend in way
    assert "\n" not in told
