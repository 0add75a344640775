"""What the roles change about the packages' units, and how the units of our own come back after a fall."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.deploy.rendered import CLOUD, WORKERS, Fleet, Host
from tests.e2e.programs import run

UNITS = Path("/lib/systemd/system")
OWN = ("loopgauge-ingest@worker-1.service", "loopgauge-rollups.service", "loopgauge-console.service")
PACKAGED = ("mosquitto.service", "influxdb.service")
STARTED = ("/usr/sbin/mosquitto", "/usr/bin/influxd", "/bin/kill", "/bin/mkdir", "/bin/chown")


def _analyze(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: sudo apt-get install -y systemd")
    return subprocess.run(
        ["systemd-analyze", f"--root={root}", *words], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def root(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's root as far as systemd looks at it: the packages' units, ours over them, and something to start."""
    if not (UNITS / "mosquitto.service").exists() or not (UNITS / "influxdb.service").exists():
        pytest.skip("mosquitto and influxdb are not installed: sudo apt-get install -y mosquitto influxdb")
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(UNITS, root / "usr" / "lib" / "systemd" / "system", symlinks=True)
    shutil.copytree(fleet.file(CLOUD, "/etc/systemd/system"), root / "etc" / "systemd" / "system")
    for path in STARTED:
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    return root


@pytest.mark.parametrize("unit", PACKAGED)
def test_systemd_finds_no_fault_in_a_packaged_unit_with_our_changes(unit: str, root: Path) -> None:
    said = _analyze(root, "verify", "--man=no", unit)
    ours = [line for line in (said.stdout + said.stderr).splitlines() if re.search("loopgauge|mosquitto|influx", line)]
    assert not ours


@pytest.mark.parametrize("unit", PACKAGED)
def test_a_packaged_service_is_exposed_at_most_to_1_5(unit: str, root: Path) -> None:
    said = _analyze(root, "security", "--offline=true", "--threshold=15", "--no-pager", unit)
    assert said.returncode == 0, said.stdout[-300:] + said.stderr


@pytest.mark.parametrize("unit", OWN)
def test_a_service_that_hangs_or_dies_is_started_again(unit: str, fleet: Fleet) -> None:
    text = fleet.text(CLOUD, f"/etc/systemd/system/{unit.replace('worker-1', '')}")
    for line in ("Type=notify", "Restart=always", "StartLimitIntervalSec=0"):
        assert f"\n{line}\n" in text
    assert re.search(r"^WatchdogSec=\d+$", text, re.MULTILINE)
    assert re.search(r"^MemoryMax=\d+$", text, re.MULTILINE)


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_finds_its_file_good(worker: str, fleet: Fleet, tmp_path: Path) -> None:
    host = Host(fleet=fleet, name=CLOUD, folder=tmp_path / "host")
    host.place({})
    package, verb, file = host.words("loopgauge-ingest@.service", worker)
    assert (package, verb) == ("ingest", "run")
    done = run("ingest", "check", file)
    assert done.returncode == 0, done.stdout + done.stderr
    text = Path(file).read_text(encoding="utf-8")
    Path(file).write_text(text.replace("dead_letters:", "dead_leters:"), encoding="utf-8")
    assert run("ingest", "check", file).returncode == 2
