"""The root file system that every host is a copy of: Debian 12 with systemd and the packages that the roles ask for.

Hosts have no way out of their network, so packages are in the image; no service is enabled, the roles do that.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from tests.lab.place import LAB
from tests.lab.shell import run

PACKAGES = (
    "systemd,systemd-sysv,dbus,udev,python3,python3-venv,python3-apt,openssh-server,iproute2,openssl,ca-certificates,"
    "mosquitto,influxdb,influxdb-client,curl,procps,sudo,systemd-timesyncd"
)
SUITE = "bookworm"
OFF = ("mosquitto", "influxdb", "ssh", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer")
"""Services and timers that packages enable; `ssh` is started by its socket, as few processes as can be."""
BUILD_S_MAX = 900


def base() -> Path:
    """The base image as a folder; built on the first call, and again when this file says something else."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    folder = LAB / f"base-{recipe}"
    if not folder.exists():
        for old in LAB.glob("base-*"):
            shutil.rmtree(old)
        print("Building the base image; this takes a minute.", file=sys.stderr)
        half = LAB / "half-built"
        shutil.rmtree(half, ignore_errors=True)
        run(
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, half),
            within_s=BUILD_S_MAX,
        )
        _prepare(half)
        half.rename(folder)
    return folder


def _prepare(root: Path) -> None:
    """Switch off what packages switched on, and let SSH in by key alone."""
    for unit in OFF:
        run("systemctl", f"--root={root}", "disable", "--quiet", unit, check=False)
    run("systemctl", f"--root={root}", "enable", "--quiet", "ssh.socket")
    (root / "etc/machine-id").write_text("")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/ssh/sshd_config.d/lab.conf").write_text("PasswordAuthentication no\nUsePAM yes\nMaxStartups 50\n")
    for cached in (root / "var/cache/apt/archives").glob("*.deb"):
        cached.unlink()
