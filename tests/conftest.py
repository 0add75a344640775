"""Marks tests by their folder, says which stay together where several run at once, and lets no test that needs a real
server disappear quietly.

Where a server is missing, its tests are skipped and listed at the end of the run with the reason; with CI=true such a
skip is a failure. A test of something that nobody can install (a server that only its URL in the environment
names) does not belong under this rule: leave the mark `e2e` off. What only some machines allow (MAY_BE_REFUSED) is
listed, and no failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

MARK_OF_FOLDER = {"e2e": "e2e", "chaos": "chaos", "e2e/deploy": "slow", "power": "slow"}
MAY_BE_REFUSED = ("power", "e2e/test_slow_link.py")
"""Tests that need what no package brings: root, and a kernel that lets them mount, or make networks of their own."""
TOGETHER = ("e2e/deploy", "faults")
"""Folders whose tests share what is dear to make, or a table; elsewhere the tests of a file stay together."""
TESTS = Path(__file__).parent


def _must_run(item: pytest.Item) -> bool:
    return item.get_closest_marker("e2e") is not None or item.get_closest_marker("chaos") is not None


def _may_be_refused(path: Path) -> bool:
    return any(path.is_relative_to(TESTS / place) for place in MAY_BE_REFUSED)


def _in_ci() -> bool:
    return os.environ.get("CI") == "true"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped, without pytest's prefix."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _fail_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    report.longrepr = f"skipped, which CI=true does not allow: {_reason(report)}"
    report.outcome = "failed"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the mark of each folder, before `-m` selects by it, and the group that one process runs."""
    for item in items:
        if TESTS in item.path.parents:
            place = item.path.relative_to(TESTS)
            folders = [folder.as_posix() for folder in place.parents]
            for folder in folders:
                mark = MARK_OF_FOLDER.get(folder)
                if mark is not None:
                    item.add_marker(mark)
            item.add_marker(pytest.mark.xdist_group(next((f for f in folders if f in TOGETHER), place.as_posix())))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test on real servers that skips: remembered for the end of the run, and a failure in CI."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and (_must_run(item) or _may_be_refused(item.path)):
        report.user_properties.append(("left_out", _reason(report)))
        if _in_ci() and not _may_be_refused(item.path):
            _fail_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that skips itself while it is imported."""
    report = yield
    relative = collector.path.relative_to(TESTS).parts if TESTS in collector.path.parents else ("",)
    if report.skipped and relative[0] in MARK_OF_FOLDER and not _may_be_refused(collector.path) and _in_ci():
        _fail_in_ci(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests on real servers were left out, and why."""
    left_out: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("skipped"):
        for name, reason in report.user_properties:
            if name == "left_out":
                left_out.setdefault(str(reason), []).append(report.nodeid)
    if not left_out:
        return
    terminalreporter.section("left out", sep="=")
    for reason, tests in left_out.items():
        terminalreporter.write_line(f"{reason} ({len(tests)}):")
        for test in tests:
            terminalreporter.write_line(f"  {test}")
