"""Collects what the seeds of a run have tried, and prints it at the end: faults by the step at which they struck."""

from __future__ import annotations

from collections import Counter

import pytest

TABLE: Counter[tuple[str, str]] = Counter()
NOTES: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table fault × step."""
    if not TABLE and not NOTES:
        return
    terminalreporter.section("faults by the step that they hit")
    steps = sorted({step for _, step in TABLE})
    for number, step in enumerate(steps):
        terminalreporter.write_line(f"{chr(ord('a') + number)} = {step}")
    terminalreporter.write_line(" " * 24 + "".join(f"{chr(ord('a') + n):>5}" for n in range(len(steps))))
    for fault in sorted({fault for fault, _ in TABLE}):
        cells = "".join(f"{TABLE[fault, step] or '':>5}" for step in steps)
        terminalreporter.write_line(f"{fault:<24}{cells}")
    for note in NOTES:
        terminalreporter.write_line(note)
