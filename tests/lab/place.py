"""Where the lab keeps its things, and the addresses of its network. Everything lies under build/lab."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
LAB = ROOT / "build" / "lab"
HOSTS = LAB / "hosts"
LOGS = LAB / "logs"

PREFIX = "lg-lab-"
"""Of every network namespace and cgroup that the lab makes, so that tearing down touches nothing else."""

CONTROLLER = "ctl"
CONTROLLER_ADDRESS = "10.77.0.1"
BITS = 24
ADDRESSES = {
    "cloud": "10.77.0.10",
    "gw-1": "10.77.0.11",
    "gw-2": "10.77.0.12",
    "gw-3": "10.77.0.13",
}
"""Host → address; the hosts that may exist at all."""

PYTHON = ROOT / ".venv" / "bin" / "python"
DEPLOY = ROOT / "deploy" / "ansible"
ANSIBLE = ROOT / ".venv-deploy" / "bin"


def namespace(name: str) -> str:
    """The network namespace of a host or of the controller."""
    return PREFIX + name


def hosts_file() -> str:
    """What stands in /etc/hosts, on the hosts and in the controller's view."""
    names = [("127.0.0.1", "localhost"), (CONTROLLER_ADDRESS, CONTROLLER)]
    return "".join(f"{address} {name}\n" for address, name in [*names, *((a, n) for n, a in ADDRESSES.items())])
