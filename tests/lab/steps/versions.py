"""Another version of the program: installed beside the old one, switched to, and rolled back."""

from __future__ import annotations

from tests.lab import store
from tests.lab.lab import EDGE, INGEST, Lab
from tests.lab.shell import expect
from tests.lab.wheels import NEXT, NEXT_WHEELHOUSE


def upgrade(lab: Lab) -> str:
    """A new version is put beside the old one and switched to; the old one stays; nothing sealed is lost."""
    old = _version(lab)
    before = {host.name: store.readings(host.name) for host in lab.gateways}
    lab.variables["program_wheelhouse"] = str(NEXT_WHEELHOUSE)
    recap = lab.site(name="upgrade")
    expect(_version(lab) == NEXT, f"runs {_version(lab)}, not {NEXT}")
    for name, number in before.items():
        lab.wait_for_readings(name, number)
    return f"{old} → {NEXT}: {recap} | {lab.accounts()}"


def roll_back(lab: Lab) -> str:
    """One playbook switches every host back to the version before."""
    lab.variables.pop("program_wheelhouse", None)
    before = {host.name: store.readings(host.name) for host in lab.gateways}
    recap = lab.play("rollback.yml", name="rollback").expect_good()
    expect(_version(lab) != NEXT, f"still runs {NEXT}")
    for name, number in before.items():
        lab.wait_for_readings(name, number)
    return f"{NEXT} → {_version(lab)}: {recap} | {lab.accounts()}"


def _version(lab: Lab) -> str:
    """The version that every service runs from, by what their processes have open. Raises Failed where they differ."""
    found = set()
    for host, unit in [(lab.cloud, INGEST), *((host, EDGE) for host in lab.gateways)]:
        pid = host.property_of(unit, "MainPID")
        current = host.says("readlink -f /opt/loopgauge/current")
        running = host.says(f"grep -ao '/opt/loopgauge/[0-9][^/]*' /proc/{pid}/maps | sort -u")
        expect(running == current, f"{host.name}: {unit} runs from {running}, current is {current}")
        found.add(running.removeprefix("/opt/loopgauge/"))
    expect(len(found) == 1, f"different versions run: {sorted(found)}")
    return found.pop()
