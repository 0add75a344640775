"""From bare hosts to a running fleet: boot, reach, the site playbook twice."""

from __future__ import annotations

from tests.lab import meters, plays
from tests.lab.lab import CLOUD_UNITS, EDGE, Lab
from tests.lab.shell import expect


def boot(lab: Lab) -> str:
    """Simulated meters serve; every host boots from a new disk and answers over SSH."""
    meters.start()
    times = []
    for host in lab.hosts.values():
        host.fresh_disk()
        times.append(f"{host.name} {host.boot():.1f} s")
    return ", ".join(times)


def reach(lab: Lab) -> str:
    """Ansible reaches every host of the inventory."""
    return plays.ping("00-ping", lab.inventories)


def first_run(lab: Lab) -> str:
    """The site playbook sets up the whole fleet without a failure."""
    return str(lab.site(name="site-first"))


def second_run(lab: Lab) -> str:
    """Run again, it changes nothing on any host."""
    return str(lab.site(name="site-again").expect_nothing_changed())


OF_OURS = "'loopgauge-*'"
FAILURES = f"journalctl -q --no-pager -o short -u {OF_OURS} | grep -E \"result 'exit-code'|Traceback\" | tail -n 3"


def units(lab: Lab) -> str:
    """Every service runs, systemd has nothing that failed, and no program has ever ended by an error of its own."""
    lab.cloud.expect_active(*CLOUD_UNITS)
    for host in lab.gateways:
        host.expect_active(EDGE)
    for host in lab.hosts.values():
        host.expect_healthy()
        failures = host.sh(FAILURES, check=False).stdout.strip()
        expect(not failures, f"{host.name}: {failures}")
    return f"cloud: {', '.join(CLOUD_UNITS)}; {', '.join(host.name for host in lab.gateways)}: {EDGE}"
