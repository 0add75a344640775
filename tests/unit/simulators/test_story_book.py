"""A year takes minutes to tell: whoever stops it must find whole days, and go on to the same file as without a stop."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from device_profiles.library import Library
from simulators.load_scenario import Loaded, find, load_scenario, with_seed
from simulators.story.app import Written, write_story
from simulators.story.book import NAME, Book, BookError, BookWriter
from simulators.story.calendar import Calendar, instant_ms
from simulators.story.shares import What, shares
from simulators.world.world import World

OFFSET_MS = 8 * 3_600_000
CALENDAR = Calendar(instant_ms("2025-03-01", OFFSET_MS), 600_000, OFFSET_MS)
COMMAND = [sys.executable, "-m", "loopgauge.cli.main", "simulate", "world", "bad-day", "--from", "2025-03-01"]


@pytest.fixture(scope="module")
def plan() -> Loaded:
    return load_scenario(find("bad-day"), Library().load)


def tell(plan: Loaded, folder: Path, days: int, **how: object) -> Written:
    return write_story(plan, folder=folder, calendar=CALENDAR, days=days, **how)  # type: ignore[arg-type]


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / NAME).read_bytes()).hexdigest()


def content(folder: Path) -> list[list[tuple[object, ...]]]:
    db = sqlite3.connect(folder / NAME)
    tables = ("meta ORDER BY key", "series ORDER BY id", "day", "chunk ORDER BY id", "happening ORDER BY rowid")
    rows = [list(db.execute(f"SELECT * FROM {table}")) for table in tables]  # noqa: S608
    db.close()
    return rows


def test_the_file_is_the_same_however_many_processes_tell_it(plan: Loaded, tmp_path: Path) -> None:
    for workers in (1, 2, 3):
        written = tell(plan, tmp_path / str(workers), 3, workers=workers)
        assert (written.days, written.new) == (3, 3)
    assert digest(tmp_path / "1") == digest(tmp_path / "2") == digest(tmp_path / "3")


def test_the_file_is_the_same_in_processes_with_different_hash_seeds(tmp_path: Path) -> None:
    for seed in ("0", "4242"):
        command = [*COMMAND, "--days", "1", "--every", "10m", "--out", str(tmp_path / seed)]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
    assert digest(tmp_path / "0") == digest(tmp_path / "4242")


def test_a_story_that_is_gone_on_with_is_the_one_that_was_never_stopped(plan: Loaded, tmp_path: Path) -> None:
    tell(plan, tmp_path / "whole", 4)
    tell(plan, tmp_path / "parts", 2)
    assert tell(plan, tmp_path / "parts", 4, workers=2).new == 2
    assert tell(plan, tmp_path / "parts", 3) == tell(plan, tmp_path / "parts", 4)
    assert content(tmp_path / "whole") == content(tmp_path / "parts")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_story_that_is_stopped_holds_whole_days_and_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    command = [*COMMAND, "--days", "400", "--every", "10m", "--workers", "2", "--out", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as program:
        deadline = time.monotonic() + 180
        while _days(tmp_path) < 2:
            assert time.monotonic() < deadline and program.poll() is None
            time.sleep(0.02)
        os.killpg(program.pid, number) if number == signal.SIGINT else program.send_signal(number)
        said = program.stderr.read() if program.stderr else ""
        code = program.wait(timeout=180)
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 130
        assert said.count("\n") == 1 and "run the same again to go on" in said
    book = Book.open_readonly(tmp_path)
    days = book.days()
    assert days >= 2
    series = book.series()
    assert all(book.column(each.id, days - 1).size == 144 for each in series)
    with pytest.raises(KeyError):
        book.column(series[0].id, days)
    book.close()
    subprocess.run([*COMMAND, "--days", str(days + 1), "--every", "10m", "--out", str(tmp_path)], check=True)
    assert _days(tmp_path) == days + 1


def _days(folder: Path) -> int:
    try:
        book = Book.open_readonly(folder)
    except BookError:
        return 0
    try:
        return book.days()
    except sqlite3.Error:
        return 0
    finally:
        book.close()


def test_another_scenario_seed_or_step_never_goes_into_the_same_file(plan: Loaded, tmp_path: Path) -> None:
    tell(plan, tmp_path, 1)
    with pytest.raises(BookError, match="its scenario, seed differ; give another folder"):
        tell(with_seed(plan, 99), tmp_path, 2)
    with pytest.raises(BookError, match="its --what differ"):
        tell(plan, tmp_path, 2, what=What.TRUTH)
    assert _days(tmp_path) == 1


def test_a_file_that_is_no_story_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("something else, and long enough to be taken for a header" * 20)
    with pytest.raises(BookError, match=r"not a story: .*; `loopgauge simulate world` writes one"):
        Book.open_readonly(tmp_path)
    with pytest.raises(BookError, match="give another folder"):
        BookWriter(folder=tmp_path).open({}, [])
    with pytest.raises(BookError, match="not a story"):
        Book.open_readonly(tmp_path / "nothing")


def test_columns_hold_what_the_world_was_at_each_step(plan: Loaded, tmp_path: Path) -> None:
    tell(plan, tmp_path, 2)
    book, world = Book.open_readonly(tmp_path), World(scenario=plan.scenario, origin_ms=CALENDAR.from_ms)
    for series in book.series(""):
        for day in (0, 1):
            assert np.array_equal(book.column(series.id, day), world.column(series.name, CALENDAR.times(day)))
    book.close()


@pytest.mark.parametrize("what, truth, shown", [(What.TRUTH, True, False), (What.METERS, False, True)])
def test_only_what_is_asked_for_is_told(plan: Loaded, tmp_path: Path, what: What, truth: bool, shown: bool) -> None:
    tell(plan, tmp_path, 1, what=what)
    book = Book.open_readonly(tmp_path)
    assert {not each.device for each in book.series()} == {truth}
    assert any(each.device for each in book.series()) == shown
    kinds = {each.kind for each in book.happenings(0, 10**15)}
    assert ("deposit" in kinds) == truth
    assert "fault_begin" in kinds
    book.close()


def test_shares_hold_every_part_and_device_once_and_weigh_about_the_same() -> None:
    plan = load_scenario(find("tianjin-year"), Library().load)
    world = World(scenario=plan.scenario, origin_ms=0)
    found = shares(plan, world, 2)
    devices = [device for share in found for device in share.devices]
    assert sorted(devices) == sorted(plan.scenario.meters)
    parts = [part for share in found for part in share.parts]
    assert sorted(parts) == sorted({name.partition(".")[0] for name in world.names})
    assert abs(found[0].weight - found[1].weight) < 0.1 * found[0].weight
    assert len(shares(plan, world, 1000)) == len(parts) + 1  # one analyser measures nothing of the world
