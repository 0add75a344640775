"""The fleet changes: a gateway joins, leaves, gets a new card; a wrong configuration is refused."""

from __future__ import annotations

from tests.lab import store
from tests.lab.host import Host
from tests.lab.lab import EDGE, INGEST, INVENTORY, Lab
from tests.lab.shell import expect, wait_for

INGEST_FILE = "/etc/loopgauge/ingest-worker-1.yaml"
LOOPGAUGE = "/opt/loopgauge/current/bin/loopgauge"
METRICS = "curl -sS http://127.0.0.1:9464/metrics"
REVOKED = '{"pki_revoked": [{"name": "gw-3"}]}'
QUIET_S = 25
"""Longer than two seal intervals: who may write has written by then."""
SETTLE_S_MAX = 90


def joins(lab: Lab) -> str:
    """One inventory entry adds a gateway: after a run its readings arrive; a run more changes nothing."""
    host = Host("gw-3")
    host.fresh_disk()
    host.boot()
    lab.hosts[host.name] = host
    lab.inventories.append(INVENTORY / "gw-3.yml")
    recap = lab.site(name="gateway-joins")
    found = lab.wait_for_readings(host.name, 0)
    lab.site("--limit", host.name, name="gateway-joins-again").expect_nothing_changed()
    return f"{recap}; {found} readings"


def leaves(lab: Lab) -> str:
    """Taken out of the inventory a gateway has no rights, though it goes on; revoked, it cannot even connect."""
    lab.inventories = [path for path in lab.inventories if path.name != "gw-3.yml"]
    host = lab.hosts.pop("gw-3", None) or Host("gw-3")
    recap = lab.site("--limit", "cloud", name="gateway-leaves")
    host.expect_active(EDGE)
    before = len(store.receipts(host.name))
    host.sh(f"sleep {QUIET_S}", within_s=QUIET_S + 30)
    after = len(store.receipts(host.name))
    expect(after == before, f"{after - before} batches of a gateway that left were taken")
    expect("loopgauge_edge_connected 1" in host.says(METRICS), "it lost its connection, so its rights were not tried")
    kept = next(line for line in host.says(METRICS).splitlines() if line.startswith("loopgauge_edge_spool_batches "))
    lab.site("--limit", "cloud", "-e", REVOKED, name="gateway-revoked")
    refused = wait_for(
        "the broker refuses the revoked certificate",
        lambda: "loopgauge_edge_connected 0" in host.says(METRICS),
        within_s=SETTLE_S_MAX,
    )
    host.cut_power()
    return f"{recap}; no receipt in {QUIET_S} s, on the gateway {kept}; revoked, disconnected after {refused:.0f} s"


def new_card(lab: Lab) -> str:
    """A gateway gets a fresh card: after a run and `ingest gateway allow` data flows; the old run is accounted for."""
    host = lab.hosts["gw-2"]
    host.sh(f"systemctl kill -s KILL {EDGE}")
    host.cut_power()
    runs = {receipt.run for receipt in store.receipts(host.name)}
    host.fresh_disk()
    host.boot()
    recap = lab.site("--limit", host.name, name="new-card")
    board = _parked(lab, host.name)
    expect(runs == {receipt.run for receipt in store.receipts(host.name)}, "the new board was not parked")
    user = lab.cloud.property_of(INGEST, "User")
    said = lab.cloud.says(f"sudo -u {user} {LOOPGAUGE} ingest gateway allow {INGEST_FILE} {host.name} {board}")
    wait_for(
        "batches of the new card",
        lambda: {receipt.run for receipt in store.receipts(host.name)} - runs,
        within_s=SETTLE_S_MAX,
    )
    return f"{recap}; {said} | {lab.accounts()}"


def _parked(lab: Lab, gateway: str) -> str:
    """The board that ingest has parked for a gateway, once it has."""
    found = ""

    def parked() -> bool:
        nonlocal found
        lines = lab.cloud.says(f"{LOOPGAUGE} ingest gateway list {INGEST_FILE}").splitlines()
        line = next((line for line in lines if line.startswith(f"{gateway}:")), "")
        found = line.partition("parked: ")[2].strip()
        return bool(found)

    wait_for(f"ingest parks the new board of {gateway}", parked, within_s=SETTLE_S_MAX)
    return found


def wrong_config(lab: Lab) -> str:
    """A configuration that cannot work is refused before anything is switched; the agent goes on with the old one."""
    host = lab.hosts["gw-1"]
    pid, site = host.property_of(EDGE, "MainPID"), host.says("sha256sum /etc/loopgauge/site.yaml")
    recap = lab.play(
        "site.yml", "--limit", "gw-1", "-e", f"@{INVENTORY.parent / 'wrong_device.yml'}", name="wrong-config"
    )
    expect(recap.failed.get("gw-1"), f"the playbook did not fail: {recap}")
    said = next((line for line in recap.log.read_text().splitlines() if "no-such-meter" in line), "")
    expect(said, f"nothing names the mistake: {recap.log}")
    expect(host.says("sha256sum /etc/loopgauge/site.yaml") == site, "the wrong site file was put in place")
    expect(host.property_of(EDGE, "MainPID") == pid, "the agent was restarted")
    return said.strip()[:200]
