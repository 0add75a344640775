"""SSH with keys and a configuration of the lab's own; nothing of the user's is read or written."""

from __future__ import annotations

from pathlib import Path

from tests.lab.place import ADDRESSES, LAB
from tests.lab.shell import run


def key_file() -> Path:
    """The lab's own key, made on first use."""
    path = LAB / "ssh_key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "loopgauge lab", "-f", path)
    return path


def config_file() -> Path:
    """The configuration, also for looking around. Hosts are made anew again and again, so their keys are not kept."""
    path = LAB / "ssh_config"
    if not path.exists():
        lines = ["User root", f"IdentityFile {key_file()}", "IdentitiesOnly yes", "StrictHostKeyChecking no"]
        lines += ["UserKnownHostsFile /dev/null", "LogLevel ERROR", "ConnectTimeout 5", "BatchMode yes"]
        for name, address in ADDRESSES.items():
            lines += [f"Host {name}", f"  HostName {address}"]
        path.write_text("\n".join(lines) + "\n")
    return path
