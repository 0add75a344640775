"""No secret in a log, an argument, an environment that others may read, or a file that all may read."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.lab import store
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.place import LOGS
from tests.lab.shell import Failed, expect
from tests.lab.steps.operators import OPERATORS

PATTERNS = "/run/lab-patterns"
READABLE = (
    r"find / -xdev \( -path /proc -o -path /sys -o -path /usr -o -path /opt \) -prune -o -type f -perm -o=r -print0"
)
"""What all may read; packages and the program came from the image and the wheelhouse, before any secret was made."""


def hidden(lab: Lab) -> str:
    """The values of all passwords and the bodies of all private keys, looked for wherever they must not be."""
    passwords = [path.read_text().split()[0] for path in sorted(store.SECRETS.iterdir()) if path.is_file()]
    expect(passwords and all(len(each) >= 16 for each in passwords), "no passwords, or short ones: nothing to look for")
    encoded = [text for each in passwords for text in encodings(each)]
    operators = [body for path in sorted(OPERATORS.glob("*/*.key")) for body in key_bodies(path.read_text())]
    expect(operators, "no operator has a key")
    keys = len(operators)
    for host in lab.hosts.values():
        bodies = key_bodies(host.says("cat /etc/loopgauge/pki/*.key"))
        expect(bodies, f"{host.name}: no private key in /etc/loopgauge/pki")
        keys += len(bodies)
        _expect_hidden(host, [*passwords, *encoded, *bodies, *operators])
    own = operators + key_bodies((store.FLEET / "pki" / "ca.key").read_text())
    for log in sorted(LOGS.iterdir()):
        _expect_not_in(log, [*passwords, *own])
    for path in (*store.SECRETS.iterdir(), *OPERATORS.glob("*/*"), store.FLEET / "pki" / "ca.key"):
        expect(not path.stat().st_mode & 0o077, f"{path}: others may read it")
    return f"{len(passwords)} passwords, {keys} keys; {len(lab.hosts)} hosts and the controller's logs"


def key_bodies(text: str) -> list[str]:
    """The longest line of each private key: random enough to be found nowhere else."""
    parts = text.split("-----BEGIN ")[1:]
    return [max(part.splitlines()[1:-1], key=len) for part in parts if "PRIVATE KEY" in part]


def encodings(password: str) -> list[str]:
    """The password as HTTP Basic would show it, behind a user name of any length: the inner part of its base64."""
    return [base64.b64encode(f"{' ' * before}{password}".encode()).decode()[4:-4] for before in (1, 2, 3)]


def _expect_hidden(host: Host, secrets: list[str]) -> None:
    """Raise Failed with the place where one of `secrets` lies open on a host."""
    places = {
        "journal": f"journalctl -q --no-pager -o export | grep -aFc -f {PATTERNS}",
        "argument": f"cat /proc/[0-9]*/cmdline | grep -aFc -f {PATTERNS}",
        "environment": f"cat /proc/[0-9]*/environ 2>/dev/null | grep -aFc -f {PATTERNS}",
        "file that all may read": f"{READABLE} | xargs -0 grep -laF -f {PATTERNS}",
    }
    host.write(PATTERNS, "\n".join(secrets) + "\n", mode="600")
    try:
        control = host.sh(f"grep -rlF -f {PATTERNS} /etc/loopgauge", check=False).stdout.split()
        expect(control, f"{host.name}: the search finds not even the files that hold the secrets")
        for place, command in places.items():
            said = host.sh(command, check=False, within_s=120).stdout.strip()
            if said not in ("", "0"):
                raise Failed(f"{host.name}: a secret in a {place}: {said}")
    finally:
        host.sh(f"rm -f {PATTERNS}")


def _expect_not_in(log: Path, secrets: list[str]) -> None:
    text = log.read_text(errors="replace")
    expect(not any(secret in text for secret in secrets), f"a secret in {log}")
