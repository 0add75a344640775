"""The floor plan is kept by every module that ships, and each rule is shown to catch what it is for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rules.rules import (
    banned_calls,
    foreign_libraries,
    mark_of,
    oversize,
    raised_in_star,
    touched_world,
    wrong_directions,
)
from tests.rules.tables import BANNED_IMPORTS, LIBRARIES, MARKS, MAY_SEE, PACKAGES, Mark
from tests.rules.tree import ROOT, Module, modules, parse

Rule = Callable[[Module], list[str]]
RULES = [wrong_directions, foreign_libraries, touched_world, banned_calls, raised_in_star, oversize]


@pytest.mark.parametrize("rule", RULES)
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    found = [line for module in modules(*PACKAGES) for line in rule(module)]
    assert not found, "\n" + "\n".join(found)


def test_the_tables_know_every_package_and_only_packages_of_the_house() -> None:
    there = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert there <= set(PACKAGES)
    assert set(MAY_SEE) == set(LIBRARIES) == set(PACKAGES)
    assert {path.split("/")[0] for path in MARKS} <= set(PACKAGES)


def test_the_opponents_of_the_benchmarks_import_nothing_of_ours() -> None:
    ours = {*PACKAGES, "tests"}
    found = [
        f"{module.path}:{imported.line}: {imported.name}"
        for module in modules("benchmarks/limits")
        for imported in module.imports()
        if imported.name.split(".")[0] in ours
    ]
    assert not found


def test_the_independent_readers_import_nothing_of_ours() -> None:
    found = [
        f"{module.path}:{imported.line}: {imported.name}"
        for module in modules("tests/independent")
        if not module.path.rsplit("/", 1)[-1].startswith("test_")
        for imported in module.imports()
        if imported.name.split(".")[0] in PACKAGES
    ]
    assert not found


BROKEN: list[tuple[Rule, str, str]] = [
    (wrong_directions, "edge_agent/read/planner.py", "from series_store.port import Writer"),
    (wrong_directions, "edge_agent/app.py", "def run():\n    import simulators.world"),
    (wrong_directions, "ingest/worker.py", "from device_profiles import profile"),
    (wrong_directions, "ingest/tables.py", "import series_store.influx.lines"),
    (wrong_directions, "web_console/views.py", "from series_store import open"),
    (wrong_directions, "web_console/app.py", "from rollups import figures"),
    (wrong_directions, "delivery_audit/cover.py", "from rollups.catalog import Indicator"),
    (wrong_directions, "rollups/worker.py", "from ingest import config"),
    (wrong_directions, "data_contract/batch.py", "from device_profiles.profile import Profile"),
    (wrong_directions, "data_contract/batch.py", "from loopgauge import judge"),
    (wrong_directions, "ingest/config.py", "from ingest.app import run"),
    (wrong_directions, "ingest/config.py", "from . import app"),
    (wrong_directions, "series_store/port.py", "from series_store.sqlite.store import SqliteStore"),
    (wrong_directions, "series_store/__init__.py", "from series_store.port import Writer"),
    (wrong_directions, "simulators/devices/modbus.py", "from device_profiles.registers import decode"),
    (wrong_directions, "rollups/hours.py", "from tests.twins import store"),
    (foreign_libraries, "edge_agent/keep/evict.py", "import numpy as np"),
    (foreign_libraries, "data_contract/message.py", "import orjson"),
    (foreign_libraries, "rollups/hours.py", "def hour():\n    from influxdb_client import Point"),
    (touched_world, "data_contract/schedule.py", "import asyncio"),
    (touched_world, "edge_agent/send/flight.py", "from time import monotonic"),
    (touched_world, "device_profiles/registers.py", "from pathlib import Path"),
    (touched_world, "yaml_models/parse.py", "def parse(path):\n    return open(path).read()"),
    (touched_world, "rollups/figures.py", "from urllib.request import urlopen"),
    (touched_world, "edge_agent/read/poller.py", "from pymodbus.client import AsyncModbusTcpClient"),
    (touched_world, "edge_agent/keep/spool.py", "import sqlite3"),
    (touched_world, "ingest/worker.py", "import time"),
    (touched_world, "edge_agent/send/link.py", "import aiomqtt, pymodbus"),
    (banned_calls, "rollups/hours.py", "from datetime import datetime\nat = datetime.now()"),
    (banned_calls, "rollups/hours.py", "import datetime as dt\nat = dt.datetime.utcnow()"),
    (banned_calls, "ingest/worker.py", "from time import time as now\nat = now()"),
    (banned_calls, "edge_agent/send/link.py", "import random\nwait = random.uniform(0, 1)"),
    (banned_calls, "simulators/sensors.py", "import numpy as np\nnoise = np.random.normal()"),
    (banned_calls, "ingest/tables.py", "print('stored')"),
    (banned_calls, "ingest/app.py", "import importlib\nimportlib.import_module('x')"),
    (banned_calls, "ingest/app.py", "async def run(group):\n    group.create_task(work())"),
    (raised_in_star, "ingest/app.py", "try:\n    run()\nexcept* OSError as group:\n    raise Lost() from group"),
    (oversize, "ingest/tables.py", "x = 1\n" * 401),
    (oversize, "ingest/tables.py", "def long():\n" + "    x = 1\n" * 61),
]


@pytest.mark.parametrize("rule, path, text", BROKEN, ids=lambda value: value if isinstance(value, str) else "")
def test_a_broken_rule_is_caught(rule: Rule, path: str, text: str) -> None:
    found = rule(parse(path, text))
    assert len(found) == 1
    assert found[0].startswith(path)


KEPT: list[tuple[Rule, str, str]] = [
    (wrong_directions, "loopgauge/judge.py", "from ingest.app import run\nfrom rollups import figures"),
    (wrong_directions, "web_console/views.py", "from rollups.catalog import Indicator\nimport series_store.table"),
    (wrong_directions, "ingest/worker.py", "from series_store import names, port, table"),
    (foreign_libraries, "simulators/world/city.py", "import numpy as np\nimport math"),
    (
        touched_world,
        "rollups/figures.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pathlib import Path",
    ),
    (touched_world, "rollups/report.py", "from urllib.parse import quote"),
    (touched_world, "edge_agent/send/link.py", "import aiomqtt\nimport paho.mqtt.client\nimport ssl"),
    (touched_world, "edge_agent/send/sender.py", "import asyncio"),
    (banned_calls, "edge_agent/clock.py", "import time\nat = time.time()"),
    (
        banned_calls,
        "edge_agent/send/flight.py",
        "import random\nwait = random.Random(7).uniform(0, 1)",
    ),
    (banned_calls, "simulators/sensors.py", "import numpy as np\nchance = np.random.default_rng(7)"),
    (banned_calls, "ingest/app.py", "async def run(group):\n    group.create_task(work(), name='work')"),
    (raised_in_star, "ingest/app.py", "try:\n    run()\nexcept* OSError:\n    raise"),
    (banned_calls, "loopgauge/cli/main.py", "print('stored')"),
    (banned_calls, "loopgauge/cli/main.py", "import importlib\nimportlib.import_module('x')"),
]


@pytest.mark.parametrize("rule, path, text", KEPT, ids=lambda value: value if isinstance(value, str) else "")
def test_what_a_rule_allows_passes(rule: Rule, path: str, text: str) -> None:
    assert rule(parse(path, text)) == []


@pytest.mark.parametrize(
    "path, mark",
    [
        ("edge_agent/send/flight.py", Mark.CORE),
        ("edge_agent/send/link.py", Mark.SHELL),
        ("rollups/render/csv_file.py", Mark.SHELL),
        ("loopgauge/cli/edge.py", Mark.ROOT),
        ("loopgauge/demo/history.py", Mark.FLOW),
        ("loopgauge/__init__.py", Mark.CORE),
        ("web_console/app.py", Mark.ROOT),
    ],
)
def test_the_longest_path_gives_the_mark(path: str, mark: Mark) -> None:
    assert mark_of(path) is mark


def test_a_mark_bans_no_more_than_the_one_below_it() -> None:
    assert set(BANNED_IMPORTS[Mark.FLOW]) < set(BANNED_IMPORTS[Mark.CORE])
