"""`simulate world` and `simulate trace` as a person calls them: what they write and print, and how they refuse."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from device_profiles.library import Library
from loopgauge.cli.main import main
from simulators.load_scenario import find, load_scenario, shipped_names
from simulators.truth.record import RecordWriter
from simulators.truth.rows import Shown
from tests.unit.simulators.plant import ORIGIN_MS, scenario

WORLD = ["simulate", "world", "bad-day", "--from", "2025-03-01", "--every", "15m"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    picture = folder / "day.svg"
    asked = ["--days", "2", "--out", str(folder), "--workers", "1", "--plot", str(picture), "--plot-day", "2025-03-02"]
    assert main([*WORLD, *asked]) == 0
    return folder


def trace(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["simulate", "trace", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_picture_is_of_the_day_that_was_asked_for(told: Path) -> None:
    drawn = (told / "day.svg").read_text("utf-8")
    assert "bad-day · 2025-03-02" in drawn
    assert "reboot_reset" not in drawn  # all faults are on the first day


def test_a_trace_without_a_question_says_what_there_is(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = trace(capsys, told)
    assert code == 0
    assert "2 days from 2025-03-01T00:00:00+08:00 on, every 900 s" in out
    for said in (
        "bad-day, seed 13",
        "deposit",
        "fault_begin 32",
        "  train-1.feed.flow_m3_h",
        "  feed-meter: flow_m3_h",
    ):
        assert said in out


def test_a_trace_is_a_table_or_an_object_a_line_with_the_same_rows(
    told: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (
        told,
        "--device",
        "feed-meter",
        "--field",
        "flow_m3_h",
        "--from",
        "2025-03-01T00:45",
        "--to",
        "2025-03-01T02:00",
    )
    _, table, _ = trace(capsys, *asked)
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["time"][11:16] for row in rows[:5]] == ["00:45", "01:00", "01:15", "01:30", "01:45"]
    assert [row["value"] == "" for row in rows[:5]] == [False, True, True, False, False]
    assert [(row["what"], row["text"]) for row in rows[5:]] == [("fault_begin", "silent"), ("fault_end", "silent")]
    _, lines, _ = trace(capsys, *asked, "--json")
    objects = [json.loads(line) for line in lines.splitlines()]
    assert [each["time"] for each in objects] == [row["time"] for row in rows]
    assert [each["value"] for each in objects[:5]] == [
        float(row["value"]) if row["value"] else None for row in rows[:5]
    ]
    assert objects[0]["t_ms"] == 1_740_761_100_000


def test_a_record_of_served_meters_is_asked_in_the_same_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = RecordWriter(path=tmp_path / "r.db")
    writer.open({"scenario": scenario().model_dump_json(exclude_unset=True), "origin_ms": str(ORIGIN_MS)})
    writer.note(ORIGIN_MS + 1, "gw-1", "feed-meter", [Shown("volume_m3", 7.5, "0007 0000")])
    writer.note_quantities(ORIGIN_MS, {"train-1.feed.flow_m3_h": 250.0})
    writer.close()
    _, out, _ = trace(capsys, tmp_path / "r.db")
    assert "1 quantities of the world" in out and "  feed-meter: volume_m3" in out
    _, out, _ = trace(capsys, tmp_path / "r.db", "--field", "*")
    assert "16:53:20.001+08:00,served,feed-meter,volume_m3,7.5," in out and out.endswith(",0007 0000\n")


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["--device", "nobody"], 1, "nothing matches"),
        (["--device", "*", "--from", "z"], 2, "--from: z: no ISO date or time"),
        (["--device", "*", "--from", "2025-03-02", "--to", "2025-03-01"], 2, "does not lie before"),
    ],
)
def test_a_question_without_an_answer_is_one_line(
    told: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    found, out, err = trace(capsys, told, *words)
    assert (found, out) == (code, "")
    assert said in err and err.count("\n") == 1


def test_what_is_neither_story_nor_record_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(capsys, tmp_path)[0] == 2
    assert trace(capsys, tmp_path / "none.db")[0] == 2


@pytest.mark.parametrize(
    "words, said",
    [
        (["--for", "36h"], "told in whole days"),
        (["--days", "0"], "give 1 to"),
        (["--days", "1", "--every", "7s"], "does not divide a day"),
        (["--days", "1", "--plot", "day.gif"], "is .svg or .png"),
        (["--days", "1", "--plot", "day.svg", "--plot-day", "2025-03-02"], "not one of the days"),
        (["--days", "1", "--seed", "-1"], "--seed -1"),
        (["--days", "1", "--workers", "0"], "--workers 0"),
        (["--days", "1", "--from", "2025-03-01T06:00"], "no local midnight"),
        (["--days", "1", "--from", "spring"], "--from: spring: no ISO date"),
    ],
)
def test_what_cannot_be_told_is_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main([*WORLD, *words, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_another_story_in_the_folder_is_kept(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (told / "story.db").read_bytes()
    assert main([*WORLD, "--days", "3", "--seed", "5", "--out", str(told)]) == 1
    assert "holds another story" in capsys.readouterr().err
    assert (told / "story.db").read_bytes() == before


def test_progress_is_seen_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loopgauge.cli.main", *WORLD, "--days", "2", "--workers", "1"]
    quiet = subprocess.run([*command, "--out", str(tmp_path / "a")], capture_output=True, check=True)
    assert (quiet.stdout, quiet.stderr) == (b"", b"")
    ours, theirs = pty.openpty()
    with subprocess.Popen([*command, "--out", str(tmp_path / "b")], stderr=theirs) as program:
        os.close(theirs)
        said = b""
        try:
            while some := os.read(ours, 4096):
                said += some
        except OSError:
            pass
        assert program.wait() == 0
    os.close(ours)
    text = said.decode()
    assert "day 0 of 2" in text and "day 2 of 2" in text
    assert text.splitlines()[-1].rpartition("\033[K")[2].startswith("2 days, ")


@pytest.mark.parametrize("name", shipped_names())
def test_every_ready_scenario_is_told_drawn_and_traced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    drawn = tmp_path / "day.svg"
    asked = ["--from", "2025-07-09", "--days", "1", "--every", "30m", "--out", str(tmp_path), "--plot", str(drawn)]
    assert main(["simulate", "world", name, *asked]) == 0
    assert f"{name} · 2025-07-09" in drawn.read_text("utf-8")
    plan = load_scenario(find(name), Library().load).scenario
    code, out, _ = trace(capsys, tmp_path)
    assert code == 0 and f"{len(plan.quantities())} quantities of the world:" in out
    assert f"{len(plan.meters)} devices:" in out
    device, meter = next((each, meter) for each, meter in plan.meters.items() if meter.fields)
    code, out, _ = trace(capsys, tmp_path, "--device", device, "--field", next(iter(meter.fields)))
    assert code == 0 and out.count(",shown,") == 48
