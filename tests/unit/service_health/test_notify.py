"""What the service manager hears, over real sockets; and that nobody else is told its address."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service_health.notify import STATUS_BYTES_MAX, Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """(NOTIFY_SOCKET, what systemd listens on)."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@loopgauge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind("\0" + address[1:] if address.startswith("@") else address)
        ear.settimeout(5)
        yield address, ear


def test_each_message_arrives_as_systemd_reads_it(manager: tuple[str, socket.socket]) -> None:
    address, ear = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"})
    assert notifier.watchdog_s == 60
    notifier.ready()
    notifier.alive()
    notifier.status("3 buses;\n12 batches")
    notifier.stopping()
    said = [ear.recv(4096) for _ in range(4)]
    assert said == [b"READY=1", b"WATCHDOG=1", b"STATUS=3 buses; 12 batches", b"STOPPING=1"]


def test_a_long_status_is_cut_between_characters(manager: tuple[str, socket.socket]) -> None:
    address, ear = manager
    Notifier(address=address).status("水表" * 500)
    said = ear.recv(65536)
    assert len(said) <= len(b"STATUS=") + STATUS_BYTES_MAX
    assert set(said.decode().removeprefix("STATUS=")) == {"水", "表"}


def test_a_child_does_not_get_the_address() -> None:
    environment = {**os.environ, "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    Notifier.from_environment(environment)
    code = "import os; print([k for k in os.environ if k.startswith(('NOTIFY', 'WATCHDOG'))])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "environment, watchdog_s",
    [
        ({}, None),
        ({"WATCHDOG_USEC": "5000000"}, 5.0),
        ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": str(os.getpid())}, 5.0),
        ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_a_watchdog_that_is_not_meant_for_us_or_makes_no_sense_is_none(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert Notifier.from_environment(environment).watchdog_s == watchdog_s


def test_a_service_manager_that_is_gone_or_does_not_listen_holds_nobody_up(tmp_path: Path) -> None:
    Notifier(address=str(tmp_path / "nobody")).ready()
    Notifier(address="relative").alive()
    Notifier(address=None).alive()
    address = str(tmp_path / "deaf")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(address)
        notifier = Notifier(address=address)
        for _ in range(5000):  # more than its queue holds: a waiting send would never come back
            notifier.alive()
