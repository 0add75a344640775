"""Network namespaces: one for the controller with a bridge, one for each host on it. No route leads out of them."""

from __future__ import annotations

from pathlib import Path

from tests.lab.place import ADDRESSES, BITS, CONTROLLER, CONTROLLER_ADDRESS, PREFIX, namespace
from tests.lab.shell import run

BRIDGE = "br0"


def make() -> None:
    """Make the controller's namespace and one for every host that may exist, wired to its bridge."""
    ctl = namespace(CONTROLLER)
    run("ip", "netns", "add", ctl)
    _ip(ctl, "link", "set", "lo", "up")
    _ip(ctl, "link", "add", BRIDGE, "type", "bridge")
    _ip(ctl, "addr", "add", f"{CONTROLLER_ADDRESS}/{BITS}", "dev", BRIDGE)
    _ip(ctl, "link", "set", BRIDGE, "up")
    for name, address in ADDRESSES.items():
        _plug(name, address)


def _plug(name: str, address: str) -> None:
    """A namespace for a host, and its cable into the bridge."""
    own, ctl = namespace(name), namespace(CONTROLLER)
    run("ip", "netns", "add", own)
    _ip(ctl, "link", "add", name, "type", "veth", "peer", "name", "host0", "netns", own)
    _ip(ctl, "link", "set", name, "master", BRIDGE)
    _ip(ctl, "link", "set", name, "up")
    _ip(own, "link", "set", "lo", "up")
    _ip(own, "addr", "add", f"{address}/{BITS}", "dev", "host0")
    _ip(own, "link", "set", "host0", "up")


def cable(name: str, *, plugged: bool) -> None:
    """Pull the cable of a host, or put it back."""
    _ip(namespace(CONTROLLER), "link", "set", name, "up" if plugged else "down")


def remove() -> None:
    """Delete the namespaces of a lab, also of one that died."""
    there = Path("/run/netns")
    for each in sorted(there.iterdir()) if there.exists() else ():
        if each.name.startswith(PREFIX):
            run("ip", "netns", "del", each.name, check=False)
            each.unlink(missing_ok=True)


def _ip(inside: str, *words: str) -> None:
    run("ip", "-netns", inside, *words)
