"""A year of three districts, told by the shipped command with live progress: every minute of every quantity and meter.

The scenario is one that ships. Besides the time, what was written is looked at: as many devices, quantities, days and
events as were asked for, and a year that adds up, or the figure does not count.
"""

from __future__ import annotations

import math
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, Goal
from benchmarks.processes import NotMeasured
from simulators.story.book import Book

GOALS = {"sim_year": Goal.parse("<= 600 s")}

SCENARIO = "tianjin-year"
DAYS = 365
DEVICES_MIN, QUANTITIES_MIN = 40, 200
_BAR = re.compile(r"day (\d+) of (\d+)")


def measure(folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """`sim_year`: wall time from the start of the command to its end."""
    out = folder / "year"
    command = [sys.executable, "-m", "loopgauge.cli.main", "simulate", "world", SCENARIO]
    command += ["--from", "2025-01-01", "--days", str(DAYS), "--every", "1m", "--out", str(out)]
    began_s, began_cpu_s = time.monotonic(), _children_s()
    seen = _run(command, say)
    took_s, cpu_s = time.monotonic() - began_s, _children_s() - began_cpu_s
    if seen < DAYS:
        raise NotMeasured(f"the progress said no more than {seen} of {DAYS} days")
    return [Figure("sim_year", took_s, "s", GOALS["sim_year"], note=f"{cpu_s:.0f} s CPU; {_told(out)}")]


def _run(command: list[str], say: Callable[[str], None]) -> int:
    """Run it on a terminal of its own and say how far it is; gives back the last day that its progress named."""
    ours, theirs = pty.openpty()
    seen = 0
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as program:
        os.close(theirs)
        out: list[bytes] = []
        reader = threading.Thread(target=lambda: out.append(program.stdout.read() if program.stdout else b""))
        reader.start()
        try:
            while text := _read(ours):
                if days := _BAR.findall(text):
                    seen = int(days[-1][0])
                    say(f"day {seen} of {DAYS}")
        finally:
            if program.poll() is None and sys.exc_info()[0] is not None:
                program.terminate()
        code = program.wait()
        reader.join()
        os.close(ours)
    if code:
        raise NotMeasured(f"the command ended with {code}")
    return seen


def _read(ours: int) -> str:
    try:
        return os.read(ours, 65_536).decode(errors="replace")
    except OSError:  # the other end of a terminal that is closed
        return ""


def _told(out: Path) -> str:
    """What the story holds, for a reader. NotMeasured if it is less than was asked for."""
    book = Book.open_readonly(out)
    try:
        series = book.series()
        devices, quantities = {each.device for each in series if each.device}, [e for e in series if not e.device]
        events = sum(1 for _ in book.happenings(0, 10**15))
        if book.days() != DAYS or len(devices) < DEVICES_MIN or len(quantities) < QUANTITIES_MIN or not events:
            raise NotMeasured(
                f"{book.days()} days, {len(devices)} devices, {len(quantities)} quantities, {events} events"
            )
        _adds_up(book)
    finally:
        book.close()
    size_mb = (book.path.stat().st_size) / 1e6
    values = len(series) * DAYS * 1440 / 1e6
    return (
        f"{len(devices)} devices, {len(quantities)} quantities, {len(series)} series, {values:.0f} million values,"
        f" {events} events, {size_mb:.0f} MB"
    )


def _adds_up(book: Book) -> None:
    """What went into each bin is what its deposits were; nobody comes in the last minute of a year."""
    put: dict[str, float] = {}
    for each in book.happenings(0, 10**15, kind="deposit"):
        put[each.part] = put.get(each.part, 0.0) + each.value
    for series in book.series(name="*.mass_in_kg"):
        last, told = float(book.column(series.id, DAYS - 1)[-1]), put.get(series.name.partition(".")[0], 0.0)
        if not math.isclose(last, told, abs_tol=0.01):
            raise NotMeasured(f"{series.name} rose by {last} kg, its deposits are {told} kg")


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
