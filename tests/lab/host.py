"""One Debian host: a copy of the base image, booted by systemd-nspawn in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.lab import cgroups
from tests.lab.image import base
from tests.lab.place import ADDRESSES, HOSTS, LOGS, hosts_file, namespace
from tests.lab.shell import expect, run, tail, wait_for
from tests.lab.ssh import config_file, key_file

BOOT_S_MAX = 60
REBOOTS = 133
"""What systemd-nspawn ends with when its guest asks to be started again."""

_START = """\
{enter}
while :; do
  systemd-nspawn -q -D "$ROOT" -b --register=no --keep-unit --machine="$NAME" --resolv-conf=off --timezone=off \
    --network-namespace-path=/run/netns/"$NETNS" --link-journal=no --console=pipe </dev/null
  [ $? = {reboots} ] || break
done
"""

_LIMITS = """\
for each in memory cpu cpuacct pids; do
  [ ! -d /sys/fs/cgroup/$each ] || mount -o remount,bind,rw /sys/fs/cgroup/$each
done
systemctl daemon-reexec
"""
"""systemd-nspawn mounts these read-only; until they are writable, the guest's systemd enforces no MemoryMax."""


class Host:
    """A host by its name; it keeps its disk over power cuts and boots, until it gets a fresh one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ADDRESSES[name]
        self.root = HOSTS / name

    def fresh_disk(self) -> None:
        """Put in a new disk: the base image, a name, an own SSH host key, and the lab's key for root."""
        shutil.rmtree(self.root, ignore_errors=True)
        HOSTS.mkdir(parents=True, exist_ok=True)
        run("cp", "-a", base(), self.root)
        (self.root / "etc/hostname").write_text(self.name + "\n")
        (self.root / "etc/hosts").write_text(hosts_file())
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.root / "etc/ssh/ssh_host_ed25519_key")
        # No host can ask a mirror, so its lists of packages count as new.
        run("touch", self.root / "var/lib/apt/lists")
        keys = self.root / "root/.ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(key_file().with_suffix(".pub"), keys / "authorized_keys")

    def boot(self) -> float:
        """Switch it on; returns when SSH answers, with the seconds that it took."""
        LOGS.mkdir(parents=True, exist_ok=True)
        script = _START.format(enter=cgroups.ENTER, reboots=REBOOTS)
        variables = {"NAME": self.name, "ROOT": str(self.root), "NETNS": namespace(self.name)}
        with (LOGS / f"{self.name}.console").open("ab") as console:
            subprocess.Popen(
                ["sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, **variables, **cgroups.variables(self.name)},
                start_new_session=True,
            )
        seconds = wait_for(f"{self.name} answers over SSH", self._answers, within_s=BOOT_S_MAX, every_s=0.3)
        self.sh(_LIMITS)
        return seconds

    def _answers(self) -> bool:
        return self.sh("true", check=False, within_s=10).returncode == 0

    def cut_power(self) -> None:
        """Every process of it is gone at once; the disk stays as it was."""
        cgroups.end(self.name)

    def sh(
        self, command: str, *, check: bool = True, within_s: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on it as root. Raises Failed when it fails, unless `check` is false."""
        return run("ssh", "-F", config_file(), self.name, command, check=check, within_s=within_s, stdin=stdin)

    def says(self, command: str, *, within_s: float = 60) -> str:
        """What a command prints, without spaces around it."""
        return self.sh(command, within_s=within_s).stdout.strip()

    def write(self, target: str, text: str, *, mode: str = "644") -> None:
        """Make a file on it, with its folder."""
        command = f"mkdir -p $(dirname {target}) && install -m {mode} /dev/null {target} && cat > {target}"
        self.sh(command, stdin=text)

    def property_of(self, unit: str, name: str) -> str:
        """A property of a unit, as systemd shows it."""
        return self.says(f"systemctl show -P {name} {unit}")

    def journal(self, unit: str, lines: int = 30) -> str:
        """The end of what a unit has logged."""
        return self.says(f"journalctl -q --no-pager -o cat -n {lines} -u {unit}")

    def expect_active(self, *units: str) -> None:
        """Raise Failed with the journal of the first unit that does not run."""
        for unit in units:
            state = self.property_of(unit, "ActiveState")
            expect(state == "active", f"{self.name}: {unit} is {state}\n{tail(self.journal(unit))}")

    def expect_healthy(self) -> None:
        """Raise Failed with the units that failed, if there are any."""
        failed = self.says("systemctl --failed --no-legend --plain")
        expect(not failed, f"{self.name}: failed units: {failed}")
