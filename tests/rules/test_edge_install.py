"""What a gateway gets: the wheel with `[edge]` alone, in an environment of its own. Every verb works in it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.rules.tree import ROOT

pytestmark = pytest.mark.slow

LEFT_AT_HOME = {"numpy", "pandas", "influxdb-client", "dask", "starlette", "uvicorn", "amqtt", "urllib3"}
"""Libraries of the cloud and of the simulators; none may come along to a gateway."""

SITE = """\
gateway: plant-1
spool: {file: %s/spool.db}
uplink: {host: localhost, port: 9}
clock: {trust: always}
buses: {meters: {type: modbus_tcp, host: localhost, port: 9}}
devices: {energy-meter: {profile: eastron-sdm630, bus: meters}}
"""
LOADED = """
import sys
from loopgauge.cli.main import main
code = main(sys.argv[1:])
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"numpy", "influxdb_client", "starlette", "uvicorn", "urllib3"}))
sys.exit(code)
"""
NAMES = """
import importlib.metadata, json
print(json.dumps([each.metadata["Name"].lower().replace("_", "-") for each in importlib.metadata.distributions()]))
"""


def ran(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=900)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the built wheel and its `[edge]` libraries, in the versions tested."""
    folder = tmp_path_factory.mktemp("edge")
    built = ran("make", "-s", "-C", ROOT, "wheel", f"DIST={folder}")
    assert built.returncode == 0, built.stdout + built.stderr
    wheel = next(folder.glob("loopgauge-*.whl"))
    wanted = f"loopgauge[edge] @ {wheel.as_uri()}"
    if shutil.which("uv") is not None:
        assert ran("uv", "venv", "-q", "--python", sys.executable, folder / "venv").returncode == 0
        install = ["uv", "pip", "install", "-q", "--python", str(folder / "venv/bin/python")]
    else:
        assert ran(sys.executable, "-m", "venv", folder / "venv").returncode == 0
        install = [str(folder / "venv/bin/python"), "-m", "pip", "install", "-q"]
    installed = ran(*install, "-c", ROOT / "constraints.txt", wanted)
    assert installed.returncode == 0, installed.stderr
    return folder / "venv/bin/python"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE % tmp_path)
    return path


def test_no_library_of_the_cloud_comes_along(python: Path) -> None:
    listed = ran(python, "-c", NAMES)
    names = set(json.loads(listed.stdout))
    assert {"aiomqtt", "pymodbus", "prometheus-client"} <= names
    assert not names & LEFT_AT_HOME


@pytest.mark.parametrize(
    "verb, code", [(["sample"], 0), (["check", "SITE"], 0), (["read", "SITE", "--once"], 1)], ids=lambda verb: str(verb)
)
def test_a_verb_of_the_edge_does_its_work_and_loads_nothing_of_the_cloud(
    python: Path, site: Path, verb: list[str], code: int
) -> None:
    words = [str(site) if word == "SITE" else word for word in verb]
    said = ran(python, "-c", LOADED, "edge", *words)
    assert said.returncode == code, said.stderr
    assert said.stdout.rstrip().endswith("[]"), said.stdout[-300:]


def test_the_agent_runs_seals_and_ends_in_order(python: Path, site: Path) -> None:
    agent = subprocess.Popen(
        [str(python), "-m", "loopgauge.cli.main", "edge", "run", str(site)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (site.parent / "spool.db").exists() and agent.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    begun = (site.parent / "spool.db").exists()
    time.sleep(2)
    agent.send_signal(signal.SIGTERM)
    _, said = agent.communicate(timeout=120)
    assert begun, said
    assert agent.returncode == 0, said
    assert "Traceback" not in said
    assert (site.parent / "spool.db").stat().st_size > 0


def test_a_verb_of_the_cloud_names_the_extra_that_is_missing(python: Path, tmp_path: Path) -> None:
    said = ran(
        python, "-m", "loopgauge.cli.main", "console", "--store", f"sqlite:{tmp_path}", "--assets", "assets.yaml"
    )
    assert said.returncode == 1
    assert "pip install 'loopgauge[cloud]'" in said.stderr
    assert "Traceback" not in said.stderr
