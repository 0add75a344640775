"""What the machine must have; what is missing is installed, or said with the command that brings it."""

from __future__ import annotations

import os
import shutil
import sys

from tests.lab import cgroups
from tests.lab.place import ANSIBLE, PYTHON
from tests.lab.shell import Failed, run

PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "openssl": "openssl",
}
"""Program → Debian's package with it."""
INSTALL_S_MAX = 600


def bring() -> None:
    """Install the packages that are missing. Raises Failed with what this machine cannot do, and the mend."""
    if os.getuid() != 0:
        raise Failed("network namespaces and systemd-nspawn need root: sudo make lab")
    missing = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if missing:
        print(f"Installing {' '.join(missing)} by apt-get, for the lab.", file=sys.stderr)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", "-qq", within_s=INSTALL_S_MAX)
        run("apt-get", "install", "-y", "-qq", *missing, env=environment, within_s=INSTALL_S_MAX)
    for path, mend in ((PYTHON, "make check"), (ANSIBLE / "ansible-playbook", "sh tools/setup_deploy.sh")):
        if not path.exists():
            raise Failed(f"{path} is missing: {mend}")
    if not cgroups.can_end():
        raise Failed(f"{cgroups.CGROUPS} has no cgroup v2, neither alone nor as `unified`, by which hosts are ended")
