"""Another version of the program: installed beside the old one, switched to, and rolled back."""

from __future__ import annotations

import time

from tests.lab import network, spools, store
from tests.lab.host import Host
from tests.lab.lab import EDGE, INGEST, Lab
from tests.lab.shell import expect, wait_for
from tests.lab.wheels import NEXT, NEXT_WHEELHOUSE

OUTAGE_S = 25
"""Two batches at least, which nobody confirms."""
DRAIN_S_MAX = 60


def upgrade(lab: Lab) -> str:
    """A new version is put beside the old one and switched to; what a spool of schema 2 keeps drains with it."""
    old, aged = _version(lab), lab.hosts["gw-1"]
    waiting = _old_spool(lab, aged)
    before = {host.name: store.readings(host.name) for host in lab.gateways}
    lab.variables["program_wheelhouse"] = str(NEXT_WHEELHOUSE)
    recap = lab.site(name="upgrade")
    expect(_version(lab) == NEXT, f"runs {_version(lab)}, not {NEXT}")
    for name, number in before.items():
        lab.wait_for_readings(name, number)
    drained = _drained(aged, waiting)
    return f"{old} → {NEXT}: {recap}; {drained} | {lab.accounts()}"


def _old_spool(lab: Lab, host: Host) -> dict[str, list[int]]:
    """Let a gateway seal while the cloud is away, and put what it keeps into a spool of schema 2."""
    network.cable(lab.cloud.name, plugged=False)
    try:
        time.sleep(OUTAGE_S)
        host.sh(f"systemctl stop {EDGE}")
    finally:
        network.cable(lab.cloud.name, plugged=True)
    waiting = spools.age(host)
    batches = sum(len(seqs) for seqs in waiting.values())
    expect(batches >= 2 and spools.version(host) == 2, f"schema {spools.version(host)}, {batches} batches")
    return waiting


def _drained(host: Host, waiting: dict[str, list[int]]) -> str:
    """What became of a spool of schema 2: each batch has a receipt, and is gone from the card."""

    def is_empty() -> bool:
        kept = spools.kept(host)
        return not any(set(kept.get(run, ())) & set(seqs) for run, seqs in waiting.items())

    seconds = wait_for("the spool of schema 2 drains", is_empty, within_s=DRAIN_S_MAX)
    stored = {(receipt.run, receipt.seq) for receipt in store.receipts(host.name)}
    missing = [(run, seq) for run, seqs in waiting.items() for seq in seqs if (run, seq) not in stored]
    expect(not missing, f"without a receipt: {missing}")
    batches = sum(len(seqs) for seqs in waiting.values())
    return f"{batches} batches of schema 2 → {spools.version(host)}, drained within {seconds:.0f} s"


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
