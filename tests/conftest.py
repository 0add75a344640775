"""Marks tests by their folder, says which stay together where several run at once, and lets no test that needs a real
server disappear quietly.

Where a server is missing, its tests are skipped and listed at the end of the run with the reason; with CI=true such a
skip is a failure. A test of something that nobody can install (a server that only its URL in the environment
names) does not belong under this rule: leave the mark `e2e` off. What only some machines allow (MAY_BE_REFUSED) is
listed, and no failure.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

MARK_OF_FOLDER = {"e2e": "e2e", "chaos": "chaos", "e2e/deploy": "slow", "power": "slow"}
MAY_BE_REFUSED = ("power", "e2e/test_slow_link.py")
"""Tests that need what no package brings: root, and a kernel that lets them mount, or make networks of their own."""
TOGETHER = ("e2e/deploy",)
"""Folders whose tests share what is dear to make; elsewhere the tests of a file stay together."""
LONGEST_FIRST = (
    "e2e/deploy",
    "faults/test_seeds.py",
    "chaos/test_storm.py",
    "chaos/test_many_kills.py",
    "e2e/test_city_days.py",
    "e2e/test_demo.py",
    "faults/test_planted.py",
    "e2e/test_kills.py",
    "e2e/test_slow_link.py",
    "e2e/test_flood.py",
    "e2e/test_fleet.py",
    "faults/test_clock.py",
)
"""Groups that run for half a minute and more: begun last, one of them would keep one process busy alone."""
TESTS = Path(__file__).parent


def pytest_configure() -> None:
    """A shell lets whatever it starts in the background ignore Ctrl-C, programs that tests start and stop by it too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


def _group(place: str) -> str:
    """The group of a test by its file's place below TESTS."""
    folders = [folder.as_posix() for folder in Path(place).parents]
    return next((folder for folder in folders if folder in TOGETHER), place)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the mark of each folder, before `-m` selects by it, and begin with the groups that take longest."""
    rank = {group: number for number, group in enumerate(LONGEST_FIRST)}
    places = {item: item.path.relative_to(TESTS) for item in items if TESTS in item.path.parents}
    for item, place in places.items():
        for folder in place.parents:
            mark = MARK_OF_FOLDER.get(folder.as_posix())
            if mark is not None:
                item.add_marker(mark)
    groups = {item: _group(place.as_posix()) for item, place in places.items()}
    items.sort(key=lambda item: rank.get(groups.get(item, ""), len(rank)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Groups as wholes, in the order of the tests. Not by `--dist loadgroup`: xdist 3.8 tells groups by an attribute
    that tests of pytest 9.2 no longer have, and so deals out test by test, which makes everything dear twice.
    """
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False
    groups = LoadScopeScheduling(config, log)
    groups._split_scope = lambda nodeid: _group(nodeid.partition("::")[0].removeprefix("tests/"))
    return groups


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
