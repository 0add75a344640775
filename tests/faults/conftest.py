"""Collects what the seeds of a run have tried, and prints it at the end: faults by the step at which they struck."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.run import table_of
from tests.faults.storm import Table

TABLE: Table = Counter()
NOTES: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table fault x step."""
    if TABLE or NOTES:
        terminalreporter.section("faults by the step that they hit")
        for line in table_of(TABLE, NOTES):
            terminalreporter.write_line(line)
