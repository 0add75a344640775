"""`make lab`: real hosts under systemd, set up by the playbooks that ship, then broken in all ways that operators know.

The outer process makes network namespaces and tears everything down; the inner one lives in the controller's namespace,
sees its own /etc/hosts, and goes through the steps.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.lab import cgroups, network, wheels
from tests.lab.lab import Lab
from tests.lab.needs import bring
from tests.lab.place import CONTROLLER, HOSTS, LAB, ROOT, hosts_file, namespace
from tests.lab.shell import Failed
from tests.lab.store import FLEET
from tests.lab.story import STEPS, Step

_ENTER = f'{cgroups.ENTER}; mount --bind "$HOSTS_FILE" /etc/hosts && exec "$@"'
"""In a mount namespace of its own, so that the machine's own file stays as it is; in a cgroup, so that no playbook of a
run that was stopped goes on."""


def main() -> int:
    """0 when every step showed what it must, 1 otherwise, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="make lab", description=__doc__)
    parser.add_argument("--steps", default="", metavar="NAME,NAME", help="these, and those that all others need")
    parser.add_argument("--kept", action="store_true", help="go through --steps on a lab that was kept, and keep it")
    parser.add_argument("--keep", action="store_true", help="leave the hosts up, to look around")
    parser.add_argument("--down", action="store_true", help="tear down a lab that was kept, and do nothing else")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    wanted = [name for name in args.steps.split(",") if name]
    if unknown := set(wanted) - {step.name for step in STEPS}:
        print(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in STEPS)}")
        return 2
    if args.inside:
        needed = not args.kept
        return go_through([step for step in STEPS if (needed and step.needed) or not wanted or step.name in wanted])
    if args.down:
        tear_down()
        return 0
    if args.kept:
        return enter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        bring()
        tear_down()
        wheels.prepare()
        network.make()
        return enter()
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        if args.keep:
            print(how_to_look())
        else:
            tear_down()


def enter() -> int:
    """Start the inner process in the controller's namespace, and wait for it."""
    LAB.mkdir(parents=True, exist_ok=True)
    names = LAB / "etc-hosts"
    names.write_text(hosts_file())
    inner = ["sh", "-c", _ENTER, "sh", sys.executable, "-m", "tests.lab.run", *sys.argv[1:], "--inside"]
    command = ["unshare", "--mount", "--propagation", "private", *inner]
    command = ["nsenter", f"--net=/run/netns/{namespace(CONTROLLER)}", *command]
    environment = {**os.environ, **cgroups.variables("steps"), "HOSTS_FILE": str(names), "PYTHONUNBUFFERED": "1"}
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode


def go_through(steps: Sequence[Step]) -> int:
    """Run the steps one after the other, and print what each showed and how long it took."""
    lab, failed, width = Lab(), [], max(len(step.name) for step in steps)
    began = time.monotonic()
    for step in steps:
        begin = time.monotonic()
        try:
            evidence, verdict = step.run(lab), "ok"
        except Exception as failure:  # whatever it is, the other steps and the table follow
            evidence = str(failure) if isinstance(failure, Failed) else f"{type(failure).__name__}: {failure}"
            verdict = "FAILED"
            failed.append(step.name)
        print(f"{step.name:{width}}  {verdict:6}  {time.monotonic() - begin:6.1f} s  {evidence}")
        if verdict != "ok" and step.needed:
            break
    print(f"{time.monotonic() - began:.0f} s; " + (f"failed: {', '.join(failed)}" if failed else "every step held"))
    return 1 if failed else 0


def tear_down() -> None:
    """End every process of a lab, and remove its cgroups, namespaces, disks and authority."""
    cgroups.end_all()
    network.remove()
    subprocess.run(["rm", "-rf", "--one-file-system", str(HOSTS), str(FLEET)], check=False)


def how_to_look() -> str:
    """Where a kept lab is."""
    into = f"nsenter --net=/run/netns/{namespace(CONTROLLER)}"
    return f"kept: {into} ssh -F {LAB / 'ssh_config'} cloud\naway with it: make lab DOWN=1"


if __name__ == "__main__":
    sys.exit(main())
