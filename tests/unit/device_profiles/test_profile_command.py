"""`loopgauge profile`, as a person or a script calls it."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from device_profiles.library import Library
from loopgauge.cli import profile

SDM630 = Library().folder("eastron-sdm630")


def _call(*words: str | Path) -> int:
    parser = argparse.ArgumentParser(prog="loopgauge")
    profile.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["profile", *map(str, words)])
    code = args.run(args)
    assert isinstance(code, int)
    return code


def test_list_shows_id_title_kind_and_confidence(capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("list") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ID", "TITLE", "KIND", "CONFIDENCE"]
    assert any(
        line.split() == ["eastron-sdm630", "Three-phase", "energy", "meter", "energy_meter", "H"] for line in lines
    )


def test_list_as_json_is_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("list", "--json") == 0

    listed = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["tuf-2000m"]["kind"] == "water_meter"
    assert "flow_m3_h" in listed["tuf-2000m"]["fields"]


def test_a_broken_profile_of_a_site_is_told_and_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "profile.yaml").write_text("profile: [\n", encoding="utf-8")

    assert _call("list", "--site", tmp_path) == 2

    captured = capsys.readouterr()
    assert captured.err == f"loopgauge: {tmp_path}/broken/profile.yaml:1: a bracket that is never closed; close it\n"
    assert "tuf-2000m" in captured.out


def test_show_names_every_field_with_its_address_and_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("show", "tuf-2000m") == 0

    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("volume_m3"))
    assert row.split() == ["volume_m3", "m3", "counter", "main", "holding", "8", "i32_f32", "CDAB", "1"]


def test_an_unknown_id_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("show", "tuf-200m") == 2

    captured = capsys.readouterr()
    assert captured.err == "loopgauge: device profiles: tuf-200m: no such profile; did you mean tuf-2000m?\n"
    assert captured.out == ""


@pytest.mark.parametrize("what", ["eastron-sdm630", SDM630, SDM630 / "profile.yaml"], ids=["id", "folder", "file"])
def test_lint_finds_a_profile_by_id_folder_and_file(what: str | Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("lint", what) == 0

    assert capsys.readouterr().out == "eastron-sdm630: 12 fields, 0 warnings\n"


def test_lint_says_every_error_and_warning_in_a_line_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SDM630, tmp_path / "eastron-sdm630")
    file = tmp_path / "eastron-sdm630" / "profile.yaml"
    text = file.read_text(encoding="utf-8").replace("unit: Hz", "unit: 1/s").replace("address: 2,", "address: 1,")
    file.write_text(text.replace("    rate_max_per_h: 100\n", "", 1), encoding="utf-8")

    assert _call("lint", "eastron-sdm630", "--site", tmp_path) == 2

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.startswith(f"{file}:") for line in lines)
    assert [line.endswith("(warning)") for line in lines] == [False, False, False, True]


def test_lint_of_a_file_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("lint", "nowhere/profile.yaml") == 2

    assert capsys.readouterr().err == "loopgauge: nowhere/profile.yaml: no such file; create it, or give another path\n"


def test_decode_shows_value_unit_and_quality(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "r.yaml"
    recording.write_text(
        "frames:\n"
        "- {table: holding, address: 0, words: '0000 42FB 0000 0000 0000 7FC0', source: x}\n"
        "- {table: holding, address: 91, words: 0063, source: x}\n",
        encoding="utf-8",
    )

    assert _call("decode", "tuf-2000m", recording) == 0

    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["FIELD", "VALUE", "UNIT", "QUALITY"],
        ["flow_m3_h", "125.5", "m3/h", "good"],
        ["velocity_m_s", "-", "m/s", "invalid"],
        ["signal_quality", "99.0", "1", "good"],
        ["not", "recorded:", "volume_m3,", "volume_reverse_m3,", "error_bits,", "working_time_s"],
    ]


def test_decode_as_json_gives_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("decode", "eastron-sdm630", SDM630 / "recording.yaml", "--json") == 0

    decoded = json.loads(capsys.readouterr().out)
    assert decoded["values"]["voltage_l2_v"] == {"value": 231.4, "unit": "V", "quality": "good"}
    assert decoded["not_recorded"] == []


def test_decode_of_a_broken_recording_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yaml").write_text(
        "frames:\n- {table: coils, address: 0, words: 0000, source: x}\n", encoding="utf-8"
    )

    assert _call("decode", "tuf-2000m", tmp_path / "r.yaml") == 2

    assert capsys.readouterr().err == (
        f"loopgauge: {tmp_path}/r.yaml:2: frames[0].table: 'coils' is not allowed; use one of: holding, input\n"
    )


def test_the_command_itself_loads_no_library_before_it_runs() -> None:
    heavy = ("pydantic", "yaml", "device_profiles")
    code = f"import sys, loopgauge.cli.profile; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())

    assert result.stdout.strip() == "[]"
